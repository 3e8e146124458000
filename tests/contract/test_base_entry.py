"""The contract about the base itself: an entry like those below it, which may be a user and may be written."""

from __future__ import annotations

from connector.model import ID, NAME, AttributeChange, Change, Result, View
from tests.support.houses import PERSON, House

VIEW = View(("uid", "employeeNumber"))


def test_the_base_is_a_user_where_it_is_in_the_filter(house: House) -> None:
    name = f"{house.naming}=anna,{house.base}"
    house.put(name, {**PERSON, "uid": ["anna"]})
    house.put(f"{house.naming}=bert,{house.base}", {**PERSON, "uid": ["bert"]})
    directory = house.open(VIEW, base=name)
    (anna,) = directory.scan()
    assert anna.values["uid"] == ("anna",)
    for key in ((ID, anna.id), (NAME, anna.name), ("uid", "anna")):
        assert [user.id for user in directory.find([key, ("uid", "bert")])] == [anna.id]
    assert [user.id for user in directory.read([anna.ref])] == [anna.id]
    change = Change(anna.ref, None, 1, (AttributeChange("employeeNumber", (), ("7",)),))
    assert [outcome.result for outcome in directory.write([change])] == [Result.WRITTEN]
    assert house.stored(name)["employeenumber"] == (b"7",)


def test_a_base_that_is_not_in_the_filter_is_nobody(house: House) -> None:
    house.put(f"{house.naming}=anna,{house.base}", {**PERSON, "uid": ["anna"]})
    directory = house.open(VIEW)
    assert [user.values["uid"] for user in directory.scan()] == [("anna",)]
    assert list(directory.find([(NAME, house.base)])) == []
