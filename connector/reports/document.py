"""The plan document: the `.json` report and the saved plan, one shape. docs/plan-document.md says it field by field.

One change, problem, refusal or outcome a line, so that two documents can be compared line
by line. Characters that would not show as themselves are written as JSON escapes, so that
the file can be looked at in a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Held,
    Kind,
    Look,
    Outcome,
    Plan,
    Problem,
    Refusal,
    Secret,
    UserRef,
    Value,
)
from connector.model.digests import (
    UNKEYED,
    is_secret,
    lossless,
    plain_texts,
    readable,
    secret_fingerprint,
)
from connector.reports.visible import is_visible

SCHEMA: Final = "cec-connector/plan/1"
Object = dict[str, Any]

KEPT: Final = 16 << 20
"""So many octets of memory are for the text of changes that will be wanted again: of some
20,000 changes."""
_TOGETHER: Final = 8
"""Lines that are put together: each piece of a report passes through several hands."""


class Octets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is no text, as the document and the journal have it: told from a text by Base64."""

    base64: bytes


def kept(values: Iterable[Held]) -> tuple[str | Octets, ...]:
    """Values to be written down; never a secret's."""
    plain = (lossless(value) for value in values if not isinstance(value, Secret))
    return tuple(
        Octets(value) if isinstance(value, bytes) else value for value in plain
    )


def held(values: Iterable[str | Octets]) -> tuple[Value, ...]:
    """The values that were written down."""
    return tuple(
        value.base64 if isinstance(value, Octets) else value for value in values
    )


class Twice:
    """The document of a run, before and after it; its changes, which are the most of it, are rendered once if few.

    The plan may have other hints by then, and has the same changes.
    """

    def __init__(self) -> None:
        self._changes: Sequence[Change] | None = None
        self._lines: list[str] = []

    def __call__(
        self, plan: Plan, outcomes: Sequence[Outcome] | None = None
    ) -> Iterator[str]:
        return _rendered(
            plan,
            outcomes,
            self._lines if plan.changes is self._changes else self._kept(plan),
        )

    def _kept(self, plan: Plan) -> Iterator[str]:
        lines: list[str] = []
        room = KEPT
        for line in _changes(plan):
            room -= sys.getsizeof(line)
            if room > 0:
                lines.append(line)
            else:
                lines.clear()
            yield line
        if room > 0:
            self._changes, self._lines = plan.changes, lines


def render(plan: Plan, outcomes: Sequence[Outcome] | None = None) -> Iterator[str]:
    """The document, piece by piece."""
    return _rendered(plan, outcomes, _changes(plan))


def _changes(plan: Plan) -> Iterator[str]:
    return map(as_json, map(change_object, plan.changes))


def _rendered(
    plan: Plan, outcomes: Sequence[Outcome] | None, changes: Iterable[str]
) -> Iterator[str]:
    head = {
        "schema": SCHEMA,
        "id": plan.id,
        "digest": plan.digest,
        "job": readable(plan.job),
        "created": plan.created,
    }
    yield "{" + ",\n ".join(
        f"{as_json(key)}: {as_json(value)}" for key, value in head.items()
    )
    if plan.about:
        yield f',\n "about": {as_json({readable(place): readable(what) for place, what in plan.about})}'
    if plan.notes.only:
        yield f',\n "only": [{", ".join(as_json(readable(name)) for name in plan.notes.only)}]'
    counts = {
        name: getattr(plan.summary, name) for name in plan.summary.__struct_fields__
    }
    yield f',\n "summary": {as_json(counts)}'
    yield from listed("changes", changes)
    yield from listed("problems", map(as_json, map(problem_object, plan.problems)))
    yield from listed("refusals", map(as_json, map(refusal_object, plan.refusals)))
    if plan.cautions:
        yield from listed("cautions", map(as_json, map(readable, plan.cautions)))
    yield from listed("kinds", map(as_json, map(_kind, plan.notes.kinds)))
    yield from listed("worth_a_look", map(as_json, map(_look, plan.notes.worth_a_look)))
    if plan.notes.lost:
        yield f',\n "lost": {plan.notes.lost}'
    if plan.notes.people:
        people = {
            readable(user): readable(person)
            for user, person in plan.notes.people.items()
        }
        yield f',\n "people": {as_json(people)}'
    if plan.notes.since is not None:
        yield f',\n "since": {as_json(asdict(plan.notes.since))}'
    if plan.approvals:
        yield from listed(
            "approvals",
            (
                as_json({**asdict(each), "who": readable(each.who)})
                for each in plan.approvals
            ),
        )
    if outcomes is not None:
        yield from listed("outcomes", map(as_json, map(_outcome, outcomes)))
    yield "}\n"


def listed(name: str, lines: Iterable[str], indent: str = " ") -> Iterator[str]:
    """A member of a document that is a list, with an item a line."""
    yield f',\n{indent}"{name}": ['
    begin, between, left = f"\n{indent} ", f",\n{indent} ", iter(lines)
    while some := list(islice(left, _TOGETHER)):
        yield begin + between.join(some)
        begin = between
    yield "]"


def as_json(value: Mapping[str, Any] | str) -> str:
    """One line of JSON that a terminal can show."""
    # 0: one line, with spaces in it
    text = msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
    if (
        text.isascii() and "\x7f" not in text
    ):  # JSON has escapes for the other control characters
        return text
    # outside of strings a JSON text is made of visible characters alone, so that this
    # touches strings only
    return "".join(
        letter if is_visible(letter) else json.dumps(letter)[1:-1] for letter in text
    )


def agent_object(agent: AgentRef | None) -> Object | None:
    """An agent, as the document has it."""
    if agent is None:
        return None
    account = None if agent.account_code is None else readable(agent.account_code)
    return {"workNo": agent.work_no, "accountCode": account}


def change_object(change: Change) -> Object:
    """One user's change, as the document has it."""
    said: Object = {
        "user": _user(change.user),
        "agent": agent_object(change.agent),
        "rule": change.rule,
        "digest": change.digest,
        "attributes": [_attribute(each) for each in change.attributes],
    }
    forms = [each.form for each in change.attributes]
    if any(forms):
        said["forms"] = forms
    if change.inactive:
        said["disabled"] = True
    return said


def _user(user: UserRef) -> Object:
    return {"id": readable(user.id), "name": readable(user.name)}


def _attribute(each: AttributeChange) -> Object:
    name = readable(each.name)
    if (
        not each.secret
        and (not each.old or plain_texts(each.old))
        and plain_texts(each.new)
    ):  # as nearly every one is
        return {"name": name, "old": each.old, "new": each.new}
    if not is_secret(each):
        return {"name": name, "old": value_list(each.old), "new": value_list(each.new)}
    fingerprint = secret_fingerprint(each)
    said: Object = {"name": name, "secret": "set" if fingerprint else "clear"}
    if fingerprint not in ("", UNKEYED):
        said["fingerprint"] = readable(fingerprint)
    return said


def value_list(values: tuple[Held, ...]) -> Sequence[Any]:
    """Octets are always told from text, so that a digest can be computed from the document alone."""
    return values if plain_texts(values) else list(msgspec.to_builtins(kept(values)))


def problem_object(problem: Problem) -> Object:
    """A problem, as the document has it."""
    said: Object = {
        "kind": readable(problem.kind),
        "agent": agent_object(problem.agent),
        "users": [readable(user) for user in problem.users],
        "rule": problem.rule,
        "why": readable(problem.why),
    }
    if problem.attribute is not None:
        said["attribute"] = readable(problem.attribute)
    if problem.record is not None:
        said["record"] = problem.record
    if problem.near:
        said["near"] = [
            {name: readable(word) for name, word in asdict(near).items()}
            for near in problem.near
        ]
    return said


def _kind(kind: Kind) -> Object:
    return {
        "kind": kind.form.value,
        "rule": kind.rule,
        "attributes": list(map(readable, kind.attributes)),
        "users": kind.users,
        "sentence": readable(kind.sentence),
        "examples": list(map(readable, kind.examples)),
    }


def _look(look: Look) -> Object:
    return {"user": _user(look.user), "why": readable(look.why)}


def refusal_object(refusal: Refusal) -> Object:
    """As the document has it."""
    return {
        "limit": readable(refusal.limit),
        "allowed": refusal.allowed,
        "planned": refusal.planned,
        "why": readable(refusal.why),
    }


def _outcome(outcome: Outcome) -> Object:
    said: Object = {
        "user": readable(outcome.user.name),
        "id": readable(outcome.user.id),
        "outcome": outcome.result.value,
    }
    said |= {"why": readable(outcome.why)} if outcome.why else {}
    differs: list[Object] = [{"name": readable(name)} for name in outcome.differs]
    differs += [
        {"name": readable(each.name), "stored": value_list(each.values)}
        for each in outcome.stored
    ]
    return said | ({"differs": differs} if differs else {})
