"""LDIF files as directories: what is read, and what is refused."""

from __future__ import annotations

import base64
import os
import tracemalloc
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, strategies as st

from connector.directories.ldif.adapter import LdifReader
from connector.directories.ldif.format import FilePass
from connector.errors import DeniedError, FileError, IncompleteRead, MalformedError, UnreachableError
from connector.model import Equality, Result, UserRef, View
from connector.reports.ldif import WIDTH, encode_line
from connector.settings.ldap import LdifDirectory as LdifSettings
from tests.support.ldif_samples import directory, number, results

# ---------------------------------------------------------------- lines


def unfolded(text: str) -> tuple[str, bytes]:
    """What a line says, by the letter of RFC 2849."""
    assert text.endswith("\n")
    name, _, rest = text.replace("\n ", "")[:-1].partition(":")
    return name, base64.b64decode(rest[1:]) if rest.startswith(":") else rest.removeprefix(" ").encode("ascii")


@given(st.binary(max_size=300))
def test_any_value_survives_its_line(value: bytes) -> None:
    text = encode_line("description", value)
    assert unfolded(text) == ("description", value)
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert all(len(part) <= WIDTH for part in text.split("\n"))


@pytest.mark.parametrize(
    "value", ["plain", "a:b", "", "with space inside", "x" * 200, "<", " a", "a ", "\u00fc", "a\r"]
)
def test_only_what_needs_it_is_encoded(value: str) -> None:
    needs = value in {"<", " a", "a ", "\u00fc", "a\r"}
    assert encode_line("cn", value).startswith("cn::") is needs


# ---------------------------------------------------------------- reading


def test_a_file_is_read_as_the_field_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_bytes(
        b"\xef\xbb\xbf# exported\r\n#  today\r\n  and this goes on\r\n\r\nversion: 1\r\n"
        b"DN: uid=anna,\r\n dc=example\r\n# within\r\nuid:anna\r\nDESCRIPTION:   spaced  \r\n"
        b"description: fol\r\n ded\r\ndescription:: w7xtbA\r\n ==\r\nuserid: second\r\n\r\n\r\n\r\n"
        b"dn:: dWlkPWLDpHIsZGM9ZXhhbXBsZQ==\r\nuid: b\xc3\xa4r\r\nemployeeNumber:\r\ndescription: \xff raw"
    )
    anna, bert = directory(path).scan()
    assert anna.name == "uid=anna,dc=example"
    assert anna.values == {"uid": ("anna", "second"), "description": ("spaced  ", "folded", "\u00fcml")}
    assert bert.name == "uid=b\u00e4r,dc=example"
    assert bert.values == {"uid": ("b\u00e4r",), "employeeNumber": ("",), "description": (b"\xff raw",)}


def test_an_id_is_the_entry_uuid_or_else_the_name_in_a_normal_form(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text(
        "dn: UID = Anna+CN=X , DC=Example\nuid: anna\n\n"
        "dn: uid=bert,dc=example\nuid: bert\nentryUUID: 5D1D31B4-5E0A-4E0C-9D0B-9D6F1F6D2A11\n"
    )
    ids = [user.id for user in directory(path).scan()]
    assert ids == ["cn=x+uid=anna,dc=example", "5d1d31b4-5e0a-4e0c-9d0b-9d6f1f6d2a11"]


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("uid: anna\n", 1, "begins with its 'dn:'"),
        ("dn: uid=a,dc=x\nuid: a\njunk\n", 3, "no line of LDIF"),
        ("dn: uid=a,dc=x\nuid: a\nuid\n", 3, "without a colon"),
        ("dn: uid=a,dc=x\n\nuid: a\n", 3, "begins with its 'dn:'"),
        ("dn: uid=a,dc=x\nuid: a\ndn: uid=b,dc=x\n", 3, "blank line is missing"),
        ("dn: uid=a,dc=x\nuid: a\ndescription:< file:///etc/passwd\n", 3, "another file"),
        ("dn: uid=a,dc=x\nchangetype: modify\nreplace: uid\nuid: b\n-\n", 2, "change record"),
        ("dn: uid=a,dc=x\ncontrol: 1.2.3 true\nchangetype: delete\n", 2, "change record"),
        ("dn: uid=a,dc=x\nuid:: no base64!\n", 2, "no Base64"),
        ("dn:: /w==\nuid: a\n", 1, "not UTF-8"),
        ("dn: nobody\nuid: a\n", 1, "not a distinguished name"),
        ("version: 2\n\ndn: uid=a,dc=x\nuid: a\n", 1, "version 1"),
        (" folded: from nowhere\n", 1, "no line of LDIF"),
        ("dn: uid=a,dc=x\nuid: a\n\nsearch: 2\nresult: 0 Success\n", 4, "-LLL"),
        ("dn: uid=a,dc=x\nuid: a\n\ndn: uid=b,dc=x\nuid: b\n\n# c\ndn: UID=A, DC=X\nuid: c\n", 8, "lines 1 and 8"),
        ("dn: uid=a,dc=x\nuid: a\nentryUUID: A-1\n\ndn: uid=b,dc=x\nuid: b\nentryUUID: a-1\n", 5, "lines 1 and 5"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(tmp_path: Path, text: str, at: int, why: str) -> None:
    path = tmp_path / "people.ldif"
    path.write_text(text)
    for users in (directory(path).scan(), directory(path).find([("uid", "nobody")])):
        with pytest.raises(MalformedError, match=why) as caught:
            list(users)
        assert caught.value.where == f"{path}:{at}"


def test_a_file_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        list(directory(tmp_path / "none.ldif").scan())
    with pytest.raises(UnreachableError, match="directory"):
        list(directory(tmp_path).scan())
    assert results(directory(tmp_path / "none.ldif").write([number("1")])) == [Result.FAILED]


def test_a_file_that_may_not_be_read_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DeniedError, match="cannot be read: Permission denied"):
        list(directory(tmp_path / "people.ldif").scan())


def test_a_filter_that_cannot_be_evaluated_is_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"directory\.filter: .*not evaluated"):
        directory(tmp_path / "people.ldif", where="(ou:dn:=x)")


def test_a_file_that_changes_while_it_is_read_was_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("".join(f"dn: uid=u{n},dc=example\nuid: u{n}\n\n" for n in range(9)))
    users = directory(path).scan()
    next(users)
    with path.open("a") as file:
        file.write("dn: uid=late,dc=example\nuid: late\n")
    with pytest.raises(IncompleteRead, match="changed while"):
        list(users)


def test_what_nobody_knows_compares_to_the_letter_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text(
        "dn: uid=anna,dc=example\nuid: anna\nbadge: Ab\n\n"
        "dn: uid=bert,dc=example\nuid: bert\nbadge: AB\ndeparted: yes\n"
    )
    reader = directory(path, View(("uid", "badge")), where="(&(uid=*)(!(departed=yes)))")
    info = reader.describe().attributes["badge"]
    assert (info.definition.known, info.single, info.equality) == (False, True, Equality.CASE_EXACT)
    assert any("badge" in caution for caution in reader.describe().cautions)
    assert [user.values["uid"] for user in reader.scan()] == [("anna",)]
    assert list(reader.find([("badge", "ab")])) == []
    assert [user.values["uid"] for user in reader.find([("badge", "Ab")])] == [("anna",)]


def test_a_misspelt_attribute_or_class_is_said_with_the_name_that_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=anna,dc=example\nuid: anna\n")
    view = View(("uid", "emploeeNumber", "badge"), object_classes=("cecAgnet", "cecAgent", "badgeHolder"))
    unknown = "it is taken as case-sensitive and single-valued"
    assert directory(path, view).describe().cautions == (
        f"emploeeNumber is not a known attribute (did you mean employeeNumber?): {unknown}",
        f"badge is not a known attribute: {unknown}",
        "cecAgnet is not a known object class (did you mean cecAgent?): check its spelling in the mapping",
    )


def test_a_misspelt_filter_matches_nobody_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=anna,dc=example\nuid: anna\n")
    reader = directory(path, where="(!(departd=yes))")
    assert list(reader.scan()) == []
    assert any("departd" in caution for caution in reader.describe().cautions)


def test_a_file_is_read_twice_only_if_the_filter_names_what_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=anna,dc=example\nuid: anna\ndeparted: no\n")
    passes: list[str] = []

    class Counted(LdifReader):
        def begin_pass(self, file: BinaryIO, attributes: Collection[str] = ()) -> FilePass:
            passes.append("one")
            return super().begin_pass(file, attributes)

    for where, times in (("(uid=*)", 1), ("(!(departed=yes))", 2)):
        passes.clear()
        settings = LdifSettings(type="ldif", path=path, base=[""], filter=where)
        assert len(list(Counted(settings, View(("uid",))).scan())) == 1
        assert len(passes) == times


def test_a_file_with_another_hard_link_is_said_to_be_no_file_to_write(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=anna,dc=example\nuid: anna\n")
    reader = LdifReader(LdifSettings(type="ldif", path=path, base=[""]), View(("uid",)))
    assert not any("hard link" in caution for caution in reader.describe().cautions)
    (tmp_path / "other").hardlink_to(path)
    assert any("hard link" in caution for caution in reader.describe().cautions)


@pytest.mark.slow
def test_a_large_file_streams(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    photo = encode_line("jpegPhoto", bytes(range(256)) * 40)
    with path.open("w") as file:
        for n in range(1500):
            file.write(f"dn: uid=u{n},dc=example\nuid: u{n}\n{photo}\n")
    assert path.stat().st_size > 20_000_000
    reader = directory(path)
    tracemalloc.start()
    assert sum(1 for _ in reader.scan()) == 1500
    user = UserRef("uid=u700,dc=example", "uid=u700,dc=example")
    assert results(reader.write([number("1", user=user)])) == [Result.WRITTEN]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_the_identity_is_the_file_whatever_path_leads_to_it(tmp_path: Path) -> None:
    path, link = tmp_path / "people.ldif", tmp_path / "link.ldif"
    path.write_text("")
    link.symlink_to(path)
    assert directory(path).describe().identity == directory(link).describe().identity == str(path)
