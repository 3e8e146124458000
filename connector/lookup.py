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


class Lookup:
    """One run's questions to a directory; what one of them shows of its size serves the next."""

    def __init__(self, reader: Reader, read: Read, watch: Watch) -> None:
        self._reader = reader
        self._read = read
        self._watch = watch
        self._at_least = 0

    def users(self, keys: Iterable[Key], count: int) -> Iterator[User]:
        """Every user that may hold one of `count` keys, at least once; others too where the directory is read whole."""
        if count == 0:
            return iter(())
        if self._read != "auto":
            return self._ask(self._read, keys, count, "the job says so")
        size = self._reader.size()
        if size is not None:
            how: Read = "find" if count <= size * SCAN_SHARE else "scan"
            return self._ask(how, keys, count, f"a directory of about {size} users")
        if count <= max(FEW, self._at_least * SCAN_SHARE):
            return self._ask("find", keys, count, f"few keys, for a directory of at least {self._at_least} users")
        return self._either(keys, count)

    def _ask(self, how: Read, keys: Iterable[Key], count: int, why: str) -> Iterator[User]:
        self._watch.stage("look-up", how=how, why=why, keys=count)
        return self._reader.scan() if how == "scan" else self._reader.find(keys)

    def _either(self, keys: Iterable[Key], count: int) -> Iterator[User]:
        """Read a directory of unknown size until that has cost what looking up would have; if there is more, look up.

        That is at most twice the cheaper of the two, whatever the size turns out to be.
        """
        most = int(count / SCAN_SHARE)
        for number, user in enumerate(self._ask("scan", keys, count, "a directory that does not tell its size"), 1):
            yield user
            self._at_least = max(self._at_least, number)
            if number > most:
                break  # which lets go of the scan, and so gives it up
        else:
            return
        yield from self._ask("find", keys, count, f"there are more than {most} users")

    def answers(self, questions: list[Question]) -> Iterator[tuple[Question, Holds]]:
        """Ask about values that were not shown, many at a time."""
        if not questions:
            return iter(())
        self._watch.stage("compare", questions=len(questions))
        return zip(questions, self._reader.holds(questions), strict=True)
