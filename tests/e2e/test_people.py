"""The names of people beside the DNs of a report (`directory.show`), on an LDIF file and on servers."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.support.jobs import configure, job_file, scim_directory
from tests.support.ldap_job import LdapJob
from tests.support.ldap_proxy import LdapProxy, Line
from tests.support.ldif_job import BASE, Job, agent
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, user
from tests.support.slapd import ACL, SYNC, Slapd, person

ANNA = f"uid=user1,{BASE}"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path, users=3)
    job.write("people.ldif", job.read("people.ldif").replace("cn: User 1\n", "cn: User 1\ndisplayName: Anna Example\n"))
    return job


def test_every_report_shows_the_first_of_these_attributes_that_has_a_value(job: Job) -> None:
    names = [f"report.{suffix}" for suffix in ("json", "csv", "md", "html", "ldif")]
    said = job.program("plan", "job.yaml", *(word for name in names for word in ("--report", name)))
    assert f"~ {ANNA} (Anna Example)  ← " in said.out
    assert f"~ uid=user2,{BASE} (User 2)  ← " in said.out
    assert json.loads(job.read("report.json"))["people"][ANNA] == "Anna Example"
    assert all("Anna Example" in job.read(name) for name in names)
    assert "Anna" not in said.err, "names of people are not in logs"


def test_users_of_problems_are_named_too(job: Job) -> None:
    job.agents([agent(1), agent(2), agent(9, accountCode="user03")])
    assert f"almost: uid=user3,{BASE} (User 3)" in job.run("plan")


def test_the_names_are_in_no_digest(job: Job) -> None:
    named = job.plan()
    job.configure(directory={"show": []})
    assert "people" not in job.plan()
    assert job.plan()["digest"] == named["digest"]


def test_with_many_changes_a_terminal_reads_the_names_of_those_that_it_shows(tmp_path: Path) -> None:
    job = Job(tmp_path, users=30)
    assert f"           uid=user1,{BASE} (User 1)\n" in job.run("plan")
    assert len(job.plan()["people"]) == 30


@pytest.mark.parametrize(
    ("show", "why"),
    [
        (["employeeNumber"], "directory.show: the mapping writes employeeNumber. Name another attribute"),
        (["cn", "EMPLOYEENUMBER"], "directory.show: the mapping writes EMPLOYEENUMBER"),
        (["userPassword"], "userPassword cannot be shown: "),
        (["not a name"], "not a name cannot be shown: is no attribute name"),
    ],
)
def test_what_the_mapping_writes_and_passwords_cannot_be_shown(job: Job, show: list[str], why: str) -> None:
    job.configure(directory={"show": show})
    assert why in job.run("plan", code=78)


def test_an_undo_names_people_too(job: Job) -> None:
    job.run("apply")
    assert f"~ {ANNA} (Anna Example)  ← " in job.run("undo", "last")


def test_explain_names_people_too(job: Job) -> None:
    job.agents([agent(1), agent(2), agent(9, accountCode="user03")])
    explained = job.run("explain", "user1")
    assert f"  user {ANNA} (Anna Example), id " in explained
    assert f"      found\n        {ANNA} (Anna Example)\n" in explained
    assert f"Attributes of {ANNA} (Anna Example)\n" in explained
    assert f"  user {ANNA} (Anna Example), id " in job.run("explain", ANNA)
    assert f"      almost: uid=user3,{BASE} (User 3) (uid user3: " in job.run("explain", "user03")
    assert json.loads(job.run("explain", "user1", "--json"))["people"] == {ANNA: "Anna Example"}
    job.configure(directory={"show": []})
    assert "people" not in json.loads(job.run("explain", "user1", "--json"))


def test_candidates_of_an_ambiguous_agent_are_named_in_an_explanation(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("uid: user3\n", "uid: user3\nuid: user1\n"))
    explained = job.run("explain", "user1")
    assert f"        {ANNA} (Anna Example)\n        uid=user3,{BASE} (User 3)\n" in explained
    assert f"      uid=user3,{BASE} (User 3)\n" in job.run("plan")


def test_a_name_that_the_dn_has_already_is_not_said_twice(job: Job) -> None:
    people = job.read("people.ldif").replace(f"dn: {ANNA}", f"dn: cn=Anna\\2C  example,{BASE}")
    job.write("people.ldif", people.replace("displayName: Anna Example", "displayName: anna, Example"))
    assert sorted(job.plan()["people"]) == [f"uid=user{number},{BASE}" for number in (2, 3)]


def test_what_the_mapping_writes_is_no_name_unless_the_job_says_so(job: Job) -> None:
    job.write("mapping.yaml", job.read("mapping.yaml").replace("cecAccountCode:", "displayName:"))
    assert job.plan()["people"][ANNA] == "User 1"
    job.configure(directory={"show": ["displayName"]})
    assert "the mapping writes displayName" in job.run("plan", code=78)


def test_another_name_of_what_the_mapping_writes_is_not_shown(job: Job) -> None:
    """`homeTelephoneNumber` is homePhone (RFC 4524 §2.11)."""
    home = 'homePhone: {value: "{workNo}", owns: "*"}'
    job.write("mapping.yaml", job.read("mapping.yaml").replace('cecAccountCode: "{accountCode}"', home))
    job.write("people.ldif", job.read("people.ldif").replace("sn: User\n", "sn: User\nhomePhone: 7\n"))
    job.configure(directory={"show": ["homeTelephoneNumber"]})
    assert "people" not in job.plan()


@pytest.mark.parametrize("show", ["displayName", "emails.value"])
def test_what_a_mapping_calls_secret_is_not_shown_under_another_spelling(job: Job, show: str) -> None:
    core = "urn:ietf:params:scim:schemas:core:2.0:User"
    secret = "match: [{agent: '{accountCode}', directory: userName}]\nattributes:\n"
    for path in (f"{core}:displayName", f'{core}:emails[type eq "work"].value'):
        secret += f"  '{path}': {{value: '{{sipPwd}}', secret: true, together: false}}\n"
    job.write("mapping.yaml", secret)
    job.write("job.yaml", job_file(scim_directory("http://127.0.0.1:9", show=["nickName", show])))
    assert f"directory.show: the mapping writes {show}. Name another attribute" in job.run("plan", code=78)


@pytest.mark.parametrize("command", [("plan", "--all"), ("apply", "--yes"), ("explain", "user1"), ("undo", "last")])
def test_names_are_in_no_log(job: Job, command: tuple[str, ...]) -> None:
    if command[0] == "undo":
        job.run("apply")
    ended = job.program("--log-level", "debug", command[0], "job.yaml", *command[1:])
    assert ended.code == 0, ended.said
    assert "(Anna Example)" in ended.out
    assert "lookup" in ended.err or "look-up" in ended.err or "read" in ended.err, "the log is there"
    assert "Anna" not in ended.err
    audit = job.folder / "audit.jsonl"
    assert "Anna" not in (audit.read_text() if audit.exists() else "")


# ---------------------------------------------------------------- servers that do not tell them


PLAIN = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: "{workNo}"}
"""


class OneAtATime(LdapProxy):
    """Takes a second connection while there is one, and says nothing on it."""

    def __init__(self, port: int) -> None:
        self._silent: list[socket.socket] = []
        super().__init__(port)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for each in self._silent:
            each.close()

    def accepted(self, client: socket.socket, lines: list[Line]) -> None:
        if lines:
            self._silent.append(client)
        else:
            super().accepted(client, lines)


@pytest.mark.slapd
@pytest.mark.slow
def test_a_server_that_answers_no_second_connection_has_no_names_and_no_fault(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "slapd", [person("ann"), person("bob")]) as slapd, OneAtATime(slapd.port) as proxy:
        job = LdapJob(tmp_path / "job", proxy.url, "ann", "bob", mapping=PLAIN)
        _, unnamed = job.run("plan")
        configure(job.folder / "job.yaml", directory={"show": ["cn"], "timeout": 1})
        assert job.run("plan")[1]["about"]["names"].startswith("not shown: ")
        configure(job.folder / "job.yaml", directory={"show": None, "timeout": None})
        ended, planned = job.run("apply")
        assert ended.code == 0, ended.said
        assert not {"people", "cautions"} & planned.keys()
        assert planned["about"] == unnamed["about"]
        assert planned["problems"] == unnamed["problems"] == []
        assert [each["outcome"] for each in planned["outcomes"]] == ["written", "written"]
        assert '"level": "warning"' not in ended.err


@pytest.mark.slapd
def test_an_attribute_that_the_account_may_not_read_is_no_name(tmp_path: Path) -> None:
    closed = f'access to attrs=cn by dn.exact="{SYNC}" search\n{ACL}'
    with Slapd.start(tmp_path / "slapd", [person("ann"), person("bob")], acl=closed) as slapd:
        job = LdapJob(tmp_path / "job", slapd.url, "ann", "bob", mapping=PLAIN)
        configure(job.folder / "job.yaml", directory={"show": None})
        ended, planned = job.run("plan")
        assert ended.code == 0, ended.said
        assert "people" not in planned
        assert planned["problems"] == []


@pytest.mark.slow
def test_on_a_scim_server_they_are_read_by_id_and_nobody_is_searched_for(tmp_path: Path) -> None:
    """A userName alone would have to be looked for, and by all users where the server's filters are of no use."""
    with ScimServer.start(tmp_path / "scim") as server:
        server.put([user(1, displayName="Anna Example"), user(2, name={"formatted": "Bob Example"}), user(3), user(5)])
        job = ScimJob(tmp_path / "job", server, agents=4)
        job.agents[3] |= {"accountCode": "agent0005"}
        job.tenant()
        planned = job.run("plan")
        assert planned["people"] == {"agent001": "Anna Example", "agent002": "Bob Example"}
        (line,) = (each for each in planned["problems"] if each["kind"] == "unmatched")
        assert line["near"]
