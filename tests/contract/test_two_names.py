"""The contract about one attribute under two spellings: a view has it under both, and each shows all of it."""

from __future__ import annotations

from connector.model import Secret, View
from tests.support.directory_fixtures import PERSON, DirectoryFixture


def test_an_attribute_that_is_asked_for_in_two_spellings_is_shown_under_both(fixture: DirectoryFixture) -> None:
    name = f"{fixture.naming}=anna,{fixture.base}"
    fixture.put(name, {**PERSON, "uid": ["anna"], "telephoneNumber": ["7"]})
    for view in (("uid", "UID", "telephoneNumber"), ("telephoneNumber", "UID", "uid")):
        directory = fixture.open(View(view))
        for _ in range(2):  # the second one is known by the first
            (anna,) = directory.scan()
            assert {of: anna.values.get(of) for of in view} == {
                "uid": ("anna",), "UID": ("anna",), "telephoneNumber": ("7",),
            }  # fmt: skip


def test_an_attribute_that_is_a_secret_in_one_spelling_is_shown_as_one_there(fixture: DirectoryFixture) -> None:
    name = f"{fixture.naming}=anna,{fixture.base}"
    fixture.put(name, {**PERSON, "uid": ["anna"]})
    directory = fixture.open(View(("uid", "UID"), frozenset({"UID"})))
    (anna,) = directory.scan()
    assert (anna.values["uid"], anna.values["UID"]) == (("anna",), (Secret("anna"),))
