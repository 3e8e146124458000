"""What became of writes whose answer was lost, by how their users are now."""

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
from connector.planning.compare.standing import Shown

_MOST_NAMES: Final = 50
"""How many users one line names."""


class Unanswered(Struct, frozen=True, dict=True):
    """A write of a `run` whose answer was lost, what its user shows now, and what is known of that user.

    `server`: the one that the write was meant for. Another one may not have heard of it: there only values tell that it
    put there. `ours`: what this job is known to have written to the user. `past`: what runs
    have set out to change there. `open_`: earlier ones of which it is not known; what they
    wrote elsewhere may be here.
    """

    change: Change
    shown: Shown
    run: str = ""
    server: str = ""
    ours: Mapping[str, Owned] = MappingProxyType({})
    past: Sequence[Past] = ()
    open_: Collection[str] = ()

    def outcome(self) -> Outcome | None:
        """What became of the write; None: nothing that is shown tells.

        A directory writes all of a user's change or nothing, so one attribute speaks for
        the others.

        A value does not tell where something else explains it. Another run wrote the same,
        or, at another server, it was there before. It is away because of a later run, or of
        one at another server. Where all that is shown stands, only runs explain it of which
        this server had not heard when this one planned. Where all of it is explained, it
        does not tell of what is not shown.
        """
        answers = self.shown.answers(self.change.attributes)
        if not answers:
            return None
        if all(answers) and (
            self._proofs(self._unheard()) or not (self._elsewhere or self._hidden())
        ):
            return self._found(Result.WRITTEN, "the values are there")
        if any(self._proofs(self.ours)):
            return self._found(
                Result.WRITTEN,
                "it was written, and changed by somebody since",
                self._others(),
            )
        if self._elsewhere or self._in_doubt(some=any(answers)):
            return None
        others = self._others()
        if others:
            return self._found(
                Result.FAILED,
                f"{', '.join(others)}: neither as before nor as written",
                others,
            )
        return self._found(Result.SKIPPED, "it was not written")

    def _others(self) -> tuple[str, ...]:
        """Attributes that hold other values than before the write and after it; none, if one is as before or unseen.

        The directory may spell its values so, or somebody has changed them.
        """
        changed = [
            each for each in self.change.attributes if not self.shown.stands(each)
        ]
        return (
            tuple(each.name for each in changed)
            if all(map(self._is_other, changed))
            else ()
        )

    def _is_other(self, each: AttributeChange) -> bool:
        held = ours(each.pattern, self.shown.held(each.name))
        rule = self.shown.description.equality(each.name)
        told = each.name != OBJECT_CLASS and each.seen and not each.secret
        return (
            told
            and bool(held)
            and equality.minus(rule, held, (*each.old, *each.new)) == held
        )

    def closed(self, *, alone: bool) -> frozenset[str]:
        """Attributes of which nothing is open, at the server that the write was meant for.

        What it was to take away is gone; what it was to set is there, and another run is
        known to have written it. Or they are not as it leaves them, and it was meant for
        this server `alone`: no other one may show them so.
        """
        told = ((each, self.shown.stands(each)) for each in self.change.attributes)
        return frozenset(
            each.name
            for each, there in told
            if (there and (not each.sets or self._wrote(each, self.ours)))
            or (alone and there is False)
        )

    def as_written(self) -> Change:
        """What is known of the change, where it was found to be written.

        Where some of it does not stand, it may have been written in part. Then nobody knows
        which secret is there, of those that are not shown: one that was set is ours and is
        written again, one that was taken away is what it was before.
        """
        told = {each.name: self.shown.stands(each) for each in self.change.attributes}
        if False not in told.values():
            return self.change
        known = (
            replace(each, fingerprint=UNKEYED)
            if each.secret and told[each.name] is None
            else each
            for each in self.change.attributes
            if each.fingerprint or not each.secret or told[each.name] is not None
        )
        return replace(self.change, attributes=tuple(known))

    @property
    def _at(self) -> str:
        return self.server or self.shown.description.server

    @property
    def _elsewhere(self) -> bool:
        """Whether it was meant for another server than the one that shows the user."""
        return self._at != self.shown.description.server

    def _apart(self, run: str, server: str) -> bool:
        """Whether another run wrote at another server than this one."""
        return run != self.run and server not in ("", self._at)

    def _after(self, past: Sequence[Past]) -> Sequence[Past]:
        """What runs after this one have set out to change; all, where nothing is known of it."""
        return past[
            max(
                (
                    number
                    for number, (run, _, _) in enumerate(past, 1)
                    if run == self.run
                ),
                default=0,
            ) :
        ]

    @cached_property
    def _done(self) -> Sequence[Past]:
        """What runs may have changed."""
        return [past for past in self.past if _changes(past[2])]

    @cached_property
    def _brought(self) -> Sequence[AttributeChange]:
        """What other runs may have brought to this server from another one, or taken away from it."""
        if self._elsewhere:
            return [each for run, _, each in self.past if run != self.run]
        return [
            each
            for run, server, each in self.past
            if run in self.open_ and self._apart(run, server)
        ]

    def _unheard(self) -> Mapping[str, Owned]:
        """What is ours by runs of which the server may not have heard: later ones, and those at another server.

        What any other has written was no longer there when this run planned, or nothing was
        planned.
        """
        if self._elsewhere:
            return self.ours
        runs = {run for run, _, _ in self._after(self.past)}
        runs |= {run for run, server, _ in self.past if self._apart(run, server)}
        return {name: owned for name, owned in self.ours.items() if owned.run in runs}

    def _proofs(self, ours: Mapping[str, Owned]) -> list[bool]:
        """Of each attribute that nothing else explains, whether it is as the change leaves it."""
        telling = (
            each
            for each in self.change.attributes
            if not (self._explained(each) or self._wrote(each, ours))
        )
        return self.shown.answers(telling)

    def _in_doubt(self, *, some: bool) -> bool:
        """Whether it may have been written, though it is not as the change leaves it: all, or `some` of it.

        What a later run has changed tells neither way. Nor does what came from elsewhere,
        unless the rest is as before.
        """
        later = {each.name for _, _, each in self._after(self._done)}
        left = [each for each in self.change.attributes if each.name not in later]
        brought = some and self._brought and not any(map(self.shown.as_before, left))
        return bool(brought) or all(self.shown.answers(left))

    def _hidden(self) -> bool:
        """Whether there are values of which nobody knows whether they are as the change leaves them."""
        return any(
            each.name != OBJECT_CLASS and self.shown.stands(each) is None
            for each in self.change.attributes
        )

    def _wrote(self, each: AttributeChange, ours: Mapping[str, Owned]) -> bool:
        """Whether another run is known to have written these very values; then the object classes are there, too."""
        if each.name == OBJECT_CLASS:
            return any(owned.run != self.run for owned in ours.values())
        owned = ours.get(each.name)
        if owned is None or owned.run == self.run:
            return False
        if each.secret:
            return bool(each.fingerprint) and owned.fingerprint == each.fingerprint
        rule = self.shown.description.equality(each.name)
        digests = {equality.digest(rule, equality.plain(value)) for value in each.new}
        return bool(digests) and digests <= set(owned.values)

    def _explained(self, each: AttributeChange) -> bool:
        """Whether what other servers were told may have made an attribute what it is here."""
        return self._was(each) if each.sets else self._elsewhere or self._cleared(each)

    def _was(self, each: AttributeChange) -> bool:
        """Whether the values were brought from another server, or may have been; of an unseen secret nobody knows."""
        same = [other for other in self._brought if other.name == each.name]
        if each.name == OBJECT_CLASS:
            return bool(same)
        if each.secret:
            return any(
                not other.seen or other.fingerprint == each.fingerprint
                for other in same
            )
        rule = self.shown.description.equality(each.name)
        return not equality.minus(
            rule,
            each.new,
            [value for other in same for value in (*other.old, *other.new)],
        )

    def _cleared(self, each: AttributeChange) -> bool:
        """Whether another run, at another server, has taken the values away since they were put there.

        Whoever is known to have put another value there took them away, too.
        """
        owner = self.ours[each.name].run if each.name in self.ours else ""
        put = next(
            (number for number, (run, _, _) in enumerate(self._done) if run == owner), 0
        )
        rule, old = (
            self.shown.description.equality(each.name),
            () if each.secret else each.old,
        )
        return any(
            not other.sets or (run == owner and equality.minus(rule, old, other.new))
            for run, server, other in self._done[put:]
            if other.name == each.name and self._apart(run, server)
        )

    def _found(self, result: Result, why: str, lost: tuple[str, ...] = ()) -> Outcome:
        return Outcome(
            self.change.user, result, f"not confirmed at first; {why}", lost=lost
        )


def _changes(each: AttributeChange) -> bool:
    """Whether a run may have changed an attribute: of one that it did not, the journal says what it saw."""
    return each.fingerprint != UNKEYED if each.secret else each.new != each.old


def unsettled(brief: Brief) -> Iterator[Problem]:
    """A line for each run and server whose answers are missing, where another server is asked now."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for each in brief.memory.unsettled():
        if each.server not in ("", brief.description.server):
            found.setdefault((each.run, each.server), {})[each.user.name] = None
    for (run, server), names in found.items():
        why = (
            f"run {run} wrote to {len(names)} users at {server} without an answer. {brief.description.server} "
            f"does not show the values. They count as this job's until {server} is asked, or they are found"
        )
        yield Problem("unsettled", why, users=tuple(names)[:_MOST_NAMES])
