"""A softphone on a real registrar: it registers by what the program has written, and its number rings."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.support.canary import Canaries, canary, everything
from tests.support.ds389 import Ds389
from tests.support.kamailio import HOST, Phone, Registrar, registrar, sipsak
from tests.support.ldap_server import LdapServer
from tests.support.recommended import REGISTRAR, SERVICES, on_389ds, on_openldap
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd, person, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = pytest.mark.kamailio

WORD = "a-word-of-this-test"
OTHER = f"uid=other,{SERVICES}"
MAPPINGS = Path(__file__).parents[2] / "mappings"
DIRECTORY = ("server/db", "server/tmp")
"""The directory's own files, which hold the passwords."""


class Exchange(World):
    """A tenant, a directory with the rights that its page recommends, and a registrar on that directory."""

    registrar: Registrar
    expected: str | None = None
    """The modules of Kamailio that a test lets complain."""

    def agents(self, *passwords: str, **fields: Any) -> None:
        """Let the tenant have agents 1, 2, … with these SIP passwords, at this registrar."""
        listed = [agent(number, sipPwd=password, **fields) for number, password in enumerate(passwords, 1)]
        self.cec.document = tenant(listed) | {"sipServiceIp": HOST, "sipServicePort": self.registrar.port}

    def read(self, number: int) -> dict[str, str]:
        """An agent's entry, as the directory holds it."""
        text = self.server.search(f"(uid=agent{number:03})").decode()
        pairs = re.findall(r"^(\w+):(:?) (.*)$", text, re.MULTILINE)
        return {name: base64.b64decode(value).decode() if encoded else value for name, encoded, value in pairs}

    def registers(self, number: int, password: str) -> bool:
        """Whether a softphone may register as an agent of this number."""
        address = f"sip:{7000 + number}@{HOST}:{self.registrar.port}"
        ended = sipsak("-U", "-i", "-s", address, "-u", str(7000 + number), "-a", password, "-x", "60")
        assert ended.returncode in {0, 2}, ended.stdout
        return ended.returncode == 0

    def status(self, number: int) -> str:
        """What is answered to OPTIONS for a number: 404 if no entry has its address of record, else 480."""
        answer = sipsak("-v", "-s", f"sip:{7000 + number}@{HOST}:{self.registrar.port}").stdout
        return answer.split(" ")[1]


@contextmanager
def _on_slapd(folder: Path, entries: list[str], readable: bool) -> Iterator[LdapServer]:
    with Slapd.start(folder, entries, acl=on_openldap(readable=readable)) as server:
        yield server


@contextmanager
def _on_389ds(folder: Path, entries: list[str], readable: bool) -> Iterator[LdapServer]:
    with Ds389.start(folder, entries, rights=()) as server:
        *on_people, on_suffix = on_389ds(readable=readable)
        for entry, rights in ((PEOPLE, on_people), (SUFFIX, [on_suffix])):
            server.modify(f"dn: {entry}\nchangetype: modify\nadd: aci\n" + "".join(f"{right}\n" for right in rights))
        yield server


@pytest.fixture
def readable() -> bool:
    """Whether the connector's account may read SIP passwords, which the pages advise against."""
    return False


@pytest.fixture(
    params=[
        pytest.param((_on_slapd, "openldap-h350"), marks=pytest.mark.slapd, id="slapd"),
        pytest.param((_on_389ds, "389ds"), marks=pytest.mark.ds389, id="389ds"),
    ]
)
def exchange(request: pytest.FixtureRequest, tmp_path: Path, readable: bool) -> Iterator[Exchange]:
    """At its end Kamailio has had nothing to complain of."""
    start, mapping = request.param
    (tmp_path / "job").mkdir()
    account = "dn: {dn}\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: {uid}\nuserPassword: {word}\n"
    accounts = [account.format(dn=dn, uid=dn[4:].partition(",")[0], word=WORD) for dn in (REGISTRAR, OTHER)]
    people = [person(f"agent{number:03}", f"mail: agent{number:03}@example.org") for number in range(1, 8)]
    with (
        start(tmp_path / "server", [*people, *accounts], readable) as server,
        registrar(tmp_path / "registrar", server, REGISTRAR, WORD, PEOPLE) as running,
        Simulator(tenant([]), ssl_context=server_context()) as cec,
    ):
        made = Exchange(tmp_path / "job", server, cec, mapping)
        made.registrar = running
        text = (MAPPINGS / f"{mapping}.yaml").read_text()
        assert "\nstale: report" in text
        (made.folder / "stale.yaml").write_text(text.replace("\nstale: report", "\nstale: clear"))
        made.job(mapping="stale.yaml", limits={"clear": 10, "agents_drop": "100%", "matched_drop": "100%"})
        yield made
        complaints = re.findall("(?:WARNING|ERROR|CRITICAL|ALERT|BUG): (.*)", running.log())
        assert [line for line in complaints if not (made.expected and re.match(made.expected, line))] == []


def hold(exchange: Exchange, *passwords: str) -> None:
    """Fail if a password is in a file of this test, but for the directory's own."""
    root = exchange.folder.parent
    own = [str(path.relative_to(root)) for place in DIRECTORY for path in (root / place).rglob("*") if path.is_file()]
    Canaries(passwords).hold(everything(root, own))


def test_a_softphone_registers_by_its_entry_and_rings(exchange: Exchange) -> None:
    one, two = canary("one"), canary("two")
    exchange.agents(one, two)
    assert exchange.status(1) == "404"
    exchange.run("apply", "--report", "report.html", "--report", "report.json")

    entry = exchange.read(1)
    address = f"sip:{entry['SIPIdentityUserName']}@{entry['SIPIdentityRegistrarAddress']}"
    phone = ["-U", "-i", "-s", f"{address}:{entry['cecSipServicePort']}", "-u", entry["SIPIdentityUserName"]]
    assert sipsak(*phone, "-a", entry["SIPIdentityPassword"]).returncode == 0
    assert not exchange.registers(1, two)
    as_another = sipsak("-U", "-i", "-s", f"sip:7002@{HOST}:{exchange.registrar.port}", "-u", "7001", "-a", one)
    assert "403 Not Your Number" in as_another.stdout
    assert entry["SIPIdentitySIPURI"] == address
    assert (exchange.status(2), exchange.status(3)) == ("480", "404")

    with (
        Phone(exchange.registrar, "7001", one) as caller,
        Phone(exchange.registrar, "7002", two) as callee,
        Phone(exchange.registrar, "7001", two) as stranger,
        ThreadPoolExecutor() as pool,
    ):
        assert (callee.register(), stranger.register()) == (200, 401)
        calling = pool.submit(caller.call, "7002")
        assert "sip:7001@" in callee.ring()
        assert calling.result() == 486, "busy, as the callee says"
        assert (caller.call("7003"), stranger.call("7002")) == (404, 407)
    hold(exchange, one, two)


def test_a_rotated_password_follows_and_the_old_one_is_refused(exchange: Exchange) -> None:
    old, new = canary("old"), canary("new")
    exchange.agents(old)
    exchange.run("apply")
    assert exchange.registers(1, old)
    exchange.agents(new)
    exchange.run("apply")
    assert (exchange.registers(1, old), exchange.registers(1, new)) == (False, True)
    hold(exchange, old, new)


def left(exchange: Exchange, *passwords: str) -> dict[str, str]:
    """Let the second of two agents leave, and undo that; their entry before."""
    exchange.agents(*passwords)
    exchange.run("apply")
    before = exchange.read(2)
    exchange.agents(passwords[0])
    exchange.run("apply")
    assert "SIPIdentityPassword" not in exchange.read(2)
    assert (exchange.registers(2, passwords[1]), exchange.registers(1, passwords[0])) == (False, True)
    assert exchange.status(2) == "404"
    (run, *_) = json.loads(exchange.run("runs", "--json").out)
    exchange.run("undo", run["id"], "--apply", "--report", "undo.json")
    return before


@pytest.mark.parametrize("readable", [True])
def test_a_leaver_is_refused_and_an_undo_lets_them_in_again(exchange: Exchange) -> None:
    stays, leaves = canary("stays"), canary("leaves")
    assert left(exchange, stays, leaves) == exchange.read(2)
    assert exchange.status(2) == "480"
    assert exchange.registers(2, leaves)
    hold(exchange, stays, leaves)


def test_without_the_right_to_read_it_a_cleared_password_comes_back_with_the_agent(exchange: Exchange) -> None:
    stays, leaves = canary("stays"), canary("leaves")
    before = left(exchange, stays, leaves)
    report = json.loads((exchange.folder / "undo.json").read_text())
    assert [each["attribute"] for each in report["problems"] if each["kind"] == "undo"] == ["SIPIdentityPassword"]
    assert not exchange.registers(2, leaves)
    assert exchange.status(2) == "404", "a part of an identity is none"
    exchange.run("release")
    exchange.agents(stays, leaves)
    exchange.run("apply")
    assert exchange.registers(2, leaves)
    assert exchange.read(2) == before
    hold(exchange, stays, leaves)


def test_while_the_directory_is_away_no_password_is_called_wrong(exchange: Exchange) -> None:
    exchange.expected = "(?:ldap|h350) "
    exchange.agents("canary-1")
    exchange.run("apply")
    with Phone(exchange.registrar, "7001", "canary-1") as phone:
        assert phone.register() == 200
        exchange.server.stop()
        assert phone.register() == 503
        exchange.server.restart()
        assert phone.register() == 200


def test_passwords_of_all_characters(exchange: Exchange) -> None:
    passwords = [
        '"',
        "a;b",
        "back\\slash\\",
        " a space ",
        "Gr\u00fc\u00dfe-\u5bc6\u7801",
        canary("all") + ";",
        "%s$au$$",
    ]
    exchange.agents(*passwords)
    exchange.run("apply")
    for number, password in enumerate(passwords, 1):
        assert exchange.registers(number, password), password


def test_of_two_agents_of_one_number_neither_registers(exchange: Exchange) -> None:
    exchange.agents("canary-1", "canary-2", sipAccount="7001")
    exchange.run("apply")
    assert not exchange.registers(1, "canary-1")
    assert not exchange.registers(1, "canary-2")
    assert all("SIPIdentityPassword" not in exchange.read(number) for number in (1, 2))


def test_the_registrar_reads_the_password_and_nobody_else(exchange: Exchange) -> None:
    exchange.agents("canary-1")
    exchange.run("apply")

    def read(account: str, word: str, wanted: str) -> str:
        login = ["-x", "-LLL", "-H", exchange.server.url, "-D", account, "-w", word, "-b", PEOPLE]
        done = subprocess.run(["ldapsearch", *login, wanted], capture_output=True, text=True, check=False)
        assert "Invalid credentials" not in done.stderr
        return done.stdout

    by_password = "(SIPIdentityPassword=canary-1)"
    assert "SIPIdentityPassword:" in read(REGISTRAR, WORD, "(SIPIdentityUserName=7001)")
    ours = read(SYNC, SYNC_PASSWORD, "(uid=agent001)")
    assert "SIPIdentityUserName: 7001" in ours
    assert "SIPIdentityPassword" not in ours
    for account, word in ((OTHER, WORD), ("", "")):
        assert "SIPIdentityPassword" not in read(account, word, "(objectClass=*)")
        assert read(account, word, by_password) == "", "a filter would tell the password"
