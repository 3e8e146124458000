"""What became of a write whose answer was lost, by how its user is now.

| # | what the server shows                                               | what became of it      |
| - | ------------------------------------------------------------------- | ---------------------- |
| 0 | no such user (`apply/recovery.py`)                                  | open                   |
| 1 | none of its attributes can be judged                                | open                   |
| 2 | all of it, at its own server, with nothing hidden                   | written                |
| 2 | all of it, and some of it only this write explains                  | written                |
| 3 | some of it that only this write explains                            | written, changed since |
| 4 | less, and it was meant for another server                           | open                   |
| 5 | less, and later runs or an open write elsewhere explain the rest    | open                   |
| 6 | less, and all that is away holds third values                       | failed                 |
| 7 | less, and an attribute is as before                                 | skipped: not written   |
| 8 | open by 1, 4 or 5; secrets alone, shown, noted by another key       | failed: stays unknown  |

A directory writes all of a user's change or nothing, so one attribute speaks for the
others. A value is *explained* where something else may have put it there, or taken it
away: another run wrote the same, or, at another server, it was there before. Object
classes are there if any other run wrote to the user.

`OpenWrite.judge` is this table, with the reason of each row. Tests, in `tests/unit/test_standing.py`:

1. `test_what_is_not_shown_and_may_be_there_all_the_same_tells_nothing`
2. `test_all_of_a_write_happened_or_nothing_so_that_one_attribute_speaks_for_the_others`,
   `test_what_another_run_explains_does_not_tell_of_what_is_not_shown`
3. `test_what_was_ours_before_does_not_prove_a_later_write`
4. `test_a_value_that_was_taken_away_at_another_server_proves_no_write_here`
5. `test_what_an_open_write_elsewhere_may_have_brought_does_not_tell`
6. `tests/worlds/interrupted.recorded`
7. `test_a_later_run_that_wrote_nothing_does_not_explain_what_is_away`
8. `test_a_visible_secret_that_another_key_had_noted_is_told_to_be_unknowable` (`test_resume.py`)
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
from connector.model.patterns import owned_values
from connector.planning.brief import PlanBrief
from connector.planning.standing import ShownUser

_MOST_NAMES: Final = 50
"""How many users one line names."""


class OpenWrite(Struct, frozen=True, dict=True):
    """A write whose answer was lost, what its user shows now, and what is known of that user."""

    change: Change
    shown: ShownUser
    run: str = ""
    """The run that set out to write it."""
    server: str = ""
    """The one that it was meant for; empty: the one that shows the user."""
    owned_values: Mapping[str, Owned] = MappingProxyType({})
    """What this job is known to have written to the user."""
    past: Sequence[Past] = ()
    """What runs have set out to change there, in their order."""
    open_runs: Collection[str] = ()
    """Earlier ones with open writes: what they wrote elsewhere may be here."""

    def judge(self) -> Outcome | None:  # noqa: PLR0911  # each row of the table is a branch
        """What became of the write, by the table above; None: it stays open."""
        standing = self.shown.judge_changes(self.change.attributes)
        third = self._list_third_values()
        if not standing:
            return None  # 1: nobody can say, until somebody may read or writes it again
        if all(standing) and not (self._is_elsewhere or self._hides_values()):
            # 2: it is as the write leaves it, and this server planned it from something else
            return self._make_outcome(Result.WRITTEN, "the values are there")
        if all(standing) and self._find_proofs(self._find_unheard()):
            # 2: runs of which this server had not heard may explain the rest, not this
            return self._make_outcome(Result.WRITTEN, "the values are there")
        if any(self._find_proofs(self.owned_values)):
            # 3: all of it was written, so somebody has changed the rest
            why = "it was written, and changed by somebody since"
            return self._make_outcome(
                Result.WRITTEN,
                why,
                third,
            )
        if self._is_elsewhere:
            return None  # 4: this server may not have heard of it yet
        if self._is_overwritten(some=any(standing)):
            return None  # 5: it may have been written before, or not
        if third:
            # 6: the server spells its values so, or somebody has changed them
            why = f"{', '.join(third)}: neither as before nor as written"
            return self._make_outcome(
                Result.FAILED,
                why,
                third,
            )
        # 7: what is as before was not written, and so nothing of it was
        return self._make_outcome(Result.SKIPPED, "it was not written")

    def list_closed(self, *, alone: bool) -> frozenset[str]:
        """Attributes of which nothing is open, at the server that the write was meant for.

        What it was to take away is gone; what it was to set is there, and another run is
        known to have written it. Or they are not as it leaves them, and it was meant for
        this server `alone`: no other one may show them so.
        """
        closed = set[str]()
        for each in self.change.attributes:
            stands = self.shown.stands(each)
            if stands is False and alone:
                closed.add(each.name)
            if stands and (not each.sets or self._wrote_same(each, self.owned_values)):
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
        return Outcome(
            self.change.user,
            Result.FAILED,
            why,
        )

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
        held = owned_values(each.pattern, self.shown.held_values(each.name))
        rule = self.shown.description.equality(each.name)
        return (
            bool(held)
            and equality.subtract_equal(
                rule,
                held,
                (*each.old, *each.new),
            )
            == held
        )

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
        if all(self.shown.judge_changes(left)):
            return True
        is_brought = some and bool(self._brought_changes)
        return is_brought and not any(map(self.shown.as_before, left))

    # ------------------------------------------------------------ what else may explain a value

    def _find_proofs(self, known: Mapping[str, Owned]) -> list[bool]:
        """Of each attribute that nothing else explains, whether it is as the change leaves it."""
        telling = [
            each
            for each in self.change.attributes
            if not (self._is_explained(each) or self._wrote_same(each, known))
        ]
        return self.shown.judge_changes(telling)

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
        digests = equality.digest_values(rule, each.new)
        return bool(digests) and digests <= set(owned.values)

    def _find_unheard(self) -> Mapping[str, Owned]:
        """What is ours by runs of which the server may not have heard: later ones, and those at another server.

        What any other has written was no longer there when this run planned, or nothing was
        planned.
        """
        if self._is_elsewhere:
            return self.owned_values
        runs = {run for run, _, _ in self._choose_later(self.past)}
        runs |= {run for run, server, _ in self.past if self._is_apart(run, server)}
        return {
            name: owned
            for name, owned in self.owned_values.items()
            if owned.run in runs
        }

    @property
    def _home_server(self) -> str:
        """The server that the write was meant for."""
        return self.server or self.shown.description.server

    @property
    def _is_elsewhere(self) -> bool:
        """Whether it was meant for another server than the one that shows the user."""
        return self._home_server != self.shown.description.server

    def _is_apart(self, run: str, server: str) -> bool:
        """Whether another run wrote at another server than this one."""
        return run != self.run and server not in ("", self._home_server)

    def _choose_later(self, past: Sequence[Past]) -> Sequence[Past]:
        """What runs after this one have set out to change; all, where nothing is known of it."""
        own = [number for number, (run, _, _) in enumerate(past, 1) if run == self.run]
        return past[max(own, default=0) :]

    @cached_property
    def _changing_past(self) -> Sequence[Past]:
        """What runs may have changed."""
        return [past for past in self.past if _may_change(past[2])]

    @cached_property
    def _brought_changes(self) -> Sequence[AttributeChange]:
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
        same = [other for other in self._brought_changes if other.name == each.name]
        if each.name == OBJECT_CLASS:
            return bool(same)
        if each.secret:
            print_ = each.fingerprint
            return any(not other.seen or other.fingerprint == print_ for other in same)
        rule = self.shown.description.equality(each.name)
        brought = [value for other in same for value in (*other.old, *other.new)]
        return not equality.subtract_equal(
            rule,
            each.new,
            brought,
        )

    def _was_cleared_elsewhere(self, each: AttributeChange) -> bool:
        """Whether another run, at another server, has taken the values away since they were put there.

        Whoever is known to have put another value there took them away, too.
        """
        owner = (
            self.owned_values[each.name].run if each.name in self.owned_values else ""
        )
        runs = [run for run, _, _ in self._changing_past]
        put = runs.index(owner) if owner in runs else 0
        rule = self.shown.description.equality(each.name)
        old = () if each.secret else each.old
        for run, server, other in self._changing_past[put:]:
            if other.name != each.name or not self._is_apart(run, server):
                continue
            if not other.sets:
                return True
            if run == owner and equality.subtract_equal(
                rule,
                old,
                other.new,
            ):
                return True
        return False

    def _make_outcome(
        self, result: Result, why: str, lost: tuple[str, ...] = ()
    ) -> Outcome:
        why = f"not confirmed at first; {why}"
        return Outcome(
            self.change.user,
            result,
            why,
            lost=lost,
        )


def _may_change(each: AttributeChange) -> bool:
    """Whether a run may have changed an attribute: of one that it did not, the journal says what it saw."""
    return each.fingerprint != UNKEYED if each.secret else each.new != each.old


def tell_unsettled(brief: PlanBrief) -> Iterator[Problem]:
    """A line for each run and server whose answers are missing, where another server is asked now."""
    here = brief.description.server
    found: dict[tuple[str, str], dict[str, None]] = {}
    for each in brief.memory.read_unsettled():
        if each.server not in ("", here):
            found.setdefault((each.run, each.server), {})[each.user.name] = None
    for (run, server), names in found.items():
        why = (
            f"run {run} wrote to {len(names)} users at {server} without an answer. {here} "
            f"does not show the values. They count as this job's until {server} is asked, or they are found"
        )
        yield Problem(
            "unsettled",
            why,
            users=tuple(names)[:_MOST_NAMES],
        )
