"""The directory in memory is as strict as a strict server, and shows no more than one."""

from __future__ import annotations

import pytest

from connector.errors import FileError
from connector.model import AttributeChange, Change, Holds, Question, Result, Secret, UserRef, View
from tests.support.memory import Entries, MemoryDirectory, MemoryStore

ANNA = UserRef("1", "uid=anna,dc=example")
VIEW = View(("uid", "cecAccountCode", "SIPIdentityPassword"), frozenset({"SIPIdentityPassword"}))


def store(*, compares: bool = True) -> MemoryStore:
    classes = ["inetOrgPerson", "SIPIdentity"]
    entries: Entries = {
        "1": (ANNA.name, {"objectClass": classes, "uid": ["anna"], "SIPIdentityPassword": [b"pw"]}),
        "2": ("uid=bert,dc=example", {"objectClass": classes}),
    }
    return MemoryStore(entries, hidden=["SIPIdentityPassword"], compares=compares)


def write(directory: MemoryDirectory, *attributes: AttributeChange) -> Result:
    (outcome,) = directory.write([Change(ANNA, None, 1, attributes)])
    return outcome.result


def test_a_hidden_attribute_is_never_shown_found_or_said_to_be_absent() -> None:
    directory = MemoryDirectory(store(), VIEW)
    assert directory.describe().attributes["SIPIdentityPassword"].readable is None
    assert all("SIPIdentityPassword" not in user.values for user in directory.scan())
    assert list(directory.find([("SIPIdentityPassword", "pw")])) == []


@pytest.mark.parametrize(
    ("compares", "expected"), [(True, [Holds.SAME, Holds.OTHER, Holds.ABSENT]), (False, [Holds.UNKNOWN] * 3)]
)
def test_a_hidden_attribute_is_compared_where_that_is_allowed(*, compares: bool, expected: list[Holds]) -> None:
    directory = MemoryDirectory(store(compares=compares), VIEW)
    bert = UserRef("2", "uid=bert,dc=example")
    asked = [(ANNA, b"pw"), (ANNA, b"other"), (bert, b"pw")]
    assert list(directory.holds(Question(of, "SIPIdentityPassword", Secret(value)) for of, value in asked)) == expected


@pytest.mark.parametrize(
    "attribute",
    [
        AttributeChange("cecAccountCode", (), ("anna",)),  # no class of hers allows it
        AttributeChange("SIPIdentityAddress", (), ("\u00e4",), pattern="*"),
        AttributeChange("SIPIdentityUserName", (), ("",), pattern="*"),
        AttributeChange("displayName", (), ("a", "b")),
        AttributeChange("telephoneNumber", (), ("#!",), pattern="*"),
        AttributeChange("description", (), (b"\xff",), pattern="*"),
    ],
)
def test_what_the_schema_forbids_fails(attribute: AttributeChange) -> None:
    before = store().snapshot()
    kept = store()
    assert write(MemoryDirectory(kept, VIEW), attribute) is Result.FAILED
    assert kept.snapshot() == before
    assert kept.writes == 0


def test_a_change_that_changes_nothing_is_no_write() -> None:
    kept = store()
    assert write(MemoryDirectory(kept, VIEW), AttributeChange("uid", ("ANNA",), ("Anna",))) is Result.UNCHANGED
    assert kept.writes == 0
    assert kept.snapshot() == store().snapshot()


def test_passes_and_writes_are_counted_and_a_snapshot_is_a_value_of_its_own() -> None:
    kept = store()
    directory = MemoryDirectory(kept, VIEW)
    before = kept.snapshot()
    assert len(list(directory.scan())) == directory.size() == 2
    assert write(directory, AttributeChange("displayName", (), ("Anna",))) is Result.WRITTEN
    assert (kept.reads, kept.writes) == (1, 1)
    assert kept.snapshot()["1"][1] == {**before["1"][1], "displayName": ("Anna",)}
    assert "displayName" not in before["1"][1]


@pytest.mark.parametrize(("base", "where"), [("nobody", "(&)"), ("", "uid=*")])
def test_a_wrong_base_or_filter_is_a_wrong_file(base: str, where: str) -> None:
    with pytest.raises(FileError, match=r"^directory\.(base|filter): "):
        MemoryDirectory(store(), VIEW, base=base, filter=where)
