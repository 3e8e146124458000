"""The schema for OpenLDAP in deploy/schema: its two forms agree, and slapd takes both."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCHEMA = Path(__file__).parents[2] / "deploy" / "schema" / "openldap"
NAMES = ("h350", "cec-agent")
KEYWORDS = {
    "attributetype": "attribute",
    "objectclass": "class",
    "olcAttributeTypes:": "attribute",
    "olcObjectClasses:": "class",
}
SUPPLIED = Path("/etc/ldap/schema")


def definitions(path: Path) -> list[tuple[str, str]]:
    """Each definition with its kind, white space folded."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    if path.suffix == ".ldif":  # a line that begins with a space continues the one before it (RFC 2849)
        lines = re.sub(r"\n ", "", "\n".join(lines)).split("\n")
    else:
        lines = re.sub(r"\n[ \t]+", " ", "\n".join(lines)).split("\n")
    words = [line.split() for line in lines if line.strip()]
    return [(KEYWORDS[first], " ".join(rest)) for first, *rest in words if first in KEYWORDS]


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/local/libexec")
    assert found, f"{name} is not installed"
    return found


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_of_a_schema_define_the_same(name: str) -> None:
    included, loaded = definitions(SCHEMA / f"{name}.schema"), definitions(SCHEMA / f"{name}.ldif")
    assert included
    assert included == loaded


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
