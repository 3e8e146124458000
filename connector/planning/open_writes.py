"""What became of a write whose answer was lost, by how its user is now.

| what the server shows                            | what became of it       | test in `test_standing.py` |
| ------------------------------------------------ | ----------------------- | -------------------------- |
| 1 none of its attributes can be judged           | open                    | …what_is_not_shown_and     |
| 2 all of it, which nothing else explains; or all | written                 | …one_attribute_speaks      |
|   of it, at its own server, and nothing hidden   |                         | …an_attribute_that_the     |
| 3 some of it, which nothing else explains        | written, changed since  | …what_was_ours_before      |
| 4 less; it was meant for another server          | open                    | …taken_away_at_another     |
| 5 less; later runs explain what is away, or an   | open                    | …that_an_open_write_else   |
|   open write elsewhere what is there             |                         | …a_later_run_that_wrote    |
| 6 less; all that is away holds third values      | failed                  | `worlds/interrupted`       |
| 7 less; an attribute is as before                | skipped, not written    | …one_attribute_speaks      |
| 8 open by row 1, 4 or 5; all of it are secrets   | failed, stays unknown   | `test_resume.py`:          |
|   that are shown, and were noted by another key  |                         | …that_another_key_had      |

A directory writes all of a user's change or nothing, so one attribute speaks for the
others. A value is *explained* where something else may have put it there, or taken it
away: another run wrote the same, or, at another server, it was there before. Object
classes are there if any other run wrote to the user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Outcome,
    Owned,
    Past,
    Problem,
    Result,
    equality,
)
from connector.model.digests import UNKEYED
from connector.model.patterns import ours
from connector.planning.brief import Brief
from connector.planning.standing import Shown

_MOST_NAMES: Final = 50
"""How many users one line names."""


class OpenWrite(Struct, frozen=True, dict=True):
    """A write whose answer was lost, what its user shows now, and what is known of that user."""

    change: Change
    shown: Shown
    run: str = ""
    """The run that set out to write it."""
    server: str = ""
    """The one that it was meant for; empty: the one that shows the user."""
    ours: Mapping[str, Owned] = MappingProxyType({})
    """What this job is known to have written to the user."""
    past: Sequence[Past] = ()
    """What runs have set out to change there, in their order."""
    open_runs: Collection[str] = ()
    """Earlier ones with open writes: what they wrote elsewhere may be here."""

    def judge(self) -> Outcome | None:
        """What became of the write, by the table above; None: it stays open."""
        attributes = self.change.attributes
        standing = self.shown.answers(attributes)
        if not standing:  # 1
            return None
        if all(standing):
            unheard = self._find_unheard()
            at_home = not (self._is_elsewhere or self._hides_values())
            if at_home or self._find_proofs(unheard):  # 2
                return self._tell(Result.WRITTEN, "the values are there")
        third = self._list_third_values()
        if any(self._find_proofs(self.ours)):  # 3
            why = "it was written, and changed by somebody since"
            return self._tell(Result.WRITTEN, why, third)
        if self._is_elsewhere or self._is_overwritten(some=any(standing)):  # 4, 5
            return None
        if third:  # 6
            why = f"{', '.join(third)}: neither as before nor as written"
            return self._tell(Result.FAILED, why, third)
        return self._tell(Result.SKIPPED, "it was not written")  # 7

    def list_closed(self, *, alone: bool) -> frozenset[str]:
        """Attributes of which nothing is open, at the server that the write was meant for.

        What it was to take away is gone; what it was to set is there, and another run is
        known to have written it. Or they are not as it leaves them, and it was meant for
        this server `alone`: no other one may show them so.
        """
        closed = set[str]()
        for each in self.change.attributes:
            stands = self.shown.stands(each)
            if (stands and (not each.sets or self._wrote_same(each, self.ours))) or (
                stands is False and alone
            ):
                closed.add(each.name)
        return frozenset(closed)

    def as_written(self) -> Change:
        """What is known of the change, where it was found to be written.

        Where some of it does not stand, it may have been written in part. Then nobody knows
        which secret is there, of those that are not shown: one that was set is ours and is
        written again, one that was taken away is what it was before.
        """
        stands = {each.name: self.shown.stands(each) for each in self.change.attributes}
        if False not in stands.values():
            return self.change
        known = []
        for each in self.change.attributes:
            if not each.secret or stands[each.name] is not None:
                known.append(each)
            elif each.fingerprint:
                known.append(replace(each, fingerprint=UNKEYED))
        return replace(self.change, attributes=tuple(known))

    # ------------------------------------------------------------ the rows

    def judge_another_key(self) -> Outcome | None:
        """Row 8: secrets that were noted with another key are shown, and may be what was written."""
        values = self.shown.user.values
        for each in self.change.attributes:
            if each.fingerprint != UNKEYED or each.name not in values:
                return None
        why = "not confirmed; noted with another key, so its result stays unknown"
        return Outcome(self.change.user, Result.FAILED, why)

    def _list_third_values(self) -> tuple[str, ...]:
        """Attributes that hold other values than before the write and after it; none, if one is as before or unseen.

        The directory may spell its values so, or somebody has changed them.
        """
        away = [each for each in self.change.attributes if not self.shown.stands(each)]
        if not all(map(self._holds_third_value, away)):
            return ()
        return tuple(each.name for each in away)

    def _holds_third_value(self, each: AttributeChange) -> bool:
        if each.name == OBJECT_CLASS or not each.seen or each.secret:
            return False
        held = ours(each.pattern, self.shown.held(each.name))
        rule = self.shown.description.equality(each.name)
        return bool(held) and equality.minus(rule, held, (*each.old, *each.new)) == held

    def _hides_values(self) -> bool:
        """Whether there are values of which nobody knows whether they are as the change leaves them."""
        return any(
            each.name != OBJECT_CLASS and self.shown.stands(each) is None
            for each in self.change.attributes
        )

    def _is_overwritten(self, *, some: bool) -> bool:
        """Whether it may have been written, though it is not as the change leaves it: all, or `some` of it.

        What a later run has changed tells neither way. Nor does what came from elsewhere,
        unless the rest is as before.
        """
        later = {each.name for _, _, each in self._choose_later(self._changing_past)}
        left = [each for each in self.change.attributes if each.name not in later]
        if all(self.shown.answers(left)):
            return True
        is_brought = some and bool(self._brought)
        return is_brought and not any(map(self.shown.as_before, left))

    # ------------------------------------------------------------ what else may explain a value

    def _find_proofs(self, known: Mapping[str, Owned]) -> list[bool]:
        """Of each attribute that nothing else explains, whether it is as the change leaves it."""
        telling = [
            each
            for each in self.change.attributes
            if not (self._is_explained(each) or self._wrote_same(each, known))
        ]
        return self.shown.answers(telling)

    def _is_explained(self, each: AttributeChange) -> bool:
        """Whether what other servers were told may have made an attribute what it is here."""
        if each.sets:
            return self._was_brought(each)
        return self._is_elsewhere or self._was_cleared_elsewhere(each)

    def _wrote_same(self, each: AttributeChange, known: Mapping[str, Owned]) -> bool:
        """Whether another run is known to have written these very values; then the object classes are there, too."""
        if each.name == OBJECT_CLASS:
            return any(owned.run != self.run for owned in known.values())
        owned = known.get(each.name)
        if owned is None or owned.run == self.run:
            return False
        if each.secret:
            return bool(each.fingerprint) and owned.fingerprint == each.fingerprint
        rule = self.shown.description.equality(each.name)
        digests = {equality.digest(rule, equality.plain(value)) for value in each.new}
        return bool(digests) and digests <= set(owned.values)

    def _find_unheard(self) -> Mapping[str, Owned]:
        """What is ours by runs of which the server may not have heard: later ones, and those at another server.

        What any other has written was no longer there when this run planned, or nothing was
        planned.
        """
        if self._is_elsewhere:
            return self.ours
        runs = {run for run, _, _ in self._choose_later(self.past)}
        runs |= {run for run, server, _ in self.past if self._is_apart(run, server)}
        return {name: owned for name, owned in self.ours.items() if owned.run in runs}

    @property
    def _home(self) -> str:
        """The server that the write was meant for."""
        return self.server or self.shown.description.server

    @property
    def _is_elsewhere(self) -> bool:
        """Whether it was meant for another server than the one that shows the user."""
        return self._home != self.shown.description.server

    def _is_apart(self, run: str, server: str) -> bool:
        """Whether another run wrote at another server than this one."""
        return run != self.run and server not in ("", self._home)

    def _choose_later(self, past: Sequence[Past]) -> Sequence[Past]:
        """What runs after this one have set out to change; all, where nothing is known of it."""
        own = [number for number, (run, _, _) in enumerate(past, 1) if run == self.run]
        return past[max(own, default=0) :]

    @cached_property
    def _changing_past(self) -> Sequence[Past]:
        """What runs may have changed."""
        return [past for past in self.past if _may_change(past[2])]

    @cached_property
    def _brought(self) -> Sequence[AttributeChange]:
        """What other runs may have brought to this server from another one, or taken away from it."""
        if self._is_elsewhere:
            return [each for run, _, each in self.past if run != self.run]
        return [
            each
            for run, server, each in self.past
            if run in self.open_runs and self._is_apart(run, server)
        ]

    def _was_brought(self, each: AttributeChange) -> bool:
        """Whether the values were brought from another server, or may have been; of an unseen secret nobody knows."""
        same = [other for other in self._brought if other.name == each.name]
        if each.name == OBJECT_CLASS:
            return bool(same)
        if each.secret:
            print_ = each.fingerprint
            return any(not other.seen or other.fingerprint == print_ for other in same)
        rule = self.shown.description.equality(each.name)
        brought = [value for other in same for value in (*other.old, *other.new)]
        return not equality.minus(rule, each.new, brought)

    def _was_cleared_elsewhere(self, each: AttributeChange) -> bool:
        """Whether another run, at another server, has taken the values away since they were put there.

        Whoever is known to have put another value there took them away, too.
        """
        owner = self.ours[each.name].run if each.name in self.ours else ""
        runs = [run for run, _, _ in self._changing_past]
        put = runs.index(owner) if owner in runs else 0
        rule = self.shown.description.equality(each.name)
        old = () if each.secret else each.old
        for run, server, other in self._changing_past[put:]:
            if other.name != each.name or not self._is_apart(run, server):
                continue
            if not other.sets:
                return True
            if run == owner and equality.minus(rule, old, other.new):
                return True
        return False

    def _tell(self, result: Result, why: str, lost: tuple[str, ...] = ()) -> Outcome:
        why = f"not confirmed at first; {why}"
        return Outcome(self.change.user, result, why, lost=lost)


def _may_change(each: AttributeChange) -> bool:
    """Whether a run may have changed an attribute: of one that it did not, the journal says what it saw."""
    return each.fingerprint != UNKEYED if each.secret else each.new != each.old


def tell_unsettled(brief: Brief) -> Iterator[Problem]:
    """A line for each run and server whose answers are missing, where another server is asked now."""
    here = brief.description.server
    found: dict[tuple[str, str], dict[str, None]] = {}
    for each in brief.memory.unsettled():
        if each.server not in ("", here):
            found.setdefault((each.run, each.server), {})[each.user.name] = None
    for (run, server), names in found.items():
        why = (
            f"run {run} wrote to {len(names)} users at {server} without an answer. {here} "
            f"does not show the values. They count as this job's until {server} is asked, or they are found"
        )
        yield Problem("unsettled", why, users=tuple(names)[:_MOST_NAMES])
