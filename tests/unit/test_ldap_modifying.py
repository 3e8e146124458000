"""Changes as modify requests: what is asserted, what is left out, and what is said of an answer."""

from __future__ import annotations

import base64

import pytest
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import ForbiddenError
from connector.directories.common.ldap_filters import Present, parse_filter
from connector.directories.ldap import dialect, requests, responses
from connector.directories.ldap.modifying import FILTER, ChangeModifier
from connector.directories.ldap.requests import EditKind, encode_modification
from connector.directories.ldap.responses import Response
from connector.model import ID, AttributeChange, AttributeInfo, Change, Outcome, Result, Secret, User, UserRef

USER = UserRef("0f3c7c5e-1111-4222-8333-000000000001", "uid=anna,ou=people,dc=example,dc=org")
SERVER = dialect.recognise_server({"supportedcontrol": [requests.ASSERTION]})
BLIND = ("commPrivate", "jpegPhoto")
"""Attributes without an equality rule."""


def info_of(name: str) -> AttributeInfo:
    return replace(known_schema().info(name), comparable=name not in BLIND)


def has_substrings(name: str) -> bool:
    return name == "SIPIdentitySIPURI"


def modifier(*, assertions: bool = True) -> ChangeModifier:
    server = replace(SERVER, controls=dialect.ListedControls(assertions=assertions))
    return ChangeModifier(server, Present("uid"), info_of, has_substrings)


def change(*attributes: AttributeChange) -> Change:
    return Change(USER, None, 1, attributes)


def edits(attribute: AttributeChange) -> bytes | None:
    return modifier().make_request(change(attribute))


def modify(*modifications: bytes) -> bytes:
    return requests.encode_modify(USER.name, modifications)


def secret(name: str, old: str, new: str) -> AttributeChange:
    return AttributeChange(name, (Secret(old),), (Secret(new),), secret=True)


def test_values_that_stay_are_not_sent() -> None:
    found = edits(AttributeChange("description", ("one", "Two"), ("TWO", "three"), pattern="*"))
    assert found == modify(
        encode_modification(EditKind.DELETE, "description", (b"one",)),
        encode_modification(EditKind.ADD, "description", (b"three",)),
    )
    assert edits(AttributeChange("description", ("one",), ("ONE",))) is None


def test_an_attribute_whose_values_cannot_be_compared_is_replaced_if_all_of_it_is_ours() -> None:
    replaced = modify(encode_modification(EditKind.REPLACE, "commPrivate", (b"true",)))
    assert edits(AttributeChange("commPrivate", ("false",), ("true",))) == replaced
    assert edits(AttributeChange("commPrivate", ("false",), ("true",), pattern="*")) == replaced
    with pytest.raises(ForbiddenError, match="commPrivate has no equality rule"):
        edits(AttributeChange("commPrivate", ("false",), ("true",), pattern="t*"))


def test_no_secret_is_ever_part_of_an_assertion() -> None:
    octets = b"".join(modifier().make_controls(change(secret("SIPIdentityPassword", "canary-old", "canary-new"))))
    assert USER.id.encode() in octets
    assert b"canary" not in octets


def test_the_assertion_is_critical_and_holds_user_filter_and_old_values() -> None:
    (octets,) = modifier().make_controls(
        change(
            AttributeChange("employeeNumber", ("7",), ("8",)),
            AttributeChange("mail", (), ("a@example.org",)),
            AttributeChange("SIPIdentitySIPURI", (), ("sip:1",), pattern="sip:*@x*"),
            AttributeChange("objectClass", (), ("SIPIdentity",)),
            AttributeChange("commPrivate", ("false",), ("true",)),
        )
    )
    expected = requests.assertion_control(
        parse_filter(f"(&(entryUUID={USER.id})(uid=*)(employeeNumber=7)(!(mail=*))(!(SIPIdentitySIPURI=sip:*@x*)))")
    )
    assert octets == expected
    assert modifier(assertions=False).make_controls(change()) == ()


ECHOES = (
    "Gr8-Canary-Pa55word", "GR8-CANARY-PA55WORD", base64.b64encode(b"Gr8-Canary-Pa55word").decode(),
    "Gr8-Canary-Pa55w...", "Canary-Pa55word", "Gr8-Canary\\2dPa55word", "Gr8\u2010Canary-Pa55word",
    "Gr8-Canary-\nPa55word", "Gr8 -Canary- Pa55word", "drowssa55aP", "Old-Canary-0", "of another user: Hunter2-Zoe",
)  # fmt: skip


@pytest.mark.parametrize("shown", ECHOES)
@pytest.mark.parametrize("form", ["'{}'", "{}", "SIPIdentityPassword: {}", "({})"])
def test_nothing_of_a_secret_is_passed_on(shown: str, form: str) -> None:
    answer = Response(19, diagnostic=f"value {form.format(shown)} is too short")
    outcome = modifier().judge_answer(
        change(secret("SIPIdentityPassword", "Old-Canary-0", "Gr8-Canary-Pa55word")), answer
    )
    assert outcome.result is Result.FAILED
    said = outcome.why.partition("(19)")[2].lower()
    assert not [part for part in ("gr8", "canary", "pa55", 'word"', "hunter", "zoe", "drow", "z3i4") if part in said], (
        said
    )


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        (AttributeChange("description", (), ("locked",)), True),
        (AttributeChange("description", (), ("locked",), secret=True), False),
        (AttributeChange("description", (), (Secret("locked"),)), False),
        (AttributeChange("description", ("locked",), ("new",), secret=True), False),
    ],
)
def test_a_word_that_is_a_secret_is_not_passed_on_however_common_it_is(attribute: AttributeChange, said: bool) -> None:
    outcome = modifier().judge_answer(change(attribute), Response(53, diagnostic="Entry is locked"))
    assert ("locked" in outcome.why) is said


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
    outcome = modifier().judge_answer(change(secret("SIPIdentityPassword", "canary-0", "canary-1")), answer)
    assert outcome.why == f"constraintViolation (19): {shown}"


def test_any_other_diagnostic_is_passed_on_in_one_line() -> None:
    answer = Response(19, diagnostic="too\r\nshort\x1b[2J")
    outcome = modifier().judge_answer(change(secret("SIPIdentityPassword", "canary-0", "canary-1")), answer)
    assert outcome == Outcome(USER, Result.FAILED, "constraintViolation (19)")


def test_a_second_value_is_a_conflict_only_where_that_is_how_absence_is_asserted() -> None:
    first = change(AttributeChange("employeeNumber", (), ("8",)))
    later = change(AttributeChange("employeeNumber", ("7",), ("8",)))
    answer = Response(responses.CONSTRAINT_VIOLATION)
    assert modifier(assertions=False).judge_answer(first, answer).result is Result.CONFLICT
    assert modifier(assertions=False).judge_answer(later, answer).result is Result.FAILED
    assert modifier().judge_answer(first, answer).result is Result.FAILED


@pytest.mark.parametrize(
    ("code", "result"),
    [(0, Result.WRITTEN), (122, Result.CONFLICT), (16, Result.CONFLICT), (20, Result.CONFLICT), (32, Result.CONFLICT)]
    + [(code, Result.FAILED) for code in (1, 10, 12, 50, 51, 52, 53, 65, 80, 4711)],
)
def test_every_result_has_its_outcome(code: int, result: Result) -> None:
    """Whatever is not written says why, in the server's own words too."""
    outcome = modifier().judge_answer(change(), Response(code, diagnostic="busy"))
    assert (outcome.user, outcome.result) == (USER, result)
    assert (": busy" in outcome.why) is (result is not Result.WRITTEN)


def test_an_entry_that_was_renamed_is_not_written_under_its_old_name_which_may_be_anothers_by_now() -> None:
    planned = change(AttributeChange("employeeNumber", ("7",), ("8",)))
    held = {"employeeNumber": ("7",)}
    same, renamed = USER.name.replace("uid", "UID"), USER.name.replace("anna", "bert")
    assert modifier().explain_difference(planned, User(USER.id, same, held)) is None
    assert "the entry was renamed" in str(modifier().explain_difference(planned, User(USER.id, renamed, held)))


def test_several_values_for_an_attribute_that_has_one_are_not_sent() -> None:
    with pytest.raises(ForbiddenError, match="one value only"):
        modifier().make_request(change(AttributeChange("employeeNumber", ("1",), ("2", "3"))))


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize("now", [True, False])
def test_who_was_enabled_or_disabled_since_the_plan_differs(planned: bool, now: bool) -> None:
    """Where users are read before their write, no assertion says that."""
    clear = replace(change(AttributeChange("employeeNumber", ("1",), ())), disabled=planned)
    differs = modifier().explain_difference(clear, User(USER.id, USER.name, {"employeeNumber": ("1",)}, disabled=now))
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
    why = modifier().judge_answer(planned, Response(50, diagnostic=diagnostic)).why
    assert why.startswith(f"insufficientAccessRights (50) to write {named}")
    assert why.endswith(f"the right to write {named} of this entry")


def test_one_attribute_that_is_denied_is_the_one() -> None:
    why = modifier().judge_answer(change(AttributeChange("mail", (), ("1",))), Response(50)).why
    assert why.endswith("the right to write mail of this entry")


def test_a_denied_secret_is_to_be_written_and_compared_and_not_shown() -> None:
    advice = dialect.RightsAdvice(dialect.OPENLDAP_RULES, "cn=cec,o=x", ["ou=people,o=x"])
    server = ChangeModifier(SERVER, Present("uid"), info_of, has_substrings, rights=advice)
    planned = change(AttributeChange("mail", (), ("1",)), secret("userPassword", "a", "b"))
    why = server.judge_answer(planned, Response(50)).why
    assert 'attrs=mail by dn.exact="cn=cec,o=x" write' in why
    assert 'attrs=userPassword by dn.exact="cn=cec,o=x" =wc' in why


# ---------------------------------------------------------------- values, and what cannot be compared


@pytest.mark.parametrize(
    ("attribute", "sent"),
    [
        (AttributeChange("description", ("a",), ()), [(EditKind.DELETE, [b"a"])]),
        (AttributeChange("description", (), ("b",)), [(EditKind.ADD, [b"b"])]),
        (
            AttributeChange("description", ("a",), ("b",), seen=False),
            [(EditKind.DELETE, [b"a"]), (EditKind.ADD, [b"b"])],
        ),
        (AttributeChange("description", (), ("b",), seen=False), [(EditKind.REPLACE, [b"b"])]),
        (AttributeChange("description", (), (), seen=False), [(EditKind.REPLACE, [])]),
        (secret("description", "a", "b"), [(EditKind.DELETE, [b"a"]), (EditKind.ADD, [b"b"])]),
        (replace(secret("description", "a", "b"), seen=False), [(EditKind.REPLACE, [b"b"])]),
        (AttributeChange("commPrivate", (), ("true",)), [(EditKind.ADD, [b"true"])]),
        (AttributeChange("commPrivate", ("true",), ()), [(EditKind.REPLACE, [])]),
        (AttributeChange("commPrivate", (), ("true",), seen=False), [(EditKind.REPLACE, [b"true"])]),
    ],
)
def test_values_are_changed_one_by_one_where_they_are_known_and_can_be_compared(
    attribute: AttributeChange, sent: list[tuple[EditKind, list[bytes]]]
) -> None:
    assert edits(attribute) == modify(
        *(encode_modification(kind, attribute.name, tuple(values)) for kind, values in sent)
    )


def test_where_nothing_is_known_of_values_that_are_ours_in_part_the_mapping_is_to_be_fixed() -> None:
    with pytest.raises(ForbiddenError, match=r'description cannot be read, .* set `owns: "\*"` for it'):
        edits(AttributeChange("description", (), ("x:1",), seen=False, pattern="x:*"))


@pytest.mark.parametrize(("values", "fits"), [(("2",), True), (("2", "3"), False)])
def test_an_attribute_of_one_value_may_change_it(values: tuple[str, ...], *, fits: bool) -> None:
    several = AttributeChange("description", (), ("1", "2"))
    assert edits(several) is not None
    try:
        assert (edits(AttributeChange("employeeNumber", ("1",), values)) is not None) is fits
    except ForbiddenError:
        assert not fits


# ---------------------------------------------------------------- what an assertion says

THIS = f"(entryUUID={USER.id})"


def asserted(text: str) -> tuple[bytes, ...]:
    return (requests.assertion_control(parse_filter(text)),)


@pytest.mark.parametrize(
    ("attribute", "believed"),
    [
        (AttributeChange("description", ("a", "b"), ("c",)), "(description=a)(description=b)"),
        (AttributeChange("description", ("a",), ("c",), seen=False), ""),
        (AttributeChange("description", (), ("c",)), "(!(description=*))"),
        (AttributeChange("description", (), ("c",), pattern="*"), "(!(description=*))"),
        (AttributeChange("description", (), ("c",), pattern="c"), "(!(description=c))"),
        (AttributeChange("description", (), ("c",), pattern="c*"), ""),
        (AttributeChange("SIPIdentitySIPURI", (), ("sip:1",), pattern="sip:*"), "(!(SIPIdentitySIPURI=sip:*))"),
        (AttributeChange("SIPIdentitySIPURI", (), ("sip:1",), pattern="*x"), "(!(SIPIdentitySIPURI=*x))"),
        (AttributeChange("SIPIdentitySIPURI", (), ("sip:1",), pattern="a*b*c"), "(!(SIPIdentitySIPURI=a*b*c))"),
        (AttributeChange("employeeNumber", (), ("1",), pattern="1*"), "(!(employeeNumber=*))"),
        (AttributeChange("commPrivate", (), ("true",), pattern="true"), ""),
        (secret("description", "a", "b"), ""),
        (AttributeChange("OBJECTCLASS", (), ("cecAgent",)), ""),
    ],
)
def test_an_assertion_says_what_the_plan_saw_as_far_as_a_filter_can(attribute: AttributeChange, believed: str) -> None:
    assert modifier().make_controls(change(attribute)) == asserted(f"(&{THIS}(uid=*){believed})")


def test_what_is_refuted_or_known_by_a_look_is_left_out_of_an_assertion() -> None:
    planned = change(AttributeChange("description", ("a",), ("b",)), AttributeChange("mail", (), ("c",)))
    known = modifier()
    mark = parse_filter("(entryCSN=1)")
    both = f"{THIS}(uid=*)(description=a)(!(mail=*))"
    assert known.make_controls(planned, mark) == asserted(f"(&{THIS}(uid=*)(entryCSN=1)(description=a)(!(mail=*)))")
    assert known.make_controls(planned, absent=["mail"]) == asserted(f"(&{THIS}(uid=*)(description=a))")
    assert known.make_controls(planned, refuted=[ID]) == asserted("(&(uid=*)(description=a)(!(mail=*)))")
    assert known.make_controls(planned, refuted=[FILTER]) == asserted(f"(&{THIS}(description=a)(!(mail=*)))")
    assert known.make_controls(planned, absent=["mail"], refuted=["description"]) == asserted(f"(&{THIS}(uid=*))")
    assert known.dialect.writes.mark is not None
    assert known.make_controls(planned, mark, refuted=[known.dialect.writes.mark]) == asserted(f"(&{both})")
    assert known.make_controls(planned, refuted=[ID, FILTER, "description", "mail"]) == ()


def test_what_an_assertion_speaks_of_is_named() -> None:
    planned = change(
        AttributeChange("description", ("a",), ("b",)),
        AttributeChange("title", ("a",), ("b",), seen=False),
        AttributeChange("OBJECTCLASS", (), ("cecAgent",)),
        secret("mail", "a", "b"),
        AttributeChange("SIPIdentityPassword", (), (Secret("b"),), secret=True),
    )
    assert list(modifier().list_asserted(planned.attributes)) == [ID, FILTER, "description", "SIPIdentityPassword"]


def test_who_is_to_be_cleared_as_disabled_is_asserted_to_be_so() -> None:
    clears = replace(change(AttributeChange("description", ("a",), ())), disabled=True)
    may = replace(modifier(), disabled=parse_filter("(title=gone)"))
    assert may.make_controls(clears) == asserted(f"(&{THIS}(&(title=gone)(!(uid=*)))(description=a))")
    assert may.make_controls(replace(clears, disabled=False)) == asserted(f"(&{THIS}(uid=*)(description=a))")
    assert may.writable_users == parse_filter("(|(uid=*)(title=gone))")
    assert modifier().make_controls(clears) == asserted(f"(&{THIS}(|)(description=a))"), "nobody is"
    assert modifier().writable_users == parse_filter("(uid=*)")


# ---------------------------------------------------------------- what an answer means


def test_a_replica_names_some_of_the_servers_that_may_be_written_to() -> None:
    others = tuple(f"ldap://{n}" for n in range(5))
    why = modifier().judge_answer(change(), Response(responses.REFERRAL, referrals=others)).why
    assert "it refers to ldap://0, ldap://1, ldap://2)" in why
    assert "it refers to another server)" in modifier().judge_answer(change(), Response(responses.REFERRAL)).why


def test_a_value_that_is_there_may_be_a_matter_of_rights() -> None:
    there = Response(responses.ATTRIBUTE_OR_VALUE_EXISTS)
    planned = change(AttributeChange("mail", (), ("1",)), AttributeChange("title", (), ("1",)))
    why = modifier().judge_answer(planned, there).why
    assert "a value to be added is already there" in why
    assert why.endswith("the right to read mail or title")


@pytest.mark.parametrize(
    ("attribute", "refuted", "conflict"),
    [
        (AttributeChange("employeeNumber", (), ("8",)), ["employeeNumber"], True),
        (AttributeChange("employeeNumber", (), ("8",)), ["mail"], False),
        (AttributeChange("employeeNumber", (), ("8",), seen=False), ["employeeNumber"], False),
        (AttributeChange("employeeNumber", (), ()), ["employeeNumber"], False),
        (AttributeChange("description", (), ("8",)), ["description"], False),
    ],
)
def test_a_place_that_is_taken_is_a_conflict_where_no_assertion_said_that_it_is_empty(
    attribute: AttributeChange, refuted: list[str], *, conflict: bool
) -> None:
    found = modifier().judge_answer(change(attribute), Response(responses.CONSTRAINT_VIOLATION), refuted)
    assert found.result is (Result.CONFLICT if conflict else Result.FAILED)


def test_a_control_that_the_server_is_unwilling_to_heed_says_so() -> None:
    why = modifier().judge_answer(change(), Response(responses.UNAVAILABLE_CRITICAL_EXTENSION)).why
    assert why.endswith(responses.UNWILLING)


def test_each_kind_of_server_has_its_way_to_write_a_right_down() -> None:
    account, base, names = "cn=cec,o=x", "ou=people,o=x", ["mail", "pin"]

    def told(rule: dialect.RuleLanguage | None, account: str = account) -> str:
        return dialect.RightsAdvice(rule, account, [base]).advise_grant(
            "write mail, pin", names, dialect.AccessRight.WRITE, ["pin"]
        )

    assert told(dialect.OPENLDAP_RULES) == (
        "Grant cn=cec,o=x the right to write mail, pin. "
        'In olcAccess, first: to dn.subtree="ou=people,o=x" attrs=mail by dn.exact="cn=cec,o=x" write by * break. '
        'In olcAccess, first: to dn.subtree="ou=people,o=x" attrs=pin by dn.exact="cn=cec,o=x" =wc by * break'
    )
    assert told(dialect.DS389_RULES) == (
        "Grant cn=cec,o=x the right to write mail, pin. "
        'At ou=people,o=x, add aci: (targetattr="mail")(version 3.0; acl "cec-connector"; '
        'allow (write) userdn="ldap:///cn=cec,o=x";). '
        'At ou=people,o=x, add aci: (targetattr="pin")(version 3.0; acl "cec-connector"; '
        'allow (write, compare) userdn="ldap:///cn=cec,o=x";)'
    )
    assert told(dialect.WINDOWS_COMMANDS, "EXAMPLE\\cec") == (
        "Grant EXAMPLE\\cec the right to write mail, pin. "
        'Run: dsacls "ou=people,o=x" /I:S /G "EXAMPLE\\cec:WP;mail;user". '
        'Run: dsacls "ou=people,o=x" /I:S /G "EXAMPLE\\cec:WP;pin;user"'
    )
    assert told(None) == "Grant cn=cec,o=x the right to write mail, pin"
    for nobody in ("", 'cn="cec",o=x'):
        assert "olcAccess" not in told(dialect.OPENLDAP_RULES, nobody), "no rule that cannot be right"
    assert told(dialect.OPENLDAP_RULES, "").startswith("Grant the job's account the right")


def test_a_right_to_search_is_one_to_the_entries_too() -> None:
    def told(rule: dialect.RuleLanguage, *names: str) -> str:
        advice = dialect.RightsAdvice(rule, "cn=cec,o=x", ["ou=people,o=x"])
        return advice.advise_grant("search", names, dialect.AccessRight.READ).removeprefix(
            "Grant cn=cec,o=x the right to search. "
        )

    assert 'attrs=entry,uid by dn.exact="cn=cec,o=x" read by * break' in told(dialect.OPENLDAP_RULES, "uid")
    assert "attrs=entry by" in told(dialect.OPENLDAP_RULES)
    assert '(targetattr="uid || mail")' in told(dialect.DS389_RULES, "uid", "mail")
    assert '(targetattr="*")' in told(dialect.DS389_RULES)
    assert told(dialect.WINDOWS_COMMANDS, "uid") == 'Run: dsacls "ou=people,o=x" /I:S /G "cn=cec,o=x:RP;uid;user"'
    assert told(dialect.WINDOWS_COMMANDS) == 'Run: dsacls "ou=people,o=x" /I:T /G "cn=cec,o=x:GR"'
