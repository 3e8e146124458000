"""A server that stores another spelling than it was sent: written, ours, in step; and never somebody else's value."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.support.jobs import job_file, scim_directory
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_proxy import LdapProxy
from tests.support.program import ended, program, started
from tests.support.respelling import WAYS, RespellingProxy
from tests.support.scim_stub import EXTENSION, stub
from tests.support.slapd import PEOPLE, SYNC_PASSWORD, Slapd, person

pytestmark = pytest.mark.slapd
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: {value: "0049{workNo}"}
  description: {value: "seat {workNo}", owns: "seat *"}
stale: clear
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    people = [person("agent000", "employeeNumber: 31"), person("agent001"), person("agent002", "employeeNumber: 32")]
    with Slapd.start(tmp_path / "server", people) as running:
        yield running


def numbers(server: Slapd, attribute: str = "employeeNumber") -> list[list[str]]:
    return [held(server, f"agent{number:03}", attribute) for number in range(3)]


def job_on(server: LdapProxy | Slapd, folder: Path, *uids: str, mapping: str = MAPPING) -> LdapJob:
    """A job that may change and clear everybody."""
    limits = dict.fromkeys(("update", "clear", "secret", "agents_drop", "matched_drop", "state"), "100%")
    return LdapJob(folder / "job", server.url, *uids, mapping=mapping, limits=limits, state="sqlite:///state.db")


def agents(job: LdapJob, *uids: str, first: int = 1000, **more: Any) -> None:
    some = [{"workNo": first + number, "accountCode": uid} | more for number, uid in enumerate(uids)]
    (job.folder / "agents.json").write_text(json.dumps({"agents": some}))


def last_run(job: LdapJob) -> str:
    return str(json.loads(job.run_plainly("runs", "--json"))[0]["id"])


@pytest.mark.parametrize("way", WAYS)
def test_it_is_written_and_ours_in_that_spelling_and_the_next_plan_is_empty(
    server: Slapd, tmp_path: Path, way: str
) -> None:
    with RespellingProxy(server.port, way) as proxy:
        job = job_on(proxy, tmp_path, "agent000", "agent001")
        done, report = job.run("apply")
        assert done.code == 0, done.said
        assert "Done: 2 of 2 users written" in done.out
        assert "employeeNumber: stored as '+0491000'" in done.out
        assert "the server stores another spelling than it was sent" in done.err
        assert [each["differs"] for each in report["outcomes"]] == [
            [{"name": "employeeNumber", "stored": [f"+049{1000 + number}"]}] for number in range(2)
        ]
        assert numbers(server) == [["+0491000"], ["+0491001"], ["32"]]
        assert proxy.writes == (4 if way == "neither" else 2)
        assert job.problems() == []
        assert job.apply() == {}


@pytest.mark.parametrize("way", WAYS)
def test_a_leaver_is_cleared_and_a_new_number_is_one_more_write(server: Slapd, tmp_path: Path, way: str) -> None:
    with RespellingProxy(server.port, way) as proxy:
        job = job_on(proxy, tmp_path, "agent000", "agent001")
        job.apply()
        agents(job, "agent000", first=2000)
        assert {uid: each["outcome"] for uid, each in job.apply().items()} == {
            "agent000": "written", "agent001": "written"
        }  # fmt: skip
        assert numbers(server) == [["+0492000"], [], ["32"]]
        assert job.problems() == []


@pytest.mark.parametrize("way", WAYS)
def test_an_undo_brings_back_what_was_there(server: Slapd, tmp_path: Path, way: str) -> None:
    with RespellingProxy(server.port, way) as proxy:
        job = job_on(proxy, tmp_path, "agent000", "agent001")
        job.apply()
        first = last_run(job)
        agents(job, "agent000", "agent001", first=2000)
        job.apply()
        job.run_plainly("undo", last_run(job), "--apply")
        assert numbers(server) == [["+0491000"], ["+0491001"], ["32"]]
        job.run_plainly("release")
        agents(job, "agent000", "agent001")
        assert job.apply() == {}, "what an undo put back is in step again"
        job.run_plainly("undo", first, "--apply")
        assert numbers(server) == [["31"], [], ["32"]]


@pytest.mark.parametrize("way", ["shows", "neither"])
@pytest.mark.parametrize("respells", [True, False])
def test_what_somebody_else_writes_just_after_stays_and_is_never_ours(
    server: Slapd, tmp_path: Path, way: str, respells: bool
) -> None:
    def disturb(writes: int) -> None:
        if writes == 1:
            user = f"dn: uid=agent000,{PEOPLE}\nchangetype: modify\n"
            server.modify(f"{user}replace: employeeNumber\nemployeeNumber: theirs\n")

    with RespellingProxy(server.port, way, respells=respells, answered=disturb) as proxy:
        job = job_on(proxy, tmp_path, "agent000")
        outcome = job.apply(code=4)["agent000"]
        assert outcome["outcome"] == "conflict"
        assert "another program wrote employeeNumber just after this job" in outcome["why"]
        assert numbers(server)[0] == ["theirs"]
        assert held(server, "agent000", "description") == ["seat 1000"]
        agents(job, "nobody")
        job.apply()
        assert numbers(server)[0] == ["theirs"], "a leaver keeps what somebody else wrote"
        assert held(server, "agent000", "description") == []


SECRET = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: {value: "0049{sipPwd}", secret: true}}
stale: clear
"""


@pytest.mark.parametrize("way", ["shows", "neither"])
def test_of_a_secret_nothing_is_shown_and_it_is_ours_all_the_same(server: Slapd, tmp_path: Path, way: str) -> None:
    with RespellingProxy(server.port, way) as proxy:
        job = job_on(proxy, tmp_path, mapping=SECRET)
        agents(job, "agent000", "agent001", sipPwd="c4n4ry")
        done, _ = job.run("apply", "--report", "report.html", "--report", "report.csv")
        assert done.code == 0, done.said
        assert "employeeNumber: stored in another spelling" in done.out
        assert numbers(server)[:2] == [["+049c4n4ry"]] * 2
        assert job.problems() == []
        agents(job, "agent000", sipPwd="c4n4ry")
        job.apply()
        assert numbers(server)[:2] == [["+049c4n4ry"], []]
        kept = [path.read_bytes() for path in job.folder.iterdir() if path.name != "agents.json"]
        assert not any(b"c4n4ry" in octets for octets in kept)
        assert "c4n4ry" not in done.said


def test_a_saved_plan_that_was_applied_meanwhile_is_there_already(server: Slapd, tmp_path: Path) -> None:
    with RespellingProxy(server.port, "shows") as proxy:
        job = job_on(proxy, tmp_path, "agent000")
        job.run_plainly("plan", "--save", "plan.json")
        job.apply()
        done, report = job.run("apply", "--plan", "plan.json")
        assert done.code == 0, done.said
        assert [each["outcome"] for each in report["outcomes"]] == ["unchanged"]
        assert proxy.writes == 1


UNIQUE = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: {value: "0049{workNo}", unique: true}}
"""


def test_a_number_that_somebody_holds_in_that_spelling_is_not_given_twice(server: Slapd, tmp_path: Path) -> None:
    with RespellingProxy(server.port, "shows") as proxy:
        job = job_on(proxy, tmp_path, "agent000", "agent001", mapping=UNIQUE)
        job.apply()
        (job.folder / "agents.json").write_text(json.dumps({"agents": [{"workNo": 1001, "accountCode": "agent000"}]}))
        _, report = job.run("plan")
        assert report["changes"] == []
        assert [each["kind"] for each in report["problems"] if each["kind"] == "reassigned"] == ["reassigned"]
        agents(job, "agent001", "agent000")
        job.apply()
        assert numbers(server)[:2] == [["+0491001"], ["+0491000"]], "one frees what the other gets"
        server.modify(
            f"dn: uid=agent002,{PEOPLE}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: +0493000\n"
        )
        agents(job, "agent000", first=3000)
        outcome = job.apply(code=4)["agent000"]
        assert "as a value that uid=agent002" in outcome["why"]


LIST = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  description: {value: ["0049{workNo}", "0049{workNo}-x", "{accountCode}"], owns: ["+049*", "0049*", "agent*"]}
stale: clear
"""


@pytest.mark.parametrize("way", WAYS)
def test_beside_the_values_of_others_a_list_is_ours_as_it_is_stored(server: Slapd, tmp_path: Path, way: str) -> None:
    server.modify(f"dn: uid=agent001,{PEOPLE}\nchangetype: modify\nadd: description\ndescription: hers\n")
    with RespellingProxy(server.port, way) as proxy:
        job = job_on(proxy, tmp_path, "agent000", "agent001", mapping=LIST)
        job.apply()
        assert sorted(held(server, "agent001", "description")) == ["+0491001", "+0491001-x", "agent001", "hers"]
        assert job.problems() == []
        agents(job, "agent000")
        job.apply()
        assert held(server, "agent001", "description") == ["hers"]


def test_a_server_that_drops_the_write_is_not_one_that_spells_it_so(server: Slapd, tmp_path: Path) -> None:
    with LdapProxy(server.port, lambda name, message: None) as proxy:
        job = job_on(proxy, tmp_path, "agent000")
        outcome = job.apply(code=4)["agent000"]
        assert outcome["outcome"] == "failed"
        assert numbers(server)[0] == ["31"]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_killed_before_it_hears_of_the_write_is_made_good(
    server: Slapd, tmp_path: Path, way: str
) -> None:
    running: list[subprocess.Popen[str]] = []

    def kill(writes: int) -> None:
        if writes == 1:
            running[0].kill()
            running[0].wait()

    with RespellingProxy(server.port, way, answered=kill) as proxy:
        job = job_on(proxy, tmp_path, "agent000")
        with started("apply", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD}) as process:
            running.append(process)
            ended(process)
        assert numbers(server)[0] == ["+0491000"]
        assert job.apply()["agent000"]["outcome"] == "written"
        assert job.problems() == []
        job.run_plainly("undo", last_run(job), "--apply")
        assert numbers(server)[0] == ["31"], "what was there before the run that was killed"
        job.run_plainly("release")


def test_a_run_that_was_killed_proves_no_value_that_somebody_else_writes_after_the_next_one(
    server: Slapd, tmp_path: Path
) -> None:
    running: list[subprocess.Popen[str]] = []

    def disturb(writes: int) -> None:
        if writes < 3:
            user = f"dn: uid=agent000,{PEOPLE}\nchangetype: modify\n"
            server.modify(f"{user}replace: employeeNumber\nemployeeNumber: theirs {writes}\n")
        if writes == 1:
            running[0].kill()
            running[0].wait()

    with RespellingProxy(server.port, "neither", respells=False, answered=disturb) as proxy:
        job = job_on(proxy, tmp_path, "agent000")
        with started("apply", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD}) as process:
            running.append(process)
            ended(process)
        assert job.apply(code=4)["agent000"]["outcome"] == "conflict"
        assert numbers(server)[0] == ["theirs 2"]
        agents(job, "nobody")
        job.apply()
        assert numbers(server)[0] == ["theirs 2"], "a leaver keeps what somebody else wrote"


ORDERED = """
attributetype ( 1.3.6.1.4.1.32473.1.1 NAME 'exampleLine' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORDERED 'VALUES' )
objectclass ( 1.3.6.1.4.1.32473.1.2 NAME 'exampleAgent' SUP top AUXILIARY MAY exampleLine )
"""
LINES = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {exampleLine: {value: "{workNo}", owns: "*"}}
object_classes: [exampleAgent]
stale: clear
"""


def test_values_that_slapd_stores_in_order_are_ours_with_their_numbers(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "server", [person(f"agent00{n}") for n in range(2)], rules=ORDERED) as server:
        job = job_on(server, tmp_path, "agent000", "agent001", mapping=LINES)
        job.apply()
        lines = [held(server, f"agent00{n}", "exampleLine") for n in range(2)]
        assert lines == [["{0}1000"], ["{0}1001"]]
        assert job.problems() == []
        agents(job, "agent000", first=2000)
        job.apply()
        lines = [held(server, f"agent00{n}", "exampleLine") for n in range(2)]
        assert lines == [["{0}2000"], []]
        assert job.problems() == []


def test_a_value_that_slapd_numbers_anew_once_another_is_gone_is_ours_again(tmp_path: Path) -> None:
    mapping = LINES.replace('"*"', '"*10*"')
    others = person("agent000", "exampleLine: 555", "exampleLine: 666", classes=("exampleAgent",))
    with Slapd.start(tmp_path / "server", [others], rules=ORDERED) as server:
        job = job_on(server, tmp_path, "agent000", mapping=mapping)
        job.apply()
        assert held(server, "agent000", "exampleLine") == ["{0}555", "{1}666", "{2}1000"]
        gone = "changetype: modify\ndelete: exampleLine\nexampleLine: {0}555\n"
        server.modify(f"dn: uid=agent000,{PEOPLE}\n{gone}")
        job.apply()
        assert held(server, "agent000", "exampleLine") == ["{0}666", "{1}1000"]
        assert job.problems() == []


def test_a_spelling_that_owns_does_not_take_is_told_with_the_way_out(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "server", [person("agent000")], rules=ORDERED) as server:
        job = job_on(server, tmp_path, "agent000", mapping=LINES.replace('"*"', '"10*"'))
        said = job.run_plainly("apply", code=4)
        assert "as written. If it stores another spelling, `owns` has to take that too\n" in said


def test_a_scim_server_that_completes_numbers_is_written_once_and_taken_back(tmp_path: Path) -> None:
    mapping = """\
match: [{agent: "{accountCode}", directory: userName}]
attributes: {"%s:sipAccount": "{workNo}", "%s:accountCode": "{accountCode}"}
stale: clear
"""
    limits = dict.fromkeys(("update", "clear", "agents_drop", "matched_drop", "state"), "100%")
    tenant = tmp_path / "agents.json"
    tenant.write_text(json.dumps({"agents": [{"workNo": n, "accountCode": f"agent00000{n}"} for n in (1, 2)]}))
    (tmp_path / "mapping.yaml").write_text(mapping % (EXTENSION, EXTENSION))
    with stub(3, "index", "--respell") as url:

        def run(command: str, *options: str) -> str:
            done = program(command, "job.yaml", *options, folder=tmp_path, env={"SCIM_TOKEN": "example"})
            assert done.code == 0, done.said
            return done.out

        (tmp_path / "job.yaml").write_text(job_file(scim_directory(url), limits=limits))
        said = run("apply")
        assert "Done: 2 of 2 users written" in said
        assert "sipAccount: stored as '+1'" in said
        run("plan", "--fail-on-changes")
        tenant.write_text(json.dumps({"agents": [{"workNo": 1, "accountCode": "agent000001"}]}))
        assert "Done: 1 of 1 user written" in run("apply")
        run("plan", "--fail-on-changes")
        runs = json.loads(run("runs", "--json"))
        assert "Done: 1 of 1 user written" in run("undo", runs[0]["id"], "--apply")
        run("undo", runs[1]["id"], "--apply")
        for number in (1, 2):
            with urlopen(f"{url}/Users/u000000{number}") as answer:
                assert EXTENSION not in json.load(answer)
