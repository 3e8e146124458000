"""The schema files in deploy/schema: all forms define the same, and the servers take them."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.ds389 import SCHEMA as SCHEMA_389, Ds389

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[2] / "deploy" / "schema" / "openldap"
NAMES = ("h350", "cec-agent")
KEYWORDS = {
    "attributetype": "attribute",
    "objectclass": "class",
    "olcAttributeTypes:": "attribute",
    "olcObjectClasses:": "class",
    "attributeTypes:": "attribute",
    "objectClasses:": "class",
}
SUPPLIED = Path("/etc/ldap/schema")


def definitions(path: Path) -> list[tuple[str, str]]:
    """Each definition with its kind, white space folded."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines)
    # in LDIF a line that begins with a space continues the one before it (RFC 2849)
    text = re.sub(r"\n ", "", text) if path.suffix == ".ldif" else re.sub(r"\n[ \t]+", " ", text)
    lines = text.split("\n")
    words = [line.split() for line in lines if line.strip()]
    return [(KEYWORDS[first], " ".join(rest)) for first, *rest in words if first in KEYWORDS]


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/libexec")
    assert found, f"{name} is not installed"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_all_forms_of_a_schema_define_the_same(name: str) -> None:
    included, loaded = definitions(SCHEMA / f"{name}.schema"), definitions(SCHEMA / f"{name}.ldif")
    assert included
    assert included == loaded == definitions(SCHEMA_389 / f"60{name}.ldif")


def test_an_upgrade_ends_in_the_definitions_of_the_whole_file() -> None:
    whole, upgrade = definitions(SCHEMA / "cec-agent.ldif"), definitions(SCHEMA / "cec-agent-upgrade.ldif")
    assert set(upgrade) - {("class", "{0}")} == set(whole[2:])
    folder = SCHEMA.parent / "active-directory"
    records = (folder / "cec-agent.ldif").read_text().split("\n\n")
    first, *_, last = (folder / "cec-agent-upgrade.ldif").read_text().split("\n\n")[1:-1]
    assert first in records
    assert last.splitlines()[0] in records[-2]
    assert set(last.splitlines()[3:-1]) <= set(records[-2].splitlines())


@pytest.mark.slapd
def test_slapd_takes_the_files_by_include(tmp_path: Path) -> None:
    files = [SUPPLIED / f"{name}.schema" for name in ("core", "cosine", "inetorgperson")]
    files += [SCHEMA / f"{name}.schema" for name in NAMES]
    configuration = tmp_path / "slapd.conf"
    configuration.write_text("".join(f'include "{file}"\n' for file in files))
    subprocess.run([tool("slaptest"), "-u", "-f", configuration], check=True, capture_output=True)


@pytest.mark.slapd
def test_slapd_takes_the_files_into_its_configuration_database(tmp_path: Path) -> None:
    supplied = "".join(f"include: file://{SUPPLIED}/{name}.ldif\n\n" for name in ("core", "cosine", "inetorgperson"))
    seed = tmp_path / "seed.ldif"
    seed.write_text(
        "dn: cn=config\nobjectClass: olcGlobal\ncn: config\n\n"
        f"dn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n{supplied}"
        "dn: olcDatabase={0}config,cn=config\nobjectClass: olcDatabaseConfig\nolcDatabase: {0}config\n"
    )
    folder = tmp_path / "slapd.d"
    folder.mkdir()
    for file in (seed, SCHEMA / "h350.ldif", SCHEMA / "cec-agent.ldif"):
        subprocess.run([tool("slapadd"), "-F", folder, "-n", "0", "-l", file], check=True, capture_output=True)
    kept = {path.name.split("}")[1] for path in (folder / "cn=config" / "cn=schema").iterdir()}
    assert kept >= {"h350.ldif", "cec-agent.ldif"}


@pytest.mark.ds389
def test_389ds_takes_the_files_into_its_schema_folder_while_it_runs(tmp_path: Path) -> None:
    server = Ds389(tmp_path / "server")
    for path in (server.folder / "schema").glob("60*.ldif"):
        path.unlink()
    with server.begin():
        assert "cecAgent" not in schema_of(server)
        for path in SCHEMA_389.glob("60*.ldif"):
            shutil.copy(path, server.folder / "schema")
        task = "cn=reload,cn=schema reload task,cn=tasks,cn=config"  # what `dsconf INSTANCE schema reload` adds
        server.add(f"dn: {task}\nobjectClass: extensibleObject\ncn: reload\nttl: 60\n")
        until = time.monotonic() + 60
        while b"nsTaskExitCode: 0\n" not in server.search("-s", "base", base=task):
            assert time.monotonic() < until
        shown = schema_of(server)
    for name in ("cecAgent", "cecWorkNo", "SIPIdentity", "SIPIdentityPassword", "commURIObject"):
        assert f"'{name}'" in shown


def schema_of(server: Ds389) -> str:
    return server.search("-s", "base", "(objectClass=*)", "attributeTypes", "objectClasses", base="cn=schema").decode()
