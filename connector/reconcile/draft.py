"""One user while a plan is drawn: a verdict on each attribute of the mapping."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from connector.model import AgentRef, AttributeChange, Problem, UserRef


class Draft(Struct, gc=False):
    """A change on its way to the plan, with one verdict for each attribute.

        at first:  in step | planned | held (no value fits, or the schema forbids it)
        planned ──┬──> in the plan's change
                  ├──> in step: it was not shown, and is there after all
                  └──> held: unreadable, objected to, not free, without its object class, or on the never-list

    `planned` and `held` list the verdicts; an attribute in neither is in step. Verdicts only leave *planned*, so that
    whoever settles drafts comes to an end. One `held` problem may be about several attributes or users.

    `agent` None: nobody claims the user, and our values are cleared. `classes`: the user's object classes. `relies`:
    planned attributes that an object class requires which comes with them. `repeats`: secrets that are there already
    and are written again with the others, where a server would lose them.
    """

    user: UserRef
    agent: AgentRef | None
    rule: int | None
    planned: tuple[AttributeChange, ...]
    held: tuple[Problem, ...] = ()
    classes: frozenset[str] = frozenset()
    relies: frozenset[str] = frozenset()
    repeats: frozenset[str] = frozenset()

    @property
    def differs(self) -> bool:
        """Whether any attribute is not in step."""
        return bool(self.planned or self.held)

    @property
    def news(self) -> tuple[AttributeChange, ...]:
        """What is planned for its own sake."""
        repeats = self.repeats
        return tuple(each for each in self.planned if each.name not in repeats) if repeats else self.planned

    def hold(self, names: Collection[str], problem: Problem) -> None:
        """Hold these attributes back."""
        self.planned = tuple(each for each in self.planned if each.name not in names)
        self.held = (*self.held, problem)

    def judge(self, verdict: Callable[[AttributeChange], AttributeChange | Problem | None]) -> None:
        """Ask of each planned attribute: the change (as it is, or completed), what holds it back, or None: in step."""
        planned: list[AttributeChange] = []
        held = list(self.held)
        for each in self.planned:
            answer = verdict(each)
            if isinstance(answer, Problem):
                held.append(answer)
            elif answer is not None:
                planned.append(answer)
        self.planned, self.held = tuple(planned), tuple(held)

    def problem(self, kind: str, why: str, attribute: str | None = None, others: Iterable[str] = ()) -> Problem:
        """A line about this user, and `others` by name."""
        return Problem(kind, why, self.agent, (self.user.name, *others), self.rule, attribute)
