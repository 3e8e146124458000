"""One user while a plan is made: a verdict on each attribute of the mapping."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

from connector.model.change import AgentRef, AttributeChange
from connector.model.directory import UserRef
from connector.model.mapping import Groups
from connector.model.plan import Problem
from connector.model.secret import Held

_HELD_BACK: Final = ": held back with "


class Kept(Struct, frozen=True, gc=False):
    """A value that stays, as its template lacks fields, and that does not go with new values."""

    name: str
    fields: tuple[str, ...]
    """The absent fields of its template."""
    others: frozenset[str]
    """The attributes whose new values it does not go with."""
    probe: Held | None = None
    """Nobody has seen a value, and this is what to ask with whether there is any."""

    @property
    def why(self) -> str:
        return f"which is kept without {' and '.join(self.fields)} and does not go with the new values"


class Bond(Struct, frozen=True):
    """Which attributes of a user fall together."""

    groups: Groups = ()
    whole: bool = False
    """A write says the whole user, so that a secret that is not seen is lost unless it is set."""


class Draft(Struct, gc=False):
    """A change on its way to the plan, with one verdict for each attribute.

        at first:  in step | planned | held (no value fits, or the schema forbids it)
        planned ──┬──> in the plan's change
                  ├──> in step: it was not shown, and is there after all
                  └──> held: unreadable, objected to, not free, without its object class, on the exclude list, or with
                       another attribute of its group

    An attribute that is neither planned nor held is in step. Verdicts only leave *planned*, so that whoever settles
    drafts comes to an end.
    """

    user: UserRef
    agent: AgentRef | None
    """None: nobody claims the user, and our values are cleared."""
    rule: int | None
    planned: tuple[AttributeChange, ...]
    held: tuple[Problem, ...] = ()
    """What holds attributes back. One problem may be about several attributes or users."""
    needs: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    """The user's object classes, and the planned attributes that a class requires which comes with them."""
    repeats: frozenset[str] = frozenset()
    """Secrets that are there already and are written again with the others, where a server would lose them."""
    keeps: tuple[Kept, ...] = ()
    """Values that stay and that do not go with planned ones."""
    shows: frozenset[str] = frozenset()
    """Planned attributes of which the user shows values, and none of ours."""
    bond: Bond = Bond()
    """What falls together, from `bind` on."""
    disabled: bool = False
    """As of `Change`."""
    inactive: bool = False
    """As of `Change`."""

    @property
    def classes(self) -> frozenset[str]:
        return self.needs[0]

    @property
    def differs(self) -> bool:
        return bool(self.planned or self.held)

    @property
    def news(self) -> tuple[AttributeChange, ...]:
        """What is planned for its own sake."""
        return tuple(each for each in self.planned if each.name not in self.repeats)

    def drop(self, problem: Problem) -> None:
        """Hold everything back for this alone."""
        self.planned, self.held = (), (problem,)

    def hold(
        self,
        names: Collection[str],
        problem: Problem,
    ) -> None:
        self.planned = tuple(each for each in self.planned if each.name not in names)
        self.held = (*self.held, problem)
        for group in self.bond.groups:
            if any(name in group for name in names):
                self._hold_with(problem, group)

    def hold_attribute(self, name: str, kind: str, why: str) -> None:
        self.hold((name,), self.problem(kind, why, name))

    def bind(self, bond: Bond) -> None:
        """From now on a group falls whole; so does one of which something is held already, or stays in its way.

        Users without an agent who get nothing are cleared attribute by attribute.
        """
        gets = any(value not in each.old for each in self.planned for value in each.new)
        if self.agent is None and not gets:
            return
        self.bond = bond
        for group in bond.groups if self.held or self.keeps else ():
            problem = self._hindrance(group)
            if problem is not None:
                self._hold_with(problem, group)

    def _hindrance(self, group: tuple[str, ...]) -> Problem | None:
        for each in self.held:
            if each.attribute in group:
                return each
        news = {each.name for each in self.news}
        for kept in self.keeps:
            if kept.name in group and not news.isdisjoint(kept.others):
                return self.problem("together", kept.why, kept.name)
        return None

    def _hold_with(
        self,
        problem: Problem,
        group: tuple[str, ...],
    ) -> None:
        """Hold a group back for what holds one of its attributes; secrets that are only written again stay."""
        falling = [each for each in self.news if each.name in group]
        if self.bond.whole and any(each.secret and not each.seen for each in falling):
            falling = list(self.news)
        names = [each.name for each in falling]
        if not names:
            return
        self.planned = tuple(each for each in self.planned if each.name not in names)
        why = f", {problem.why}" if problem.kind == "together" else ""
        said = f"{', '.join(names)}{_HELD_BACK}{problem.attribute}{why}"
        shared = problem.agent is None and not problem.users
        line = _shared_problem(said) if shared else self.problem("together", said)
        self.held = (*self.held, line)

    def problem(
        self,
        kind: str,
        why: str,
        attribute: str | None = None,
        others: Iterable[str] = (),
    ) -> Problem:
        """A line about this user, and `others` by name."""
        users = (self.user.name, *others)
        return Problem(
            kind,
            why,
            self.agent,
            users,
            self.rule,
            attribute,
        )


@lru_cache(maxsize=256)
def _shared_problem(said: str) -> Problem:
    """One line for all users, for what holds their groups is one line too."""
    return Problem("together", said)


def names_held_back(problem: Problem) -> list[str]:
    """The attributes that a line of the kind `together` is about."""
    return problem.why.partition(_HELD_BACK)[0].split(", ")


def why_held_back(attribute: str, problems: Iterable[Problem]) -> list[str]:
    """Of the lines, what they say of this attribute."""
    reasons = []
    for each in problems:
        if each.kind == "together" and attribute in names_held_back(each):
            holder = each.why.partition(_HELD_BACK)[2]
            reasons.append(f"held back with {holder}")
    return reasons
