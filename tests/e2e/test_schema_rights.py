"""The rights that the page on the OpenLDAP schema recommends: who reads, compares and writes what of a SIP identity."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.slapd import PEOPLE, SCHEMA, SUFFIX, SYNC, Slapd, person, server_context
from tests.support.story import World, agent, tenant

pytestmark = pytest.mark.slapd

WORD = "a-word-of-this-test"
ACCOUNT = f"""
dn: uid={{uid}},ou=services,{SUFFIX}
objectClass: account
objectClass: simpleSecurityObject
uid: {{uid}}
userPassword: {WORD}
"""
REGISTRAR, OTHER = (f"uid={uid},ou=services,{SUFFIX}" for uid in ("registrar", "other"))
GENERAL = "access to attrs=userPassword by anonymous auth by * none\n"
"""Nobody has any other right: what the page gives has to be enough."""


def recommended() -> str:
    """The rules of the page, for these accounts."""
    rules = re.findall(
        r"^    olcAccess: \{\d\}(to .*(?:\n      by .*)*)", (SCHEMA / "README.md").read_text(), re.MULTILINE
    )
    assert len(rules) == 5
    text = "\n".join(f"access {rule}" for rule in rules)
    text = text.replace("cn=cec-connector,ou=services,dc=example,dc=org", SYNC)
    text = text.replace("cn=sip-registrar,ou=services,dc=example,dc=org", REGISTRAR)
    return f"{GENERAL}{text.replace('ou=people,dc=example,dc=org', PEOPLE)}\n"


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
        Slapd.start(tmp_path / "server", entries, acl=recommended()) as server,
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
