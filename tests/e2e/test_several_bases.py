"""A job whose users are below several entries: `directory.base` as a list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldif_job import Job
from tests.support.slapd import PEOPLE, Slapd, person

UNITS = [f"ou=staff,{PEOPLE}", f"ou=partners,{PEOPLE}"]
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: {value: "{workNo}", unique: true}}
stale: clear
"""


def unit(name: str) -> str:
    return f"dn: {name}\nobjectClass: organizationalUnit\nou: {name[3:].partition(',')[0]}\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """One user below each unit, and one beside them."""
    people = [person("ann"), person("bob"), person("cleo")]
    for name, place in (("ann", UNITS[0]), ("bob", UNITS[1])):
        people = [each.replace(f"uid={name},{PEOPLE}", f"uid={name},{place}") for each in people]
    with Slapd.start(tmp_path_factory.mktemp("server") / "slapd", [*map(unit, UNITS), *people]) as slapd:
        yield slapd


def job(tmp_path: Path, server: Slapd, **directory: Any) -> LdapJob:
    made = LdapJob(tmp_path / "job", server.ldaps_url, "ann", "bob", "cleo", mapping=MAPPING)
    configure(made.folder / "job.yaml", directory={"base": UNITS, "ca_file": str(server.ca), **directory})
    return made


@pytest.mark.slapd
@pytest.mark.parametrize("read", ["find", "scan"])
@pytest.mark.parametrize("scope", ["subtree", "onelevel"])
def test_users_below_each_base_are_written_and_nobody_else(
    server: Slapd, tmp_path: Path, read: str, scope: str
) -> None:
    made = job(tmp_path, server, read=read, scope=scope)
    ended, report = made.run("plan")
    assert ended.code == 0, ended.said
    assert report["about"]["base"] == "; ".join(UNITS)
    names = {change["user"]["name"] for change in report["changes"]}
    assert names == {f"uid=ann,{UNITS[0]}", f"uid=bob,{UNITS[1]}"}
    (problem,) = (each for each in report["problems"] if each["kind"] == "unmatched")
    assert problem["agent"]["accountCode"] == "cleo"
    assert {uid: each["outcome"] for uid, each in made.apply().items()} == {"ann": "written", "bob": "written"}
    assert [held(server, uid, "employeeNumber") for uid in ("ann", "bob", "cleo")] == [["1000"], ["1001"], []]
    ended, report = made.run("undo", "last", "--apply")
    assert ended.code == 0, ended.said
    assert [held(server, uid, "employeeNumber") for uid in ("ann", "bob")] == [[], []]


@pytest.mark.slapd
def test_one_level_below_two_entries_is_apart_also_if_one_is_below_the_other(server: Slapd, tmp_path: Path) -> None:
    made = job(tmp_path, server, base=[PEOPLE, UNITS[0]], scope="onelevel")
    names = {change["user"]["name"] for change in made.run("plan")[1]["changes"]}
    assert names == {f"uid=cleo,{PEOPLE}", f"uid=ann,{UNITS[0]}"}
    configure(made.folder / "job.yaml", directory={"scope": "subtree"})
    assert made.run("plan")[0].code == 78


@pytest.mark.slapd
def test_who_moves_from_one_base_to_the_other_is_the_same_user(server: Slapd, tmp_path: Path) -> None:
    made = job(tmp_path, server)
    made.apply()
    server.modify(
        f"dn: uid=ann,{UNITS[0]}\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 0\nnewsuperior: {UNITS[1]}\n"
    )
    assert made.run("plan")[1]["summary"]["unchanged"] == 2
    server.modify(
        f"dn: uid=ann,{UNITS[1]}\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 0\nnewsuperior: {UNITS[0]}\n"
    )
    assert made.run("undo", "last", "--apply")[0].code == 0


@pytest.mark.slapd
def test_bases_of_two_naming_contexts_are_two_jobs(server: Slapd, tmp_path: Path) -> None:
    made = job(tmp_path, server, base=[UNITS[0], "ou=elsewhere,dc=other,dc=org"])
    ended, _ = made.run("plan")
    assert ended.code == 78
    assert "ou=elsewhere,dc=other,dc=org is in no naming context, and" in ended.said
    assert "Give each a job of its own" in ended.said


def test_a_file_has_several_bases_too(tmp_path: Path) -> None:
    made = Job(tmp_path, users=3)
    people = made.read("people.ldif")
    for user, name in (("user1", "staff"), ("user2", "partners")):
        people = people.replace(f"uid={user},ou=people", f"uid={user},ou={name},ou=people")
    made.write("people.ldif", people)
    made.configure(
        directory={"base": ["ou=staff,ou=people,dc=example,dc=org", "OU=Partners,OU=People,dc=example,dc=org"]}
    )
    assert {change["agent"]["accountCode"] for change in made.plan()["changes"]} == {"user1", "user2"}


@pytest.mark.parametrize(
    ("base", "why"),
    [
        (["ou=a,dc=example,dc=org", "DC=example, DC=org"], "is not to be below DC=example, DC=org: name the upper one"),
        (["dc=example,dc=org", "dc=example,dc=org"], "is not to be below"),
        (["dc=example,dc=org", ""], "must be a distinguished name"),
        ([], "must not be empty"),
        ("people", "must be a distinguished name"),
        (5, "must be a distinguished name, or a list of them"),
    ],
)
def test_bases_are_apart(tmp_path: Path, base: Any, why: str) -> None:
    made = Job(tmp_path, users=1)
    made.configure(directory={"base": base})
    said = made.run("plan", code=78)
    assert "job.yaml:" in said
    assert why in said
