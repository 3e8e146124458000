"""Attribute paths (RFC 7644 §3.10): what they name, and what a resource holds there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from connector.directories.scim.paths import CORE, ENTERPRISE, AttributePath
from connector.errors import FileError

RESOURCE: dict[str, Any] = {
    "schemas": [CORE, ENTERPRISE],
    "userName": "anna",
    "NickName": "Ann",
    "name": {"familyName": "Sample", "givenName": ""},
    "active": True,
    "emails": [
        {"value": "anna@example.org", "type": "work", "primary": True},
        {"value": "anna@example.com", "type": "home", "primary": False},
        {"type": "other"},
    ],
    "phoneNumbers": {"value": "77", "type": "Work"},
    "codes": ["a", 7, None, 2.5, ""],
    ENTERPRISE.upper(): {"employeeNumber": "1001", "manager": {"value": "m1"}},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("userName", ["anna"]),
        ("USERNAME", ["anna"]),
        (f"{CORE}:userName", ["anna"]),
        ("nickName", ["Ann"]),
        ("name.familyName", ["Sample"]),
        ("name.givenName", []),
        ("name", []),
        ("active", ["TRUE"]),
        ("emails", ["anna@example.org", "anna@example.com"]),
        ("emails.value", ["anna@example.org", "anna@example.com"]),
        ("emails.type", ["work", "home", "other"]),
        ('emails[type eq "work"].value', ["anna@example.org"]),
        ('emails[TYPE eq "WORK" and primary eq true].value', ["anna@example.org"]),
        ('emails[type eq "work" and primary eq false].value', []),
        ('emails[type eq "home"]', ["anna@example.com"]),
        ('phoneNumbers[type eq "work"].value', ["77"]),
        ("codes", ["a", "7", "2.5"]),
        ("codes.value", []),
        (f"{ENTERPRISE}:employeeNumber", ["1001"]),
        (f"{ENTERPRISE}:manager.value", ["m1"]),
        ("urn:example:nowhere:2.0:User:x", []),
        ("absent", []),
    ],
)
def test_a_path_leads_to_these_values(path: str, values: list[str]) -> None:
    assert list(AttributePath.parse_text(path).find_values(RESOURCE)) == values


@pytest.mark.parametrize(
    "text",
    ["", "1x", "emails[", 'emails[type eq "x"', "emails[type co 'x'].value", 'emails[not (type eq "x")]', "a.b.c",
     'emails[type eq "x" or type eq "y"].value', 'emails[type eq "x" and].value', "urn:x:"],
)  # fmt: skip
def test_what_is_no_path_or_could_not_be_written_is_refused(text: str) -> None:
    with pytest.raises(FileError):
        AttributePath.parse_text(text)


words = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,5}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6) | st.integers() | st.booleans()
paths = st.builds(
    AttributePath,
    words,
    st.just("") | st.just("urn:example:a.b:2.0:User"),
    st.lists(st.tuples(words, values), max_size=2).map(tuple),
    st.just("") | words,
)


@given(paths)
def test_a_path_is_read_as_it_is_written(path: AttributePath) -> None:
    assert AttributePath.parse_text(str(path)) == path


@given(
    st.dictionaries(
        words,
        st.recursive(
            values | st.none(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    ),
    paths,
)
def test_no_resource_is_too_odd_to_look_into(resource: dict[str, Any], path: AttributePath) -> None:
    assert "" not in path.find_values(resource)
