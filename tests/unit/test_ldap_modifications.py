"""A change as an LDAP server carries it out: which values are taken out and put in, and what has to be true before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import ForbiddenError
from connector.directories.common.ldap_filters import Filter, parse_filter
from connector.directories.ldap import dialect, requests, responses
from connector.directories.ldap.dialect import ACTIVE_DIRECTORY, DS389, Dialect
from connector.directories.ldap.modifying import ChangeModifier
from connector.directories.ldap.responses import Response
from connector.model import AttributeChange, AttributeInfo, Change, Held, Outcome, Result, Secret, User, UserRef
from tests.support.ldap_line import BASE, Asked, asked_of

ANNA = UserRef("0f3c7c5e-1122-4233-8344-556677889900", f"uid=anna,{BASE}")
OPENLDAP = dialect.recognise_server({"objectclass": ["OpenLDAProotDSE"], "supportedcontrol": [requests.ASSERTION]})
BLIND = ("commPrivate", "jpegPhoto")
"""Attributes without an equality rule."""


def info_of(name: str) -> AttributeInfo:
    return replace(known_schema().info(name), comparable=name not in BLIND)


def has_substrings(name: str) -> bool:
    return name == "SIPIdentitySIPURI"


def modifier(server: Dialect = OPENLDAP, *, filter_: str = "(uid=*)") -> ChangeModifier:
    return ChangeModifier(server, parse_filter(filter_), info_of, has_substrings)


def change(*attributes: AttributeChange) -> Change:
    return Change(ANNA, None, 1, attributes)


def several(name: str, old: str, new: str, pattern: str | None = "*", *, seen: bool = True) -> AttributeChange:
    return AttributeChange(name, tuple(old.split()), tuple(new.split()), pattern=pattern, seen=seen)


def sent(*attributes: AttributeChange) -> Asked | None:
    octets = modifier().make_request(change(*attributes))
    return None if octets is None else asked_of(octets)


# ---------------------------------------------------------------- what is taken out and put in


@pytest.mark.parametrize(
    ("planned", "edits"),
    [
        (several("description", "", "a"), ["add a"]),
        (several("description", "", "a b"), ["add a b"]),
        (several("description", "a", ""), ["delete a"]),
        (several("description", "a b", ""), ["delete a b"]),
        (several("description", "a", "b"), ["delete a", "add b"]),
        (several("description", "a b", "B c"), ["delete a", "add c"]),
        (several("description", "a b", "A"), ["delete b"]),
        (several("description", "a", "A b"), ["add b"]),
        (several("description", "x:1", "x:2", "x:*"), ["delete x:1", "add x:2"]),
        (several("description", "", "", seen=False), ["replace "]),
        (several("description", "", "a b", seen=False), ["replace a b"]),
        (several("description", "", "a", None, seen=False), ["replace a"]),
        (several("employeeNumber", "1", "2", None), ["delete 1", "add 2"]),
        (several("commPrivate", "1", "2"), ["replace 2"]),
        (several("commPrivate", "1", "", None), ["replace "]),
        (several("jpegPhoto", "", "a"), ["add a"]),
        (several("jpegPhoto", "a", "b"), ["replace b"]),
        (several("jpegPhoto", "a", ""), ["replace "]),
        (several("jpegPhoto", "", ""), ["replace "]),
        (several("noSuchAttribute", "", "a b"), ["add a b"]),
    ],
)
def test_values_go_and_come_one_by_one_unless_they_cannot_be_told_apart(
    planned: AttributeChange, edits: list[str]
) -> None:
    asked = sent(planned)
    assert asked is not None
    assert (asked.kind, asked.name) == ("modifyRequest", ANNA.name)
    found = [(how, name, b" ".join(values).decode()) for how, name, values in asked.edits]
    assert found == [(how, planned.name, values) for how, _, values in (edit.partition(" ") for edit in edits)]


def test_a_change_of_several_attributes_is_one_request_in_their_order() -> None:
    asked = sent(
        AttributeChange("objectClass", (), ("cecAgent", "SIPIdentity")),
        several("description", "a", "A"),
        AttributeChange("cecAccountCode", (), ("Ä",)),
        AttributeChange("userPassword", (Secret("x"),), (Secret(b"\xff"),), secret=True),
    )
    assert asked is not None
    assert asked.edits == [
        ("add", "objectClass", [b"cecAgent", b"SIPIdentity"]),
        ("add", "cecAccountCode", ["Ä".encode()]),
        ("delete", "userPassword", [b"x"]),
        ("add", "userPassword", [b"\xff"]),
    ]


@pytest.mark.parametrize("planned", [several("description", "a b", "B a"), several("description", "", "")])
def test_a_change_of_nothing_is_no_request(planned: AttributeChange) -> None:
    assert sent(planned) is None


@pytest.mark.parametrize(
    ("planned", "why"),
    [
        (several("description", "", "x:1", "x:*", seen=False), "description cannot be read"),
        (several("commPrivate", "x:1", "x:2", "x:*"), "commPrivate has no equality rule"),
        (several("employeeNumber", "", "1 2", None), "employeeNumber can hold one value only"),
        (several("employeeNumber", "1", "1 2 3", None), "employeeNumber can hold one value only"),
    ],
)
def test_what_would_touch_what_is_not_ours_or_cannot_be_is_not_sent(planned: AttributeChange, why: str) -> None:
    with pytest.raises(ForbiddenError, match=why):
        sent(planned)


SOME = st.lists(st.sampled_from(["a", "B", "c", "D"]), unique=True, max_size=4)


def carried_out(held: list[bytes], asked: Asked | None) -> list[bytes] | int:
    """What an attribute that compares ignoring case holds then, or the result that says why not (RFC 4511 §4.6)."""
    now = list(held)
    for how, _, values in asked.edits if asked else ():
        for value in values:
            there = [each for each in now if each.lower() == value.lower()]
            if how == "delete" and not there:
                return responses.NO_SUCH_ATTRIBUTE
            if how == "add" and there:
                return responses.ATTRIBUTE_OR_VALUE_EXISTS
            now = [each for each in now if each not in there] if how == "delete" else [*now, value]
    return now


@given(held=SOME, old=SOME, new=SOME)
def test_whatever_an_entry_holds_no_value_is_lost_or_doubled_that_the_plan_did_not_see(
    held: list[str], old: list[str], new: list[str]
) -> None:
    def lower(values: Sequence[str]) -> set[str]:
        return {value.lower() for value in values}

    shouted = tuple(value.swapcase() for value in new)
    asked = sent(AttributeChange("description", tuple(old), shouted, pattern="*"))
    after = carried_out([value.encode() for value in held], asked)
    if isinstance(after, int):
        outcome = modifier().judge_answer(change(), Response(after))
        assert outcome.result is Result.CONFLICT
        assert not lower(old) <= lower(held) or (lower(new) - lower(old)) & lower(held)
        return
    assert {value.decode().lower() for value in after} == (lower(held) - lower(old)) | (lower(new) - lower(old)) | (
        lower(held) & lower(new)
    )
    assert len(after) == len({value.lower() for value in after})


# ---------------------------------------------------------------- what has to be true before


def asserted(planned: AttributeChange, server: Dialect = OPENLDAP) -> bytes:
    (control,) = modifier(server).make_controls(change(planned))
    critical, value = asked_of(modifier().make_request(change(several("title", "", "x"))) or b"", [control]).controls[
        requests.ASSERTION
    ]
    assert critical
    return value


def both(text: str) -> bytes:
    """That it is the user, and in the job's filter, and this."""
    return requests.encode_filter(parse_filter(f"(&(entryUUID={ANNA.id})(uid=*){text})"))


@pytest.mark.parametrize(
    ("planned", "text"),
    [
        (several("employeeNumber", "7", "8", None), "(employeeNumber=7)"),
        (several("employeeNumber", "7", "", None), "(employeeNumber=7)"),
        (several("employeeNumber", "", "8", None), "(!(employeeNumber=*))"),
        (several("employeeNumber", "", "8", "8*"), "(!(employeeNumber=*))"),
        (several("description", "", "8"), "(!(description=*))"),
        (several("description", "a b", "c"), "(description=a)(description=b)"),
        (several("description", "a", "c", "a*"), "(description=a)"),
        (several("description", "", "x:1", "x:*"), ""),
        (several("description", "", "x:1", "x:1"), "(!(description=x:1))"),
        (several("SIPIdentitySIPURI", "", "sip:1", "sip:*"), "(!(SIPIdentitySIPURI=sip:*))"),
        (several("SIPIdentitySIPURI", "", "sip:1", "*@x"), "(!(SIPIdentitySIPURI=*@x))"),
        (several("SIPIdentitySIPURI", "", "sip:1", "s*p**:*1"), "(!(SIPIdentitySIPURI=s*p*:*1))"),
        (several("SIPIdentitySIPURI", "sip:0", "sip:1", "sip:*"), "(SIPIdentitySIPURI=sip:0)"),
        (several("commPrivate", "", "a"), "(!(commPrivate=*))"),
        (several("commPrivate", "", "a", "a"), ""),
        (several("commPrivate", "b", "a"), ""),
        (several("description", "", "a", seen=False), ""),
        (several("objectClass", "", "cecAgent", None), ""),
        (several("OBJECTCLASS", "cecAgent", "", None), ""),
        (AttributeChange("userPassword", (Secret("canary"),), (), secret=True), ""),
        (AttributeChange("userPassword", (), (Secret("canary"),), secret=True, pattern="*"), "(!(userPassword=*))"),
    ],
)
def test_all_that_the_plan_saw_and_a_server_can_judge_is_asserted(planned: AttributeChange, text: str) -> None:
    assert asserted(planned) == both(text)


def test_what_cannot_be_asserted_keeps_nothing_behind_it_from_being_asserted() -> None:
    unseen = several("description", "", "a", seen=False)
    classes = several("objectClass", "", "cecAgent", None)
    planned = change(unseen, classes, several("title", "a", "b", None))
    assert modifier().make_controls(planned) == (
        requests.assertion_control(parse_filter(f"(&(entryUUID={ANNA.id})(uid=*)(title=a))")),
    )
    now = User(ANNA.id, ANNA.name, {"title": ("theirs",)})
    assert modifier().explain_difference(planned, now) == "title changed since the plan"


@pytest.mark.parametrize(
    ("server", "id_", "wanted"),
    [
        (OPENLDAP, ANNA.id, f"(entryUUID={ANNA.id})"),
        (DS389, ANNA.id, f"(nsUniqueId={ANNA.id})"),
        (ACTIVE_DIRECTORY, ANNA.id, "(objectGUID=\\5e\\7c\\3c\\0f\\22\\11\\33\\42\\83\\44\\55\\66\\77\\88\\99\\00)"),
        (OPENLDAP, "ü", "(|)"),
        (ACTIVE_DIRECTORY, "no id", "(|)"),
    ],
)
def test_an_entry_is_the_user_by_its_id_and_no_entry_is_one_whose_id_is_none(
    server: Dialect, id_: str, wanted: str
) -> None:
    expected: Filter = parse_filter(wanted)
    assert server.user_filter(id_) == expected


# ---------------------------------------------------------------- where nothing is asserted


@pytest.mark.parametrize(
    ("planned", "held", "differs"),
    [
        (several("description", "a", "b"), ("A",), False),
        (several("description", "a", "b"), ("b",), True),
        (several("description", "a", "b"), (), True),
        (several("description", "a", "b"), ("a", "c"), True),
        (several("description", "a c", "b"), ("a",), True),
        (several("description", "", "b"), (), False),
        (several("description", "", "b"), ("x",), True),
        (several("description", "x:1", "b", "x:*"), ("X:1", "theirs"), False),
        (several("description", "x:1", "b", "x:*"), ("x:1", "x:2"), True),
        (several("description", "", "b", "x:*"), ("theirs",), False),
        (several("description", "", "b", None), ("theirs",), True),
        (several("description", "", "b", seen=False), ("x",), False),
        (several("objectClass", "a", "b", None), ("c",), False),
        (several("OBJECTCLASS", "a", "b", None), ("c",), False),
        (AttributeChange("userPassword", (Secret("a"),), (), secret=True), (Secret("a"),), False),
        (AttributeChange("userPassword", (Secret("a"),), (), secret=True), (Secret("b"),), True),
        (AttributeChange("userPassword", (Secret("a"),), (), pattern="a*"), (Secret("a"), Secret("b")), False),
    ],
)
def test_an_entry_that_is_read_again_is_held_to_what_the_plan_saw(
    planned: AttributeChange, held: tuple[Held, ...], *, differs: bool
) -> None:
    fine = several("title", "x", "y", None)
    now = User(ANNA.id, ANNA.name, {planned.name: held, "title": ("x",)})
    why = modifier().explain_difference(change(fine, planned), now)
    assert why == (f"{planned.name} changed since the plan" if differs else None)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"UID=Anna, {BASE.upper()}", None),
        (f"uid=anna,ou=x,{BASE}", f"the entry was renamed: uid=anna,ou=x,{BASE}"),
        ("no name", "the entry was renamed: no name"),
    ],
)
def test_an_entry_that_is_read_again_may_be_spelt_otherwise_and_not_be_another(name: str, why: str | None) -> None:
    assert modifier().explain_difference(change(), User(ANNA.id, name, {})) == why


def test_an_entry_that_is_not_found_again_is_gone() -> None:
    assert modifier().explain_difference(change(), None) == "the entry is gone, or no longer in base and filter"


# ---------------------------------------------------------------- what an answer means


@pytest.mark.parametrize(
    ("planned", "conflict"),
    [
        (several("employeeNumber", "", "1", None), True),
        (several("employeeNumber", "1", "2", None), False),
        (several("employeeNumber", "", "", None), False),
        (several("employeeNumber", "", "1", None, seen=False), False),
        (several("description", "", "1"), False),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_where_nothing_is_asserted_a_place_that_is_taken_shows_in_the_answer(
    planned: AttributeChange, *, conflict: bool, beside: bool
) -> None:
    attributes = (several("description", "a", "b"), planned) if beside else (planned,)
    without = replace(OPENLDAP, controls=dialect.ListedControls())
    answer = Response(responses.CONSTRAINT_VIOLATION)
    outcome = modifier(without).judge_answer(change(*attributes), answer)
    assert outcome.result is (Result.CONFLICT if conflict else Result.FAILED)
    assert (outcome.why == "a value is there that the plan did not see") is conflict
    assert modifier().judge_answer(change(*attributes), answer).result is Result.FAILED
    other = Response(responses.INVALID_DN_SYNTAX)
    assert modifier(without).judge_answer(change(*attributes), other).result is Result.FAILED


@pytest.mark.parametrize(
    ("referrals", "said"),
    [
        ((), "(it refers to another server)"),
        (("ldap://a", "ldap://b"), "(it refers to ldap://a, ldap://b)"),
        (("ldap://a", "ldap://b", "ldap://c", "ldap://d"), "(it refers to ldap://a, ldap://b, ldap://c)"),
    ],
)
def test_a_copy_that_cannot_be_written_says_where_one_can_write(referrals: tuple[str, ...], said: str) -> None:
    outcome = modifier().judge_answer(change(), Response(responses.REFERRAL, referrals=referrals))
    assert outcome.result is Result.FAILED
    assert outcome.why.endswith(said)


@pytest.mark.parametrize(
    "planned",
    [
        AttributeChange("employeeNumber", ("canary",), (), secret=True),
        AttributeChange("employeeNumber", (), ("Canary",), secret=True),
        AttributeChange("userPassword", (), (Secret(b"CANARY"),)),
        AttributeChange("userPassword", (Secret(b"canary"),), (Secret("other"),)),
        AttributeChange("userPassword", (Secret("other"),), (), secret=True),
    ],
)
def test_words_of_the_servers_are_told_and_no_secret(planned: AttributeChange) -> None:
    outcome = modifier().judge_answer(change(planned), Response(53, diagnostic="value 'caNary' is not allowed, caNary"))
    assert outcome == Outcome(ANNA, Result.FAILED, "unwillingToPerform (53): value … is not allowed, …")
