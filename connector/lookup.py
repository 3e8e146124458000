"""Asking the directory: by key or by reading it whole, which of the two and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from time import monotonic

from connector.directories.port import Read, Reader
from connector.errors import IncompleteRead
from connector.model import Description, Fingerprint, Holds, Key, Memory, Question, User
from connector.reconcile.claims import Verdicts
from connector.reconcile.drawing import Draft
from connector.reconcile.near import AGENTS, NearMisses
from connector.reconcile.roster import Roster
from connector.watch import Watch

SCAN_SHARE = 0.4
"""Measured: reading everything wins only where more than about this share of the users is wanted."""
FEW = 2_000
"""So many are looked up at once where the directory cannot tell how large it is."""
FIRST = 1_000
"""So many users, one page, already show whether nearly all are others than the wanted ones."""
TRIED = 0.25
"""After this share of the users that may be read in vain, it is seen whether they are the wanted ones."""
SAMPLE = 200
"""So many users show which domains the directory's values have."""
NEAR_USERS = 50_000
"""So many users are read for near misses where the job says that users are not looked up."""
NEAR_SECONDS = 10
"""So long near misses are looked up where the directory has no index for it."""


class Lookup:
    """One run's questions to a directory; what one of them shows of its size serves the next.

    `at_least`: so many users it has, as far as is known; to begin with, from earlier runs.
    """

    def __init__(self, reader: Reader, read: Read, watch: Watch, at_least: int = 0) -> None:
        self._reader = reader
        self._read = read
        self._watch = watch
        self.at_least = at_least

    def users(self, keys: Iterable[Key], wanted: int, found: Callable[[], int] | None = None) -> Iterator[User]:
        """Every user that may hold one of the keys, at least once; others too where the directory is read whole.

        `wanted`: how many are looked for, each by one key or more; `found`: how many of those have been found by now.
        Keys are drawn as answers come in.
        """
        if wanted == 0:
            return iter(())
        if self._read != "auto":
            return self._ask(self._read, keys, wanted, "the job says so")
        size = self._reader.size()
        if size is not None:
            how: Read = "find" if wanted <= size * SCAN_SHARE else "scan"
            return self._ask(how, keys, wanted, f"a directory of about {size} users")
        if wanted <= max(FEW, self.at_least * SCAN_SHARE):
            return self._ask("find", keys, wanted, f"few, for a directory of probably {self.at_least} users or more")
        return self._either(keys, wanted, found)

    def _ask(self, how: Read, keys: Iterable[Key], wanted: int, why: str) -> Iterator[User]:
        self._watch.stage("look-up", how=how, why=why, wanted=wanted)
        return self._reader.scan() if how == "scan" else self._reader.find(keys)

    def _either(self, keys: Iterable[Key], wanted: int, found: Callable[[], int] | None) -> Iterator[User]:
        """Read a directory of unknown size until that has cost what looking up would have; if there is more, look up.

        That is at most twice the cheaper of the two, whatever the size turns out to be. Where few of the first users
        are wanted it is given up sooner, and where very few are, at once. That costs more only if most of the wanted
        are not there at all, or all come late: then looking up costs as many times the scan as `SCAN_SHARE` says.
        """
        most = int(wanted / SCAN_SHARE)
        least = {FIRST: FIRST * SCAN_SHARE / 2, int(most * TRIED): int(most * TRIED) * SCAN_SHARE}
        why = f"there are more than {most} users"
        number = 0
        for number, user in enumerate(self._ask("scan", keys, wanted, "a directory that does not tell its size"), 1):
            yield user
            if number in least and found is not None and found() < least[number]:
                why = f"few of the first {number} users are wanted, so there are probably more than {most}"
                break
            if number > most:
                break
        else:
            self.at_least = max(self.at_least, number)
            return
        self.at_least = max(self.at_least, most)  # leaving the loop has let go of the scan
        yield from self._ask("find", keys, wanted, why)

    def complete(self, draft: Draft, shown: Collection[str], memory: Memory, fingerprint: Fingerprint) -> None:
        """Ask what a draft still has to know: values that were not shown, and what the directory has against it.

        `shown`: attributes of which some user has shown a value.
        """
        draft.answers(self.answers(draft.questions(shown)), memory, fingerprint)
        draft.objected(self._reader.objections(draft.changes()))

    def answers(self, questions: list[Question]) -> Iterator[tuple[Question, Holds]]:
        """Ask about values that were not shown, many at a time."""
        if not questions:
            return iter(())
        self._watch.stage("compare", questions=len(questions))
        return zip(questions, self._reader.holds(questions), strict=True)

    def near_misses(self, verdicts: Verdicts, roster: Roster, description: Description) -> tuple[Verdicts, str]:
        """The verdicts with whom the unmatched almost match, and what of that was left out, as a sentence.

        It is a hint, so that a directory which does not answer this question ends no run.
        """
        if not any(problem.kind == "unmatched" for problem in verdicts.unmatched.values()):
            return verdicts, ""
        try:
            near = NearMisses(verdicts, roster, description, islice(self._reader.scan(), SAMPLE))
            self._watch.stage("near misses", keys=len(near), agents_left_out=near.left_out)
            missed = self._almost(near)
        except IncompleteRead as fault:
            return verdicts, f"could not be looked for: {fault}"
        if near.left_out:
            missed.append(f"looked for, for the first {AGENTS} unmatched agents; {near.left_out} more are left out")
        return near.told(verdicts), "; ".join(missed)

    def _almost(self, near: NearMisses) -> list[str]:
        """Show it who may be near; what keeps it from seeing everybody."""
        if self._read == "scan":
            users = self._reader.scan()
            for user in islice(users, NEAR_USERS):
                near.add(user)
            if next(users, None) is None:
                return []
            return [f"looked for among the first {NEAR_USERS} users, since the job says `read: scan`"]
        ends = monotonic() + NEAR_SECONDS
        late = False

        def in_time() -> Iterator[Key]:
            nonlocal late
            for key in near.wanted():
                late = monotonic() >= ends
                if late:
                    return
                yield key

        for user in self._reader.find(in_time()):
            near.add(user)
            late = late or monotonic() >= ends  # where look-ups cannot be trusted, find reads everybody
            if late:
                break
        if not late:
            return []
        return [f"given up after {NEAR_SECONDS} seconds: the attributes of the match rules may have no index"]
