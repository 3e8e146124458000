"""The members of a plan document, each with the way from a value of the program and back.

docs/plan-document.md says them field by field. A member that has its default is left out.
An unknown key is a fault: what this program does not understand it must not apply.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from connector.model import (
    AgentRef,
    Approval,
    AttributeChange,
    Change,
    Form,
    Held,
    NearMiss,
    Outcome,
    Plan,
    PlanNews,
    PlanNotes,
    Problem,
    Refusal,
    Result,
    Secret,
    StoredValues,
    Summary,
    UserRef,
    Value,
)
from connector.model.digests import (
    UNKEYED,
    is_secret,
    keep_octets,
    make_readable,
    secret_fingerprint,
)
from connector.planning.review import LEFT_OUT, NEW
from connector.reports.visible import clean_texts, make_visible

Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
T = TypeVar("T")


class DocumentError(ValueError):
    """It is no plan document, or not of the shape."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.line = line
        """Where it is, from 1; None: not known."""


class WrittenOctets(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is no text, as the document and the journal have it: told from a text by Base64."""

    base64: bytes


Written = tuple[str | WrittenOctets, ...]
"""Values as they are written down."""


def write_values(values: Iterable[Held]) -> Written:
    """Values to be written down; never a secret's."""
    plain = (keep_octets(value) for value in values if not isinstance(value, Secret))
    return tuple(
        WrittenOctets(value) if isinstance(value, bytes) else value for value in plain
    )


def read_values(values: Iterable[str | WrittenOctets]) -> tuple[Value, ...]:
    """The values that were written down."""
    return tuple(
        value.base64 if isinstance(value, WrittenOctets) else value for value in values
    )


def copy_fields(value: Any, shape: type[T]) -> T:
    """A value of another class with the fields of the same names.

    Fields alone: an error that a property raises would be taken for a field that is missing.
    """
    return msgspec.convert(value, shape, from_attributes=True)


def make_encodable(value: Any) -> Any:
    """The value as lists, objects and texts that UTF-8 can carry."""
    return clean_texts(msgspec.to_builtins(value), make_readable)


class DocumentMember(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"
):
    """A member of the document."""


class AttributeShape(DocumentMember, frozen=True):
    """The old and new values of an attribute, or what happens to a secret."""

    name: str
    old: Written | UnsetType = UNSET
    new: Written | UnsetType = UNSET
    secret: Literal["set", "clear"] | UnsetType = UNSET
    fingerprint: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET

    @classmethod
    def of(cls, each: AttributeChange) -> AttributeShape:
        """Of a secret only what happens to it, and the fingerprint of what it is set to."""
        if not is_secret(each):
            return cls(each.name, write_values(each.old), write_values(each.new))
        fingerprint = secret_fingerprint(each)
        if fingerprint in ("", UNKEYED):
            return cls(each.name, secret="set" if fingerprint else "clear")
        return cls(each.name, secret="set", fingerprint=fingerprint)  # noqa: S106  # a word of the document, not a password

    def to_attribute(self, form: Form | None) -> AttributeChange:
        """Raises DocumentError where it is neither a plain attribute nor a secret one."""
        name = sys.intern(self.name)
        match self.secret, self.old, self.new, self.fingerprint:
            case UnsetType(), tuple() as old, tuple() as new, UnsetType():
                values = read_values(old), read_values(new)
                return AttributeChange(name, *values, form=form)
            case "set", UnsetType(), UnsetType(), set_to:
                fingerprint = set_to or UNKEYED
            case "clear", UnsetType(), UnsetType(), UnsetType():
                fingerprint = ""
            case _:
                what = "it needs either old and new, or secret"
                more = "a secret has a fingerprint where it is set, and no values"
                raise DocumentError(f"attribute {make_visible(name)}: {what}; {more}")
        return AttributeChange(
            name, (), (), secret=True, fingerprint=fingerprint, form=form
        )


class ChangeShape(DocumentMember, frozen=True):
    """One user's change."""

    user: UserRef
    agent: AgentRef | None
    rule: Count | None
    digest: Digest
    attributes: Annotated[list[AttributeShape], Meta(min_length=1)]
    forms: list[Form | None] = []
    """One for each attribute; empty: none has one."""
    disabled: bool = False

    @classmethod
    def of(cls, change: Change) -> ChangeShape:
        forms = [each.form for each in change.attributes]
        return cls(
            user=change.user,
            agent=change.agent,
            rule=change.rule,
            digest=change.digest,
            attributes=[AttributeShape.of(each) for each in change.attributes],
            forms=forms if any(forms) else [],
            disabled=change.inactive,
        )

    def to_change(self) -> Change:
        """Raises DocumentError where not each attribute has a form, or none has."""
        forms = self.forms or [None] * len(self.attributes)
        if len(forms) != len(self.attributes):
            name = make_visible(self.user.name)
            raise DocumentError(
                f"the change of {name} has not one of forms for each attribute"
            )
        return Change(
            self.user,
            self.agent,
            self.rule,
            tuple(map(AttributeShape.to_attribute, self.attributes, forms)),
            self.digest,
            inactive=self.disabled,
        )


class ProblemShape(DocumentMember, frozen=True):
    """A problem, with the agent, users and attribute that it is about."""

    kind: str
    agent: AgentRef | None
    users: tuple[str, ...]
    rule: Count | None
    why: str
    attribute: str | None = None
    record: int | None = None
    near: tuple[NearMiss, ...] = ()

    @classmethod
    def of(cls, problem: Problem) -> ProblemShape:
        return copy_fields(problem, cls)


class DifferenceShape(Struct, frozen=True, omit_defaults=True):
    """An attribute that is not as planned, or how it is `stored`.

    Documents of earlier versions also have values of conflicts, which are left out.
    """

    name: str
    stored: Written | UnsetType = UNSET


class OutcomeShape(DocumentMember, frozen=True):
    """What became of one user's change."""

    user: str
    id: str
    outcome: Result
    why: str = ""
    differs: list[DifferenceShape] = []

    @classmethod
    def of(cls, outcome: Outcome) -> OutcomeShape:
        differs = [DifferenceShape(name) for name in outcome.differs]
        differs += [
            DifferenceShape(each.name, write_values(each.values))
            for each in outcome.stored
        ]
        user = outcome.user
        return cls(user.name, user.id, outcome.result, outcome.why, differs)

    def to_outcome(self) -> Outcome:
        return Outcome(
            UserRef(self.id, self.user),
            self.outcome,
            self.why,
            differs=tuple(each.name for each in self.differs if each.stored is UNSET),
            stored=tuple(
                StoredValues(each.name, read_values(each.stored))
                for each in self.differs
                if each.stored is not UNSET
            ),
            aside=self.outcome is Result.SKIPPED and self.why in (*LEFT_OUT, NEW),
        )


class HeadShape(DocumentMember, frozen=True, kw_only=True):
    """What stands above the lists of a document."""

    schema: str
    id: str
    digest: Digest
    job: str
    created: str
    about: dict[str, str] = {}
    only: tuple[str, ...] = ()
    summary: Summary


class DocumentShape(HeadShape, frozen=True, kw_only=True):
    """The whole document, as it is read."""

    changes: list[ChangeShape]
    problems: list[ProblemShape]
    refusals: tuple[Refusal, ...]
    cautions: tuple[str, ...] = ()
    outcomes: list[OutcomeShape] | UnsetType = UNSET
    kinds: list[Any] = []
    """They are worked out again."""
    people: dict[str, str] = {}
    since: PlanNews | None = None
    lost: Count = 0
    approvals: tuple[Approval, ...] = ()
    worth_a_look: list[Any] = field(name="worth_a_look", default=[])
    """They are worked out again."""

    def to_plan(self) -> Plan:
        """The plan, without its approvals and what can be worked out again of its changes."""
        return Plan(
            self.id,
            self.digest,
            self.job,
            self.created,
            self.summary,
            tuple(change.to_change() for change in self.changes),
            tuple(copy_fields(problem, Problem) for problem in self.problems),
            self.refusals,
            self.cautions,
            tuple(self.about.items()),
            notes=PlanNotes(
                people=self.people, since=self.since, lost=self.lost, only=self.only
            ),
        )
