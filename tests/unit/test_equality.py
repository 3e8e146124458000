"""The only place that compares values of a directory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given, strategies as st

from connector.model import Equality, Held, Secret, dn, equality


def same(rule: Equality, one: Held, other: Held) -> bool:
    return equality.same_set(rule, [one], [other])


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        (Equality.CASE_IGNORE, "  Anna   SAMPLE ", "anna sample"),
        (Equality.CASE_IGNORE, "Stra\u00dfe  B", "STRA\u00dfE b"),
        (Equality.CASE_EXACT, "A  b", "A b"),
        (Equality.CASE_ALONE, "Bar  X", "BAR  x"),
        (Equality.CASE_ALONE, "AYZ", "ayz"),
        (Equality.CASE_EXACT, "\u00e9  x ", "\u00e9 x"),
        (Equality.CASE_IGNORE, b"Anna ", "anna"),
        (Equality.BOOLEAN, "true", "TRUE"),
        (Equality.BOOLEAN, " true", "TRUE "),
        (Equality.NUMERIC, "12 34", "1234"),
        (Equality.TELEPHONE, "+49 30-12", "+493012"),
        (Equality.DECIMAL, "1.10", "1.1"),
        (Equality.DECIMAL, "+1e2", "100"),
        (Equality.DATE_TIME, "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.000Z"),
        (Equality.UUID, "5D1D31B4-5E0A-5E0C-9D0B-9D6F1F6D2A11", "5d1d31b4-5e0a-5e0c-9d0b-9d6f1f6d2a11"),
        (Equality.DN, "UID=a,OU = People,DC=example", "uid=A, ou=people ,dc=EXAMPLE"),
        (Equality.DN, r"cn=B\c3\a4r\2c X,dc=example", r"CN=bär\, x,DC=example"),
        (Equality.DN, "cn=a+uid=b,dc=x", "UID=b+CN=a,DC=x"),
        (Equality.DN, 'cn="a, b",dc=x', r"cn=a\, b,dc=x"),
        (Equality.DN, 'cn="a+b"+uid=c,dc=x', r"cn=a\+b+uid=c,dc=x"),
        (Equality.DN, r"cn=a\ ,dc=x", r"cn=a\20,dc=x"),
        (Equality.DN, "cn=a;dc=x", "cn=a,dc=x"),
        (Equality.DN, "OID.2.5.4.3=a,dc=x", "cn=a,dc=x"),
        (Equality.DN, "cn=#04024869,dc=x", "CN= #04024869 ,dc=x"),
        (Equality.DN, r"2.5.4.3=a,dc=x", "commonName=a,dc=x"),
        (Equality.OCTETS, b"x", "x"),
    ],
)
def test_these_are_the_same(rule: Equality, one: str | bytes, other: str | bytes) -> None:
    assert same(rule, one, other)
    assert same(rule, Secret(one), other)


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        (Equality.CASE_IGNORE, "B\u00e4r", "B\u00c4R"),
        (Equality.CASE_IGNORE, "B\u00e4r", "BA\u0308R"),
        (Equality.CASE_IGNORE, "1003\u200b", "1003"),
        (Equality.CASE_IGNORE, "a\u00a0b", "a b"),
        (Equality.CASE_IGNORE, "a\tb", "a b"),
        (Equality.CASE_IGNORE, "\u0218tefan", "\u0219tefan"),
        (Equality.CASE_IGNORE, "\uff21", "a"),
        (Equality.CASE_IGNORE, "\u039f\u03a3", "\u03bf\u03c2"),
        (Equality.CASE_IGNORE, "\u13a0", "\uab70"),
        (Equality.CASE_IGNORE, "stra\u00dfe", "strasse"),
        (Equality.CASE_EXACT, "\u00e9", "e\u0301"),
        (Equality.CASE_ALONE, "B\u00e4r", "B\u00c4R"),
        (Equality.TELEPHONE, "12x5", "12X5"),
        (Equality.CASE_EXACT, "A\tb\n", "A b"),
        (Equality.CASE_IGNORE, "A\tb\n", "a b"),
        (Equality.CASE_EXACT, "sh\u00ady\u200b", "shy"),
        (Equality.CASE_ALONE, "B\u00e4r  X", "B\u00c4R  x"),
        (Equality.INTEGER, "007", "7"),
        (Equality.INTEGER, "+7", "7"),
        (Equality.INTEGER, " -07 ", "-7"),
        (Equality.INTEGER, "0" * 30 + "7", "7"),
        (Equality.INTEGER, "9" * 30, "+" + "9" * 30),
        (Equality.TIME, "20260131120000Z", "202601311200Z"),
        (Equality.TIME, "2026013112Z", "20260131120000.0Z"),
        (Equality.TIME, " 20260131120000,50Z", "20260131120000.5Z "),
        (Equality.TELEPHONE, "1\u20112", "12"),
    ],
)
def test_of_these_the_directory_has_to_say_whether_they_are_the_same(rule: Equality, one: str, other: str) -> None:
    assert not same(rule, one, other)
    assert equality.are_alike(rule, [one], [Secret(other)])


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        (Equality.CASE_EXACT, "a", "A"),
        (Equality.CASE_IGNORE, "ab", "a b"),
        (Equality.CASE_ALONE, "a  b", "a b"),
        (Equality.CASE_ALONE, " a", "a"),
        (Equality.CASE_ALONE, "@", "`"),
        (Equality.CASE_ALONE, "[", "{"),
        (Equality.CASE_EXACT, "\u00df", "ss"),
        (Equality.INTEGER, "7x", "7"),
        (Equality.INTEGER, "7", "-7"),
        (Equality.TIME, "20260131120000Z", "20260131120000.5Z"),
        (Equality.TIME, "2026013112Z", "202601311201Z"),
        (Equality.DECIMAL, "1.1", "1.2"),
        (Equality.DECIMAL, "nan", "inf"),
        (Equality.DATE_TIME, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00"),
        (Equality.DATE_TIME, "2026-02-31T12:00:00Z", "2026-03-03T12:00:00Z"),
        (Equality.DN, "uid=a,dc=x", "uid=a,dc=y"),
        (Equality.DN, r"uid=a\,dc=x", "uid=a,dc=x"),
        (Equality.DN, 'cn=",dc=x', "cn=,dc=x"),
        (Equality.DN, 'dc=x,cn="', "dc=x,cn="),
        (Equality.DN, "no DN", "NO DN"),
        (Equality.OCTETS, "x", "X"),
        (Equality.TIME, "20260131120000Z", "20260131120000+0100"),
    ],
)
def test_these_are_not(rule: Equality, one: str, other: str) -> None:
    assert not same(rule, one, other)
    assert not equality.are_alike(rule, [one], [other])


@given(st.sampled_from(Equality), st.one_of(st.text(), st.binary()), st.data())
def test_what_is_equal_is_alike(rule: Equality, one: str | bytes, data: st.DataObject) -> None:
    other = one
    if isinstance(one, str):
        other = data.draw(st.sampled_from([one, one.upper(), one.lower(), f" {one} ", one.replace(" ", "  ")]))
    if same(rule, one, other):
        assert equality.are_alike(rule, [one], [other])


@given(st.sampled_from(Equality), st.one_of(st.text(), st.binary()))
def test_every_value_has_a_key_under_every_rule_and_equals_itself(rule: Equality, value: str | bytes) -> None:
    assert same(rule, value, value)
    assert len(equality.digest_value(rule, value)) == 32


@given(st.text(), st.text())
def test_a_stricter_rule_never_says_same_where_a_laxer_one_says_other(one: str, other: str) -> None:
    if same(Equality.CASE_EXACT, one, other):
        assert same(Equality.CASE_IGNORE, one, other)


@given(st.sampled_from(Equality), st.one_of(st.text(), st.binary(), st.from_regex(r"[0-9+ Zz.-]{1,20}")))
def test_a_key_that_is_a_value_is_its_own_key(rule: Equality, value: str | bytes) -> None:
    """So that who finds a value among keys need not prepare it."""
    for key in (equality.equality_key, equality.likeness_key):
        once = key(rule, value)
        if isinstance(once, str | bytes):
            assert key(rule, once) == once
    alike = equality.likeness_key(rule, value)
    if isinstance(alike, str | bytes):
        assert equality.equality_key(rule, alike) == alike, (
            "what is its own likeness is equal to nothing spelt otherwise"
        )


def test_an_entry_is_below_its_base_and_no_other() -> None:
    assert dn.is_below("uid=a,ou=People,dc=example", dn.split_rdns("OU=people, dc=EXAMPLE"))
    assert dn.is_below("ou=people,dc=example", dn.split_rdns("ou=people,dc=example"))
    assert not dn.is_below("uid=a,ou=other,dc=example", dn.split_rdns("ou=people,dc=example"))
    assert not dn.is_below(r"uid=a\,ou=people,dc=example", dn.split_rdns("ou=people,dc=example"))
    assert dn.is_below("uid=a", dn.split_rdns(""))


RDNS = ["uid=a", "CN = b ", "x", "ou=P\\,q", 'o="r,s"', "c=d+cn=e", "dc=#04", " ", "="]


@given(st.lists(st.sampled_from(RDNS), max_size=4), st.sampled_from([",", ";", " , ", "+"]))
def test_a_name_is_the_same_whether_it_is_read_as_an_entry_s_or_as_what_stands_above_one(
    parts: list[str], separator: str
) -> None:
    """What stands above entries is read as a whole, and remembered; an entry's own part is read apart from it."""
    name = separator.join(parts)
    assume(name.strip())
    for _ in range(2):
        assert (
            _outcome(lambda: dn.split_rdns(name))
            == _outcome(lambda: dn.split_rdns(f"cn=q,{name}")[1:])
            == _outcome(lambda: dn.split_rdns(f"cn=\\71,{name}")[1:])
        )


def _outcome(read: Callable[[], object]) -> object:
    try:
        return read()
    except ValueError:
        return "no DN"


def test_the_attributes_that_name_an_entry() -> None:
    assert dn.naming_types("UID=a+cn=b,dc=x") == {"uid", "cn"}
    assert dn.naming_types("commonName = a,dc=x") == {"cn"}
    assert dn.naming_types(r"cn=a\, b,dc=x") == {"cn"}
    for name in ("no DN at all", "uid,dc=x", "=a,dc=x", "u id=a,dc=x", "", " "):
        assert dn.naming_types(name) == frozenset()


@pytest.mark.parametrize(
    ("spelt", "tidy"),
    [
        ("CN = anna , OU= people,DC=example", "CN=anna,OU=people,DC=example"),
        ("cn=anna\\ ,ou=x", "cn=anna\\ ,ou=x"),
        ("cn=anna\\  ,ou=x", "cn=anna\\ ,ou=x"),
        ('cn="a, b" ; ou=x', 'cn="a, b",ou=x'),
        ("cn=a\\, b + uid = 7,ou=x", "cn=a\\, b+uid=7,ou=x"),
        ("cn=a=b,ou=x", "cn=a=b,ou=x"),
        ("cn=a\\\\ ,ou=x", "cn=a\\\\,ou=x"),
        ("cn=a\\\\\\ ,ou=x", "cn=a\\\\\\ ,ou=x"),
    ],
)
def test_a_tidied_name_is_the_same_name_without_spaces_around_its_signs(spelt: str, tidy: str) -> None:
    assert dn.tidy_dn(spelt) == tidy
    assert dn.split_rdns(dn.tidy_dn(spelt)) == dn.split_rdns(spelt)


@pytest.mark.parametrize(
    ("spelt", "value"),
    [
        ("a  ", "a"),
        ("a\\ ", "a "),
        ("a\\  ", "a "),
        ("a\\\\  ", "a\\"),
        ("a\\", "a\\"),
        ("a\\2C\\c3\\A9 \\+", "a,\u00e9 +"),
        ("a\\ff\u00e9", "a\udcff\u00e9"),
        ('"a, b" ', "a, b"),
        ('"a', '"a'),
        ('"', '"'),
    ],
)
def test_a_value_is_what_is_meant_by_its_escapes_and_quotes(spelt: str, value: str) -> None:
    assert dn.unescape_value(spelt) == value


def test_a_text_that_is_no_name_is_below_nothing() -> None:
    base = dn.split_rdns("dc=example")
    assert dn.is_below("uid=a,dc=example", base, one_level=False)
    assert not dn.is_below("no name", base, one_level=False)


def test_a_digest_is_the_same_for_equal_names_and_numbers_and_for_no_others() -> None:
    """In whatever order an RDN has its parts; the order of RDNs counts."""
    same = [
        (Equality.DN, "cn=a+sn=b,dc=x", "SN=b + cn=A, dc=x", "cn=a+sn=c,dc=x"),
        (Equality.DN, "cn=a,cn=b", "CN=a,CN=b", "cn=b,cn=a"),
        (Equality.DECIMAL, "1.50", "1.5", "1.6"),
    ]
    for rule, one, other, third in same:
        assert (
            equality.digest_value(rule, one) == equality.digest_value(rule, other) != equality.digest_value(rule, third)
        )
