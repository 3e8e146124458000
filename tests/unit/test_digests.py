"""A digest that a reviewer signed stays what it is: the spelling that is hashed, written down plainly once more."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from hypothesis import given, strategies as st

from connector.model import AgentRef, AttributeChange, Change, Plan, Secret, UserRef
from connector.model.digests import (
    UNKEYED,
    digest_of_change,
    digest_of_plan,
    is_secret,
    keep_octets,
    make_fingerprinter,
    make_readable,
    secret_fingerprint,
)
from tests.support.report_samples import hostile, plans, sample


def spelt(value: str | bytes | int | Sequence[Any] | None) -> bytes:
    """Lists of anything, every string led by its length."""
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if isinstance(value, str):
        try:
            octets = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            octets = value.encode("utf-8", "surrogatepass")
        return b"t%d:%b" % (len(octets), octets)
    if isinstance(value, int):
        return b"i%d;" % value
    return b"l%b;" % b"".join(map(spelt, value))


def hashed(value: Sequence[Any]) -> str:
    return "sha256:" + hashlib.sha256(spelt(value)).hexdigest()


def agent(ref: AgentRef | None) -> Sequence[Any] | None:
    if ref is None:
        return None
    return (ref.work_no, None if ref.account_code is None else make_readable(ref.account_code))


def attribute(each: AttributeChange) -> Sequence[Any]:
    if is_secret(each):
        fingerprint = secret_fingerprint(each)
        return (each.name, "secret", "set" if fingerprint else "clear", make_readable(fingerprint))
    old, new = (
        sorted((keep_octets(value) for value in values if not isinstance(value, Secret)), key=spelt)
        for values in (each.old, each.new)
    )
    return (each.name, "plain", old, new)


def of_change(change: Change) -> str:
    user = (make_readable(change.user.id), make_readable(change.user.name))
    attributes = sorted(map(attribute, change.attributes), key=spelt)
    return hashed(("change/1", user, agent(change.agent), change.rule, attributes))


def of_plan(plan: Plan) -> str:
    summary = [(name, getattr(plan.summary, name)) for name in sorted(plan.summary.__struct_fields__)]
    problems = [
        (
            each.kind, make_readable(each.why), agent(each.agent), sorted(map(make_readable, each.users)), each.rule,
            each.attribute, each.record,
        )
        for each in plan.problems
    ]  # fmt: skip
    refusals = [(each.limit, each.allowed, each.planned, make_readable(each.why)) for each in plan.refusals]
    changes, cautions = sorted(each.digest for each in plan.changes), sorted(map(make_readable, plan.cautions))
    lists = (changes, sorted(problems, key=spelt), sorted(refusals, key=spelt), cautions)
    return hashed(("plan/1", make_readable(plan.job), summary, *lists))


odd = st.text(st.characters(), max_size=4) | st.sampled_from(["\udcff\udc80", "\ud83d", "\u00e9\udc80", "\ud800a"])
odd_values = st.lists(odd, max_size=3).map(tuple)
odd_changes = st.builds(
    Change,
    st.builds(UserRef, odd, odd),
    st.builds(AgentRef, st.none() | st.integers(), odd),
    st.none() | st.integers(0, 9),
    st.lists(st.builds(AttributeChange, odd, odd_values, odd_values), max_size=3).map(tuple),
)


@given(plans, odd_changes)
def test_the_spelling_that_is_hashed_never_changes(plan: Plan, odd: Change) -> None:
    changes = (*plan.changes, odd)
    assert [digest_of_change(change) for change in changes] == [of_change(change) for change in changes]
    assert digest_of_plan(plan) == of_plan(plan)


def test_these_very_digests_were_given_out() -> None:
    assert sample().digest == "sha256:fe702960cb2b4b9d01dbca0d9252c39bf6dbd208f3d49e9cf8f95b05ccb19219"
    assert hostile().digest == "sha256:3e9f98168df5c914a5cc11df29af20ddc58884ecdac9b550aa9b613a97b5e435"


def test_a_value_in_a_secret_makes_its_attribute_one_whatever_the_mapping_says() -> None:
    word, plain = Secret("canary"), AttributeChange("x", ("a",), ("b", b"c"))
    assert not is_secret(plain)
    for change in (
        AttributeChange("x", (), ("b", word)), AttributeChange("x", ("a", word), ("b",)),
        AttributeChange("x", (), (), secret=True),
    ):  # fmt: skip
        assert is_secret(change)
    assert secret_fingerprint(AttributeChange("x", (), (word,), secret=True)) == UNKEYED
    assert secret_fingerprint(AttributeChange("x", (word,), (), secret=True)) == ""
    assert secret_fingerprint(AttributeChange("x", (), (), secret=True, fingerprint="f")) == "f"


def test_a_fingerprint_is_of_one_user_s_one_attribute_under_one_key() -> None:
    """An attribute's name counts in any spelling; a key may be octets."""
    user, other, print_ = UserRef("1", "uid=a"), UserRef("2", "uid=a"), make_fingerprinter(Secret("key"))
    one = print_(user, "word", "canary")
    assert one == print_(UserRef("1", "uid=renamed"), "WORD", Secret(b"canary"))
    assert one == make_fingerprinter(Secret(b"key"))(user, "word", "canary")
    others = [
        print_(other, "word", "canary"), print_(user, "text", "canary"), print_(user, "word", "Canary"),
        make_fingerprinter(Secret("another"))(user, "word", "canary"),
    ]  # fmt: skip
    assert len({one, *others}) == 5
    assert print_(user, "word", "\udcff") == print_(user, "word", b"\xff")
