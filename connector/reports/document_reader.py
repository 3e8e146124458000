"""The plan document read back: strictly, since what it says is going to be held against a directory.

The digests are computed again from what was read: a document that somebody has edited is no
longer the one that a reviewer saw. They guard against accidents and edits, not against
somebody who computes them anew; that a plan was made here, and not applied yet, is what the
state knows.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from connector.model import (
    AgentRef,
    Approval,
    AttributeChange,
    Change,
    Form,
    Held,
    Near,
    Outcome,
    Plan,
    PlanNotes,
    Problem,
    Refusal,
    Result,
    Since,
    StoredValues,
    Summary,
    UserRef,
)
from connector.model.digests import UNKEYED, digest_of_change, digest_of_plan
from connector.model.nesting import too_deep
from connector.planning.overview import overviewed
from connector.planning.review import LEFT_OUT, NEW
from connector.reports.document import SCHEMA, Octets, held
from connector.reports.visible import visible

Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]
C = TypeVar("C")


class DocumentError(ValueError):
    """The document is not one, or not of the shape; `line` where it is known."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.line = line


class TamperedError(ValueError):
    """The document is of the shape, and not what its digests say."""


def parse(octets: bytes) -> Plan:
    """The plan of a document. Its outcomes and approvals, if any, are left out; its kinds are made anew.

    A secret comes back without values: `fingerprint` says that it is set. Raises
    DocumentError and TamperedError.
    """
    return overviewed(_read(octets)[1])


def parse_report(octets: bytes) -> tuple[Plan, tuple[Outcome, ...] | None]:
    """The same for a reader: with the outcomes, None where it was not applied, and with the order of the changes."""
    document, plan = _read(octets)
    plan = overviewed(
        replace(plan, changes=_ordered(plan.changes), approvals=document.approvals)
    )
    if document.outcomes is UNSET:
        return plan, None
    return plan, tuple(outcome.value() for outcome in document.outcomes)


def _ordered(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """The changes, each after that of the one user who gives up a value which it alone sets."""
    gives, gets = (
        defaultdict[tuple[str, Held], list[str]](list),
        defaultdict[tuple[str, Held], list[str]](list),
    )
    for change in changes:
        for each in change.attributes:
            for some, others, table in (
                (each.old, each.new, gives),
                (each.new, each.old, gets),
            ):
                for value in some:
                    if value not in others:
                        table[each.name.lower(), value].append(change.user.id)
    waits = defaultdict[str, set[str]](set)
    for key, users in gets.items():
        if len(users) == len(gives.get(key, ())) == 1:
            waits[users[0]] |= {*gives[key]} - {users[0]}
    return tuple(
        replace(change, after=frozenset(waits[change.user.id]))
        if change.user.id in waits
        else change
        for change in changes
    )


def _read(octets: bytes) -> tuple[_Document[msgspec.Raw], Plan]:
    try:
        octets.decode()
    except UnicodeDecodeError as fault:
        raise DocumentError(
            "it is not UTF-8", octets.count(b"\n", 0, fault.start) + 1
        ) from None
    if too_deep(octets):
        raise DocumentError("it is nested too deeply")
    try:
        schema = msgspec.json.decode(octets, type=_Named).schema
        if schema != SCHEMA:
            raise DocumentError(
                f"its schema is {visible(schema)!r}, and this program reads {SCHEMA!r}"
            )
        document = msgspec.json.decode(octets, type=_Document[msgspec.Raw])
        plan = _plan(octets, document)
    except msgspec.ValidationError as fault:
        raise DocumentError(visible(str(fault))) from None
    except msgspec.DecodeError as fault:
        raise DocumentError(visible(str(fault)), _line(octets, str(fault))) from None
    _verify(plan)
    return document, plan


def _plan(octets: bytes, document: _Document[msgspec.Raw]) -> Plan:
    """The plan, whose changes are decoded one by one: all at once they would take as much memory again as the plan."""
    try:
        return document.value(
            tuple(_CHANGE.decode(change).value() for change in document.changes)
        )
    except msgspec.DecodeError:
        # tells where in the document it is
        msgspec.json.decode(octets, type=_Document[_Change])
        raise


def _line(octets: bytes, message: str) -> int:
    """The decoder says `(byte 123)` where it stumbled, and nothing where the text ended too early."""
    place = re.search(r"\(byte (\d+)\)$", message)
    return octets.count(b"\n", 0, int(place[1]) if place else len(octets)) + 1


def _verify(plan: Plan) -> None:
    numbers = (
        (*plan.notes.since.new_problems, *plan.notes.since.changed_problems)
        if plan.notes.since
        else ()
    )
    if not all(0 <= number < len(plan.problems) for number in numbers):
        raise DocumentError("since: a number is not that of a problem")
    for change in plan.changes:
        if digest_of_change(change) != change.digest:
            raise TamperedError(
                f"the change of {visible(change.user.name)} is not the one that its digest stands for"
            )
    if digest_of_plan(plan) != plan.digest:
        raise TamperedError("the plan is not the one that its digest stands for")


# ---------------------------------------------------------------- the shape


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An unknown key is a fault: what this program does not understand it must not apply."""


class _Agent(_Strict, frozen=True):
    work_no: int | None
    account_code: str | None

    def value(self) -> AgentRef:
        return AgentRef(self.work_no, self.account_code)


class _Attribute(_Strict, frozen=True):
    name: str
    old: list[str | Octets] | UnsetType = UNSET
    new: list[str | Octets] | UnsetType = UNSET
    secret: Literal["set", "clear"] | UnsetType = UNSET
    fingerprint: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET

    def value(self, form: Form | None) -> AttributeChange:
        """Raises DocumentError where it is neither a plain attribute nor a secret one."""
        name = visible(self.name)
        if self.secret is UNSET:
            if self.old is UNSET or self.new is UNSET or self.fingerprint is not UNSET:
                raise DocumentError(
                    f"attribute {name}: it needs either old and new, or secret"
                )
            return AttributeChange(
                sys.intern(self.name), held(self.old), held(self.new), form=form
            )
        sets = self.secret == "set"  # noqa: S105  # a word of the document, not a password
        if (
            self.old is not UNSET
            or self.new is not UNSET
            or (self.fingerprint is not UNSET and not sets)
        ):
            raise DocumentError(
                f"attribute {name}: a secret has a fingerprint where it is set, and no values"
            )
        keyed = UNKEYED if self.fingerprint is UNSET else self.fingerprint
        set_to = keyed if sets else ""
        return AttributeChange(
            sys.intern(self.name), (), (), secret=True, fingerprint=set_to, form=form
        )


class _Change(_Strict, frozen=True):
    user: UserRef
    agent: _Agent | None
    rule: Count | None
    digest: Digest
    attributes: Annotated[list[_Attribute], Meta(min_length=1)]
    forms: list[Form | None] = []
    disabled: bool = False

    def value(self) -> Change:
        """Raises DocumentError where not each attribute has a form, or none has."""
        agent = self.agent.value() if self.agent else None
        forms = self.forms or [None] * len(self.attributes)
        if len(forms) != len(self.attributes):
            raise DocumentError(
                f"the change of {visible(self.user.name)} has not one of forms for each attribute"
            )
        attributes = tuple(
            each.value(form) for each, form in zip(self.attributes, forms, strict=True)
        )
        return Change(
            self.user, agent, self.rule, attributes, self.digest, inactive=self.disabled
        )


class _Problem(_Strict, frozen=True):
    kind: str
    agent: _Agent | None
    users: tuple[str, ...]
    rule: Count | None
    why: str
    attribute: str | None = None
    record: int | None = None
    near: tuple[Near, ...] = ()

    def value(self) -> Problem:
        agent = self.agent.value() if self.agent else None
        return Problem(
            self.kind,
            self.why,
            agent,
            self.users,
            self.rule,
            self.attribute,
            self.record,
            self.near,
        )


class _Kind(_Strict, frozen=True):
    kind: Form
    rule: Count | None
    attributes: list[str]
    users: Count
    sentence: str
    examples: list[str]


class _Look(_Strict, frozen=True):
    user: UserRef
    why: str


class _Differing(Struct, frozen=True):
    """Documents of earlier versions also have values of conflicts, which are left out."""

    name: str
    stored: list[str | Octets] | UnsetType = UNSET


class _Outcome(_Strict, frozen=True):
    user: str
    id: str
    outcome: Result
    why: str = ""
    differs: list[_Differing] = []

    def value(self) -> Outcome:
        differs = tuple(each.name for each in self.differs if each.stored is UNSET)
        stored = tuple(
            StoredValues(each.name, held(each.stored))
            for each in self.differs
            if each.stored is not UNSET
        )
        aside = self.outcome is Result.SKIPPED and self.why in (*LEFT_OUT, NEW)
        return Outcome(
            UserRef(self.id, self.user),
            self.outcome,
            self.why,
            differs=differs,
            stored=stored,
            aside=aside,
        )


class _Summary(_Strict, frozen=True):
    agents: Count
    matched: Count
    unmatched: Count
    ambiguous: Count
    contested: Count
    unassigned: Count
    invalid: Count
    stale: Count
    unchanged: Count
    update: Count
    clear: Count
    secret: Count


_CHANGE: Final = msgspec.json.Decoder(_Change)


class _Document(_Strict, Generic[C], frozen=True):
    schema: Literal["cec-connector/plan/1"]
    id: str
    digest: Digest
    job: str
    created: str
    summary: _Summary
    changes: list[C]
    problems: list[_Problem]
    refusals: tuple[Refusal, ...]
    cautions: tuple[str, ...] = ()
    about: dict[str, str] = {}
    outcomes: list[_Outcome] | UnsetType = UNSET
    kinds: list[_Kind] = []
    people: dict[str, str] = {}
    since: Since | None = None
    lost: Count = 0
    only: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    worth_a_look: list[_Look] = msgspec.field(name="worth_a_look", default=[])

    def value(self, changes: tuple[Change, ...]) -> Plan:
        return Plan(
            self.id,
            self.digest,
            self.job,
            self.created,
            Summary(**msgspec.structs.asdict(self.summary)),
            changes,
            tuple(problem.value() for problem in self.problems),
            self.refusals,
            self.cautions,
            tuple(self.about.items()),
            notes=PlanNotes(
                people=self.people, since=self.since, lost=self.lost, only=self.only
            ),
        )


class _Named(Struct, frozen=True):
    """Enough of any JSON object to say whether it is a plan document."""

    schema: str = ""
