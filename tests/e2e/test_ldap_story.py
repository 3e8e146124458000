"""The whole job as it is meant to be: a tenant over HTTPS, a real server over TLS, the program as a subprocess.

What depends on access rules is tested on OpenLDAP here, and on 389-DS in `test_ds389_story.py`; all else on both.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from connector.demo.simulator import Simulator
from tests.support.ds389 import Ds389
from tests.support.jobs import Part, env
from tests.support.program import Ended
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd, another_authority, person, server_context
from tests.support.whole_job import SECRETS, World, agent, tenant

NEEDLESS = {
    "connector.apply.engine", "connector.directories.ldap.kerberos", "connector.directories.ldap.modifying",
    "connector.directories.ldap.adapter", "connector.apply.sync", "cryptography",
}  # fmt: skip
"""Modules that a plan against an LDAP server does without, where it does not bind by Kerberos."""


@contextlib.contextmanager
def started(folder: Path, kind: type[Slapd | Ds389], mapping: str) -> Iterator[World]:
    """Thirty users, the first twenty of which are agents."""
    (folder / "job").mkdir()
    people = [person(f"agent{number:03}", f"mail: agent{number:03}@example.org") for number in range(1, 31)]
    agents = tenant([agent(number) for number in range(1, 21)])
    with kind.start(folder / "server", people) as server, Simulator(agents, ssl_context=server_context()) as cec:
        yield World(folder / "job", server, cec, mapping)


@pytest.fixture(
    params=[
        pytest.param((Slapd, "openldap-h350"), marks=pytest.mark.slapd, id="OpenLDAP"),
        pytest.param((Ds389, "389ds"), marks=pytest.mark.ds389, id="389-DS"),
    ]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with started(tmp_path, *request.param) as found:
        yield found


@pytest.fixture
def openldap(tmp_path: Path) -> Iterator[World]:
    """For what is alike on every server, and long."""
    with started(tmp_path, Slapd, "openldap-h350") as found:
        yield found


def test_plan_apply_plan_edit_plan_apply(world: World) -> None:
    before = world.everything()
    planned = world.plan("--fail-on-changes", code=2)
    assert planned["summary"]["matched"] == planned["summary"]["update"] == 20
    assert world.everything() == before, "a dry run wrote to the directory"

    world.run("apply")
    entry = world.server.search("(uid=agent007)", "*").decode()
    assert "cecAccountCode: agent007\ncecWorkNo: 1007\n" in entry
    assert "SIPIdentitySIPURI: sip:7007@192.0.2.10\n" in entry
    assert "cecSipServicePort: 5060\n" in entry
    assert "Y2FuYXJ5LTc=" in entry or "canary-7" in entry
    after = world.everything()
    assert world.plan("--fail-on-changes")["changes"] == []
    world.run("apply")
    assert world.everything() == after, "an apply with nothing to do touched the directory"

    world.server.modify(f"dn: uid=agent007,{PEOPLE}\nchangetype: modify\nreplace: cecWorkNo\ncecWorkNo: 9\n")
    (change,) = world.plan()["changes"]
    assert change["user"]["name"] == f"uid=agent007,{PEOPLE}"
    assert change["attributes"] == [{"name": "cecWorkNo", "old": ["9"], "new": ["1007"]}]
    world.run("apply")
    assert sorted(world.server.search("(uid=agent007)", "*").decode().splitlines()) == sorted(entry.splitlines())
    assert world.plan("--fail-on-changes")["changes"] == []


def test_reports_show_the_names_of_people_beside_their_dns(world: World) -> None:
    planned = world.plan()
    assert planned["people"] == {f"uid=agent{n:03},{PEOPLE}": f"Person agent{n:03}" for n in range(1, 21)}
    assert planned["digest"] == world.plan("--all")["digest"]
    world.job(directory={"show": []})
    assert "people" not in world.plan()


def test_users_without_an_agent_and_attributes_outside_the_mapping_stay_as_they_are(world: World) -> None:
    strangers = "(&(uid=agent02*)(!(uid=agent020)))"
    before = world.server.search(strangers, "*", "+")
    world.run("apply")
    assert world.server.search(strangers, "*", "+") == before


def test_check_says_what_is_there(world: World) -> None:
    out = world.run("check").out
    assert "20 agents" in out
    assert ("389-DS" if world.mapping == "389ds" else "OpenLDAP") in out
    assert "SIPIdentityPassword" in out


def test_the_token_is_fetched_once_and_the_tenant_read_once(world: World) -> None:
    world.plan()
    assert [method for method, _ in world.cec.requests] == ["POST", "GET"]


@pytest.mark.slapd
def test_a_plan_loads_no_library_that_it_can_do_without(openldap: World) -> None:
    ended = openldap.try_("plan", PYTHONPROFILEIMPORTTIME="1")
    assert ended.code == 0, ended.said
    loaded = {line.rpartition("|")[2].strip() for line in ended.err.splitlines() if line.startswith("import time:")}
    assert {"httpx", "ldap3", "pydantic"} < loaded
    assert loaded & NEEDLESS == set()


def test_start_tls_and_several_addresses_of_which_the_first_is_down(world: World) -> None:
    nowhere = "ldap://127.0.0.1:1"
    plain = world.server.url.replace("127.0.0.1", "localhost")
    world.job(directory={"urls": [nowhere, plain], "start_tls": True})
    assert len(world.plan()["changes"]) == 20


def test_the_ldif_report_is_applied_by_ldapmodify_as_it_is(world: World) -> None:
    world.run("plan", "--report", "plan.ldif")
    ldif = (world.folder / "plan.ldif").read_text()
    assert "canary" not in ldif
    world.server.modify(ldif)
    left = world.plan()["changes"]
    assert {each["name"] for change in left for each in change["attributes"]} == {"SIPIdentityPassword"}
    assert len(left) == 20


def test_seats_that_were_swapped_end_swapped_and_a_held_one_is_named(world: World) -> None:
    world.run("apply")
    agents = [agent(number) for number in range(1, 21)]
    agents[0]["workNo"], agents[1]["workNo"] = agents[1]["workNo"], agents[0]["workNo"]
    world.server.modify(
        f"dn: uid=agent025,{PEOPLE}\nchangetype: modify\nadd: objectClass\nobjectClass: cecAgent\n"
        "-\nadd: cecWorkNo\ncecWorkNo: 1500\n"
    )
    agents[2]["workNo"] = 1500
    world.cec.document = tenant(agents)
    planned = world.plan()
    assert len(planned["changes"]) == 2
    (problem,) = planned["problems"]
    assert problem["kind"] == "reassigned"
    assert problem["users"] == [f"uid=agent003,{PEOPLE}", f"uid=agent025,{PEOPLE}"]
    world.run("apply")
    assert b"cecWorkNo: 1002" in world.server.search("(uid=agent001)")
    assert b"cecWorkNo: 1001" in world.server.search("(uid=agent002)")
    assert world.plan()["changes"] == []


COMPARED = f"""
access to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
HIDDEN = f"""
access to attrs=cecWorkNo by dn.exact="{SYNC}" =wc by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""
UNSEEN = f"""
access to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =w by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


@pytest.mark.slapd
@pytest.mark.parametrize("acl", [COMPARED, UNSEEN], ids=["compared", "fingerprinted"])
def test_secrets_that_may_not_be_read_converge_and_their_drift_is_found(tmp_path: Path, acl: str) -> None:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}") for number in range(1, 6)]
    with (
        Slapd.start(tmp_path / "slapd", people, acl=acl) as server,
        Simulator(tenant([agent(number) for number in range(1, 6)]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []
        world.cec.document = tenant(
            [
                agent(number, sipPwd=f"canary-new-{number}" if number == 2 else f"canary-{number}")
                for number in range(1, 6)
            ]
        )
        (change,) = world.plan()["changes"]
        assert change["user"]["name"] == f"uid=agent002,{PEOPLE}"
        assert [(each["name"], each["secret"]) for each in change["attributes"]] == [("SIPIdentityPassword", "set")]
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []


@pytest.mark.slapd
def test_an_attribute_that_may_not_be_read_is_unknown_and_named_once(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{n:03}", f"cecWorkNo: {n}", classes=["cecAgent"]) for n in range(1, 6)]
    with (
        Slapd.start(tmp_path / "slapd", people, acl=HIDDEN) as server,
        Simulator(tenant([agent(number) for number in range(1, 6)]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        planned = world.plan()
        assert [problem["attribute"] for problem in planned["problems"] if problem["kind"] == "unreadable"] == [
            "cecWorkNo"
        ]
        assert all(each["name"] != "cecWorkNo" for change in planned["changes"] for each in change["attributes"])
        world.run("apply")
        assert world.plan()["changes"] == []
        assert b"cecWorkNo: 3" in server.search("(uid=agent003)")


class Proxy:
    """Hands connections on to a server, under another address; cuts each after so many octets of answers."""

    def __init__(self, port: int, host: str = "127.0.0.1", octets: int = 1 << 40) -> None:
        self.passed = 0
        self._target, self._octets = port, octets
        self._listening = socket.create_server((host, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._copy, args=(here, there), daemon=True).start()
                threading.Thread(target=self._answers, args=(there, here), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)

    def _answers(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(min(65536, self._octets - self.passed)):
                target.sendall(data)
                self.passed += len(data)
            target.shutdown(socket.SHUT_RDWR)
            source.shutdown(socket.SHUT_RDWR)


STALE = """
match:
  - {agent: "{accountCode}@example.org", directory: mail}
attributes:
  cecAccountCode: "{accountCode}"
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
stale: clear
"""


@pytest.mark.slapd
def test_a_match_attribute_that_becomes_hidden_clears_nobody(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{n:03}", f"mail: agent{n:03}@example.org") for n in range(1, 6)]
    agents = tenant([agent(number) for number in range(1, 6)])
    with Slapd.start(tmp_path / "slapd", people) as server, Simulator(agents, ssl_context=server_context()) as cec:
        world = World(tmp_path / "job", server, cec)
        (world.folder / "stale.yaml").write_text(STALE)
        world.job(mapping="stale.yaml", limits={"clear": 100, "matched_drop": "100%"})
        world.run("apply")
        before = world.everything()
        config = server.folder / "slapd.conf"
        text = config.read_text()
        rule = "access to attrs=userPassword"
        assert rule in text
        config.write_text(text.replace(rule, f"access to attrs=mail by * none\n{rule}", 1))
        server.stop()
        server.restart()
        planned = world.plan()
        assert planned["summary"]["matched"] == 0
        assert planned["changes"] == []
        world.run("apply")
        assert world.everything() == before


def test_a_stale_user_that_was_renamed_is_cleared_all_the_same(world: World) -> None:
    (world.folder / "stale.yaml").write_text(STALE)
    world.job(mapping="stale.yaml", limits={"clear": 100, "agents_drop": "100%"})
    world.run("apply")
    world.server.modify(f"dn: uid=agent003,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n")
    world.cec.document = tenant([agent(number) for number in range(1, 21) if number != 3])
    (change,) = world.plan()["changes"]
    assert change["user"]["name"] == f"uid=renamed,{PEOPLE}"
    world.run("apply")
    entry = world.server.search("(uid=renamed)")
    assert b"SIPIdentityPassword" not in entry
    assert b"cecAccountCode" not in entry
    assert world.plan()["summary"]["stale"] == 0


def job(**changes: Part) -> Callable[[World], dict[str, str]]:
    """A fault in the job file."""

    def prepare(world: World) -> dict[str, str]:
        world.job(**changes)
        return {}

    return prepare


def _wrong_password(world: World) -> dict[str, str]:
    assert world.folder.exists()
    return {"LDAP_PASSWORD": "not-the-password"}


def _unknown_authority(world: World) -> dict[str, str]:
    other = another_authority(world.folder / "other.pem")
    world.job(directory={"ca_file": other})
    return {}


def _wrong_app_secret(world: World) -> dict[str, str]:
    (world.folder / "app-secret").write_text("not-the-secret")
    return {}


def _nobody_there(world: World) -> dict[str, str]:
    world.job(directory={"urls": ["ldaps://127.0.0.1:1"]})
    return {}


def _plain_ldap(world: World) -> dict[str, str]:
    world.job(directory={"urls": [world.server.url]})
    return {}


def _plain_http(world: World) -> dict[str, str]:
    world.job(source={"url": "http://cec.example.org"})
    return {}


def _unknown_attribute(world: World) -> dict[str, str]:
    (world.folder / "mapping.yaml").write_text(
        'match:\n  - {agent: "{accountCode}", directory: uid}\nattributes:\n'
        '  cecAccountCode: "{accountCode}"\n  noSuchAttribute: "{workNo}"\nobject_classes: [cecAgent]\n'
    )
    world.job(mapping="mapping.yaml")
    return {}


@pytest.mark.slapd
@pytest.mark.parametrize(
    ("prepare", "code", "said"),
    [
        (_wrong_password, 1, "invalidCredentials"),
        (_unknown_authority, 1, "ca_file"),
        (_nobody_there, 1, "127.0.0.1:1"),
        (_wrong_app_secret, 1, "app"),
        (_plain_http, 78, "allow_plaintext"),
        (_plain_ldap, 78, "allow_plaintext"),
        (job(directory={"password": "hunter2-canary"}), 78, "{env: NAME}"),
        (job(source={"app_key": env("CEC_APP_KEY_2")}), 78, "CEC_APP_KEY_2"),
        (job(directory={"base": "ou=nowhere,dc=example,dc=org"}), 1, "ou=nowhere"),
        (job(directory={"filter": "(objectClass=inetOrgPerson"}), 78, "filter"),
        (job(directory={"filter": "(!(2.5.4.0=CECAGENT))"}), 78, "writing cecAgent"),
        (job(directory={"filter": "(!(SIPIdentityUserName=*))"}), 78, "writing SIPIdentityUserName"),
        (_unknown_attribute, 78, "mapping.yaml:5"),
    ],
)
def test_each_fault_is_told_with_its_place_and_nothing_is_written(
    openldap: World, prepare: Callable[[World], dict[str, str]], code: int, said: str
) -> None:
    env = prepare(openldap)
    before = openldap.everything()
    ended = openldap.try_("apply", **env)
    assert ended.code == code, ended.said
    assert said in ended.err
    assert "unexpected" not in ended.err
    assert openldap.everything() == before


def test_a_certificate_for_another_host_name_is_not_trusted(world: World) -> None:
    with Proxy(world.server.tls_port, "127.0.0.2") as proxy:
        world.job(directory={"urls": [f"ldaps://127.0.0.2:{proxy.port}"]})
        before = world.everything()
        ended = world.run("apply", code=1)
    assert "127.0.0.2" in ended.err
    assert "host name" in ended.err
    assert world.everything() == before


@pytest.mark.slapd
def test_a_size_limit_is_an_incomplete_read_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}") for number in range(1, 31)]
    with (
        Slapd.start(tmp_path / "slapd", people, limits="size.soft=10 size.hard=10 size.prtotal=10") as server,
        Simulator(tenant([agent(number) for number in range(1, 21)]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        for read in ("scan", "find"):
            world.job(directory={"read": read})
            before = world.everything()
            ended = world.run("apply", code=1)
            assert "limit" in ended.err
            assert world.everything() == before


def test_a_server_that_goes_away_leaves_a_run_in_part_that_the_next_one_finishes(world: World) -> None:
    """The server is stopped before the apply and started late: the run fails whole; then it converges."""
    world.server.kill()
    assert "localhost" in world.run("apply", code=1).err
    world.server.restart()
    world.run("apply")
    assert world.plan()["changes"] == []


def through(world: World, octets: int, command: str, *options: str) -> tuple[Ended, int]:
    """One command through a proxy that cuts its connection after so many octets; how many passed."""
    with Proxy(world.server.port, octets=octets) as proxy:
        # names of people are read over another connection, and the octets would be counted over both
        to_proxy = {"urls": [f"ldap://127.0.0.1:{proxy.port}"], "allow_plaintext": True, "show": []}
        world.job(directory=to_proxy)
        ended = world.try_(command, *options)
    world.job()
    return ended, proxy.passed


@pytest.mark.slapd
@pytest.mark.parametrize(
    "cut", [-30, 100, 400, 3000, *(pytest.param(cut, marks=pytest.mark.slow) for cut in (-300, 30, 300, 6000))]
)
def test_a_connection_cut_at_any_moment_is_told_and_the_next_run_finishes(openldap: World, cut: int) -> None:
    """The server's answers are cut off around the end of planning: before it, while writing, while reading back."""
    whole, planning = through(openldap, 1 << 40, "plan")
    assert whole.code == 0
    ended, _ = through(openldap, planning + cut, "apply", "--report", "cut.json")
    assert ended.code == (1 if cut < 0 else 4), ended.said
    assert "unexpected" not in ended.err
    if cut > 0:
        outcomes = json.loads((openldap.folder / "cut.json").read_text())["outcomes"]
        assert len(outcomes) == 20
        assert all(outcome["why"] for outcome in outcomes if outcome["outcome"] != "written")
    openldap.run("apply")
    assert openldap.plan()["changes"] == []
    assert openldap.plan()["summary"]["matched"] == 20


@pytest.mark.slapd
def test_the_process_list_never_shows_a_secret(openldap: World) -> None:
    arguments = [sys.executable, "-m", "connector", "apply", "job.yaml"]
    seen = set()
    with subprocess.Popen(
        arguments, cwd=openldap.folder, env={**os.environ, **SECRETS}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        while running.poll() is None:
            with contextlib.suppress(OSError):
                seen.add(Path(f"/proc/{running.pid}/cmdline").read_bytes())
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.02)
    assert running.returncode == 0
    assert any(b"apply" in line for line in seen)
    assert not [line for line in seen if b"canary" in line or b"demo-" in line or SYNC_PASSWORD.encode() in line]
