"""Asking the directory: by key or by reading it whole, which of the two and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.directories.port import Read, Reader
from connector.model import Holds, Key, Question, User
from connector.watch import Watch

SCAN_SHARE = 0.4
"""Measured: reading everything wins only where more than about this share of the users is wanted."""
FEW = 20_000
"""So many keys are looked up one by one where the directory cannot tell how large it is."""


def users(reader: Reader, keys: Iterable[Key], count: int, read: Read, watch: Watch) -> Iterator[User]:
    """Every user that may hold one of `count` keys; more than those where the directory is read whole."""
    how, why = _choose(reader, count, read)
    watch.stage("look-up", how=how, why=why, keys=count)
    if how == "none":
        return iter(())
    return reader.scan() if how == "scan" else reader.find(keys)


def _choose(reader: Reader, count: int, read: Read) -> tuple[str, str]:
    if count == 0:
        return "none", "there is nothing to look for"
    if read != "auto":
        return read, "the job says so"
    size = reader.size()
    if size is None:
        how = "find" if count <= FEW else "scan"
        return how, f"{count} keys, in a directory that does not tell its size"
    return "find" if count <= size * SCAN_SHARE else "scan", f"{count} keys, in a directory of about {size} users"


def answers(reader: Reader, questions: list[Question], watch: Watch) -> Iterator[tuple[Question, Holds]]:
    """Ask about values that were not shown, many at a time."""
    if not questions:
        return iter(())
    watch.stage("compare", questions=len(questions))
    return zip(questions, reader.holds(questions), strict=True)
