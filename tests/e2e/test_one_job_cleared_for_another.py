"""Two job files of one name on one state are no one job: neither has the other's users cleared."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from connector.apply.approval import find_differences
from connector.demo.simulator import Simulator
from connector.model import JobIdentity
from tests.support.jobs import cec_source, configure, job_file, ldif_directory
from tests.support.ldif_job import MAPPING, agent, person
from tests.support.program import Ended, program

EVERYBODY = {"clear": "100%", "agents_drop": "100%", "matched_drop": "100%"}


class Offices:
    """A folder with two job files, `berlin/hr.yaml` and `paris/hr.yaml`, on one state and one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        people = "".join(person(number) for number in range(1, 6))
        (folder / "people.ldif").write_text(f"version: 1\n\n{people}")
        (folder / "mapping.yaml").write_text(f"{MAPPING}stale: clear\n")
        self.office("berlin", 1, 2, 3)
        self.office("paris", 4, 5)

    def office(self, name: str, *numbers: int) -> None:
        (self.folder / name).mkdir()
        self.agents(name, *numbers)
        job = job_file(
            ldif_directory("../people.ldif"), mapping="../mapping.yaml", state="sqlite:///../state.db", limits=EVERYBODY
        )
        (self.folder / name / "hr.yaml").write_text(job)

    def agents(self, office: str, *numbers: int) -> None:
        agents = [agent(number) for number in numbers]
        document = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}
        (self.folder / office / "agents.json").write_text(json.dumps(document))

    def run(self, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> Ended:
        ended = program(*arguments, folder=self.folder, env=env)
        assert ended.code == code, ended.said
        assert "canary" not in ended.said
        return ended

    def refused(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """What a command says that takes the file for another job's; nothing is written."""
        before = self.written()
        said = self.run(*arguments, code=78, env=env).err
        assert self.written() == before
        return said

    def written(self) -> set[int]:
        people = (self.folder / "people.ldif").read_text()
        return {number for number in range(1, 6) if f"employeeNumber: {1000 + number}\n" in people}

    def accept(self, job: str) -> str:
        """Look at what became of a job, and accept it."""
        shown = self.run("state", "move", job).out
        self.run("state", "move", job, "--accept", shown.split()[-1])
        return shown

    def sql(self, statement: str) -> None:
        with closing(sqlite3.connect(self.folder / "state.db")) as database, database:
            database.execute(statement)


@pytest.fixture
def offices(tmp_path: Path) -> Offices:
    made = Offices(tmp_path)
    made.run("apply", "berlin/hr.yaml")
    assert made.written() == {1, 2, 3}
    return made


def test_the_refusal_is_one_plain_line_of_the_list_of_runs(offices: Offices) -> None:
    offices.refused("apply", "paris/hr.yaml")
    newest, _ = offices.run("runs", "paris/hr.yaml").out.splitlines()
    said = offices.run("runs", "paris/hr.yaml", newest.split()[0]).out
    assert "with another tenant; applied before: " in said
    assert "U+000A" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [("plan",), ("plan", "--save", "plan.json"), ("apply",), ("undo", "last"), ("undo", "last", "--apply"), ("check",)],
)
def test_a_file_of_the_same_name_with_another_tenant_is_refused(offices: Offices, command: tuple[str, ...]) -> None:
    name, *options = command
    said = offices.refused(name, "paris/hr.yaml", *options)
    berlin, paris = (offices.folder / each for each in ("berlin", "paris"))
    assert "another tenant" in said
    assert f"applied before: {berlin / 'hr.yaml'}: agents of file {berlin / 'agents.json'}; directory " in said
    assert f"this file now:  {paris / 'hr.yaml'}: agents of file {paris / 'agents.json'}; directory " in said
    assert "unless an agent here claims them: 3\n" in said
    assert f"cec-connector state rename {berlin / 'hr.yaml'} NEW\n" in said
    assert "cec-connector state move paris/hr.yaml\n" in said


def test_users_who_only_have_back_what_was_there_before_would_lose_nothing(tmp_path: Path) -> None:
    offices = Offices(tmp_path)
    people = (tmp_path / "people.ldif").read_text().replace("uid: user1\n", "uid: user1\nemployeeNumber: 77\n")
    (tmp_path / "people.ldif").write_text(people)
    offices.run("apply", "berlin/hr.yaml")
    offices.run("undo", "berlin/hr.yaml", "last", "--apply")
    assert "employeeNumber: 77\n" in (tmp_path / "people.ldif").read_text()
    assert "unless an agent here claims them: 0\n" in offices.refused("plan", "paris/hr.yaml")


def test_a_release_does_not_lift_it(offices: Offices) -> None:
    offices.refused("apply", "paris/hr.yaml")
    offices.run("release", "paris/hr.yaml")
    offices.refused("apply", "paris/hr.yaml")
    offices.run("apply", "berlin/hr.yaml")


def test_another_file_name_lifts_it(offices: Offices) -> None:
    (offices.folder / "paris" / "hr.yaml").rename(offices.folder / "paris" / "staff.yaml")
    offices.run("apply", "paris/staff.yaml")
    assert offices.written() == {1, 2, 3, 4, 5}


def test_another_name_of_the_earlier_job_lifts_it(offices: Offices) -> None:
    (offices.folder / "berlin" / "hr.yaml").rename(offices.folder / "berlin" / "berlin.yaml")
    offices.run("state", "rename", "berlin/hr.yaml", "berlin/berlin.yaml")
    offices.run("apply", "paris/hr.yaml")
    assert offices.written() == {1, 2, 3, 4, 5}
    offices.agents("berlin", 1, 2)
    offices.run("apply", "berlin/berlin.yaml")
    assert offices.written() == {1, 2, 4, 5}


def test_two_files_that_were_only_planned_do_no_harm_and_the_first_that_is_applied_has_the_name(tmp_path: Path) -> None:
    offices = Offices(tmp_path)
    for office in ("berlin", "paris"):
        offices.run("plan", f"{office}/hr.yaml")
    offices.run("apply", "paris/hr.yaml")
    offices.refused("plan", "berlin/hr.yaml")


def test_a_job_is_known_from_the_moment_that_its_first_apply_writes(tmp_path: Path) -> None:
    """Also where that was killed before its end."""
    offices = Offices(tmp_path)
    offices.run("apply", "berlin/hr.yaml")
    offices.sql("update runs set ended = null, result = null")
    offices.refused("apply", "paris/hr.yaml")


def test_a_job_that_was_moved_says_who_would_lose_values_and_goes_on_once_that_is_accepted(offices: Offices) -> None:
    shutil.copytree(offices.folder / "berlin", offices.folder / "munich")
    offices.agents("munich", 1, 2)
    offices.refused("apply", "munich/hr.yaml")
    shown = offices.run("state", "move", "munich/hr.yaml").out
    assert "whom no agent claims, so that `stale: clear` clears them: 1\n" in shown
    assert "  uid=user3,ou=people,dc=example,dc=org\n" in shown
    offices.run("state", "move", "munich/hr.yaml", "--accept", "sha256:0", code=3)
    offices.refused("apply", "munich/hr.yaml")
    offices.accept("munich/hr.yaml")
    offices.run("state", "move", "munich/hr.yaml", code=64)
    offices.run("apply", "munich/hr.yaml")
    assert offices.written() == {1, 2}
    offices.refused("apply", "berlin/hr.yaml")


def test_what_was_shown_is_not_accepted_for_other_users(offices: Offices) -> None:
    shown = offices.run("state", "move", "paris/hr.yaml").out
    offices.agents("paris", 3, 4, 5)
    offices.run("state", "move", "paris/hr.yaml", "--accept", shown.split()[-1], code=3)
    offices.refused("apply", "paris/hr.yaml")


def test_a_directory_that_was_moved_takes_along_what_the_job_owns(offices: Offices) -> None:
    (offices.folder / "people.ldif").rename(offices.folder / "staff.ldif")
    (offices.folder / "people.ldif").symlink_to("staff.ldif")
    said = offices.refused("apply", "berlin/hr.yaml")
    assert "with another directory\n" in said
    assert "so that `stale: clear` clears them: 0\n" in offices.accept("berlin/hr.yaml")
    offices.agents("berlin", 1, 2)
    offices.run("apply", "berlin/hr.yaml")
    assert offices.written() == {1, 2}


def test_what_held_passwords_is_secret_in_the_moved_directory_too(offices: Offices) -> None:
    mapping = offices.folder / "mapping.yaml"
    (offices.folder / "people.ldif").rename(offices.folder / "staff.ldif")
    (offices.folder / "people.ldif").symlink_to("staff.ldif")
    offices.accept("berlin/hr.yaml")
    mapping.write_text(mapping.read_text().replace('"{sipPwd}", owns: "*", secret: true', '"{accountCode}", owns: "*"'))
    assert "SIPIdentityPassword is secret" in offices.refused("plan", "berlin/hr.yaml", "--all")


def test_back_in_an_earlier_directory_what_the_job_owns_there_is_shown(offices: Offices) -> None:
    """An older version let a job go from one directory to another, with runs in both."""
    shutil.copy(offices.folder / "people.ldif", offices.folder / "staff.ldif")
    with closing(sqlite3.connect(offices.folder / "state.db")) as database:
        ((first,),) = database.execute("select directory from runs")
    staff = f"replace(value, '{first}', '{first.replace('people', 'staff')}')"
    offices.sql(f"update facts set value = {staff} where kind = 'identity'")
    offices.agents("berlin", 1, 2)
    shown = offices.accept("berlin/hr.yaml")
    assert "so that `stale: clear` clears them: 1\n" in shown
    offices.run("apply", "berlin/hr.yaml")
    assert offices.written() == {1, 2}


def test_a_base_may_be_added_or_widened_but_not_replaced(offices: Offices) -> None:
    def below(*bases: str) -> None:
        configure(offices.folder / "berlin" / "hr.yaml", directory={"base": [*bases]})

    desks, people = "ou=desks,dc=example,dc=org", "OU=People, dc=example,dc=org"
    below(people, desks)
    offices.run("apply", "berlin/hr.yaml")
    below(desks)
    assert "with another base\n" in offices.refused("apply", "berlin/hr.yaml")
    below(people)
    assert "with another base\n" in offices.refused("apply", "berlin/hr.yaml")
    below("dc=example,dc=org")
    offices.run("apply", "berlin/hr.yaml")


def test_more_or_fewer_agents_of_the_tenant_are_the_same_job(offices: Offices) -> None:
    configure(offices.folder / "berlin" / "hr.yaml", source={"only": ["user1", "user2"]})
    offices.run("apply", "berlin/hr.yaml")
    configure(offices.folder / "berlin" / "hr.yaml", source={"except": ["user9"], "only": None})
    offices.run("apply", "berlin/hr.yaml")


def test_a_rotated_app_key_is_the_same_job_and_another_url_is_another(offices: Offices) -> None:
    berlin = offices.folder / "berlin" / "hr.yaml"
    document = json.loads((offices.folder / "berlin" / "agents.json").read_text())
    with Simulator(document) as tenant, Simulator(document) as other:
        configure(berlin, source=cec_source(tenant.url))
        env = {"CEC_APP_KEY": "demo-key", "CEC_APP_SECRET": "demo-secret"}
        assert f"agents of {tenant.url}; directory " in offices.refused("apply", "berlin/hr.yaml", env=env)
        shown = offices.run("state", "move", "berlin/hr.yaml", env=env).out
        offices.run("state", "move", "berlin/hr.yaml", "--accept", shown.split()[-1], env=env)
        tenant.credentials["app_key"] = env["CEC_APP_KEY"] = "rotated-key"
        offices.run("apply", "berlin/hr.yaml", env=env)
        configure(berlin, source={"url": other.url})
        offices.refused("apply", "berlin/hr.yaml", env=env)


@pytest.mark.parametrize("url", ["https://CEC.example.org", "https://cec.example.org:443"])
def test_the_same_url_in_another_spelling_is_the_same_tenant(url: str) -> None:
    before, now = (JobIdentity(each, "d", ()) for each in ("https://cec.example.org", url))
    assert find_differences(before, now) == []
    assert find_differences(replace(before, tenant="https://cec.example.org:8443"), now) == ["another tenant"]


def test_the_way_out_names_a_file_that_is_there(offices: Offices) -> None:
    (offices.folder / "berlin" / "hr.yaml").unlink()
    assert "cec-connector state rename paris/hr.yaml NEW\n" in offices.refused("apply", "paris/hr.yaml")
    offices.run("state", "rename", "paris/hr.yaml", "berlin")
    offices.run("apply", "paris/hr.yaml")
    assert offices.written() == {1, 2, 3, 4, 5}


def test_what_was_secret_in_a_directory_is_secret_where_it_was_moved(offices: Offices) -> None:
    (offices.folder / "people.ldif").rename(offices.folder / "staff.ldif")
    configure(offices.folder / "berlin" / "hr.yaml", directory={"path": "../staff.ldif"})
    offices.accept("berlin/hr.yaml")
    mapping = (offices.folder / "mapping.yaml").read_text()
    shown = mapping.replace('"{sipPwd}", owns: "*", secret: true', '"{workNo}", owns: "*"')
    (offices.folder / "mapping.yaml").write_text(shown)
    said = offices.run("plan", "berlin/hr.yaml", code=78).err
    assert "SIPIdentityPassword is secret: this job, or another one of its state, wrote secrets into it" in said


@pytest.mark.parametrize("noted", ["the source", "nothing"])
def test_a_state_of_an_older_version_knows_the_source_and_the_directory_of_its_last_run(
    offices: Offices, noted: str
) -> None:
    if noted == "nothing":
        offices.sql("delete from facts where kind = 'identity'")
    else:
        known = json.dumps({"tenant": f"file {offices.folder / 'berlin' / 'agents.json'}"})
        offices.sql(f"update facts set value = '{known}' where kind = 'identity'")
        assert "applied before: a file that is not known: agents of file" in offices.refused("apply", "paris/hr.yaml")
    shutil.copy(offices.folder / "people.ldif", offices.folder / "paris" / "people.ldif")
    configure(offices.folder / "paris" / "hr.yaml", directory={"path": "people.ldif"})
    if noted == "nothing":
        assert "another directory" in offices.refused("apply", "paris/hr.yaml")
    offices.run("apply", "berlin/hr.yaml")
    assert str(offices.folder / "berlin" / "hr.yaml") in offices.refused("apply", "paris/hr.yaml")
