"""The right that a message asks for is the one that is missing: the rule it prints is added, and the apply goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.ds389 import Ds389
from tests.support.jobs import job_file, ldap_directory
from tests.support.plain_job import MAPPING, PASSWORD
from tests.support.program import program
from tests.support.slapd import PEOPLE, SYNC, Slapd, person

PASSWORD_RULES = "access to attrs=userPassword by anonymous auth by * none\n"
READS = f'access to * by dn.exact="{SYNC}" read by anonymous auth\n'
CLASSES = f'access to attrs=objectClass by dn.exact="{SYNC}" write by anonymous auth\n'


def job(folder: Path, url: str, mapping: str = MAPPING) -> None:
    (folder / "job.yaml").write_text(job_file(ldap_directory(url, bind_dn=SYNC)))
    (folder / "mapping.yaml").write_text(mapping)
    agents = [{"workNo": 1001, "accountCode": "ann", "sipPwd": "canary-1"}]
    (folder / "agents.json").write_text(json.dumps({"agents": agents}))


def said(folder: Path, command: str, code: int) -> str:
    done = program(command, "job.yaml", "--report", "report.json", folder=folder, env=PASSWORD)
    assert done.code == code, done.said
    assert "canary" not in done.said
    return done.said


def rules(text: str) -> str:
    """As a configuration file says them; the log has the message, too, with its quotes escaped."""
    found = re.findall(r"In olcAccess, first: (to .*? break)", text.replace('\\"', '"'))
    return "".join(f"access {rule}\n" for rule in dict.fromkeys(found))


@pytest.mark.slapd
def test_openldap_takes_the_rules_of_a_denied_write(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "one", [person("ann")], acl=PASSWORD_RULES + CLASSES + READS) as server:
        job(tmp_path, server.url)
        text = said(tmp_path, "apply", 4)
    assert f"Grant {SYNC} the right to write one of objectClass, employeeNumber, SIPIdentityPassword of" in text
    found = rules(text)
    assert f'to dn.subtree="{PEOPLE}" attrs=objectClass,employeeNumber by dn.exact="{SYNC}" write by * break' in found
    assert f'attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * break' in found
    with Slapd.start(tmp_path / "two", [person("ann")], acl=found + PASSWORD_RULES + READS) as server:
        job(tmp_path, server.url)
        assert "1 of 1 user written" in said(tmp_path, "apply", 0)


@pytest.mark.slapd
def test_openldap_takes_the_rule_of_a_denied_search(tmp_path: Path) -> None:
    denied = f'access to dn.subtree="{PEOPLE}" attrs=entry,uid by dn.exact="{SYNC}" =d by anonymous auth\n'
    acl = PASSWORD_RULES + denied + READS
    with Slapd.start(tmp_path / "one", [person("ann")], acl=acl) as server:
        job(tmp_path, server.url)
        text = said(tmp_path, "plan", 1)
    assert f"insufficientAccessRights (50); grant {SYNC} the right to search and read objectClass, uid there" in text
    with Slapd.start(tmp_path / "two", [person("ann")], acl=rules(text) + acl) as server:
        job(tmp_path, server.url)
        assert "1 user would be changed" in said(tmp_path, "plan", 0)


@pytest.mark.ds389
def test_389ds_takes_the_aci_of_a_right_that_is_missing_in_advance(tmp_path: Path) -> None:
    reads = f'(targetattr="*")(version 3.0; acl "reads"; allow (read, search, compare) userdn="ldap:///{SYNC}";)'
    mapping = MAPPING.splitlines(keepends=True)
    with Ds389.start(tmp_path / "server", [person("ann")], rights=(reads,)) as server:
        job(tmp_path, server.url, "".join(mapping[:3]))
        said(tmp_path, "plan", 0)
        (problem,) = json.loads((tmp_path / "report.json").read_text())["problems"]
        assert problem["kind"] == "rights"
        grant = rf"\. Grant {SYNC} the right to write employeeNumber\. At (\S+), add aci: (.*)"
        found = re.search(grant, problem["why"])
        assert found, problem["why"]
        assert found[1] == PEOPLE
        server.modify(f"dn: {PEOPLE}\nchangetype: modify\nadd: aci\naci: {found[2]}\n")
        assert "1 of 1 user written" in said(tmp_path, "apply", 0)
