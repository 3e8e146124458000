"""Digests: what a reviewer has said yes to, in one line. They cover what would be written, to whom, and for whom.

A digest is over a canonical form of values, not over a document, so that it survives another order of entries,
attributes or values, another layout of the file, and another run. Times and the plan's own id are not in it. A secret
is in it by its keyed fingerprint only, so that a digest says nothing about a password to anybody without the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from connector.model import AgentRef, AttributeChange, Change, Held, Plan, Problem, Refusal, Secret, Value

UNKEYED: Final = "unkeyed"
"""Stands for the fingerprint of a secret that is set where no key is known: every such secret looks the same."""

Canonical = str | bytes | int | None | Sequence["Canonical"]


def is_secret(each: AttributeChange) -> bool:
    """Whether nothing of this attribute's values may be shown: it is marked so, or holds a `Secret` all the same."""
    return each.secret or any(isinstance(value, Secret) for value in each.old + each.new)


def secret_fingerprint(each: AttributeChange) -> str:
    """Of a secret that is set, its fingerprint or `UNKEYED`; of one that is cleared, the empty string.

    Also for a change that was read from a plan document, which carries no values.
    """
    return each.fingerprint or (UNKEYED if each.new else "")


def lossless(value: Value) -> Value:
    """The value as UTF-8 can carry it: a text that was decoded from octets which are no UTF-8 is those octets again."""
    if isinstance(value, bytes):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return _octets(value)
    return value


def readable(text: str) -> str:
    """A name or a sentence as UTF-8 can carry it, with U+FFFD for what is no character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def digest_of_change(change: Change) -> str:
    """`sha256:` and 64 hexadecimal digits, over user, agent, rule, and every attribute's old and new values."""
    attributes = sorted((_attribute(each) for each in change.attributes), key=_encoded)
    user = (readable(change.user.id), readable(change.user.name))
    return _digest(("change/1", user, _agent(change.agent), change.rule, attributes))


def digest_of_values(each: AttributeChange) -> str:
    """`sha256:` and 64 hexadecimal digits, over the new values alone: of a secret, over its fingerprint."""
    return _digest(("values/1", _attribute(replace(each, old=(), seen=True))))


def digest_of_plan(plan: Plan) -> str:
    """`sha256:` and 64 hexadecimal digits, over everything in the plan but its id, its time and its digest.

    Each change is in it by the change's own `digest`, which is taken as it stands.
    """
    summary = [(name, getattr(plan.summary, name)) for name in sorted(plan.summary.__struct_fields__)]
    changes = sorted(change.digest for change in plan.changes)
    problems = sorted((_problem(problem) for problem in plan.problems), key=_encoded)
    refusals = sorted((_refusal(refusal) for refusal in plan.refusals), key=_encoded)
    cautions = sorted(readable(caution) for caution in plan.cautions)
    return _digest(("plan/1", readable(plan.job), summary, changes, problems, refusals, cautions))


def _attribute(each: AttributeChange) -> Canonical:
    if is_secret(each):
        fingerprint = secret_fingerprint(each)
        return (each.name, "secret", "set" if fingerprint else "clear", readable(fingerprint))
    return (each.name, "plain", _values(each.old), _values(each.new))


def _values(values: tuple[Held, ...]) -> Canonical:
    """Values are a set in a directory, which returns them in any order."""
    return sorted((lossless(value) for value in values if not isinstance(value, Secret)), key=_encoded)


def _agent(agent: AgentRef | None) -> Canonical:
    if agent is None:
        return None
    return (agent.work_no, None if agent.account_code is None else readable(agent.account_code))


def _problem(problem: Problem) -> Canonical:
    users = sorted(readable(user) for user in problem.users)
    return (
        problem.kind,
        readable(problem.why),
        _agent(problem.agent),
        users,
        problem.rule,
        problem.attribute,
        problem.record,
    )


def _refusal(refusal: Refusal) -> Canonical:
    return (refusal.limit, refusal.allowed, refusal.planned, readable(refusal.why))


def _octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _encoded(value: Canonical) -> bytes:
    """One spelling for one value: every string is led by its length, so that no two values run into each other."""
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if isinstance(value, str):
        octets = _octets(value)
        return b"t%d:%b" % (len(octets), octets)
    if isinstance(value, int):
        return b"i%d;" % value
    return b"l%b;" % b"".join(_encoded(each) for each in value)


def _digest(value: Canonical) -> str:
    return "sha256:" + hashlib.sha256(_encoded(value)).hexdigest()
