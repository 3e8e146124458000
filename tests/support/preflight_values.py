"""Values for the table of checks: good, bad and borderline ones of every syntax, each of which meets them all."""

from __future__ import annotations

from typing import Final

TEXT: Final = [
    "a", "A b", " ", "  ", " a", "a ", "a  b", "\u00a0", "\u00ad", "\u200b", "\t", "\n", "a\tb", "a\nb", "\r\n", "\x7f",
    "\x1b", "\u00e9", "e\u0301", "\u00df", "\u0130", "\u540d\u524d", "\U0001f600", "\ufffe", "\U0010ffff", "\ufb01",
    "\u0378", "\ue000", "\x00", "a\x00b", "x" * 100, "x" * 2000, "\u00e9" * 40, "sip:agent@example.org:5060",
    "user@example.org", "http://example.org/", "C:\\x", *(f"a{mark}b" for mark in "!\"#$%&'*<>?@[]\\^_`{|}~;:=+-./,"),
]  # fmt: skip
NUMBERS: Final = [
    "0", "-0", "00", "007", "7", "-7", "+7", "--7", "-", "+", "1.0", "1e3", "1,000", "0x10", " 7", "7 ", "1 2", "12-34",
    "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967296", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" * 100, "\u0663", "\uff12",
]  # fmt: skip
TRUTHS: Final = ["TRUE", "FALSE", "true", "True", "yes", "no", "1", "TRUE ", "T", "YES!"]
TIMES: Final = [
    f"{start}{end}"
    for start in (
        "20260131120000", "202601311200", "2026013112", "20260131", "20260131120000.0", "20260131120000,5",
        "20260131120000.", "2026013112.5", "202601311200.25", "20260131120060", "20260131126000", "20260131240000",
        "20260132120000", "20260230120000", "20250229120000", "20240229120000", "21000229120000", "20000229120000",
        "20261331120000", "20260031120000", "20260100120000", "00000101000000", "00010101000000", "99991231235959",
        "260131120000", "16000101000000", "19691231235959", " 20260131120000",
    )
    for end in ("Z", "z", "", "+0100", "-05", "+2400", "+0060", "-0000", " Z")
]  # fmt: skip
NAMES: Final = [
    "cn=a", "cn=a,dc=example,dc=org", "cn=a, dc=example", "cn=a;dc=example", "cn=", "cn= ", "=a", "cn", "cn=a,",
    "cn=a+",
    "cn=a+sn=b", "cn=a\\,b", "cn=a\\2cb", "cn=a\\zz", "cn=a\\", "cn=a\\2", "cn=a\\ff", "cn=a\\c3\\a9", 'cn="a,b"',
    'cn="a', "cn=#0401", "cn=#zz", "cn=#", "nosuch=a", "2.5.4.3=a", "OID.2.5.4.3=a", "1.2.3.4.5.6=a", "cn=a<b",
    "cn=a>b",
    "cn=a#b", "cn=#a", "cn= a", "cn=\\ a", "cn=a=b", "cn=\u00e9", "CN=A", "cn=a,,dc=b", "uidNumber=x", "uidNumber=7",
    "dc=\\ ", "dc=\\00a", "dc=a\\ ", "cn=\\ ",
    "uidNumber=07", "c=DE", "c=DEU", "mail=\u00e9", "dc=\u00e9", "cn;lang-de=a", "cn =a", "cn= a , dc=b", "cn=a\x00b",
    "cn=a\nb", "1.2=a", "createTimestamp=20260101000000Z", "createTimestamp=x", "postalAddress=a$b", "cn=a\\ ",
    "cn=a\\  ", "member=cn=a", "member=cn\\=a", "member=x", 'sn="a"b', 'cn=a"b', 'cn=a\\"b', "cn=a\\;b", "cn=a\\20",
    "cn=\\", "telephoneNumber=\u00e9", "telephoneNumber=+49", "telephoneNumber=\\+49", "cn=a#'0101'B",
    "cn=a,dc=example#'01'B", "cn=a#'012'B", "#'01'B", "cn=a,dc=example#'01'", "cn=a,dc=b,", " cn=a", "cn=a ;dc=b",
    "uid=agent,ou=people,dc=example,dc=org", "cn=" + "x" * 300, ",".join(["ou=x"] * 40),
]  # fmt: skip
OTHERS: Final = [
    "'0101'B", "''B", "'012'B", "'01'b", "0101B", "00000000-0000-0000-0000-000000000000",
    "01234567-89ab-cdef-0123-456789ABCDEF", "0123456789abcdef0123456789abcdef",
    "{01234567-89ab-cdef-0123-456789abcdef}", "01234567-89ab-cdef-0123-456789abcde", "DE", "de", "D", "DEU", "D1",
    "\u00c4",
    "person", "2.5.6.6", "1", "1.", "1.2", "01.2", "1..2", "2.999.1", "3.1.1", "any", "ANY", "any $ physical",
    "any$physical", "any $", "$", "foo", "+49 1$b4Length", "+49 1$fineResolution$b4Width", "+49 1$nosuch", "+49 1$",
    "$b4Length", "+49 1$ b4Length", "a$b$c", "$a", "a$", "a$$b", "a\\24b", "a\\5cb", "a\\b", "a\\5Cb", "type$value",
    "(a,b,c)", "(,,)", "(a,b)", "(a,b,c", "( a, b, c)", "(a,b,c)d", "(-,-,-)", "key=host:/path", "key=host:path", "key",
    "key=host", "+49 89 1234-0", "+49 (89) 1234", "tel:+49", "ext. 5", "#31#", "*100", "\u202a+49", "+49;ext=5",
]  # fmt: skip

GROUPS: Final = {"text": TEXT, "number": NUMBERS, "truth": TRUTHS, "time": TIMES, "name": NAMES, "other": OTHERS}
ALL: Final = list(dict.fromkeys(value for group in GROUPS.values() for value in group))

NEAR: Final = [
    ("Anna Example", "anna example"), ("a b", "a  b"), ("a  b", "A b"), (" edge", "edge"), ("edge", "edge "),
    ("M\u00fcller", "Mu\u0308ller"), ("Mu\u0308ller", "m\u00fcller"), ("\ufb01t", "fit"), ("a\u00a0b", "a b"),
    ("7", "007"), ("7", "+7"), ("0", "-0"), ("TRUE", "true"), ("FALSE", "0"),
    ("20260131120000Z", "20260131130000+0100"),
    ("20260131120000Z", "20260131120000.0Z"), ("202601311200Z", "20260131120000Z"), ("260131120000Z", "2601311200Z"),
    ("cn=a,dc=b", "CN=A, DC=B"), ("cn=a\\,b", "cn=a\\2cb"), ("+49 30 1234", "+49301234"), ("ZZ", "zz"),
]  # fmt: skip
"""Values, and others that one server or another takes for the same: in case, spaces, composition, digits, zone."""
