"""Filters are read as RFC 4515 writes them, and evaluated as RFC 4511 says."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import find_filtered
from connector.directories.common.filter_matching import Values, make_matcher
from connector.directories.common.ldap_filters import (
    MAX_DEPTH,
    And,
    Approx,
    Equal,
    Extensible,
    Filter,
    GreaterOrEqual,
    LessOrEqual,
    Not,
    Or,
    Present,
    Substrings,
    attributes_of,
    parse_filter,
)
from connector.model import View


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(cn=Babs Jensen)", Equal("cn", b"Babs Jensen")),
        ("(!(cn=x))", Not(Equal("cn", b"x"))),
        ("(&(a=1)(|(b=2)(c;lang-de=3)))", And((Equal("a", b"1"), Or((Equal("b", b"2"), Equal("c;lang-de", b"3")))))),
        ("(o=univ*of*mich*)", Substrings("o", b"univ", (b"of", b"mich"), None)),
        ("(o=*x)", Substrings("o", None, (), b"x")),
        ("(seeAlso=)", Equal("seeAlso", b"")),
        ("(cn=*)", Present("cn")),
        ("(cn=**)", Present("cn")),
        ("(cn:caseExactMatch:=Fred)", Extensible("caseExactMatch", "cn", b"Fred", dn=False)),
        ("(cn:=Betty)", Extensible(None, "cn", b"Betty", dn=False)),
        ("(sn:dn:2.4.6.8.10:=x)", Extensible("2.4.6.8.10", "sn", b"x", dn=True)),
        ("(o:dn:=x)", Extensible(None, "o", b"x", dn=True)),
        ("(:1.2.3:=x)", Extensible("1.2.3", None, b"x", dn=False)),
        ("(:DN:2.4.6.8.10:=x)", Extensible("2.4.6.8.10", None, b"x", dn=True)),
        (r"(o=Parens R Us \28for all\29)", Equal("o", b"Parens R Us (for all)")),
        (r"(cn=*\2A*)", Substrings("cn", None, (b"*",), None)),
        (r"(f=C:\5cMy)", Equal("f", b"C:\\My")),
        (r"(bin=\00\00\00\04)", Equal("bin", b"\0\0\0\4")),
        (r"(sn=Lu\c4\8di\c4\87)", Equal("sn", "Lu\u010di\u0107".encode())),
        ("(sn=Lu\u010di\u0107)", Equal("sn", "Lu\u010di\u0107".encode())),
        ("(1.3.6.1=\\04)", Equal("1.3.6.1", b"\4")),
        ("(a>=1)", GreaterOrEqual("a", b"1")),
        ("(a<=1)", LessOrEqual("a", b"1")),
        ("(a~=1)", Approx("a", b"1")),
        ("(a= b )", Equal("a", b" b ")),
        ("(&)", And(())),
        ("(|)", Or(())),
        (" (& (a=1)\n  (! (b=2) )\n) ", And((Equal("a", b"1"), Not(Equal("b", b"2"))))),
    ],
)
def test_a_filter_is_read_as_the_rfc_writes_it(text: str, expected: Filter) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("", 1),
        ("cn=x", 1),
        ("(cn=x", 1),
        ("(cn=x))", 7),
        ("(cn=x)(cn=y)", 7),
        ("(cn)", 1),
        ("(=x)", 1),
        ("()", 1),
        ("(cn=a(b)", 1),
        (r"(cn=\zz)", 1),
        (r"(cn=a\2)", 1),
        ("(cn=a\0)", 1),
        ("(a>=x*)", 1),
        ("(!(a=1)(b=2))", 1),
        ("(:=x)", 1),
        ("(&(a=1)", 8),
        ("(a=\ud800)", 1),
        ("(&" * 80, 129),
    ],
)
def test_what_is_no_filter_is_refused_with_the_place(text: str, character: int) -> None:
    with pytest.raises(ValueError, match=f"at character {character} "):
        parse_filter(text)


def test_depth_is_bounded_and_the_bound_is_usable() -> None:
    nested = "(!" * (MAX_DEPTH - 1) + "(a=1)" + ")" * (MAX_DEPTH - 1)
    assert attributes_of(parse_filter(nested)) == {"a"}
    with pytest.raises(ValueError, match="deep"):
        parse_filter(f"(!{nested})")


def escaped(value: bytes) -> str:
    return "".join(f"\\{octet:02x}" for octet in value)


def text_of(wanted: Filter) -> str:  # noqa: PLR0911  # one a kind
    match wanted:
        case And(parts):
            return f"(&{''.join(map(text_of, parts))})"
        case Or(parts):
            return f"(|{''.join(map(text_of, parts))})"
        case Not(part):
            return f"(!{text_of(part)})"
        case Present(attribute):
            return f"({attribute}=*)"
        case Substrings(attribute, initial, middle, final):
            inner = "".join(f"{escaped(piece)}*" for piece in middle)
            return f"({attribute}={escaped(initial or b'')}*{inner}{escaped(final or b'')})"
        case Extensible(rule, attribute, value, dn):
            return f"({attribute or ''}{':dn' if dn else ''}{f':{rule}' if rule else ''}:={escaped(value)})"
        case _:
            signs = {Equal: "=", GreaterOrEqual: ">=", LessOrEqual: "<=", Approx: "~="}
            return f"({wanted.attribute}{signs[type(wanted)]}{escaped(wanted.value)})"


NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}(;[a-z-]{1,5})?", fullmatch=True)
SOME = st.binary(min_size=1, max_size=8)
ITEMS: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Present, NAMES),
    *(st.builds(kind, NAMES, st.binary(max_size=8)) for kind in (Equal, GreaterOrEqual, LessOrEqual, Approx)),
    st.builds(Substrings, NAMES, SOME, st.lists(SOME, max_size=3).map(tuple), st.none() | SOME),
    st.builds(Extensible, st.just("caseExactMatch"), st.none() | NAMES, st.binary(max_size=8), st.booleans()),
)
FILTERS = st.recursive(
    ITEMS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=12,
)


@given(FILTERS)
def test_every_filter_survives_being_written_and_read(wanted: Filter) -> None:
    assert parse_filter(text_of(wanted)) == wanted


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_a_value_error(text: str) -> None:
    try:
        parse_filter(text)
    except ValueError as fault:
        assert "at character" in str(fault)  # noqa: PT017  # both ways are fine, and this one has something to say


ANNA: Values = {
    "objectclass": [b"inetOrgPerson"],
    "cn": [b"Anna  Sample"],
    "cn;lang-de": [b"Anna Beispiel"],
    "mail": [b"anna@example.org"],
    "description": [b"first", b"second one"],
    "cecworkno": [b"1001"],
    "useraccountcontrol": [b"514"],
    "manager": [b"cn=Boss,dc=example,dc=org"],
    "modifytimestamp": [b"20260131120000Z"],
    "telephonenumber": [b"+49 30-1234"],
    "userpassword": [b"\xff\x01secret"],
    "departed": [b"TRUE"],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(cn=anna sample)", True),
        ("(commonName=ANNA SAMPLE)", True),
        ("(2.5.4.3=anna sample)", True),
        ("(cn=anna beispiel)", True),
        ("(cn;lang-de=anna sample)", False),
        ("(name=anna sample)", True),
        ("(cn=bert)", False),
        ("(sn=x)", False),
        ("(cn=*)", True),
        ("(sn=*)", False),
        ("(objectClass=person)", True),
        ("(objectClass=2.5.6.6)", True),
        ("(objectClass=organization)", False),
        ("(description=sec*)", True),
        ("(description=*ONE)", True),
        ("(description=sec*d*one)", True),
        ("(description=s*d one*e)", False),
        ("(description=*sec* ond*)", False),
        ("(description=*sec *)", False),
        ("(description=firs*rst)", False),
        ("(cn=anna *le)", True),
        ("(cn=*a s*)", True),
        ("(cn=* *)", True),
        ("(mail=* *)", False),
        ("(telephoneNumber=*3012*)", True),
        (r"(userPassword=\ff*)", None),
        (r"(!(userPassword=*SECRET))", None),
        ("(cn>=a)", None),
        ("(!(mail>=a))", None),
        ("(objectClass=inet*)", None),
        ("(homeDirectory=/*)", None),
        ("(departed=*1)", False),
        ("(departed>=9)", True),
        ("(cecWorkNo=01001)", True),
        ("(cecWorkNo>=999)", True),
        ("(cecWorkNo<=999)", False),
        ("(cecWorkNo=x)", None),
        ("(cecWorkNo=*1*)", None),
        ("(modifyTimestamp>=20260101000000Z)", True),
        ("(modifyTimestamp<=20260101000000Z)", False),
        ("(manager=CN=boss, DC=example, DC=org)", True),
        ("(manager=*boss*)", None),
        ("(manager=no name)", None),
        ("(mail~=ANNA@example.org)", True),
        ("(userAccountControl:1.2.840.113556.1.4.803:=2)", True),
        ("(userAccountControl:1.2.840.113556.1.4.803:=3)", False),
        ("(userAccountControl:1.2.840.113556.1.4.804:=3)", True),
        ("(!(userAccountControl:1.2.840.113556.1.4.803:=2))", False),
        ("(cn:caseExactMatch:=Anna Sample)", True),
        ("(cn:caseExactMatch:=anna sample)", False),
        ("(:caseExactMatch:=first)", True),
        ("(cn:=anna sample)", True),
        ("(departed=TRUE)", True),
        ("(departed=true)", False),
        ("(!(departed=TRUE))", False),
        ("(departd=TRUE)", None),
        ("(!(departd=TRUE))", None),
        ("(departd=*)", None),
        ("(|(departd=TRUE)(cn=*))", True),
        ("(&(departd=TRUE)(cn=*))", None),
        ("(&(departd=TRUE)(cn=bert))", False),
        ("(|(departd=TRUE)(cn=bert))", None),
        ("(jpegPhoto=x)", None),
        ("(&)", True),
        ("(|)", False),
    ],
)
def test_an_entry_matches_in_three_ways(text: str, expected: bool | None) -> None:
    assert make_matcher(parse_filter(text), known_schema(), {"departed"})(ANNA) is expected


@pytest.mark.parametrize("text", ["(ou:dn:=people)", "(cn:1.2.3.4:=x)"])
def test_what_cannot_be_evaluated_is_said_before_anything_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="not evaluated here"):
        make_matcher(parse_filter(text), known_schema())


@given(st.text("aBc7.-", min_size=1, max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_a_value_matches_itself_and_its_own_pieces(value: str, one: int, other: int) -> None:
    stored = value.encode()
    first, last = sorted((min(one, len(stored)), min(other, len(stored))))
    entry: Values = {"uid": [stored]}
    pieces = Substrings("uid", stored[:first] or None, tuple(filter(None, [stored[first:last]])), stored[last:] or None)
    for wanted in (Equal("uid", stored), pieces):
        assert make_matcher(wanted, known_schema())(entry) is True


@pytest.mark.parametrize(
    ("text", "looked_at"),
    [
        ("(objectClass=inetOrgPerson)", {}),
        ("(&(objectClass=*)(uid=anna))", {}),
        ("(employeeNumber=*)", {"employeeNumber": False}),
        ("(|(objectClass=inetOrgPerson)(2.16.840.1.113730.3.1.3=*))", {"employeeNumber": False}),
        ("(!(employeeNumber=*))", {"employeeNumber": True}),
        ("(!(|(uid=anna)(!(employeeNumber=*))))", {"employeeNumber": False}),
        ("(&(employeeNumber=*)(!(employeeNumber=1*)))", {"employeeNumber": False}),
        ("(employeeNumber=1)", {}),
        ("(!(employeeNumber>=1))", {}),
        ("(employeeNumber:caseExactMatch:=1)", {}),
        ("(:caseExactMatch:=1)", {}),
        ("(telephoneNumber=*)", {"telephoneNumber;x-cec": False}),
        ("(!(name=*))", {"sn": True}),
        ("(telephoneNumber;x-other=*)", {}),
        ("(objectClass=cecAgent)", {}),
        ("(!(objectClass=CECAGENT))", {"cecAgent": True}),
        ("(!(2.5.4.0=1.3.6.1.4.1.4203.666.1))", {}),
        ("(!(objectClass=cec*))", {"cecAgent": True, "SIPIdentity": True}),
        ("(!(objectClass=SIPIdentity))", {"SIPIdentity": True}),
    ],
)
def test_a_filter_knows_which_writes_may_take_an_entry_out_of_it(text: str, looked_at: dict[str, bool]) -> None:
    """False: only a clear may. An attribute is looked at by its other names, by its supertypes and without options."""
    view = View(("employeeNumber", "telephoneNumber;x-cec", "sn"), object_classes=("cecAgent", "SIPIdentity"))
    assert find_filtered(parse_filter(text), known_schema(), view) == looked_at
