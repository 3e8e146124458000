"""One user while a plan is made: a verdict on each attribute of the mapping."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from connector.model import AgentRef, AttributeChange, Problem, UserRef
from connector.model.mapping import Groups
from connector.planning.compare.together import Kept, everybodys, held_back


class Draft(Struct, gc=False):
    """A change on its way to the plan, with one verdict for each attribute.

        at first:  in step | planned | held (no value fits, or the schema forbids it)
        planned ──┬──> in the plan's change
                  ├──> in step: it was not shown, and is there after all
                  └──> held: unreadable, objected to, not free, without its object class, on the exclude list, or with
                       another attribute of its group

    `planned` and `held` list the verdicts; an attribute in neither is in step. Verdicts only leave *planned*, so that
    whoever settles drafts comes to an end. One `held` problem may be about several
    attributes or users.

    `agent` None: nobody claims the user, and our values are cleared. `classes`: the user's object classes. `relies`:
    planned attributes that an object class requires which comes with them. `repeats`:
    secrets that are there already and are written again with the others, where a server
    would lose them. `keeps`: values that stay and that do not go with planned ones.
    `shows`: planned attributes of which the user shows values, and none of ours. `groups`:
    attributes that fall together, from `bind` on; `replaced`: a write says the whole user,
    so that a secret that is not seen is lost unless it is set. `disabled`, `inactive`: as
    of `Change`.
    """

    user: UserRef
    agent: AgentRef | None
    rule: int | None
    planned: tuple[AttributeChange, ...]
    held: tuple[Problem, ...] = ()
    classes: frozenset[str] = frozenset()
    relies: frozenset[str] = frozenset()
    repeats: frozenset[str] = frozenset()
    keeps: tuple[Kept, ...] = ()
    shows: frozenset[str] = frozenset()
    groups: Groups = ()
    replaced: bool = False
    disabled: bool = False
    inactive: bool = False

    @property
    def differs(self) -> bool:
        return bool(self.planned or self.held)

    @property
    def news(self) -> tuple[AttributeChange, ...]:
        """What is planned for its own sake."""
        repeats = self.repeats
        return (
            tuple(each for each in self.planned if each.name not in repeats)
            if repeats
            else self.planned
        )

    def hold(self, names: Collection[str], problem: Problem) -> None:
        self.planned = tuple(each for each in self.planned if each.name not in names)
        self.held = (*self.held, problem)
        for group in self.groups:
            if any(name in group for name in names):
                self._hold_with(problem, group)

    def bind(self, groups: Groups, *, replaced: bool) -> None:
        """From now on a group falls whole; so does one of which something is held already, or stays in its way.

        Users without an agent who get nothing are cleared attribute by attribute.
        """
        if self.agent is None and all(
            value in each.old for each in self.planned for value in each.new
        ):
            return
        self.groups, self.replaced = groups, replaced
        for group in groups if self.held or self.keeps else ():
            news = {each.name for each in self.news}
            kept = next(
                (
                    each
                    for each in self.keeps
                    if each.name in group and not news.isdisjoint(each.others)
                ),
                None,
            )
            problem = next(
                (each for each in self.held if each.attribute in group), None
            )
            if problem is None and kept is not None:
                problem = self.problem("together", kept.why, kept.name)
            if problem is not None:
                self._hold_with(problem, group)

    def _hold_with(self, problem: Problem, group: tuple[str, ...]) -> None:
        """Hold a group back for what holds one of its attributes; secrets that are only written again stay."""
        falling = [each for each in self.news if each.name in group]
        if self.replaced and any(each.secret and not each.seen for each in falling):
            falling = list(self.news)
        names = [each.name for each in falling]
        if names:
            self.planned = tuple(
                each for each in self.planned if each.name not in names
            )
            said = held_back(names, problem)
            shared = problem.agent is None and not problem.users
            self.held = (
                *self.held,
                everybodys(said) if shared else self.problem("together", said),
            )

    def problem(
        self,
        kind: str,
        why: str,
        attribute: str | None = None,
        others: Iterable[str] = (),
    ) -> Problem:
        """A line about this user, and `others` by name."""
        return Problem(
            kind, why, self.agent, (self.user.name, *others), self.rule, attribute
        )
