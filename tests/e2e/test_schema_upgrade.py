"""A server of cn=config whose cecAgent lacks the port, and users that the mapping of that time has written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.slapd import SCHEMA, Slapd, person, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = pytest.mark.slapd

OLD_MAPPING = """\
match:
  - {agent: "{accountCode}", directory: uid}
attributes:
  cecAccountCode: "{accountCode}"
  cecWorkNo: {value: "{workNo}", unique: true}
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentityRegistrarAddress: {value: "{sipServiceIp}", owns: "*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
"""
SECRET = "config-secret"  # of this test's own server


class Configured(Slapd):
    """One that is configured in cn=config, with the old cec-agent."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        path = folder / "slapd.conf"
        config = path.read_text().replace(f"include {SCHEMA}/cec-agent.schema", f"include {folder}/cec-agent.schema")
        path.write_text(config.replace("\ndatabase mdb", f"\ndatabase config\nrootpw {SECRET}\n\ndatabase mdb", 1))
        new = (SCHEMA / "cec-agent.schema").read_text()
        old = re.sub(r"attributetype \( \S+\.1\.3\n.*?\)\n\n", "", new, flags=re.DOTALL)
        (folder / "cec-agent.schema").write_text(old.replace(" $ cecSipServicePort", ""))
        assert "cecSipServicePort" not in (folder / "cec-agent.schema").read_text()

    def _command(self) -> list[str]:
        kept = self.folder / "slapd.d"
        if not kept.exists():
            kept.mkdir()
            subprocess.run(
                ["slaptest", "-f", "slapd.conf", "-F", "slapd.d"], cwd=self.folder, check=True, capture_output=True
            )
        return ["slapd.d" if word == "slapd.conf" else "-F" if word == "-f" else word for word in super()._command()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}") for number in range(1, 6)]
    agents = tenant([agent(number) for number in range(1, 6)])
    with (
        Configured.start(tmp_path / "server", people) as server,
        Simulator(agents, ssl_context=server_context()) as cec,
    ):
        (tmp_path / "job" / "old.yaml").write_text(OLD_MAPPING)
        yield World(tmp_path / "job", server, cec, "old.yaml")


def upgrade(server: Slapd) -> None:
    """What the page on the schema says, to the letter but for how one binds."""
    page = (SCHEMA / "README.md").read_text()
    (commands,) = re.findall(r"^    (name=.*\n    sed .*)$", page, re.MULTILINE)
    bound = commands.replace("-Y EXTERNAL -H ldapi:///", f"-x -D cn=config -w {SECRET} -H {server.url}")
    subprocess.run(["sh", "-e", "-c", bound], cwd=SCHEMA, check=True, capture_output=True, text=True)


def test_a_directory_of_the_old_mapping_is_in_step_after_the_upgrade_and_one_run(world: World) -> None:
    world.run("apply")
    assert "SIPIdentitySIPURI: sip:7003@192.0.2.10:5060\n" in world.server.search("(uid=agent003)", "*").decode()
    before = world.everything()

    world.mapping = "openldap-h350"
    world.job()
    said = world.run("apply", code=78).said
    assert "the directory's schema has no attribute cecSipServicePort: load deploy/schema/openldap/" in said
    assert "cec-agent-upgrade.ldif (README.md beside it says how), or use a mapping without this line" in said
    assert world.everything() == before

    assert isinstance(world.server, Slapd)
    upgrade(world.server)
    assert world.everything() == before
    planned = world.plan()
    assert planned["summary"] == planned["summary"] | {"matched": 5, "update": 5, "clear": 0, "secret": 0}
    assert planned["problems"] == []
    assert planned["changes"][2]["attributes"] == [
        {"name": "cecSipServicePort", "old": [], "new": ["5060"]},
        {"name": "SIPIdentitySIPURI", "old": ["sip:7003@192.0.2.10:5060"], "new": ["sip:7003@192.0.2.10"]},
    ]
    world.run("apply")
    assert world.plan("--fail-on-changes")["changes"] == []
    entry = world.server.search("(SIPIdentitySIPURI=sip:7003@192.0.2.10)", "*").decode()
    assert "uid: agent003\n" in entry
    assert "cecSipServicePort: 5060\n" in entry
    assert ":5060\n" not in entry.replace("cecSipServicePort: 5060\n", "")

    world.server.stop()
    world.server.restart()
    assert world.plan("--fail-on-changes")["changes"] == [], "the schema is kept"
