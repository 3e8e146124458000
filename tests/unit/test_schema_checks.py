"""What a schema would refuse of a change, case by case: RFC 4512 §2.4, §4.1.6, as slapd was measured to hold to it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.schema import Schema
from connector.model import (
    AttributeChange,
    AttributeInfo,
    Description,
    DirectorySchema,
    Syntax,
    Unit,
    User,
    ValueBounds,
)
from connector.planning.conversion import UnfitError, check_defined, check_names, fit_text
from connector.planning.schema_checks import ClassSurvey, SchemaChecks

TEXT = "EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"
NAMES = ("cn", "sn", "badge", "level", "car", "old", "own", "secret", "stamp")
TYPES = [
    f"( 2.5.4.{number} NAME ( '{name}' '{name}Name' ) {'OBSOLETE ' if name == 'old' else ''}{TEXT} )"
    for number, name in enumerate(NAMES[:-1])
]
TYPES.append(f"( 9.9 NAME 'stamp' {TEXT} USAGE directoryOperation )")
CLASSES = [
    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
    "( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( snName $ cn ) MAY ( car $ old ) )",
    "( 2.5.6.7 NAME 'driver' SUP person STRUCTURAL MAY ( own $ level ) )",
    "( 2.5.6.8 NAME 'chauffeur' SUP driver STRUCTURAL )",
    "( 2.5.6.9 NAME 'badged' SUP top AUXILIARY MAY ( badge $ level ) )",
    "( 2.5.6.10 NAME 'levelled' SUP top AUXILIARY MUST level MAY secret )",
    "( 2.5.6.11 NAME 'former' SUP top OBSOLETE AUXILIARY MAY badge )",
    "( 2.5.6.12 NAME 'idea' SUP top ABSTRACT MAY badge )",
    "( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' SUP top AUXILIARY )",
]
RULES = ["( 2.5.6.7 NAME 'drivers' AUX ( 2.5.6.9 ) MUST car MAY secret NOT own )"]
ALL = Schema(TYPES, CLASSES, RULES)
DESCRIPTION = Description(
    "test",
    "test",
    {name: ALL.info(name) for name in NAMES},
    schema=DirectorySchema(types=ALL.types, classes=ALL.classes, closed=True),
)


def user(*classes: str, **values: str) -> User:
    held = {name: (value,) for name, value in values.items()}
    return User("1", "cn=x", {"objectClass": classes, **held} if classes else held)


def refused(of: User, *changes: AttributeChange, add: tuple[str, ...] = ()) -> dict[str, str]:
    return dict(SchemaChecks(add, DESCRIPTION).find_refused(of, changes))


def put(name: str, old: tuple[str, ...] = ()) -> AttributeChange:
    return AttributeChange(name, old, ("new",))


def clear(name: str, *old: str) -> AttributeChange:
    return AttributeChange(name, old, ())


@pytest.mark.parametrize(
    ("of", "name", "add", "why"),
    [
        (user("person"), "car", (), ""),
        (user("PERSON"), "car", (), ""),
        (user("2.5.6.6"), "car", (), ""),
        (user("person"), "cn", (), ""),
        (user("driver"), "car", (), ""),
        (user("person"), "badge", (), "no object class of the entry allows badge. Add badged"),
        (user("person", "badged"), "badge", (), ""),
        (user("person"), "badge", ("badged",), ""),
        (user("person", "extensibleObject"), "badge", (), ""),
        (user("person"), "badge", ("extensibleObject",), ""),
        (user("person"), "stamp", (), ""),
        (user("person"), "badge", ("nowhere",), "no object class of the entry allows badge"),
        (user("person"), "badge", ("former",), "the object class former is obsolete"),
        (user("person"), "badge", ("idea",), "idea is abstract. Only auxiliary classes can be added"),
        (user("person"), "own", ("driver",), "driver is structural. Only auxiliary classes can be added"),
        (user("person"), "secret", ("levelled",), "levelled requires level, which the entry lacks"),
        (user("person", level="3"), "secret", ("levelled",), ""),
        (user("person", levelName="3"), "secret", ("levelled",), ""),
        (user("person"), "old", (), "old is obsolete in the directory's schema"),
        # a content rule holds for entries of its very class, not for those of the classes below it
        (user("person", "driver"), "own", (), "the content rule of driver precludes own"),
        (user("person", "driver", "chauffeur"), "own", (), ""),
        (user("driver", "badged", "levelled"), "own", (), "the content rule of driver precludes own"),
        (user("driver", "top", "badged", "extensibleObject"), "own", (), "the content rule of driver precludes own"),
        (user("person", "driver"), "secret", (), ""),
        (user("chauffeur"), "secret", (), "no object class of the entry allows secret"),
        (user("driver"), "badge", ("badged",), ""),
        (user("driver", level="1"), "badge", ("extensibleObject",), "the content rule of driver forbids"),
        (user("chauffeur"), "badge", ("extensibleObject",), ""),
        # an entry that breaks the schema as it is now takes nothing at all
        (user("person", "former"), "car", (), "the entry has the object class former, which is obsolete"),
        (
            user("person", "gone"),
            "car",
            (),
            "the entry has the object class gone, which the",
        ),
    ],
)
def test_what_may_be_set(of: User, name: str, add: tuple[str, ...], why: str) -> None:
    found = refused(of, put(name), add=add)
    assert list(found) == ([name] if why else [])
    assert why in found.get(name, "")


def test_a_class_that_a_schema_may_not_tell_of_forbids_nothing() -> None:
    """Only a schema that tells all of its classes lacks one of them."""
    for closed in (True, False):
        schema_checks = SchemaChecks((), replace(DESCRIPTION, schema=replace(DESCRIPTION.schema, closed=closed)))
        assert bool(schema_checks.find_refused(user("person", "gone"), [put("car")])) is closed


@pytest.mark.parametrize(
    ("of", "change", "why"),
    [
        (user("person", sn="x"), clear("sn", "x"), "the entry must have sn"),
        (user("person", car="x"), clear("car", "x"), ""),
        (user("driver", car="x"), clear("car", "x"), "the entry must have car"),
        (user("chauffeur", car="x"), clear("car", "x"), ""),
        (user("person"), AttributeChange("sn", (), (), secret=True, seen=False), "the entry must have sn"),
        (User("1", "cn=x", {"objectClass": ("person",), "sn": ("a", "b")}), clear("sn", "a"), ""),
        (User("1", "cn=x", {"objectClass": ("person",), "sn": ("a", "b")}), clear("sn", "a", "b"), "must have"),
    ],
)
def test_what_may_be_emptied(of: User, change: AttributeChange, why: str) -> None:
    found = refused(of, change)
    assert bool(found) == bool(why)
    assert why in found.get(change.name, "")


def test_what_falls_away_takes_along_what_needs_it() -> None:
    """`level` falls away, since it is not allowed by itself; so `levelled` cannot be added for `secret` either."""
    gets = (put("secret"), put("level"))
    assert refused(user("person"), *gets, add=("levelled",)) == {}
    assert set(refused(user("person", "driver"), *gets, put("own"), add=("levelled",))) == {"own"}
    keeps = (clear("level", "1"), put("secret"))
    assert set(refused(user("person", "badged", level="1"), *keeps, add=("levelled",))) == {"level"}


def test_a_plan_that_loses_what_an_added_class_requires_loses_what_needs_the_class() -> None:
    schema_checks = SchemaChecks(("levelled",), DESCRIPTION)
    changes = (put("car"), put("level"), put("secret"))
    person = user("person")
    assert schema_checks.find_refused(person, changes) == {}
    assert schema_checks.relied_on(person, changes) == {"level"}
    assert schema_checks.relied_on(user("person", level="1"), changes[1:]) == frozenset()
    assert schema_checks.relied_on(user("person", "levelled"), changes) == frozenset()
    assert schema_checks.needing_classes(frozenset({"person"}), changes) == {"level", "secret"}


def test_who_does_not_show_its_classes_is_not_judged_by_them_and_that_is_known() -> None:
    schema_checks = SchemaChecks((), DESCRIPTION)
    assert schema_checks.find_refused(user("person"), [put("badge")])
    assert not schema_checks.blind
    assert schema_checks.find_refused(user(), [put("badge")]) == {}
    assert schema_checks.blind


def test_of_who_does_not_show_its_classes_no_change_relies_on_another() -> None:
    relying = SchemaChecks(("levelled",), DESCRIPTION)
    changes = (put("secret"), put("level"))
    assert relying.relied_on(user("person"), changes) == {"level"}
    assert relying.relied_on(user(), changes) == frozenset()


def test_users_alike_are_judged_alike_and_others_are_not() -> None:
    schema_checks = SchemaChecks((), DESCRIPTION)
    empties, leaves = clear("sn", "x"), User("2", "cn=y", {"objectClass": ("person",), "sn": ("x", "y")})
    for _ in range(2):
        assert set(schema_checks.find_refused(user("person", sn="x"), [empties])) == {"sn"}
        assert schema_checks.find_refused(leaves, [empties]) == {}
        assert schema_checks.find_refused(user("person", sn="x"), [put("sn", ("x",))]) == {}
        assert set(schema_checks.find_refused(user("person"), [put("badge")])) == {"badge"}
        assert schema_checks.find_refused(user("person", "badged"), [put("badge")]) == {}


def test_of_all_users_it_is_counted_who_could_not_take_an_attribute_and_why() -> None:
    survey = ClassSurvey(("car", "badge", "own"), SchemaChecks((), DESCRIPTION))
    assert (survey.user_count, survey.count_barred()) == (0, {"car": {}, "badge": {}, "own": {}})
    survey.count_users((*[user("person")] * 3, user("Person", "badged"), *[user("driver", "badged")] * 2, user()))
    assert survey.user_count == 7, "also who does not show its classes"
    no_class = "no object class of the entry allows {}. Add {} under `object_classes` of the mapping"
    assert survey.count_barred() == {
        "car": {},
        "badge": {no_class.format("badge", "badged"): 3},
        "own": {no_class.format("own", "one"): 4, "the content rule of driver precludes own": 2},
    }


def test_without_a_schema_nothing_is_refused() -> None:
    bare = Description("test", "test", {"badge": AttributeInfo("badge")})
    schema_checks = SchemaChecks(("badged",), bare)
    assert schema_checks.find_refused(user("person"), [put("badge")]) == {}
    assert not schema_checks.blind


@pytest.mark.parametrize(
    ("syntax", "good", "bad"),
    [
        (Syntax.TIME, ["20240229120000Z", "2026013112+01", "202601311200.5-0930"],
         ["20230229120000Z", "20261301120000Z", "20260100120000Z", "20260131240000Z", "99991231235959-05",
          "2026013112Z ", "20260131"]),
        (Syntax.BOOLEAN, ["TRUE", "FALSE"], ["", "maybe", "2"]),
        (Syntax.COUNTRY, ["DE", "de"], ["D", "DEU", "\u00c4x"]),
        (Syntax.BITS, ["''B", "'01'B"], ["01", "'012'B"]),
        (Syntax.OID, ["1.2.840"], ["7", "01.2", "1..2", "cn"]),
        (Syntax.DECIMAL, ["1", "-1.5", "0.1"], ["", "nan", "inf", "1,5", "0x1", "0.1234567890123456789", "\u0663"]),
        (Syntax.DATE_TIME, ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"],
         ["2026-01-31", "2026-02-31T12:00:00Z", "20260131120000Z", "2026-01-31 12:00:00Z"]),
        (Syntax.UUID, ["01234567-89AB-cdef-0123-456789abcdef"], ["0123456789abcdef0123456789abcdef", "x"]),
        (Syntax.FACSIMILE, ["+49 1", "+49 1$b4Length"], ["$b4Length", "+49_1", "+49 1$", "1$x"]),
        (Syntax.TELEX, ["1$2$3"], ["1", "1$2"]),
        (Syntax.POSTAL, ["a$b", "a\\24b", "a\\5Cb"], ["a\\b"]),
        (Syntax.DELIVERY, ["any", "physical $ telephone"], ["any $", "ANY"]),
        (Syntax.NETGROUP, ["(a,b,c)", "(,,)"], ["(a,b)", "(a b,c,d)"]),
        (Syntax.BOOT, ["key=host:/path"], ["key", "key=host"]),
        (Syntax.ENCODED, [], ["MIIB", ""]),
        (Syntax.DN, ["", "cn=a", "cn=a+sn=b,dc=c", "dc=a,dc=b+sn=c", "dc=a,cn=b+dc=c",
          'cn="a,b"', "cn=a\\,b", "cn=a=b"],
         ["cn", "cn=", "cn= ", "cn=a,", "cn=a,,dc=b", "cn=#0401", "cn=a\\zz", "cn=a\\", "=a", "cn=a\\ff", "cn=a<b",
          "cn=a\\00", "cn=a+cn=b", "cn=a+commonName=b"]),
        (Syntax.NAME_AND_UID, ["cn=a#'01'B"], ["cn#'01'B", "#'01'B"]),
    ],
)  # fmt: skip
def test_each_syntax_takes_its_values_and_no_others(syntax: Syntax, good: list[str], bad: list[str]) -> None:
    info = AttributeInfo("x", syntax=syntax)
    assert [fit_text(info, text) for text in good] == good
    for text in bad:
        with pytest.raises(UnfitError):
            fit_text(info, text)


@pytest.mark.parametrize(
    ("syntax", "given", "stored"),
    [
        *((Syntax.BOOLEAN, text, "TRUE") for text in ("true", "Yes", "1", " TRUE ")),
        *((Syntax.BOOLEAN, text, "FALSE") for text in ("False", "NO", "0", "false\n")),
        (Syntax.INTEGER, "007", "7"),
        (Syntax.INTEGER, " +7 ", "7"),
        (Syntax.INTEGER, "-07", "-7"),
        (Syntax.INTEGER, "0", "0"),
        (Syntax.INTEGER, "\u0663", None),
        (Syntax.INTEGER, "9" * 30, "9" * 30),
        (Syntax.INTEGER, "7.0", None),
        (Syntax.INTEGER, "", None),
        (Syntax.DECIMAL, "1.50", "1.5"),
        (Syntax.DECIMAL, " 7.0 ", "7"),
        (Syntax.DECIMAL, "+1e2", "100"),
        (Syntax.OCTETS, "\u00e9", b"\xc3\xa9"),
        (Syntax.TEXT, " as it is ", " as it is "),
    ],
)
def test_a_value_is_written_as_servers_store_it(syntax: Syntax, given: str, stored: str | bytes | None) -> None:
    info = AttributeInfo("x", syntax=syntax)
    if stored is None:
        with pytest.raises(UnfitError):
            fit_text(info, given)
    else:
        assert fit_text(info, given) == stored


def test_spaces_around_the_parts_of_a_name_are_left_out_as_servers_do() -> None:
    assert fit_text(AttributeInfo("x", syntax=Syntax.DN), "cn = a + sn=b , dc=c d") == "cn=a+sn=b,dc=c d"


def test_bounds_of_length_and_range() -> None:
    text = AttributeInfo("x", bounds=ValueBounds(min_length=2, max_length=3))
    number = AttributeInfo("x", syntax=Syntax.INTEGER, bounds=ValueBounds(least=-1, most=9))
    assert fit_text(text, "ab") == "ab"
    short = replace(text, bounds=ValueBounds(min_length=2))
    long = replace(text, bounds=ValueBounds(max_length=3))
    assert (fit_text(short, "abcd"), fit_text(long, "a")) == ("abcd", "a")
    octets = replace(long, syntax=Syntax.OCTETS)
    assert fit_text(octets, "abc") == b"abc"
    assert [fit_text(number, value) for value in ("-1", "09", "+9")] == ["-1", "9", "9"]
    outside = ((short, "a"), (long, "abcd"), (octets, "a\u00e9b"), (number, "-2"), (number, "10"))
    for info, value in (*outside, (text, "a"), (text, "abcd")):
        with pytest.raises(UnfitError, match=r"at (least|most)|the least of|the most of"):
            fit_text(info, value)


@pytest.mark.parametrize(
    ("unit", "longest"), [("characters", "ab\u00e9"), ("octets", "a\u00e9"), ("utf-16", "\U0001f600a")]
)
def test_lengths_are_counted_as_the_directory_does(unit: Unit, longest: str) -> None:
    info = AttributeInfo("x", bounds=ValueBounds(max_length=3, unit=unit))
    assert fit_text(info, longest) == longest
    with pytest.raises(UnfitError, match=f"4 {'octets' if unit == 'octets' else 'characters'}, and x holds at most 3"):
        fit_text(info, longest + "c")
    with pytest.raises(UnfitError, match="4 characters, and"):
        fit_text(info, "abcd")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("20260131120000Z", "20260131120000.0Z"),
        ("202601311200Z", "20260131120000.0Z"),
        ("2026013112.5+0130", "20260131110000.0Z"),
        ("20260131233000-0045", "20260201001500.0Z"),
        ("202601311200.5Z", "20260131120030.0Z"),
        ("2026013112+01", "20260131110000.0Z"),
        ("20260131120000,00Z", "20260131120000.0Z"),
        ("16010101000000Z", "16010101000000.0Z"),
        ("16001231235959Z", None),
        ("20260131120000.5Z", None),
        ("20260230120000Z", None),
        ("260131120000Z", None),
    ],
)
def test_active_directory_is_given_the_one_form_of_a_time_that_it_does_not_mistake(
    given: str, stored: str | None
) -> None:
    info = AttributeInfo("x", syntax=Syntax.FULL_TIME)
    if stored is None:
        with pytest.raises(UnfitError):
            fit_text(info, given)
    else:
        assert fit_text(info, given) == stored


def test_two_digits_of_a_year_are_a_day_of_the_calendar_too() -> None:
    info = AttributeInfo("x", syntax=Syntax.UTC_TIME)
    assert fit_text(info, "2601311200Z") == fit_text(info, "260131120000Z") == "260131120000Z"
    assert fit_text(info, "000229120000Z") == "000229120000Z", "of 2000; 1900 had no such day"
    for text in ("202601311200Z", "260230120000Z", "260131120000", "20260131120000Z"):
        with pytest.raises(UnfitError):
            fit_text(info, text)


def test_an_object_identifier_may_have_to_be_one_of_the_schema() -> None:
    known = known_schema()
    for text in ("cn", "CN", "2.5.4.3", "person"):
        check_defined(text, known.types, known.classes)
    check_defined("CN", ["cn"], [])
    check_defined("Person", [], ["person"])
    with pytest.raises(UnfitError):
        check_defined("1.2.3", known.types, known.classes)


def test_a_distinguished_name_is_held_to_the_types_of_the_schema() -> None:
    types, info = known_schema().types, AttributeInfo("manager", syntax=Syntax.DN)
    check_names(replace(info, syntax=Syntax.NAME_AND_UID), "uidNumber=7#'01'B", types)
    for name in (
        "",
        "uid=a,ou=people,dc=example,dc=org",
        "uidNumber=7",
        "CommonName=\u00e9",
        "userPassword=a",
        "cn=\\ ",
        "dc=a\\ ",
    ):
        check_names(info, name, types)
    for name, why in (
        ("nosuch=a", "by nosuch, and the directory's schema"),
        ("cn=a,nosuch=b", "by nosuch"),
        ("cn=a+nosuch=b", "by nosuch"),
        ("uidNumber=x", "uidNumber cannot hold"),
        ("uidNumber=07", "uidNumber cannot hold"),
        ("dc=\u00e9", "dc cannot hold"),
        ("dc=\\ ", "dc cannot hold"),
        ('cn=a+mail=" \\20",dc=b', "mail cannot hold"),
    ):
        with pytest.raises(UnfitError, match=why):
            check_names(info, name, types)
