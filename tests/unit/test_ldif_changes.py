"""Changes of an LDIF file: which lines go, where new ones stand, and who is written at all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from connector.model import AttributeChange, Change, Result, Secret, UserRef, View
from tests.support.ldif_samples import ANNA, directory, number, results

BERT = UserRef("uid=bert,ou=people,dc=example", "uid=bert,ou=people,dc=example")


def written(
    path: Path, text: str, *changes: Change, where: str = "(uid=*)", base: str = ""
) -> tuple[list[Result], str]:
    """What becomes of changes, and of the file."""
    path.write_text(text)
    outcomes = list(directory(path, where=where, base=base).write(iter(changes)))
    assert all(outcome.why or outcome.result is Result.WRITTEN for outcome in outcomes)
    assert sorted(outcome.user for outcome in outcomes) == sorted(change.user for change in changes)
    assert list(path.parent.iterdir()) == [path]
    return [outcome.result for outcome in outcomes], path.read_text()


def described(old: str, new: str, pattern: str = "*", user: UserRef = ANNA) -> Change:
    attribute = AttributeChange("description", tuple(old.split()), tuple(new.split()), pattern=pattern)
    return Change(user, None, 1, (attribute,))


@pytest.mark.parametrize(
    ("lines", "planned", "after"),
    [
        ("uid: anna\n", described("", "a b"), "uid: anna\ndescription: a\ndescription: b\n"),
        ("description: a\nuid: anna\n", described("a", "b"), "description: b\nuid: anna\n"),
        ("description: a\nuid: anna\n", described("a", ""), "uid: anna\n"),
        (
            "description: a\nuid: anna\nDescription: b\nsn: x\n",
            described("a b", "b c"),
            "uid: anna\nDescription: b\nDescription: c\nsn: x\n",
        ),
        (
            "uid: anna\n2.5.4.13: a\n# of hers\n",
            described("a", "a b"),
            "uid: anna\n2.5.4.13: a\n2.5.4.13: b\n# of hers\n",
        ),
        (
            "description;lang-de: a\nuid: anna\n",
            described("", "b"),
            "description;lang-de: a\nuid: anna\ndescription: b\n",
        ),
        (
            "description: x:1\ndescription: theirs\nuid: anna\n",
            described("x:1", "x:2", "x:*"),
            "description: theirs\ndescription: x:2\nuid: anna\n",
        ),
        ("description: a\ndescription: A\nuid: anna\n", described("a", "b"), "description: b\nuid: anna\n"),
        ("uid: anna\n# the last\n", described("", "b"), "uid: anna\ndescription: b\n# the last\n"),
        ("# the first\nuid: anna\n", described("", "b"), "# the first\nuid: anna\ndescription: b\n"),
    ],
)
def test_new_lines_stand_behind_those_of_their_attribute_under_the_name_that_it_has_there(
    tmp_path: Path, lines: str, planned: Change, after: str
) -> None:
    before = "dn: uid=before,dc=example\nuid: before\ndescription: a\n\n"
    behind = "\ndn: uid=behind,dc=example\nuid: behind\ndescription: a\n"
    head = "dn: uid=anna,dc=example\n"
    became, text = written(tmp_path / "people.ldif", f"{before}{head}{lines}{behind}", planned)
    assert became == [Result.WRITTEN]
    assert text == f"{before}{head}{after}{behind}"


def test_a_last_line_without_an_end_gets_none_where_it_is_not_changed(tmp_path: Path) -> None:
    text = "dn: uid=anna,dc=example\ndescription: a\nuid: anna"
    became, after = written(tmp_path / "people.ldif", text, described("a", "b"))
    assert (became, after) == ([Result.WRITTEN], text.replace("description: a", "description: b"))


def test_a_full_disk_that_shows_at_the_end_alone_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text(FILE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(FILE) // 2, before[1]))
    try:
        outcomes = list(directory(path).write([described("a", "b")]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [outcome.result for outcome in outcomes] == [Result.FAILED]
    assert "the file is unchanged" in outcomes[0].why
    assert path.read_text() == FILE
    assert list(tmp_path.iterdir()) == [path]


def test_an_entry_that_has_nothing_but_its_name_is_written_below_it(tmp_path: Path) -> None:
    text = "dn: uid=anna,\n dc=example\n# hers\n\ndn: uid=bert,dc=example\nuid: bert\n"
    became, after = written(tmp_path / "people.ldif", text, described("", "a"), where="(&)")
    assert became == [Result.WRITTEN]
    assert after == text.replace(" dc=example\n", " dc=example\ndescription: a\n", 1)


FILE = (
    "dn: uid=anna,dc=example\nuid: anna\ndescription: a\n\n"
    "dn: uid=bert,ou=people,dc=example\nuid: bert\ndescription: b\n"
)


def test_changes_of_one_user_see_what_those_before_them_left_and_each_has_its_outcome(tmp_path: Path) -> None:
    changes = [described("a", "b"), described("a", "x"), described("b", "c"), described("c", "c"), number("1")]
    became, text = written(tmp_path / "people.ldif", FILE, *changes)
    assert became == [Result.WRITTEN, Result.CONFLICT, Result.WRITTEN, Result.UNCHANGED, Result.WRITTEN]
    assert text == FILE.replace("description: a\n", "description: c\nemployeeNumber: 1\n")


def test_what_the_schema_forbids_fails_and_hinders_no_other(tmp_path: Path) -> None:
    two = Change(ANNA, None, 1, (AttributeChange("employeeNumber", (), ("1", "2")),))
    became, text = written(tmp_path / "people.ldif", FILE, two, described("b", "c", user=BERT))
    assert sorted(became) == [Result.FAILED, Result.WRITTEN]
    assert text == FILE.replace("description: b\n", "description: c\n")


@pytest.mark.parametrize(
    ("user", "base", "where"),
    [
        (ANNA, "ou=people,dc=example", "(uid=*)"),
        (ANNA, "", "(!(description=a))"),
        (ANNA, "", "(departed=yes)"),
        (UserRef(ANNA.id, "uid=other,dc=example"), "", "(uid=*)"),
        (UserRef(ANNA.id, "no name"), "", "(uid=*)"),
        (UserRef("uid=other,dc=example", ANNA.name), "", "(uid=*)"),
    ],
)
def test_who_is_not_the_user_or_not_in_base_and_filter_is_a_conflict(
    tmp_path: Path, user: UserRef, base: str, where: str
) -> None:
    path = tmp_path / "people.ldif"
    became, text = written(path, FILE, described("a", "b", user=user), where=where, base=base)
    assert (became, text) == ([Result.CONFLICT], FILE)


def test_a_name_may_be_spelt_otherwise(tmp_path: Path) -> None:
    user = UserRef(ANNA.id, "UID = Anna , DC=Example")
    became, text = written(tmp_path / "people.ldif", FILE, described("a", "b", user=user))
    assert (became, text) == ([Result.WRITTEN], FILE.replace("description: a\n", "description: b\n"))


def test_a_filter_of_what_no_schema_knows_holds_while_writing(tmp_path: Path) -> None:
    text = FILE.replace("uid: bert\n", "uid: bert\ndeparted: yes\n")
    changes = [described("a", "b"), described("b", "c", user=BERT)]
    became, after = written(tmp_path / "people.ldif", text, *changes, where="(&(uid=*)(!(departed=yes)))")
    assert became == [Result.WRITTEN, Result.CONFLICT]
    assert after == text.replace("description: a\n", "description: b\n")


def test_an_entry_is_found_by_its_uuid_and_judged_by_its_name(tmp_path: Path) -> None:
    text = FILE.replace("uid: anna\n", "uid: anna\nentryUUID:  5D1D31B4-5e0a-4e0c-9d0b-9d6f1f6d2a11\n")
    id_ = "5d1d31b4-5e0a-4e0c-9d0b-9d6f1f6d2a11"
    changes = [described("a", "b", user=UserRef(id_, ANNA.name)), described("a", "c")]
    became, after = written(tmp_path / "people.ldif", text, *changes)
    assert became == [Result.WRITTEN, Result.CONFLICT]
    assert after == text.replace("description: a\n", "description: b\n")


def test_no_change_is_no_write(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    assert list(directory(path).write([])) == []
    assert not path.exists()


def test_a_change_of_what_the_view_does_not_name_is_held_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text(FILE)
    narrow = directory(path, View(("uid",)))
    assert results(narrow.write([described("x", "y"), described("a", "b")])) == [Result.CONFLICT, Result.WRITTEN]
    assert path.read_text() == FILE.replace("description: a\n", "description: b\n")


class Meddling(Secret):
    """A value that changes the file whenever it is asked for, so many times: while the file is being rewritten."""

    def __init__(self, path: Path, times: int = 0) -> None:
        super().__init__(b"pw")
        self.path, self.times, self.asked = path, times, 0

    def reveal(self) -> str | bytes:
        self.asked += 1
        if self.asked <= self.times:
            with self.path.open("a") as file:
                file.write("# another program was here\n")
        return super().reveal()


@pytest.mark.parametrize(
    ("rewritings", "result"), [(0, Result.WRITTEN), (1, Result.WRITTEN), (2, Result.WRITTEN), (3, Result.FAILED)]
)
def test_a_file_that_others_change_meanwhile_is_read_three_times_at_most(
    tmp_path: Path, rewritings: int, result: Result
) -> None:
    path = tmp_path / "people.ldif"

    def once(secret: Meddling) -> tuple[list[Result], str]:
        attribute = AttributeChange("userPassword", (), (secret,), secret=True, pattern="*")
        return written(path, FILE, Change(ANNA, None, 1, (attribute,)), number("1"))

    undisturbed = Meddling(path)
    once(undisturbed)
    became, text = once(Meddling(path, rewritings * undisturbed.asked))
    assert became == [result] * 2
    ours = "description: a\nuserPassword: pw\nemployeeNumber: 1\n" if result is Result.WRITTEN else "description: a\n"
    theirs = "# another program was here\n" * (rewritings * undisturbed.asked)
    assert text == FILE.replace("description: a\n", ours) + theirs
