"""Who is named in the log: nobody at level info, and nobody at all where the job wants people hashed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldap_job import LdapJob
from tests.support.ldif_job import Job, agent
from tests.support.program import Ended
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import ScimServer, people
from tests.support.serving import serving
from tests.support.slapd import Slapd, person

NAMES = re.compile(r"marlene\d|7001\b|1001\b|user\d|agent0|example\.org|Person")


def events(ended: Ended) -> list[dict[str, Any]]:
    """The lines of a log; standard error has advice for people too."""
    return [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]


def nobody_named(found: list[dict[str, Any]], level: str = "info") -> None:
    assert found
    for each in found:
        if level in ("", each["level"]):
            assert not NAMES.search(json.dumps(each)), each


def job_of(folder: Path, **settings: Any) -> Job:
    job = Job(folder, users=0)
    job.agents([agent(number, accountCode=f"marlene{number}") for number in (1, 2, 3)])
    entries = (
        f"dn: uid=marlene{number},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: marlene{number}\n"
        f"cn: Person {number}\nsn: Person\nentryUUID: 00000000-0000-0000-0000-{number:012}\n\n"
        for number in (1, 2, 3)
    )
    job.write("people.ldif", "version: 1\n\n" + "".join(entries))
    job.configure(**settings)
    return job


def conflict(job: Job) -> list[dict[str, Any]]:
    """The outcomes of a run in which one user was changed by somebody else after the review."""
    job.run("plan", "--save", "plan.json")
    job.write("people.ldif", job.read("people.ldif").replace("uid: marlene1\n", "uid: marlene1\nemployeeNumber: 5\n"))
    ended = job.program("apply", "job.yaml", "--plan", "plan.json")
    assert ended.code == 4, ended.said
    return [each for each in events(ended) if each["event"] == "outcome"]


@pytest.mark.slow
def test_no_event_of_level_info_names_anybody(tmp_path: Path) -> None:
    job = job_of(tmp_path, audit={"file": "audit.jsonl"}, serve={"every": "1h", "mode": "apply"})
    found = [event for arguments in (("check",), ("plan",), ("plan", "--only", "account:marlene1")) for event in
             events(job.program(arguments[0], "job.yaml", *arguments[1:]))]  # fmt: skip
    outcomes = conflict(job)
    for arguments in (("apply", "job.yaml"), ("explain", "job.yaml", "account:marlene1"), ("runs", "job.yaml")):
        found += events(job.program(*arguments))
    (run, *_) = [each["id"] for each in json.loads(job.run("runs", "--json")) if each["kind"] == "apply"]
    found += events(job.program("undo", "job.yaml", run, "--apply"))
    job.run("release")
    with serving(tmp_path, "job.yaml") as served:
        served.next("run ended")
        assert served.stop() == 0
        found += served.events
    assert {"outcome", "planned", "finished", "run ended"} <= {each["event"] for each in found}
    nobody_named([*found, *outcomes])
    (counts, *_) = [each for each in found if each["event"] == "planned"]
    assert {name for name, value in counts.items() if isinstance(value, int)} >= {
        "agents",
        "matched",
        "stale",
        "update",
    }
    assert "UNSET" not in counts.values()
    warned = [each for each in outcomes if each["level"] == "warning"]
    assert [each["user"] for each in warned] == ["uid=marlene1,ou=people,dc=example,dc=org"]


def test_a_person_has_the_same_hash_in_each_run_and_another_one_under_another_key(tmp_path: Path) -> None:
    job = job_of(tmp_path)

    def persons() -> set[str]:
        said = events(job.program("apply", "job.yaml"))
        nobody_named(said)
        found = {each["person"] for each in said if each["event"] == "outcome"}
        assert all(re.fullmatch("[0-9a-f]{16}", each) for each in found)
        return found

    first = persons()
    assert len(first) == 3
    job.agents([agent(number, accountCode=f"marlene{number}", workNo=2000 + number) for number in (1, 2, 3)])
    assert persons() == first
    for name in ("state.db", "state.db.key"):
        (tmp_path / name).unlink()
    job.agents([agent(number, accountCode=f"marlene{number}", workNo=3000 + number) for number in (1, 2, 3)])
    assert persons().isdisjoint(first)


def test_hashed_people_are_named_by_no_event_of_any_level(tmp_path: Path) -> None:
    job = job_of(tmp_path, log={"people": "hashed"})
    outcomes = conflict(job)
    nobody_named(outcomes, level="")
    assert {each["result"] for each in outcomes} == {"written", "conflict"}
    assert len({each["person"] for each in outcomes}) == 3
    twice = job.read("people.ldif").partition("\n\n")[2]
    job.write("people.ldif", job.read("people.ldif") + twice)
    ended = job.program("apply", "job.yaml")
    assert ended.code == 1, ended.said
    assert "two entries with one DN" in events(ended)[-1]["reason"]
    nobody_named(events(ended), level="")


@pytest.mark.parametrize("name", ["account:marlene9", "marlene1x", "user:uid=marlene9", "seat:7001"])
def test_nor_is_a_name_that_the_command_line_gives(tmp_path: Path, name: str) -> None:
    ended = job_of(tmp_path, log={"people": "hashed"}).program("plan", "job.yaml", "--only", name)
    assert ended.code == 64, ended.said
    assert events(ended)[-1]["reason"] == "--only: a name that is given there cannot be used"
    nobody_named(events(ended), level="")


def test_another_word_is_refused_with_its_line(tmp_path: Path) -> None:
    job = job_of(tmp_path, log={"people": "masked"})
    assert "log.people" in job.run("apply", code=78)


@pytest.mark.slow
def test_nor_does_one_on_openldap(tmp_path: Path) -> None:
    uids = ["marlene1", "marlene2"]
    mapping = 'match: [{agent: "{accountCode}", directory: uid}]\nattributes: {employeeNumber: "{workNo}"}\n'
    with Slapd.start(tmp_path / "s", map(person, uids)) as server:
        job = LdapJob(tmp_path / "job", server.url, *uids, mapping=mapping)
        found = events(job.run("plan")[0]) + events(job.run("apply")[0])
    assert [each["result"] for each in found if each["event"] == "outcome"] == ["written"] * 2
    nobody_named(found)


@pytest.mark.slow
def test_nor_does_one_on_scim(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "server", people(2)) as server:
        job = ScimJob(tmp_path / "job", server, agents=2)
        found = events(job.try_("plan")) + events(job.try_("apply"))
    assert [each["result"] for each in found if each["event"] == "outcome"] == ["written"] * 2
    nobody_named(found)
