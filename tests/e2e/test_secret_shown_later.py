"""An attribute that held passwords stays secret: no later mapping, alias, name or near miss shows what is there.

Passwords stay in the directory when a mapping changes. What a report shows of them is known to whoever reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import changed, ldap_directory
from tests.support.ldap_job import LdapJob
from tests.support.ldap_server import PEOPLE, SYNC, SYNC_PASSWORD
from tests.support.ldif_job import Job, agent
from tests.support.program import program
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, ScimServer, people
from tests.support.slapd import Slapd, person

MATCH = 'match: [{agent: "{accountCode}", directory: uid}]\n'
SECRET = MATCH + 'attributes: {title: {value: "{sipPwd}", secret: true, owns: "*"}}\n'
IN_CLEAR = MATCH + 'attributes: {title: {value: "seat {workNo}", owns: "*"}}\n'
ELSEWHERE = MATCH + 'attributes: {employeeNumber: "{workNo}"}\n'
BY_TITLE = IN_CLEAR.replace("directory: uid", "directory: title").replace("title: {", "employeeNumber: {", 1).replace(
    ', owns: "*"', ""
)  # fmt: skip
REPORTS = [f"report{suffix}" for suffix in (".json", ".csv", ".md", ".html", ".ldif")]
EVERY_REPORT = [word for name in REPORTS for word in ("--report", name)]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose passwords are in `title`."""
    found = Job(tmp_path, users=2)
    found.write("mapping.yaml", SECRET)
    found.run("apply")
    assert found.read("people.ldif").count("canary-") == 2
    return found


def nothing_shown(folder: Path) -> None:
    """No file that the program writes for people has a password in it."""
    beside = {"people.ldif", "agents.json"}
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in beside:
            assert b"canary" not in path.read_bytes(), path


def refused(job: Job, command: str = "plan", *options: str, name: str = "title") -> None:
    """The command ends with 78, names the attribute, and shows nothing."""
    assert f"{name} is secret" in job.run(command, *options, code=78)
    nothing_shown(job.folder)


def test_a_mapping_that_no_longer_calls_it_secret_shows_nothing_in_any_output(job: Job) -> None:
    job.write("mapping.yaml", IN_CLEAR)
    refused(job, "plan", "--all", "--save", "plan.json", *EVERY_REPORT)
    refused(job, "explain", "account:user1")
    refused(job, "explain", f"user:uid=user1,{PEOPLE}")
    refused(job, "apply", *EVERY_REPORT)
    job.write("mapping.yaml", SECRET)
    job.write("other.yaml", IN_CLEAR)
    refused(job, "plan", "--mapping", "other.yaml")


def test_the_users_of_another_job_are_no_exception(job: Job) -> None:
    """Nor are users whom no run has written: who reads a report cannot tell whose passwords they are."""
    job.write("people.ldif", job.read("people.ldif").replace("uid=user1,", "uid=user9,").replace("user1\n", "user9\n"))
    job.write("copy.yaml", job.read("job.yaml").replace("mapping.yaml", "clear.yaml"))
    job.write("clear.yaml", IN_CLEAR)
    job.agents([agent(9)])
    ended = job.program("plan", "copy.yaml", "--all")
    assert ended.code == 78
    assert "another one of its state" in ended.err


def test_neither_names_of_people_nor_near_misses_show_it(job: Job) -> None:
    job.write("mapping.yaml", ELSEWHERE)
    job.configure(directory={"show": ["title"]})
    refused(job, "plan", *EVERY_REPORT)
    job.configure(directory={"show": ["title;lang-en"]})
    refused(job, "plan", name="title;lang-en")
    job.configure(directory={"show": None})
    job.write("mapping.yaml", BY_TITLE)
    job.agents([agent(1, accountCode="Canary-1"), agent(2, accountCode="CANARY-2 ")])
    ended = job.program("plan", "job.yaml", "--all", *EVERY_REPORT)
    assert ended.code == 78, ended.said
    nothing_shown(job.folder)


@pytest.mark.parametrize("how", ["pruned", "undone", "left the mapping"])
def test_it_stays_secret_whatever_became_of_the_runs_that_wrote_it(job: Job, how: str) -> None:
    match how:
        case "pruned":
            job.write("mapping.yaml", ELSEWHERE)
            job.run("apply")
            job.sql("update runs set started = '2020-01-01T00:00:00Z', ended = '2020-01-01T00:00:00Z'")
            assert job.program("state", "prune", "job.yaml", "--older", "2d").code == 0
        case "undone":
            job.run("undo", "last", "--apply")
            job.program("release", "job.yaml")
            put = "title: canary-of-somebody\n"
            job.write("people.ldif", job.read("people.ldif").replace("uid: user1\n", f"uid: user1\n{put}"))
        case _:
            job.write("mapping.yaml", ELSEWHERE)
            job.run("apply")
    job.write("mapping.yaml", IN_CLEAR)
    refused(job)


def test_an_undo_of_a_run_that_wrote_it_in_clear_shows_no_later_password(tmp_path: Path) -> None:
    job = Job(tmp_path, users=1)
    job.write("mapping.yaml", IN_CLEAR)
    job.run("apply")
    first = job.run("runs").split()[0]
    job.write("mapping.yaml", SECRET)
    job.run("apply")
    said = job.run("undo", first, code=78)
    assert "title is secret" in said
    assert "wrote it in clear before" in said
    for command in ("runs", "show"):
        assert "title: (secret) set" in job.program(command, "job.yaml", first, "--report", "first.json").out
    nothing_shown(job.folder)


def test_it_is_shown_again_only_after_somebody_has_said_so_by_name(job: Job) -> None:
    job.write("people.ldif", job.read("people.ldif").replace("canary", "gone"))
    job.write("mapping.yaml", IN_CLEAR)
    command = ("state", "forget-secret", "job.yaml")
    assert job.program(*command, "employeeNumber", "--yes").code == 64
    said = job.program(*command, "title", "--dry-run")
    assert (said.code, "every user of" in said.out) == (0, True)
    refused(job)
    assert "add --yes" in job.program(*command, "title").err
    refused(job)
    assert job.program(*command, "TITLE", "--yes").code == 0
    assert "gone-1" in job.run("plan", "--all")


# ---------------------------------------------------------------- other names of one attribute

ALIAS = "mobileTelephoneNumber"
PHONE = MATCH + 'attributes: {NAME: {value: "{workNo}", owns: "*"}}\n'


@pytest.mark.slapd
@pytest.mark.parametrize("name", [ALIAS, "MOBILE", f"{ALIAS};lang-en"])
def test_an_alias_or_an_option_of_it_is_the_same_attribute(tmp_path: Path, name: str) -> None:
    secret = PHONE.replace("NAME", "mobile").replace("{workNo}", "{accountCode}").replace("owns", "secret: true, owns")
    with Slapd.start(tmp_path, [person("canary1")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "canary1", mapping=secret)
        job.apply()
        (job.folder / "mapping.yaml").write_text(PHONE.replace("NAME", name))
        ended, _ = job.run("plan", *EVERY_REPORT)
        assert (ended.code, f"{name} is secret" in ended.err) == (78, True), ended.said
        (job.folder / "mapping.yaml").write_text(MATCH + 'attributes: {employeeNumber: "{workNo}"}\n')
        text = (job.folder / "job.yaml").read_text()
        shown = ldap_directory(server.url, bind_dn=SYNC, show=[name])
        (job.folder / "job.yaml").write_text(changed(text, directory=shown))
        ended, _ = job.run("plan")
        assert (ended.code, f"{name} is secret" in ended.err) == (78, True), ended.said
        (job.folder / "job.yaml").write_text(text)
        (job.folder / "mapping.yaml").write_text(PHONE.replace("NAME", name))
        again = ("state", "forget-secret", "job.yaml", name, "--yes")
        assert program(*again, folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD}).code == 0
        assert job.run("plan")[0].code == 0


@pytest.mark.parametrize("name", [ALIAS, f"{ALIAS};lang-en"])
def test_an_alias_is_the_same_attribute_in_a_directory_without_a_schema(tmp_path: Path, name: str) -> None:
    job = Job(tmp_path, users=2)
    job.write("mapping.yaml", SECRET.replace("title", "mobile"))
    job.run("apply")
    job.write("mapping.yaml", PHONE.replace("NAME", name))
    refused(job, "plan", "--all", *EVERY_REPORT, name=name)
    job.write("mapping.yaml", ELSEWHERE)
    job.configure(directory={"show": [name]})
    refused(job, name=name)
    assert job.program("state", "forget-secret", "job.yaml", name, "--yes").code == 0
    assert program("plan", "job.yaml", folder=tmp_path).code == 0


@pytest.fixture
def scim(tmp_path: Path) -> Iterator[ScimJob]:
    with ScimServer.start(tmp_path / "scim") as server:
        server.restore([])
        server.put(people(2))
        yield ScimJob(tmp_path / "job", server, agents=2)


def scim_mapping(path: str, **keys: Any) -> str:
    rule = {"value": "{accountCode}"} | keys
    return f"match: [{{agent: '{{accountCode}}', directory: userName}}]\nattributes: {json.dumps({path: rule})}\n"


@pytest.mark.parametrize(
    ("wrote", "path"),
    [
        (f"{CEC}:sipPassword", f"{CEC.upper()}:SIPPASSWORD"),
        ("title", "urn:ietf:params:scim:schemas:core:2.0:User:Title"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:title", "TITLE"),
    ],
)
def test_a_scim_path_is_the_same_in_other_case_and_with_its_schema(scim: ScimJob, wrote: str, path: str) -> None:
    mapping = scim.folder / "mapping.yaml"
    scim.configure(mapping="mapping.yaml")
    mapping.write_text(scim_mapping(wrote, secret=True))
    scim.run("apply")
    mapping.write_text(scim_mapping(path, value="seat {workNo}"))
    ended = scim.try_("plan", *EVERY_REPORT)
    assert (ended.code, "is secret" in ended.err) == (78, True), ended.said
