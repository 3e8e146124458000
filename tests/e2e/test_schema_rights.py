"""The rights that the page on the OpenLDAP schema recommends: who reads, compares and writes what of a SIP identity."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.recommended import REGISTRAR, SERVICES, on_openldap
from tests.support.slapd import PEOPLE, SYNC, Slapd, person, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = pytest.mark.slapd

WORD = "a-word-of-this-test"
ACCOUNT = f"""
dn: uid={{uid}},{SERVICES}
objectClass: account
objectClass: simpleSecurityObject
uid: {{uid}}
userPassword: {WORD}
"""
OTHER = f"uid=other,{SERVICES}"


def seen(server: Slapd, who: str, wanted: str, *attributes: str) -> str:
    command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", server.url, "-D", who, "-w", WORD, "-b", PEOPLE]
    done = subprocess.run([*command, wanted, *attributes], capture_output=True, text=True, check=False)
    return done.stdout


def test_the_registrar_reads_what_it_needs_and_nobody_else_reads_a_password(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    entries = [
        *(person(f"agent{number:03}") for number in range(1, 4)),
        *(ACCOUNT.format(uid=uid) for uid in ("registrar", "other")),
    ]
    with (
        Slapd.start(tmp_path / "server", entries, acl=on_openldap()) as server,
        Simulator(tenant([agent(number) for number in range(1, 4)]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        world.run("apply")
        assert world.plan("--fail-on-changes")["changes"] == []

        by_name = seen(server, REGISTRAR, "(&(objectClass=SIPIdentity)(SIPIdentityUserName=7002))", "*")
        assert "SIPIdentityPassword:: Y2FuYXJ5LTI=\n" in by_name or "SIPIdentityPassword: canary-2\n" in by_name
        assert "SIPIdentitySIPURI: sip:7002@192.0.2.10\n" in by_name
        assert "cecAccountCode" not in by_name
        by_address = seen(server, REGISTRAR, "(SIPIdentitySIPURI=sip:7002@192.0.2.10)", "SIPIdentityUserName")
        assert "SIPIdentityUserName: 7002\n" in by_address
        assert seen(server, OTHER, "(objectClass=*)", "*") == ""
        server.modify(f"dn: {SYNC}\nchangetype: modify\nreplace: userPassword\nuserPassword: {WORD}\n")
        ours = seen(server, SYNC, "(SIPIdentityUserName=7002)", "*")
        assert "cecSipServicePort: 5060\n" in ours
        assert "SIPIdentityPassword" not in ours


CLEARING = """
match: [{agent: "{accountCode}", directory: uid}, {agent: "{accountCode}", directory: mail}]
attributes:
  cecAccountCode: "{accountCode}"
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
stale: clear
"""


@pytest.mark.parametrize(
    "since",
    ["nothing", *(pytest.param(since, marks=pytest.mark.slow) for since in ("another value", "no right to read"))],
)
def test_a_cleared_password_comes_back_where_a_comparison_finds_none(tmp_path: Path, since: str) -> None:
    """slapd never says that a password is not there: it shows none, as it does where one is hidden."""
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}", f"mail: agent{number:03}@example.org") for number in (1, 2)]
    with (
        Slapd.start(tmp_path / "server", people, acl=on_openldap(readable=True)) as server,
        Simulator(tenant([agent(1), agent(2)]), ssl_context=server_context()) as cec,
    ):
        world = World(tmp_path / "job", server, cec)
        (world.folder / "stale.yaml").write_text(CLEARING)
        world.job(mapping="stale.yaml", limits={"clear": 10, "agents_drop": "100%", "matched_drop": "100%"})
        world.run("apply")
        before = server.search("(uid=agent002)")
        cec.document = tenant([agent(1)])
        world.run("apply")
        if since != "nothing":
            config = server.folder / "slapd.conf"
            hidden = on_openldap().replace("=wc", "=wc" if since == "another value" else "=w")
            config.write_text(config.read_text().replace(on_openldap(readable=True), hidden))
            server.stop()
            server.restart()
        if since == "another value":
            dn = f"dn: uid=agent002,{PEOPLE}\nchangetype: modify\n"
            server.modify(f"{dn}add: SIPIdentityPassword\nSIPIdentityPassword: theirs\n")
        (run, *_) = json.loads(world.run("runs", "--json").out)
        world.run("undo", run["id"], "--apply", "--report", "undo.json")
        after = server.search("(uid=agent002)")
        kept = [each.get("attribute") for each in json.loads((world.folder / "undo.json").read_text())["problems"]]
        assert (after == before) is (since == "nothing")
        assert ("SIPIdentityPassword" in kept) is (since != "nothing")
        assert (b"theirs" in after) is (since == "another value")
