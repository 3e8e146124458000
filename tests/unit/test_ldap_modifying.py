"""Changes as modify requests: what is asserted, what is left out, and what is said of an answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.changing import ForbiddenError
from connector.directories.common.ldap_filters import Present, parse
from connector.directories.ldap import dialect, requests, results
from connector.directories.ldap.inspection import Rules
from connector.directories.ldap.modifying import Modifier
from connector.directories.ldap.requests import Edit, Modification
from connector.directories.ldap.responses import Response
from connector.model import AttributeChange, Change, Outcome, Result, Secret, User, UserRef

USER = UserRef("0f3c7c5e-1111-4222-8333-000000000001", "uid=anna,ou=people,dc=example,dc=org")
SERVER = dialect.of({"supportedcontrol": [requests.ASSERTION]})
RULES: Mapping[str, Rules] = {"commPrivate": Rules(equality=False), "SIPIdentitySIPURI": Rules(substrings=True)}


def modifier(*, assertions: bool = True) -> Modifier:
    server = replace(SERVER, assertions=assertions)
    return Modifier(server, Present("uid"), known_schema().info, lambda name: RULES.get(name, Rules()))


def change(*attributes: AttributeChange) -> Change:
    return Change(USER, None, 1, attributes)


def edits(attribute: AttributeChange) -> bytes | None:
    return modifier().request(change(attribute))


def modify(*changes: Modification) -> bytes:
    return requests.modify(USER.name, changes)


def secret(name: str, old: str, new: str) -> AttributeChange:
    return AttributeChange(name, (Secret(old),), (Secret(new),), secret=True)


def test_values_that_stay_are_not_sent() -> None:
    found = edits(AttributeChange("description", ("one", "Two"), ("TWO", "three"), pattern="*"))
    assert found == modify(
        Modification(Edit.DELETE, "description", (b"one",)), Modification(Edit.ADD, "description", (b"three",))
    )
    assert edits(AttributeChange("description", ("one",), ("ONE",))) is None


def test_an_attribute_whose_values_cannot_be_compared_is_replaced_if_all_of_it_is_ours() -> None:
    replaced = modify(Modification(Edit.REPLACE, "commPrivate", (b"true",)))
    assert edits(AttributeChange("commPrivate", ("false",), ("true",))) == replaced
    assert edits(AttributeChange("commPrivate", ("false",), ("true",), pattern="*")) == replaced
    with pytest.raises(ForbiddenError, match="commPrivate has no equality rule"):
        edits(AttributeChange("commPrivate", ("false",), ("true",), pattern="t*"))


def test_no_secret_is_ever_part_of_an_assertion() -> None:
    octets = b"".join(modifier().controls(change(secret("SIPIdentityPassword", "canary-old", "canary-new"))))
    assert USER.id.encode() in octets
    assert b"canary" not in octets


def test_the_assertion_is_critical_and_holds_user_filter_and_old_values() -> None:
    (octets,) = modifier().controls(
        change(
            AttributeChange("employeeNumber", ("7",), ("8",)),
            AttributeChange("mail", (), ("a@example.org",)),
            AttributeChange("SIPIdentitySIPURI", (), ("sip:1",), pattern="sip:*@x*"),
            AttributeChange("objectClass", (), ("SIPIdentity",)),
            AttributeChange("commPrivate", ("false",), ("true",)),
        )
    )
    expected = requests.assertion(
        parse(f"(&(entryUUID={USER.id})(uid=*)(employeeNumber=7)(!(mail=*))(!(SIPIdentitySIPURI=sip:*@x*)))")
    )
    assert octets == expected
    assert modifier(assertions=False).controls(change()) == ()


ECHOES = (
    "Gr8-Canary-Pa55word", "GR8-CANARY-PA55WORD", base64.b64encode(b"Gr8-Canary-Pa55word").decode(),
    "Gr8-Canary-Pa55w...", "Canary-Pa55word", "Gr8-Canary\\2dPa55word", "Gr8\u2010Canary-Pa55word",
    "Gr8-Canary-\nPa55word", "Gr8 -Canary- Pa55word", "drowssa55aP", "Old-Canary-0", "of another user: Hunter2-Zoe",
)  # fmt: skip


@pytest.mark.parametrize("shown", ECHOES)
@pytest.mark.parametrize("form", ["'{}'", "{}", "SIPIdentityPassword: {}", "({})"])
def test_nothing_of_a_secret_is_passed_on(shown: str, form: str) -> None:
    answer = Response(19, diagnostic=f"value {form.format(shown)} is too short")
    outcome = modifier().outcome(change(secret("SIPIdentityPassword", "Old-Canary-0", "Gr8-Canary-Pa55word")), answer)
    assert outcome.result is Result.FAILED
    said = outcome.why.partition("(19)")[2].lower()
    assert not [part for part in ("gr8", "canary", "pa55", 'word"', "hunter", "zoe", "drow", "z3i4") if part in said], (
        said
    )


@pytest.mark.parametrize(
    ("diagnostic", "shown"),
    [
        ("SIPIdentityPassword: value #0 invalid per syntax", "SIPIdentityPassword: … #0 invalid per syntax"),
        ("modify/add: some attributes not unique",) * 2,
        ("Entry is locked, try again\n", "Entry is locked, try again"),
        ("80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 52e, v3839",
         "80090308: LdapErr: … comment: AcceptSecurityContext error, data 52e, …"),
        ("00002098: SecErr: DSID-03150F94, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0",
         "00002098: SecErr: … problem … (INSUFF_ACCESS_RIGHTS), data 0"),
    ],
)  # fmt: skip
def test_a_servers_own_words_are_passed_on(diagnostic: str, shown: str) -> None:
    answer = Response(19, diagnostic=diagnostic)
    outcome = modifier().outcome(change(secret("SIPIdentityPassword", "canary-0", "canary-1")), answer)
    assert outcome.why == f"constraintViolation (19): {shown}"


def test_any_other_diagnostic_is_passed_on_in_one_line() -> None:
    answer = Response(19, diagnostic="too\r\nshort\x1b[2J")
    outcome = modifier().outcome(change(secret("SIPIdentityPassword", "canary-0", "canary-1")), answer)
    assert outcome == Outcome(USER, Result.FAILED, "constraintViolation (19)")


def test_a_second_value_is_a_conflict_only_where_that_is_how_absence_is_asserted() -> None:
    first = change(AttributeChange("employeeNumber", (), ("8",)))
    later = change(AttributeChange("employeeNumber", ("7",), ("8",)))
    answer = Response(results.CONSTRAINT_VIOLATION)
    assert modifier(assertions=False).outcome(first, answer).result is Result.CONFLICT
    assert modifier(assertions=False).outcome(later, answer).result is Result.FAILED
    assert modifier().outcome(first, answer).result is Result.FAILED


@pytest.mark.parametrize(
    ("code", "result"),
    [(0, Result.WRITTEN), (122, Result.CONFLICT), (16, Result.CONFLICT), (20, Result.CONFLICT), (32, Result.CONFLICT)]
    + [(code, Result.FAILED) for code in (1, 10, 12, 50, 51, 52, 53, 65, 80, 4711)],
)
def test_every_result_has_its_outcome(code: int, result: Result) -> None:
    outcome = modifier().outcome(change(), Response(code))
    assert (outcome.user, outcome.result) == (USER, result)
    assert bool(outcome.why) is (result is not Result.WRITTEN)


def test_an_entry_that_was_renamed_is_not_written_under_its_old_name_which_may_be_anothers_by_now() -> None:
    planned = change(AttributeChange("employeeNumber", ("7",), ("8",)))
    held = {"employeeNumber": ("7",)}
    same, renamed = USER.name.replace("uid", "UID"), USER.name.replace("anna", "bert")
    assert modifier().differs(planned, User(USER.id, same, held)) is None
    assert "the entry was renamed" in str(modifier().differs(planned, User(USER.id, renamed, held)))


def test_several_values_for_an_attribute_that_has_one_are_not_sent() -> None:
    with pytest.raises(ForbiddenError, match="one value only"):
        modifier().request(change(AttributeChange("employeeNumber", ("1",), ("2", "3"))))


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("now", [True, False])
def test_who_was_enabled_or_disabled_since_the_plan_differs(planned: bool, now: bool) -> None:
    """Where users are read before their write, no assertion says that."""
    clear = replace(change(AttributeChange("employeeNumber", ("1",), ())), disabled=planned)
    differs = modifier().differs(clear, User(USER.id, USER.name, {"employeeNumber": ("1",)}, disabled=now))
    assert (differs is None) is (planned is now)


@pytest.mark.parametrize(
    ("diagnostic", "named"),
    [
        ("", "one of employeeNumber, mail, objectClass"),
        ("Insufficient 'write' privilege to the 'MAIL' attribute of entry 'uid=x'.", "mail"),
        ("00002098: Object CN=a,DC=b has no write property access to employeeNumber, mail", "employeeNumber, mail"),
        ("no write access to emails", "one of employeeNumber, mail, objectClass"),
    ],
)
def test_a_denied_write_names_the_refused_attributes_where_the_server_does(diagnostic: str, named: str) -> None:
    planned = change(*(AttributeChange(name, (), ("1",)) for name in ("employeeNumber", "mail", "objectClass")))
    why = modifier().outcome(planned, Response(50, diagnostic=diagnostic)).why
    assert why.startswith(f"insufficientAccessRights (50) to write {named}")
    assert why.endswith(f"the right to write {named} of this entry")


def test_one_attribute_that_is_denied_is_the_one() -> None:
    why = modifier().outcome(change(AttributeChange("mail", (), ("1",))), Response(50)).why
    assert why.endswith("the right to write mail of this entry")
