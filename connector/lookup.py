"""Asking the directory: by key or by reading it whole, which of the two and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.directories.port import Read, Reader
from connector.model import Holds, Key, Question, User
from connector.watch import Watch

SCAN_SHARE = 0.4
"""Measured: reading everything wins only where more than about this share of the users is wanted."""
FEW = 2_000
"""So few keys are looked up at once where the directory cannot tell how large it is."""


def users(reader: Reader, keys: Iterable[Key], count: int, read: Read, watch: Watch) -> Iterator[User]:
    """Every user that may hold one of `count` keys, at least once; others too where the directory is read whole."""
    if count == 0:
        return iter(())
    if read != "auto":
        return _read(reader, keys, count, read, why="the job says so", watch=watch)
    size = reader.size()
    if size is not None:
        how: Read = "find" if count <= size * SCAN_SHARE else "scan"
        return _read(reader, keys, count, how, why=f"a directory of about {size} users", watch=watch)
    if count <= FEW:
        why = "few keys, in a directory that does not tell its size"
        return _read(reader, keys, count, "find", why=why, watch=watch)
    return _either(reader, keys, count, watch)


def _read(reader: Reader, keys: Iterable[Key], count: int, how: Read, *, why: str, watch: Watch) -> Iterator[User]:
    watch.stage("look-up", how=how, why=why, keys=count)
    return reader.scan() if how == "scan" else reader.find(keys)


def _either(reader: Reader, keys: Iterable[Key], count: int, watch: Watch) -> Iterator[User]:
    """Read a directory of unknown size until that has cost what looking up would have; if there is more, look up.

    That is at most twice the cheaper of the two, whatever the size turns out to be.
    """
    most = int(count / SCAN_SHARE)
    why = f"{count} keys, in a directory that does not tell its size"
    for number, user in enumerate(_read(reader, keys, count, "scan", why=why, watch=watch)):
        yield user
        if number == most:
            break  # which lets go of the scan, and so gives it up
    else:
        return
    yield from _read(reader, keys, count, "find", why=f"there are more than {most} users", watch=watch)


def answers(reader: Reader, questions: list[Question], watch: Watch) -> Iterator[tuple[Question, Holds]]:
    """Ask about values that were not shown, many at a time."""
    if not questions:
        return iter(())
    watch.stage("compare", questions=len(questions))
    return zip(questions, reader.holds(questions), strict=True)
