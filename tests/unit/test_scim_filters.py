"""Filters (RFC 7644 §3.4.2.2) as the program itself holds resources against them."""

from __future__ import annotations

from typing import Any

import pytest

from connector.directories.scim.paths import ENTERPRISE, AttributePath, UserFilter, equality_filter
from connector.errors import FileError

ANNA: dict[str, Any] = {
    "userName": "Anna.Sample",
    "active": True,
    "userType": "Employee",
    "name": {"familyName": "Sample"},
    "emails": [{"value": "anna@example.org", "type": "work"}, {"value": "anna@example.com", "type": "home"}],
    "meta": {"lastModified": "2026-01-31T12:00:00Z"},
    "level": 7,
    ENTERPRISE: {"department": "Voice"},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        'userName eq "anna.sample"',
        'USERNAME EQ "ANNA.SAMPLE"',
        'userName sw "anna" and userName ew "sample" and userName co "."',
        'userName eq "x" or active eq true',
        'not (userName eq "x")',
        'not(userName eq "x") and not (active eq false)',
        'userType ne "Contractor"',
        'title ne "Boss"',
        'emails.type ne "work"',
        'emails.value ne "anna@example.org"',
        'emails[value ne "anna@example.org"]',
        'not (emails.type ne "work" and userName eq "x")',
        "level ne 8",
        "userType ne 8",
        "title ne 8",
        "userName ne null",
        "emails pr and not (photos pr)",
        'emails[type eq "work" and value co "@example.org"]',
        'emails[type eq "work" and not (value ew ".com")]',
        'emails.type eq "home"',
        'emails co "example.com"',
        'name.familyName eq "sample"',
        'meta.lastModified gt "2026-01-01T00:00:00Z"',
        "level ge 7 and level lt 10 and level eq 7",
        f'{ENTERPRISE}:department eq "voice"',
        "title eq null",
        'active eq false or (active eq true and (userName eq "anna.sample"))',
        'userName eq "x" and userName eq "y" or active eq true',
        'userName eq "a \\" quote" or active eq true',
    ],
)
def test_these_are_true_of_anna(text: str) -> None:
    assert UserFilter(text).matches_user(ANNA)


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "anna"',
        "active eq false",
        'active eq true and userName eq "y"',
        'emails[type eq "work" and value ew ".com"]',
        'emails[type eq "fax"]',
        "photos pr",
        'not (userName sw "anna")',
        "level gt 7",
        "level eq 70",
        'nosuch eq "x"',
        "userName eq null",
        "title ne null",
        "level ne 7",
        'userType ne "EMPLOYEE"',
        'not (emails.type ne "work")',
        'emails[type eq "work" and value ne "anna@example.org"]',
        f'{ENTERPRISE}:department ne "voice"',
    ],
)
def test_these_are_not(text: str) -> None:
    assert not UserFilter(text).matches_user(ANNA)


@pytest.mark.parametrize(
    "text",
    [
        "userName", "userName eq", "userName eq x", 'userName is "x"', '(userName eq "x"', 'userName eq "x")',
        'userName eq "x" and', 'emails[type eq "x"', "active gt true", "level co 7", "not userName pr", "eq",
        '"x" eq "y"',
        'userName eq "unfinished', "(" * 100 + "userName pr" + ")" * 100,
    ],
)  # fmt: skip
def test_these_are_no_filters(text: str) -> None:
    with pytest.raises(FileError):
        UserFilter(text)


def test_case_counts_where_the_schema_says_so() -> None:
    text = 'userName eq "anna.sample" and userType eq "EMPLOYEE"'
    filter_ = UserFilter(text, lambda path: path.attribute == "userName")
    assert not filter_.matches_user(ANNA)
    assert filter_.matches_user(ANNA | {"userName": "anna.sample"})


def test_it_says_which_attributes_it_looks_at() -> None:
    paths = UserFilter('userName pr and (emails[type eq "work"] or not (name.familyName eq "x"))').paths
    assert [str(path) for path in paths] == ["userName", "emails.type", "name.familyName"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("userName", 'a "quoted" \\ é', 'userName eq "a \\"quoted\\" \\\\ é"'),
        (f"{ENTERPRISE}:employeeNumber", "7", f'{ENTERPRISE}:employeeNumber eq "7"'),
        ("level", 7, "level eq 7"),
        ('emails[type eq "work"].value', "x", 'emails[type eq "work" and value eq "x"]'),
        ('emails[type eq "work"]', "x", 'emails[type eq "work" and value eq "x"]'),
    ],
)
def test_a_question_to_a_server_is_spelt_so(path: str, value: Any, said: str) -> None:
    assert equality_filter(AttributePath.parse_text(path), value) == said


@pytest.mark.parametrize(
    ("text", "name", "looked_at"),
    [
        ("", "title", None),
        ('userName eq "x"', "title", None),
        ("title pr", "title", False),
        ("userName pr or TITLE pr", "title", False),
        ("not (title pr)", "title", True),
        ("not (active eq true and not (title pr))", "title", False),
        ('title pr and title eq "x"', "title", False),
        ("title eq null", "title", None),
        ('title ne "x"', "title", None),
        (f"{ENTERPRISE}:department pr", f"{ENTERPRISE}:department", False),
        ("department pr", f"{ENTERPRISE}:department", None),
        ("name.familyName pr", "name.givenName", None),
        ("name pr", "name.givenName", False),
        ('not (emails[type eq "work" and value pr])', 'emails[type eq "work"].value', True),
        ('emails.type eq "home"', 'emails[type eq "work"].value', None),
        ("emails pr", 'emails[type eq "work"].value', False),
        (f'schemas eq "{ENTERPRISE}"', f"{ENTERPRISE}:department", False),
        (f'not (schemas eq "{ENTERPRISE}")', f"{ENTERPRISE}:department", True),
        (f'schemas eq "{ENTERPRISE}"', "title", None),
        ('schemas eq "urn:ietf:params:scim:schemas:core:2.0:User"', f"{ENTERPRISE}:department", None),
        ('not (schemas eq "urn:example:ServiceAccount")', f"{ENTERPRISE}:department", None),
    ],
)
def test_a_filter_knows_which_writes_may_take_a_user_out_of_it(text: str, name: str, looked_at: bool | None) -> None:
    """False: only a clear may."""
    assert UserFilter(text).find_affected([name]) == ({} if looked_at is None else {name: looked_at})
