"""How the planner's questions are answered: users are looked up by key or all are read, whichever is cheaper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from math import inf
from time import monotonic

from connector.directories.port import Read, Reader
from connector.errors import FileError, IncompleteRead, LimitError, TruncatedError
from connector.matching.lookup import LookUpProof, sample_value
from connector.model import Holds, Key, Question, User
from connector.observers.observer import Observer

SCAN_SHARE = 0.4
"""Measured: reading everything wins only where more than about this share of the users is wanted."""
FEW = 2_000
"""So many are looked up at once where the directory cannot tell how large it is."""
FIRST = 1_000
"""So many users, one page, already show whether nearly all are others than the wanted ones."""
TRIED = 0.25
"""After this share of the users that may be read in vain, it is seen whether they are the wanted ones."""
SAMPLE = 100
"""Among so many users somebody is looked for who shows a value of an attribute."""
NEAR_USERS = 50_000
"""So many users are read for near misses where the job says that users are not looked up."""
NEAR_SECONDS = 10
"""So long near misses are looked up where the directory has no index for it."""


class DirectoryLookup:
    """One run's look-ups in a directory (`Lookup`); what one of them shows of its size serves the next.

    `at_least`: so many users it has, as far as is known; to begin with, from earlier runs. `beyond` reads the same
    directory past base and filter, and `names` the names of people there; each is opened by the first question for it.
    """

    def __init__(
        self,
        reader: Reader,
        read: Read,
        observer: Observer,
        at_least: int = 0,
        *,
        beyond: Callable[[], Reader] | None = None,
        names: Callable[[], Reader] | None = None,
    ) -> None:
        self._reader = reader
        # these the reader answers as they are
        self.find, self.read = reader.find, reader.read
        self.preflight = reader.preflight
        self._job_way = read
        """How the job says that users are got at."""
        self._observer = observer
        self._beyond = beyond
        self._names = names
        self.at_least = at_least
        self.cut = ""
        """Why users are looked up though all were to be read: the server's limit; empty while none was met."""
        self._likely = 0
        self._whole = False

    def find_outside(self, keys: Iterable[Key]) -> Iterable[User]:
        return _find_opened(self._beyond, keys)

    def find_named(
        self,
        keys: Iterable[Key],
        seconds: float | None,
    ) -> Iterable[User]:
        find = partial(_find_opened, self._names)
        return TimedLookup(inf if seconds is None else seconds).find_in_time(find, keys)

    def compare(self, questions: Iterable[Question]) -> list[tuple[Question, Holds]]:
        asked = list(questions)
        if not asked:
            return []
        self._observer.begin_stage("compare", questions=len(asked))
        return list(zip(asked, self._reader.holds(asked), strict=True))

    def scan(
        self,
        holding: tuple[str, ...] = (),
        why: str = "all users have to be read",
    ) -> Iterator[User]:
        try:
            yield from self._reader.scan(holding)
        except LimitError as fault:
            raise LimitError(f"{why}, and {fault.what}", where=fault.where) from None

    def search(
        self,
        keys: Iterable[Key],
        wanted: int,
        *,
        found: Callable[[], int] | None = None,
        unfindable: tuple[str, ...] = (),
    ) -> Iterator[User]:
        """Find or scan; where the server's limit cuts a scan short, look up. Some users come twice then."""
        if wanted == 0:
            return
        self._whole = True  # until a look-up begins
        try:
            how, why = self._choose_way(wanted, unfindable)
            if how is None:
                yield from self._scan_then_find(keys, wanted, found)
            else:
                yield from self._ask_users(how, keys, wanted, why)
        except LimitError as fault:
            if unfindable:
                why = f"no look-ups by {' and '.join(unfindable)}: it has no equality rule"
                what = f"{why}, and {fault.what}"
                raise LimitError(what, where=fault.where) from None
            if not self._whole:  # a look-up was cut short
                raise
            self.cut = fault.what
            yield from self._ask_users("find", keys, wanted, fault.what)

    def _choose_way(
        self,
        wanted: int,
        unfindable: tuple[str, ...],
    ) -> tuple[Read | None, str]:
        """Find or scan, whichever is cheaper, and why; None: a scan will tell."""
        if unfindable:
            names = " and ".join(unfindable)
            if self._job_way == "find":
                why = f"no look-ups by {names}: it has no equality rule. Set `read: scan` or `auto`"
                raise FileError(why, where="directory.read")
            return "scan", f"{names} has no equality rule"
        if self.cut:  # a scan was cut short before
            return "find", self.cut
        if self._job_way != "auto":
            return self._job_way, "set in the job"
        size = self._reader.size()
        if size is not None:
            how: Read = "find" if wanted <= size * SCAN_SHARE else "scan"
            return how, f"a directory of about {size} users"
        if wanted <= max(FEW, max(self.at_least, self._likely) * SCAN_SHARE):
            return "find", f"looking up {wanted} keys (directory size unknown)"
        return None, ""

    def prove(
        self,
        attribute: str,
        shown: tuple[str, str] | None,
    ) -> LookUpProof:
        """Look somebody up who is known to be there; where nobody is, one of the first users that are read."""
        if self._whole:
            return LookUpProof.GIVEN if shown else LookUpProof.NONE
        shown = shown or self._find_sample(attribute)
        if shown is None:
            return LookUpProof.NONE
        id_, value = shown
        if any(user.id == id_ for user in self._reader.find([(attribute, value)])):
            return LookUpProof.GIVEN
        if self._job_way == "find":
            why = (
                f"look-ups by {attribute} do not find even a user that shows a value of it. Set `read: scan`, or "
                "give it an index"
            )
            raise IncompleteRead(why, where="directory.read")
        self._whole = True
        why = f"look-ups by {attribute} cannot be trusted"
        self._observer.begin_stage("look-up", how="scan", why=why, wanted=0)
        return LookUpProof.REFUTED

    def _find_sample(self, attribute: str) -> tuple[str, str] | None:
        """One of the first users that shows a value of an attribute, by id; None: none of them does."""
        try:
            return sample_value(islice(self._reader.scan(), SAMPLE), attribute)
        except TruncatedError:
            return None  # a server that cannot be read whole, which is why users are looked up

    def _ask_users(
        self,
        how: Read,
        keys: Iterable[Key],
        wanted: int,
        why: str,
    ) -> Iterator[User]:
        self._observer.begin_stage("look-up", how=how, why=why, wanted=wanted)
        self._whole = how == "scan"
        return self._reader.scan() if how == "scan" else self._reader.find(keys)

    def _scan_then_find(
        self,
        keys: Iterable[Key],
        wanted: int,
        found: Callable[[], int] | None,
    ) -> Iterator[User]:
        """Read a directory of unknown size until that has cost what looking up would have; if there is more, look up.

        That is at most twice the cheaper of the two, whatever the size turns out to be. Where few of the first users
        are wanted it is given up sooner, and where very few are, at once. That costs more only if most of the wanted
        are not there at all, or all come late: then looking up costs as many times the scan as `SCAN_SHARE` says.
        How many of the wanted were among the first users, and how many there are, tells the likely size.
        """
        most = int(wanted / SCAN_SHARE)
        tried = int(most * TRIED)
        least = {FIRST: FIRST * SCAN_SHARE / 2, tried: tried * SCAN_SHARE}
        why = f"there are more than {most} users"
        number = 0
        scan = self._ask_users("scan", keys, wanted, "directory size unknown")
        for number, user in enumerate(scan, 1):
            yield user
            if found and number in least and found() < least[number]:
                why = f"few of the first {number} users match, so there are probably more than {most}"
                break
            if number > most:
                break
        else:
            self.at_least = max(self.at_least, number)
            return
        # leaving the loop has let go of the scan
        self.at_least = max(self.at_least, most)
        early = found() if found else 0
        yield from self._ask_users("find", keys, wanted, why)
        if found:
            self._likely = number * found() // max(1, early)

    def find_near(
        self,
        keys: Iterable[Key],
        count: int,
        left_out: int,
    ) -> Iterator[User | str]:
        """Users that may be near, and what keeps others from being seen."""
        self._observer.begin_stage("near misses", keys=count, agents_left_out=left_out)
        if self._job_way == "scan" and not self.cut:
            users = self._reader.scan()
            yield from islice(users, NEAR_USERS)
            if next(users, None) is not None:
                yield f"searched among the first {NEAR_USERS} users (`read: scan`)"
            return
        asking = TimedLookup(NEAR_SECONDS)
        yield from asking.find_in_time(self._reader.find, keys)
        if asking.late:
            yield f"stopped after {NEAR_SECONDS} seconds. Check that the attributes of the match rules have an index"


def _find_opened(
    opened: Callable[[], Reader] | None,
    keys: Iterable[Key],
) -> Iterable[User]:
    return opened().find(keys) if opened is not None else ()


class TimedLookup:
    """A look-up that ends after so many seconds; `late`: it was not whole by then."""

    def __init__(self, seconds: float) -> None:
        self._ends = monotonic() + seconds
        self.late = False

    def find_in_time(
        self,
        find: Callable[[Iterable[Key]], Iterable[User]],
        keys: Iterable[Key],
    ) -> Iterator[User]:
        for user in find(self._in_time(keys)):
            yield user
            # where look-ups are not trusted, find reads everybody
            self.late = self.late or monotonic() >= self._ends
            if self.late:
                return

    def _in_time(self, keys: Iterable[Key]) -> Iterator[Key]:
        for key in keys:
            self.late = monotonic() >= self._ends
            if self.late:
                return
            yield key
