"""The contract about the base itself: an entry like those below it, which may be a user and may be written."""

from __future__ import annotations

from connector.model import ID, NAME, AttributeChange, Change, Result, View
from tests.support.directory_fixtures import PERSON, DirectoryFixture

VIEW = View(("uid", "employeeNumber"))


def test_the_base_is_a_user_where_it_is_in_the_filter(fixture: DirectoryFixture) -> None:
    name = f"{fixture.naming}=anna,{fixture.base}"
    fixture.put(name, {**PERSON, "uid": ["anna"]})
    fixture.put(f"{fixture.naming}=bert,{fixture.base}", {**PERSON, "uid": ["bert"]})
    directory = fixture.open(VIEW, base=name)
    (anna,) = directory.scan()
    assert anna.values["uid"] == ("anna",)
    for key in ((ID, anna.id), (NAME, anna.name), ("uid", "anna")):
        assert [user.id for user in directory.find([key, ("uid", "bert")])] == [anna.id]
    assert [user.id for user in directory.read([anna.ref])] == [anna.id]
    change = Change(anna.ref, None, 1, (AttributeChange("employeeNumber", (), ("7",)),))
    assert [outcome.result for outcome in directory.write([change])] == [Result.WRITTEN]
    assert fixture.stored(name)["employeenumber"] == (b"7",)


def test_a_base_that_is_not_in_the_filter_is_nobody(fixture: DirectoryFixture) -> None:
    fixture.put(f"{fixture.naming}=anna,{fixture.base}", {**PERSON, "uid": ["anna"]})
    directory = fixture.open(VIEW)
    assert [user.values["uid"] for user in directory.scan()] == [("anna",)]
    assert list(directory.find([(NAME, fixture.base)])) == []
