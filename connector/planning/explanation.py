"""What is said of one agent or user when it is explained: values that `trace.py` fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Equality,
    Held,
    Problem,
    UserRef,
)
from connector.model.draft import why_held_back
from connector.planning.person_names import list_named


class TemplatePart(Struct, frozen=True):
    """A field of a template: what it holds, and what it is after each transform, by how that is written."""

    field: str
    value: Held | None
    steps: tuple[tuple[str, Held | None], ...] = ()
    is_untold: bool = False
    """The account list does not tell it, so that not even `default` makes a value."""

    @property
    def last_value(self) -> Held | None:
        return self.steps[-1][1] if self.steps else self.value


class RenderedTemplate(Struct, frozen=True):
    """A template, its fields, and what comes of them (None: nothing); `key` is the form in which it is compared."""

    template: str
    parts: tuple[TemplatePart, ...]
    value: Held | None
    compared: Equality
    key: str | None

    @property
    def absent_fields(self) -> tuple[str, ...]:
        return tuple(part.field for part in self.parts if not part.last_value)


class RuleTrace(Struct, frozen=True):
    """A match rule (0: the pin), what it looked for, whom it found, and why not.

    `unequal`: users that the directory returned, and whose value is not the same by the attribute's equality rule;
    `outside`: users that hold it and are not within base and filter.
    """

    rule: int
    attribute: str
    rendered: RenderedTemplate
    outcome: str
    found: tuple[str, ...] = ()
    unequal: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


class AttributeTrace(Struct, frozen=True):
    """An attribute of the user: what it is to hold (by template), what it holds, and what becomes of it."""

    name: str
    rendered: tuple[RenderedTemplate, ...]
    held: tuple[Held, ...]
    owns: str | None
    outcome: str
    why: str = ""
    change: AttributeChange | None = None


class UserLines(Struct, frozen=True):
    """What a plan says of one user: the attributes that it changes, and its problems."""

    changes: tuple[AttributeChange, ...] = ()
    problems: tuple[Problem, ...] = ()

    def give_reason(self, attribute: str) -> str:
        """Why the plan leaves an attribute as it is; nothing where it does not say.

        A line about everybody's groups may be about other users alone, where one of this
        user's own gives the reason.
        """
        about = [each.why for each in self.problems if each.attribute == attribute]
        own = any(each.users for each in self.problems if each.attribute == attribute)
        about += why_held_back(
            attribute, (each for each in self.problems if each.users or not own)
        )
        return "; ".join(
            about or [each.why for each in self.problems if each.kind == "exclude"]
        )


class Explanation(Struct, frozen=True):
    """One agent: what became of it, and how. `change` and `problems` are the lines that the plan has for it.

    `agent` None: a user that no agent claims.
    """

    agent: AgentRef | None
    verdict: str
    why: str
    rules: tuple[RuleTrace, ...] = ()
    user: UserRef | None = None
    attributes: tuple[AttributeTrace, ...] = ()
    change: Change | None = None
    problems: tuple[Problem, ...] = ()

    def list_users(self) -> Iterator[str]:
        """The names of all users in it, but of its own."""
        for rule in self.rules:
            yield from (*rule.found, *rule.unequal, *rule.outside)
        yield from list_named(self.problems)


class ExplainedNames(Struct, frozen=True):
    """What was asked for, with the names of people by the users' names in it."""

    explanations: tuple[Explanation, ...]
    people: Mapping[str, str] = {}
