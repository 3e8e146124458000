"""Offboarding takes the phone: only a doubt about this very user keeps its credentials, and they are counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import job_file, ldap_directory
from tests.support.ldif_job import MAPPING, Job, agent
from tests.support.program import Ended, program
from tests.support.slapd import ACL, PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

PASSWORD = "SIPIdentityPassword"
H350 = (
    (Path(__file__).parents[2] / "mappings" / "openldap-h350.yaml").read_text().replace("stale: report", "stale: clear")
)
NO_MAIL_OF_USER2 = f'access to dn.base="uid=user2,{PEOPLE}" attrs=mail by * none\n{ACL}'


class OldStaff:
    """Five users with H.350 identities on a real slapd; two of them leave."""

    def __init__(self, folder: Path, server: Slapd) -> None:
        self.folder, self.server = folder, server
        folder.mkdir()
        directory = ldap_directory(server.url, bind_dn=SYNC, show=[])
        limits = {"clear": 5, "agents_drop": "100%", "matched_drop": "100%"}
        (folder / "job.yaml").write_text(job_file(directory, limits=limits, metrics={"textfile": "cec.prom"}))
        (folder / "mapping.yaml").write_text(H350)
        self.staff(1, 2, 3, 4, 5)
        self.run("apply")

    def staff(self, *numbers: int, more: list[dict[str, Any]] | None = None) -> None:
        agents = [agent(number) for number in numbers] + (more or [])
        tenant = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}
        (self.folder / "agents.json").write_text(json.dumps(tenant))

    def run(self, command: str, *options: str, code: int = 0) -> Ended:
        options = ("job.yaml", "--report", "report.json", *options)
        ended = program(command, *options, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert ended.code == code, ended.said
        assert "canary" not in ended.said
        return ended

    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document

    def with_phones(self) -> list[str]:
        lines = self.server.search(f"({PASSWORD}=*)", "uid").decode().splitlines()
        return sorted(line[5:] for line in lines if line.startswith("uid: "))


def start(folder: Path, acl: str = ACL) -> Slapd:
    people = [person(f"user{number}", f"mail: mail{number}@example.org") for number in range(1, 6)]
    return Slapd.start(folder / "server", people, acl=acl)


@pytest.fixture
def staff(tmp_path: Path) -> Iterator[OldStaff]:
    with start(tmp_path) as server:
        yield OldStaff(tmp_path / "job", server)


def take_mail(server: Slapd, uid: str) -> None:
    server.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\ndelete: mail\n")


def test_a_leaver_whose_mail_was_taken_away_is_cleared(staff: OldStaff) -> None:
    take_mail(staff.server, "user2")
    staff.staff(1, 4, 5)
    staff.run("apply")
    assert staff.with_phones() == ["user1", "user4", "user5"]
    assert "leavers" not in staff.report()["about"]


def test_a_leaver_whose_mail_may_only_be_hidden_keeps_its_phone_and_is_counted(tmp_path: Path) -> None:
    with start(tmp_path, NO_MAIL_OF_USER2) as server:
        staff = OldStaff(tmp_path / "job", server)
        staff.staff(1, 4, 5)
        said = staff.run("apply").said
        assert staff.with_phones() == ["user1", "user2", "user4", "user5"], "user3 is cleared"
        assert "! 1 stale user keeps credentials of this job.\n" in said
        reasons = [each["why"] for each in staff.report()["problems"]]
        assert any("not cleared: it shows no mail, so an agent may still match it" in each for each in reasons)
        metrics = (staff.folder / "cec.prom").read_text()
        assert 'stale_users_with_credentials{cec_job="job"} 1.0' in metrics


def test_two_free_seats_of_one_number_keep_nobodys_phone(staff: OldStaff) -> None:
    free = {"workNo": 1900, "accountCode": None}
    staff.staff(1, 4, 5, more=[free, free])
    staff.run("apply")
    assert staff.with_phones() == ["user1", "user4", "user5"]
    assert staff.report()["summary"]["contested"] == 2


def test_two_records_of_one_account_keep_every_phone_since_one_of_them_may_be_anybody(staff: OldStaff) -> None:
    staff.staff(1, 4, 5, more=[agent(1, workNo=1900)])
    said = staff.run("apply").said
    assert len(staff.with_phones()) == 5
    assert "! 2 stale users keep credentials of this job.\n" in said
    assert "or shares one with another record" in said


def test_leavers_who_are_only_reported_are_counted_in_the_head(staff: OldStaff) -> None:
    (staff.folder / "mapping.yaml").write_text(H350.replace("stale: clear", "stale: report"))
    staff.staff(1, 4, 5)
    said = staff.run("plan").said
    assert "2 stale users keep credentials of this job. To clear them, set `stale: clear` in the mapping" in said
    assert 'stale_users_with_credentials{cec_job="job"} 2.0' in (staff.folder / "cec.prom").read_text()


# ---------------------------------------------------------------- attributes that leave the mapping


def test_passwords_of_an_attribute_that_left_the_mapping_are_counted_and_have_a_way_out(tmp_path: Path) -> None:
    job = Job(tmp_path, 5)
    job.run("apply")
    kept = MAPPING.replace('  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}\n', "")
    job.write("mapping.yaml", kept)
    for command in ("apply", "plan"):
        said = job.run(command)
        assert "! SIPIdentityPassword of 5 users left the mapping, and no run has cleared" in said
    assert job.read("people.ldif").count(PASSWORD) == 5, "never unasked"
    nothing = (
        f'  {PASSWORD}: {{value: "{{sipPwd|after:\'no such text\'}}", owns: "*", secret: true, when_absent: clear}}\n'
    )
    job.write("mapping.yaml", kept.replace("object_classes", nothing + "object_classes"))
    job.configure(limits={"clear": 5})
    job.run("apply")
    assert job.read("people.ldif").count(PASSWORD) == 0
    job.write("mapping.yaml", kept)
    assert "left the mapping" not in job.run("plan")


def test_a_leaver_keeps_the_password_of_an_attribute_that_left_the_mapping_and_is_counted(tmp_path: Path) -> None:
    job = Job(tmp_path, 5)
    job.run("apply")
    kept = MAPPING.replace('  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}\n', "stale: clear\n")
    job.write("mapping.yaml", kept.replace("stale: clear\n", "") + "stale: clear\n")
    job.agents([agent(number) for number in range(1, 5)])
    job.configure(limits={"agents_drop": "100%"})
    said = job.run("apply")
    assert "1 stale user keeps credentials of this job" in said
    assert "The mapping no longer writes SIPIdentityPassword: not cleared" in said


def test_a_contested_agent_may_be_the_leaver_that_a_later_rule_finds(tmp_path: Path) -> None:
    """Somebody has given seat 1002 the account of another one, in capitals: its own user is not cleared for that."""
    job = Job(tmp_path, users=3)
    people = job.read("people.ldif")
    for number in (1, 2, 3):
        people = people.replace(f"cn: User {number}\n", f"cn: User {number}\nemployeeType: {1000 + number}\n")
    job.write("people.ldif", people)
    by_seat = '{agent: "{workNo}", directory: employeeType}'
    job.write("mapping.yaml", MAPPING.replace("attributes:", f"  - {by_seat}\nattributes:", 1) + "stale: clear\n")
    job.configure(limits={"update": "100%", "clear": 5, "agents_drop": "100%", "matched_drop": "100%"})
    job.run("apply")
    job.agents([agent(1), agent(2, accountCode="USER1")])
    assert "not cleared: an agent matches this user, but no look-up gave it the user" in job.run("plan", "--all")
    job.run("apply")
    assert emptied(job) == {"uid=user3"}


def emptied(job: Job) -> set[str]:
    """The first parts of the names of users without a password."""
    entries = job.read("people.ldif").split("dn: ")[1:]
    return {entry.partition(",")[0] for entry in entries if PASSWORD not in entry}
