"""Disabled users on each kind of directory, whether the filter leaves them out or not.

The same everywhere: a user is disabled, its agent is gone, and our values are cleared or kept. Samba is in
`test_ad_leavers.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connector.directories.ldap.adapter import LdapDirectory as Adapter
from connector.model import AttributeChange, Change, Result, Secret, View
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory
from tests.support.ds389 import Ds389
from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob, held
from tests.support.ldap_server import SYNC, SYNC_PASSWORD, LdapServer
from tests.support.ldif_job import BASE, MAPPING, Job, agent
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, ScimServer, people
from tests.support.slapd import Slapd, person

CLEARING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes: {employeeNumber: {value: "{workNo}", unique: true}}
stale: {unclaimed: clear, disabled: clear}
"""
PEOPLE = "ou=people,dc=example,dc=org"
POLICY = "\nmoduleload ppolicy.la\noverlay ppolicy\n"
LIMITS = {"update": "100%", "clear": 100, "agents_drop": "100%", "matched_drop": "100%"}
MARKS = {
    "slapd": ("pwdAccountLockedTime", "000001010000Z", "(&(objectClass=person)(!(pwdAccountLockedTime=*)))"),
    "ds389": ("nsAccountLock", "true", "(&(objectClass=person)(!(nsAccountLock=true)))"),
}


@pytest.fixture(params=[pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in MARKS])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str, tmp_path: Path) -> Iterator[LdapServer]:
    entries = [person(f"u{number}") for number in range(3)]
    if kind == "slapd":
        with Slapd.start(tmp_path / "server", entries, overlays=POLICY) as slapd:
            yield slapd
    else:
        with Ds389.start(tmp_path / "server", entries) as ds389:
            yield ds389


@pytest.fixture
def job(kind: str, server: LdapServer, tmp_path: Path) -> LdapJob:
    """User 1 is given number 1001, is disabled, and its agent leaves."""
    made = LdapJob(tmp_path / "job", server.url, "u0", "u1", "u2", mapping=CLEARING, limits=LIMITS)
    text = (made.folder / "job.yaml").read_text()
    (made.folder / "job.yaml").write_text(text.replace("(objectClass=inetOrgPerson)", MARKS[kind][2]))
    made.apply()
    attribute, value, _ = MARKS[kind]
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")
    leave(made)
    return made


def leave(job: LdapJob) -> None:
    agents = [{"workNo": 1000, "accountCode": "u0"}, {"workNo": 1001, "accountCode": "u2"}]
    (job.folder / "agents.json").write_text(json.dumps({"agents": agents}))


def test_a_disabled_user_is_cleared_before_its_number_goes_on(server: LdapServer, job: LdapJob) -> None:
    became = job.apply()
    assert {uid: each["outcome"] for uid, each in became.items()} == {"u1": "written", "u2": "written"}
    assert [held(server, f"u{number}", "employeeNumber") for number in range(3)] == [["1000"], [], ["1001"]]
    report = json.loads((job.folder / "report.json").read_text())
    assert "noticed" not in report["about"], "the server's controls work for disabled users too"
    assert job.problems() == []


def test_where_the_mapping_does_not_say_so_it_is_reported_alone(server: LdapServer, job: LdapJob) -> None:
    (job.folder / "mapping.yaml").write_text(CLEARING.replace(", disabled: clear", ""))
    became = job.apply()
    assert became == {}
    ended, report = job.run("plan")
    assert ended.code == 0
    said = {each["kind"]: each["why"] for each in report["problems"]}
    assert "is disabled" in said["stale"]
    assert "disabled: clear" in said["stale"]
    assert "reassigned" in said
    assert held(server, "u1", "employeeNumber") == ["1001"]


def test_who_is_left_out_for_another_reason_too_is_not_written(kind: str, server: LdapServer, job: LdapJob) -> None:
    text = (job.folder / "job.yaml").read_text()
    (job.folder / "job.yaml").write_text(text.replace("(objectClass=person)", "(objectClass=person)(!(title=left))"))
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: title\ntitle: left\n")
    assert job.apply() == {}, kind
    assert held(server, "u1", "employeeNumber") == ["1001"]


def test_who_is_enabled_again_before_the_write_is_judged_anew(server: LdapServer, job: LdapJob, kind: str) -> None:
    """The reviewed plan clears a disabled user; by now it is somebody's."""
    ended, _ = job.run("plan", "--save", "plan.json")
    assert ended.code == 0
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\ndelete: {MARKS[kind][0]}\n")
    agents = [{"workNo": 1000, "accountCode": "u0"}, {"workNo": 1001, "accountCode": "u1"}]
    (job.folder / "agents.json").write_text(json.dumps({"agents": agents}))
    job.run("apply", "--plan", "plan.json")
    assert held(server, "u1", "employeeNumber") == ["1001"]


# ---------------------------------------------------------------- within the filter


def looks(document: dict[str, Any]) -> dict[str, str]:
    return {each["user"]["name"]: each["why"] for each in document["worth_a_look"]}


@pytest.mark.parametrize("read", ["find", "scan"])
def test_a_disabled_user_that_the_filter_does_not_leave_out_is_worth_a_look(
    kind: str, server: LdapServer, tmp_path: Path, read: str
) -> None:
    attribute, value, _ = MARKS[kind]
    job = LdapJob(tmp_path / "job", server.url, "u0", "u1", "u2", mapping=CLEARING, limits=LIMITS)
    configure(job.folder / "job.yaml", directory={"read": read})
    _, before = job.run("plan")
    assert before["worth_a_look"] == []
    server.modify(f"dn: uid=u1,{PEOPLE}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")
    ended, planned = job.run("plan", "--save", "plan.json")
    assert looks(planned) == {f"uid=u1,{PEOPLE}": "a disabled account"}
    assert "    ! a disabled account\n" in ended.out
    assert [each["user"]["name"] for each in planned["changes"] if "disabled" in each] == [f"uid=u1,{PEOPLE}"]
    assert planned["digest"] == before["digest"]
    assert job.run("apply", "--plan", "plan.json")[0].code == 0
    assert held(server, "u1", "employeeNumber") == ["1001"], "it is within the filter"


@pytest.mark.slapd
def test_an_account_that_is_locked_for_a_time_is_not_disabled(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "server", [person("u0")], overlays=POLICY) as slapd:
        locked = "pwdAccountLockedTime"
        slapd.modify(f"dn: uid=u0,{PEOPLE}\nchangetype: modify\nreplace: {locked}\n{locked}: 20260101000000Z\n")
        _, planned = LdapJob(tmp_path / "job", slapd.url, "u0", mapping=CLEARING, limits=LIMITS).run("plan")
        assert len(planned["changes"]) == 1
        assert planned["worth_a_look"] == []


# ---------------------------------------------------------------- a file


@pytest.mark.parametrize(
    ("mark", "disabled"),
    [
        ("userAccountControl: 514", True),
        ("userAccountControl: 66050", True),
        ("userAccountControl: 512", False),
        ("nsAccountLock: TRUE", True),
        ("nsAccountLock: false", False),
        ("pwdAccountLockedTime: 000001010000Z", True),
        ("pwdAccountLockedTime: 20260101000000Z", False),
    ],
)
def test_of_a_file_every_servers_mark_is_known(tmp_path: Path, mark: str, disabled: bool) -> None:
    job = Job(tmp_path, users=3)
    place = f"dn: uid=user2,{BASE}\n"
    job.write("people.ldif", job.read("people.ldif").replace(place, f"{place}{mark}\n"))
    reports = [f"report.{suffix}" for suffix in ("json", "csv", "md", "html", "ldif")]
    shown = job.run("plan", *(word for name in reports for word in ("--report", name)))
    expected = {f"uid=user2,{BASE}": "a disabled account"} if disabled else {}
    assert looks(json.loads(job.read("report.json"))) == expected
    for text in (shown, *map(job.read, reports)):
        assert ("a disabled account" in text) is disabled
    told = [name for name in reports if "Disabled accounts among them" in job.read(name)]
    assert told == (reports if disabled else [])
    assert job.program("show", "report.json", "--report", "again.json").code == 0
    assert looks(json.loads(job.read("again.json"))) == expected


def test_in_a_file(tmp_path: Path) -> None:
    job = Job(tmp_path, users=3)
    job.configure(
        directory={"filter": "(&(objectClass=inetOrgPerson)(!(nsAccountLock=true)))"}, limits=LIMITS,
    )  # fmt: skip
    job.write("mapping.yaml", MAPPING + "stale: {disabled: clear}\n")
    job.run("apply")
    text = job.read("people.ldif")
    place = f"dn: uid=user2,{BASE}\n"
    job.write("people.ldif", text.replace(place, f"{place}nsAccountLock: true\n"))
    before = job.read("people.ldif")
    assert "1002" in before
    job.agents([agent(1), agent(3)])
    job.run("apply")
    cleared = job.read("people.ldif")
    assert "1002" not in cleared
    assert "1003" in cleared
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    job.run("undo", run, "--apply")
    assert sorted(job.read("people.ldif").splitlines()) == sorted(before.splitlines())


# ---------------------------------------------------------------- SCIM


def active(server: ScimServer, *, now: bool) -> None:
    (user,) = [each for each in server.all() if each["userName"] == "agent002"]
    server.patch(user["id"], {"op": "replace", "path": "active", "value": now})


def test_on_scim(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "server", people(3)) as server:
        job = ScimJob(tmp_path / "job", server, agents=3, filter="active eq true")
        job.configure(limits=LIMITS)
        mapping = (Path(__file__).parents[2] / "mappings" / "scim-extension.yaml").read_text()
        job.configure(mapping="mapping.yaml")
        (job.folder / "mapping.yaml").write_text(mapping.replace("stale: report", "stale: {disabled: clear}"))
        job.run("apply")
        active(server, now=False)
        job.agents = [job.agents[0], job.agents[2]]
        job.tenant()
        report = job.run("apply")
        assert job.outcomes(report) == {"agent002": "written"}
        assert not server.stored("agent002").get(CEC)
        runs: list[dict[str, Any]] = json.loads(job.try_("runs", "--json").out)
        job.run("undo", runs[0]["id"], "--apply")
        assert server.stored("agent002")[CEC]["workNo"] == 1002
        assert server.stored("agent002")["active"] is False


@pytest.mark.slow
def test_on_scim_a_user_that_is_not_active_is_worth_a_look(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "server", people(3)) as server:
        job = ScimJob(tmp_path / "job", server, agents=3)
        before = job.run("plan")
        active(server, now=False)
        planned = job.run("plan")
        assert looks(planned) == {"agent002": "a disabled account"}
        assert planned["digest"] == before["digest"]
        assert job.outcomes(job.run("apply"))["agent002"] == "written"


# ---------------------------------------------------------------- who may be written, by the adapter alone


@pytest.mark.parametrize(
    ("clears", "planned", "now", "expected"),
    [
        (True, "disabled", "disabled", Result.WRITTEN),
        (True, "disabled", "enabled", Result.CONFLICT),
        (True, "enabled", "disabled", Result.CONFLICT),
        (False, "disabled", "disabled", Result.CONFLICT),
    ],
)
def test_a_change_is_for_a_disabled_user_or_for_an_enabled_one(
    kind: str, server: LdapServer, clears: bool, planned: str, now: str, expected: Result
) -> None:
    """Whoever is enabled meanwhile is its agent's again, and no agent was asked."""
    attribute, value, filter_ = MARKS[kind]
    settings = LdapDirectory(
        type="ldap", urls=[server.url], bind_dn=SYNC, password=SecretRef(env="UNUSED"), base=[PEOPLE], filter=filter_,
        allow_plaintext=True,
    )  # fmt: skip
    view = View(("uid", "employeeNumber"), disabled=clears)
    with closing(Adapter(settings, Secret(SYNC_PASSWORD), view)) as directory:
        (user,) = [each for each in directory.scan() if each.values["uid"] == ("u0",)]
        server.modify(f"dn: {user.name}\nchangetype: modify\nadd: employeeNumber\nemployeeNumber: 1000\n")
        if now == "disabled":
            server.modify(f"dn: {user.name}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")
            assert list(directory.read([user.ref])) == []
        (shown,) = directory.read([user.ref], disabled=True)
        assert (shown.disabled, shown.values["employeeNumber"]) == (now == "disabled", ("1000",))
        clear = (AttributeChange("employeeNumber", ("1000",), ()),)
        (outcome,) = directory.write([Change(user.ref, None, None, clear, disabled=planned == "disabled")])
    assert outcome.result is expected
    assert held(server, "u0", "employeeNumber") == ([] if expected is Result.WRITTEN else ["1000"])
