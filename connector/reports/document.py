"""The plan document: the `.json` report and the saved plan, one shape (`document_shape.py`).

One change, problem, refusal or outcome a line, so that two documents can be compared line
by line. Characters that would not show as themselves are written as JSON escapes, so that
the file can be looked at in a terminal.

It is read back strictly, since what it says is going to be held against a directory. The
digests are computed again: a document that somebody has edited is no longer the one that a
reviewer saw. They guard against accidents and edits, not against somebody who computes them
anew. That a plan was made here, and not applied yet, is what the state knows.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from connector.model import Change, ChangeKind, Held, Outcome, Plan
from connector.model.digests import digest_of_change, digest_of_plan
from connector.model.nesting import too_deep
from connector.planning.kinds import add_overview
from connector.reports.document_shape import (
    ChangeShape,
    DocumentError,
    DocumentShape,
    OutcomeShape,
    ProblemShape,
    make_encodable,
)
from connector.reports.visible import is_visible, make_visible
from connector.reports.wording import Lines, Outcomes

SCHEMA: Final = "cec-connector/plan/1"


class TamperedError(ValueError):
    """The document is of the shape, and not what its digests say."""


# ---------------------------------------------------------------- written


def render(plan: Plan, outcomes: Outcomes = None) -> Lines:
    """The document, piece by piece."""
    notes = plan.notes
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "id": plan.id,
        "digest": plan.digest,
        "job": plan.job,
        "created": plan.created,
        "about": dict(plan.about),
        "only": notes.only,
        "summary": plan.summary,
    }
    members = [
        f"{as_json(name)}: {as_json(member)}"
        for name, member in head.items()
        if member not in ({}, ())
    ]
    yield "{" + ",\n ".join(members)
    yield from list_member("changes", map(ChangeShape.of, plan.changes))
    yield from list_member("problems", map(ProblemShape.of, plan.problems))
    yield from list_member("refusals", plan.refusals)
    if plan.cautions:
        yield from list_member("cautions", plan.cautions)
    yield from list_member("kinds", map(_kind_object, notes.kinds))
    yield from list_member("worth_a_look", notes.worth_a_look)
    for name in ("lost", "people", "since"):
        note = getattr(notes, name)
        if note:
            yield f',\n "{name}": {as_json(note)}'
    if plan.approvals:
        yield from list_member("approvals", plan.approvals)
    if outcomes is not None:
        yield from list_member("outcomes", map(OutcomeShape.of, outcomes))
    yield "}\n"


def _kind_object(kind: ChangeKind) -> dict[str, Any]:
    return {
        "kind": kind.form,
        "rule": kind.rule,
        "attributes": kind.attributes,
        "users": kind.users,
        "sentence": kind.sentence,
        "examples": kind.examples,
    }


def list_member(name: str, items: Iterable[Any], indent: str = " ") -> Lines:
    """A member of a document that is a list, with an item a line."""
    yield f',\n{indent}"{name}": ['
    lead = f"\n{indent} "
    for item in items:
        yield lead + as_json(item)
        lead = f",\n{indent} "
    yield "]"


def as_json(value: Any) -> str:
    """One line of JSON that a terminal can show."""
    try:
        octets = msgspec.json.encode(value)
    except UnicodeEncodeError:
        octets = msgspec.json.encode(make_encodable(value))
    # indent 0: one line, with spaces in it
    text = msgspec.json.format(octets, indent=0).decode()
    # JSON has escapes for the other control characters
    if text.isascii() and "\x7f" not in text:
        return text
    # outside of strings a JSON text is made of visible characters alone
    return "".join(
        letter if is_visible(letter) else json.dumps(letter)[1:-1] for letter in text
    )


# ---------------------------------------------------------------- read


class _AnyDocument(Struct, frozen=True):
    """Enough of any JSON object to say whether it is a plan document."""

    schema: str = ""


def parse_plan(octets: bytes) -> Plan:
    """The plan of a document. Its outcomes and approvals, if any, are left out; its kinds are made anew.

    A secret comes back without values: `fingerprint` says that it is set. Raises
    DocumentError and TamperedError.
    """
    return add_overview(_read_document(octets)[1])


def parse_report(octets: bytes) -> tuple[Plan, tuple[Outcome, ...] | None]:
    """The plan of a document for a reader: with its approvals, its outcomes, and the order of its changes.

    Outcomes are None where it was not applied. Raises DocumentError and TamperedError.
    """
    document, plan = _read_document(octets)
    changes = _put_in_order(plan.changes)
    plan = add_overview(replace(plan, changes=changes, approvals=document.approvals))
    if document.outcomes is UNSET:
        return plan, None
    return plan, tuple(outcome.to_outcome() for outcome in document.outcomes)


def _put_in_order(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """The changes, each after that of the one user who gives up a value which it alone sets."""
    givers: dict[tuple[str, Held], str] = {}
    takers: dict[tuple[str, Held], str] = {}
    for change in changes:
        for each in change.attributes:
            for value in set(each.old).symmetric_difference(each.new):
                users = takers if value in each.new else givers
                key = each.name.lower(), value
                # empty: several users do
                users[key] = "" if key in users else change.user.id
    waits = defaultdict[str, set[str]](set)
    for key, user in takers.items():
        giver = givers.get(key)
        if user and giver and giver != user:
            waits[user].add(giver)
    return tuple(
        replace(change, after=frozenset(waits[change.user.id])) for change in changes
    )


def _read_document(octets: bytes) -> tuple[DocumentShape, Plan]:
    try:
        octets.decode()
    except UnicodeDecodeError as fault:
        line = octets.count(b"\n", 0, fault.start) + 1
        raise DocumentError("it is not UTF-8", line) from None
    if too_deep(octets):
        raise DocumentError("it is nested too deeply")
    try:
        schema = msgspec.json.decode(octets, type=_AnyDocument).schema
        if schema != SCHEMA:
            reads = f"and this program reads {SCHEMA!r}"
            raise DocumentError(f"its schema is {make_visible(schema)!r}, {reads}")
        document = msgspec.json.decode(octets, type=DocumentShape)
        plan = document.to_plan()
    except msgspec.ValidationError as fault:
        raise DocumentError(make_visible(str(fault))) from None
    except msgspec.DecodeError as fault:
        line = _find_line(octets, str(fault))
        raise DocumentError(make_visible(str(fault)), line) from None
    _verify_digests(plan)
    return document, plan


def _find_line(octets: bytes, message: str) -> int:
    """The decoder says `(byte 123)` where it stumbled, and nothing where the text ended too early."""
    place = re.search(r"\(byte (\d+)\)$", message)
    return octets.count(b"\n", 0, int(place[1]) if place else len(octets)) + 1


def _verify_digests(plan: Plan) -> None:
    since = plan.notes.since
    numbers = (*since.new_problems, *since.changed_problems) if since else ()
    if max(numbers, default=-1) >= len(plan.problems):
        raise DocumentError("since: a number is not that of a problem")
    for change in plan.changes:
        if digest_of_change(change) != change.digest:
            name = make_visible(change.user.name)
            what = f"the change of {name} is not the one that its digest stands for"
            raise TamperedError(what)
    if digest_of_plan(plan) != plan.digest:
        raise TamperedError("the plan is not the one that its digest stands for")
