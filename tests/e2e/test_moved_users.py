"""Users who are moved out of the base, in a tree whose root is no domain: they are not taken for deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ldap_job import LdapJob
from tests.support.slapd import ADMIN, Slapd

pytestmark = pytest.mark.slapd

TREES = ("o=corp", "o=Corp\\, Inc.,c=DE")
_TREE = """
database mdb
suffix "{tree}"
rootdn {admin}
directory {folder}
maxsize 104857600
dbnosync
access to * by * write
"""
_HIDDEN = 'access to dn.base="" attrs=namingContexts by * none\naccess to dn.base="" by * read\n'
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: {value: "{workNo}", unique: true}}
stale: clear
"""


@pytest.fixture(params=TREES)
def tree(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["told", "hidden"])
def told(request: pytest.FixtureRequest) -> bool:
    """Whether the root DSE tells the naming contexts."""
    return bool(request.param)


@pytest.fixture
def server(tmp_path: Path, tree: str, told: bool) -> Iterator[Slapd]:
    (tmp_path / "tree").mkdir()
    database = _TREE.format(tree=tree.replace("\\", "\\\\"), admin=ADMIN, folder=tmp_path / "tree")
    with Slapd.start(tmp_path / "s", rules="" if told else _HIDDEN, overlays=database) as started:
        names = {"o=corp": "o: corp"}.get(tree, "o: Corp, Inc.")
        units = "".join(
            f"dn: ou={unit},{tree}\nchangetype: add\nobjectClass: organizationalUnit\nou: {unit}\n\n"
            for unit in ("people", "archive")
        )
        people = "".join(
            f"dn: uid={uid},ou=people,{tree}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: x\nsn: x\n\n"
            for uid in ("u0", "u1", "u2")
        )
        started.modify(f"dn: {tree}\nchangetype: add\nobjectClass: organization\n{names}\n\n{units}{people}")
        yield started


@pytest.fixture
def job(server: Slapd, tree: str, tmp_path: Path) -> LdapJob:
    """User 1 has number 1001, and its agent leaves; the number goes to user 2."""
    limits = {"update": "100%", "clear": 100, "agents_drop": "100%", "matched_drop": "100%"}
    made = LdapJob(tmp_path / "job", server.url, "u0", "u1", mapping=MAPPING, limits=limits)
    text = (made.folder / "job.yaml").read_text().replace("ou=people,dc=example,dc=org", f"ou=people,{tree}", 1)
    (made.folder / "job.yaml").write_text(text)
    made.apply()
    agents = [{"workNo": 1000, "accountCode": "u0"}, {"workNo": 1001, "accountCode": "u2"}]
    (made.folder / "agents.json").write_text(json.dumps({"agents": agents}))
    return made


def test_a_moved_user_keeps_its_number(server: Slapd, job: LdapJob, tree: str, told: bool) -> None:
    there = f"ou=archive,{tree}"
    server.modify(
        f"dn: uid=u1,ou=people,{tree}\nchangetype: modrdn\nnewrdn: uid=u1\ndeleteoldrdn: 1\nnewsuperior: {there}\n"
    )
    for _ in range(2):
        job.apply()
        report = json.loads((job.folder / "report.json").read_text())
        said = {each["kind"]: each["why"] for each in report["problems"]}
        assert ("was moved out of the base" if told else "To tell which, ") in said["stale"]
        assert "reassigned" in said
    assert b"employeeNumber: 1001" not in server.search("(uid=u2)", "employeeNumber", base=tree)


def test_a_deleted_user_lets_go_of_it_where_the_whole_tree_was_searched(
    server: Slapd, job: LdapJob, tree: str, told: bool
) -> None:
    server.modify(f"dn: uid=u1,ou=people,{tree}\nchangetype: delete\n")
    job.apply()
    found = server.search("(uid=u2)", "employeeNumber", base=tree)
    assert (b"employeeNumber: 1001" in found) is told
