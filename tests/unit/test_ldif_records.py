"""Records of LDIF files at their edges: where a file begins and ends, what stands twice, and on which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import MalformedError
from connector.model import View
from tests.support.ldif_samples import directory


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("# c\nversion: 2\n\ndn: uid=a,dc=x\nuid: a\n", 2, "version 1"),
        ("VERSION: 2\n\ndn: uid=a,dc=x\nuid: a\n", 1, "version 1"),
        ("dn: uid=a,dc=x\nuid: a\n\nversion: 1\ndn: uid=b,dc=x\nuid: b\n", 4, "begins with its 'dn:'"),
        ("dn: uid=a,dc=x\nChangeType: modify\n", 2, "change record"),
        ("# c\nuid: a\n", 2, "begins with its 'dn:'"),
        ("dn: uid=a,dc=x\nuid: a\n\nsearch: 2\nresult: 0 Success\n", 4, "messages of ldapsearch"),
        ("result: 32 No such object\n", 1, "messages of ldapsearch"),
        ("# refldap://elsewhere\nref: ldap://elsewhere\n", 2, "messages of ldapsearch"),
        ("# c\n# c\ndn:: /w==\nuid: a\n", 3, "not UTF-8"),
        ("dn: uid=a,dc=x\n\ufeffuid: a\n", 2, "no line of LDIF"),
        ("dn: uid=a,dc=x\nuid: a\n\n\ufeffdn: uid=b,dc=x\nuid: b\n", 4, "no line of LDIF"),
        ("dn: uid=a,dc=x\nuid: a\n\n# c\n\n# d\n\ndn: UID=A,dc=x\nuid: a\n", 8, "one DN, at lines 1 and 8"),
        (
            "dn: uid=a,dc=x\nuid: a\nentryUUID: A-1\n\n# c\n\ndn: uid=b,dc=x\nuid: b\nentryUUID:: IGEtMSA=\n",
            7,
            "two entries with one entryUUID, at lines 1 and 7: uid=b,dc=x",
        ),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_is_named(tmp_path: Path, text: str, at: int, why: str) -> None:
    path = tmp_path / "people.ldif"
    path.write_text(text)
    with pytest.raises(MalformedError, match=why) as caught:
        list(directory(path).scan())
    assert caught.value.where == f"{path}:{at}"


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n# c", "\r\n", "\n\n# c\n\n"])
@pytest.mark.parametrize("last", ["description: folded", "description: fol\n ded", "description:: Zm9s\n ZGVk"])
def test_a_file_may_end_within_its_last_record(tmp_path: Path, last: str, end: str) -> None:
    path = tmp_path / "people.ldif"
    path.write_bytes(f"version: 1\n# c\n\ndn: uid=a,dc=x\nuid: a\n{last}{end}".encode())
    (user,) = directory(path).scan()
    assert user.values == {"uid": ("a",), "description": ("folded",)}


def test_a_file_says_what_it_is_and_what_its_filter_misses(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=a,dc=x\nuid: a\nDeparted: yes\n")
    where = "(&(uid=*)(!(departed=no))(!(departd=no)))"
    description = directory(path, View(("uid",)), where=where).describe()
    assert (description.kind, description.identity) == ("LDIF file", str(path))
    assert description.writing.batch == 100_000
    assert [caution for caution in description.cautions if "departd" in caution]
    assert not [caution for caution in description.cautions if "departed" in caution]


def test_an_attribute_that_no_schema_knows_counts_in_a_filter_where_it_stands_in_the_file_at_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=a,dc=x\nuid: a\n\ndn: uid=b,dc=x\nuid: b\nDeparted: yes\n")
    ids = {"uid=a,dc=x", "uid=b,dc=x"}
    for where, found in (("(!(departed=yes))", {"uid=a,dc=x"}), ("(!(departed=no))", ids), ("(!(departd=no))", set())):
        assert {user.id for user in directory(path, where=where).scan()} == found
        assert {user.id for user in directory(path, where=where).find([("@id", id_) for id_ in ids])} == found


@pytest.mark.parametrize("count", [0, 1, 7, 5000])
def test_the_number_of_entries_is_estimated_from_the_first_ones(tmp_path: Path, count: int) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("version: 1\n\n" + "".join(f"dn: uid=u{n:04},dc=x\nuid: u{n:04}\n\n" for n in range(count)))
    size = directory(path).size()
    assert size is not None
    assert abs(size - max(1, count)) <= count // 100


def test_what_is_named_like_a_part_of_a_change_record_is_an_attribute_where_it_does_not_come_first(
    tmp_path: Path,
) -> None:
    path = tmp_path / "people.ldif"
    path.write_text("dn: uid=a,dc=x\nuid: a\ncontrol: 1\nchangetype: 2\n")
    (user,) = directory(path, View(("uid", "control", "changetype"))).scan()
    assert user.values == {"uid": ("a",), "control": ("1",), "changetype": ("2",)}


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "people.ldif"
    path.write_bytes(b"")
    assert directory(path).size() == 0
    assert list(directory(path).scan()) == []
