"""Digests: what a reviewer has said yes to, in one line. They cover what would be written, to whom, and for whom.

A digest is over a canonical form of values, not over a document, so that it survives
another order of entries, attributes or values, another layout of the file, and another run.
Times and the plan's own id are not in it. A secret is in it by its keyed fingerprint only,
so that a digest says nothing about a password to anybody without the key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Fingerprint,
    Held,
    Plan,
    Problem,
    Refusal,
    Secret,
    UserRef,
    Value,
    equality,
)

UNKEYED: Final = "unkeyed"
"""Stands for the fingerprint of a secret that is set where no key is known: every such
secret looks the same."""
HINTS: Final = frozenset({"refused", "unsettled"})
"""Kinds of problems that are in no digest: they tell of earlier runs, or of the server
asked, and not of this plan."""
_NONE: Final = "n"
_PLAIN: Final = "t5:plain"


def is_secret(each: AttributeChange) -> bool:
    """Whether nothing of this attribute's values may be shown: it is marked so, or holds a `Secret` all the same."""
    return each.secret or Secret in map(type, each.old + each.new)


def secret_fingerprint(each: AttributeChange) -> str:
    """Of a secret that is set, its fingerprint or `UNKEYED`; of one that is cleared, the empty string.

    Also for a change that was read from a plan document, which carries no values.
    """
    return each.fingerprint or (UNKEYED if each.new else "")


def keep_octets(value: Value) -> Value:
    """The value as UTF-8 can carry it: a text that was decoded from octets which are no UTF-8 is those octets again."""
    if isinstance(value, bytes) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return _to_octets(value)
    return value


def make_readable(text: str) -> str:
    """A name or a sentence as UTF-8 can carry it, with U+FFFD for what is no character."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    )


def digest_of_change(change: Change) -> str:
    """The digest of a change as it stands, whatever digest it says it has."""
    return digest_of(
        change.user,
        change.agent,
        change.rule,
        change.attributes,
    )


def digest_of(
    user: UserRef,
    agent: AgentRef | None,
    rule: int | None,
    attributes: Iterable[AttributeChange],
) -> str:
    """`sha256:` and 64 hexadecimal digits, over user, agent, rule, and every attribute's old and new values."""
    who = (
        f"l{_text_form(make_readable(user.id))}{_text_form(make_readable(user.name))};"
    )
    what = _list_form(sorted(map(_attribute_form, attributes)))
    return _hash_forms(
        (_text_form("change/1"), who, _agent_form(agent), _number_form(rule), what)
    )


def digest_of_plan(plan: Plan) -> str:
    """`sha256:` and 64 hexadecimal digits, over everything in the plan but its id, its time, its digest and hints.

    Each change is in it by the change's own `digest`, which is taken as it stands.
    """
    summary = _list_form(
        _list_form((_text_form(name), _number_form(count)))
        for name, count in sorted(plan.summary.counts.items())
    )
    changes = _list_form(
        map(_text_form, sorted(change.digest for change in plan.changes))
    )
    problems = _list_form(
        sorted(_problem_form(each) for each in plan.problems if each.kind not in HINTS)
    )
    refusals = _list_form(sorted(map(_refusal_form, plan.refusals)))
    cautions = _list_form(map(_text_form, sorted(map(make_readable, plan.cautions))))
    return _hash_forms(
        (
            _text_form("plan/1"),
            _text_form(make_readable(plan.job)),
            summary,
            changes,
            problems,
            refusals,
            cautions,
        )
    )


def _attribute_form(each: AttributeChange) -> str:
    if is_secret(each):
        fingerprint = secret_fingerprint(each)
        said = (
            each.name,
            "secret",
            "set" if fingerprint else "clear",
            make_readable(fingerprint),
        )
        return _list_form(map(_text_form, said))
    return f"l{_text_form(each.name)}{_PLAIN}{_values_form(each.old)}{_values_form(each.new)};"


def _values_form(values: tuple[Held, ...]) -> str:
    """Values are a set in a directory, which returns them in any order."""
    if len(values) == 1 and type(value := values[0]) is str and value.isascii():
        return f"lt{len(value)}:{value};"  # as nearly always
    forms = [_value_form(value) for value in values if not isinstance(value, Secret)]
    return _list_form(sorted(forms))


def _agent_form(agent: AgentRef | None) -> str:
    if agent is None:
        return _NONE
    account = (
        _NONE
        if agent.account_code is None
        else _text_form(make_readable(agent.account_code))
    )
    return f"l{_number_form(agent.work_no)}{account};"


def _problem_form(problem: Problem) -> str:
    return _list_form(
        (
            _text_form(problem.kind),
            _text_form(make_readable(problem.why)),
            _agent_form(problem.agent),
            _list_form(map(_text_form, sorted(map(make_readable, problem.users)))),
            _number_form(problem.rule),
            _NONE if problem.attribute is None else _text_form(problem.attribute),
            _number_form(problem.record),
        )
    )


def _refusal_form(refusal: Refusal) -> str:
    numbers = map(_number_form, (refusal.allowed, refusal.planned))
    return _list_form(
        (_text_form(refusal.limit), *numbers, _text_form(make_readable(refusal.why)))
    )


# ---------------------------------------------------------------- one spelling for one value
#
# Every string and every octet string is led by its length in octets, so that no two values run into each other. What is
# digested is octets, and is put together as a text of which each character stands for one of them (ISO 8859-1): text is
# joined faster, and its order is that of the octets.


def _value_form(value: Value) -> str:
    if type(value) is str and value.isascii():
        return _text_form(value)
    value = keep_octets(value)
    return (
        f"b{len(value)}:{value.decode('latin-1')}"
        if isinstance(value, bytes)
        else _text_form(value)
    )


def _text_form(text: str) -> str:
    if not text.isascii():
        text = _to_octets(text).decode("latin-1")
    return f"t{len(text)}:{text}"


def _number_form(number: int | None) -> str:
    return _NONE if number is None else f"i{number};"


def _list_form(encoded: Iterable[str]) -> str:
    return f"l{''.join(encoded)};"


def _to_octets(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _hash_forms(parts: Iterable[str]) -> str:
    return "sha256:" + hashlib.sha256(_list_form(parts).encode("latin-1")).hexdigest()


def make_fingerprinter(key: Secret) -> Fingerprint:
    """HMAC-SHA-256 (RFC 2104) under `key`, of one user's one attribute, so that equal passwords do not look equal."""
    material = equality.reveal_value(key)
    octets = material if isinstance(material, bytes) else material.encode()

    def fingerprint(
        user: UserRef,
        attribute: str,
        secret: Held,
    ) -> str:
        value = equality.reveal_value(secret)
        body = (
            value
            if isinstance(value, bytes)
            else value.encode("utf-8", "surrogateescape")
        )
        message = b"\x00".join([user.id.encode(), attribute.lower().encode(), body])
        return "hmac-sha256:" + hmac.digest(octets, message, "sha256").hex()

    return fingerprint
