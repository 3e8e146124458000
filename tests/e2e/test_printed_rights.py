"""The right that a message asks for is the one that is missing: the rule it prints is added, and the apply goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.ds389 import Ds389
from tests.support.jobs import configure, job_file, ldap_directory, ldif_directory
from tests.support.plain_job import MAPPING, PASSWORD
from tests.support.program import program
from tests.support.slapd import ADMIN, PEOPLE, SYNC, Slapd, person

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
        (tmp_path / "state.db").unlink()  # it is another directory
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


SEVERAL = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
object_classes: [SIPIdentity]
"""
DENIED = "employeeNumber", "SIPIdentityUserName", "SIPIdentityPassword"


@pytest.mark.ds389
def test_an_account_of_389ds_that_may_only_read_is_told_each_attribute_once(tmp_path: Path) -> None:
    reads = f'(targetattr="*")(version 3.0; acl "reads"; allow (read, search, compare) userdn="ldap:///{SYNC}";)'
    uids = [f"ann{number:02}" for number in range(12)]
    agents = [
        {"workNo": 1000 + number, "accountCode": uid, "sipAccount": f"s{number}", "sipPwd": f"canary-{number}"}
        for number, uid in enumerate(uids)
    ]
    with Ds389.start(tmp_path / "server", [*map(person, uids), person("other")], rights=(reads,)) as server:
        job(tmp_path, server.url, SEVERAL)
        (tmp_path / "agents.json").write_text(json.dumps({"agents": agents}))
        checked = program("check", "job.yaml", folder=tmp_path, env=PASSWORD)
        assert checked.code == 0, checked.said
        rights = checked.out[checked.out.index("  rights: ") :].splitlines()
        assert rights[0] == f"  rights: the account may not write {', '.join(DENIED)} of 13 of 13 users asked"
        assert rights[2] == "    cec-connector check job.yaml --acl"
        reports = [option for name in ("report.md", "report.html") for option in ("--report", name)]
        planned = program("plan", "job.yaml", "--report", "report.json", *reports, folder=tmp_path, env=PASSWORD)
        assert planned.code == 0, planned.said
        text, markdown, page = planned.out, *((tmp_path / f"report.{end}").read_text() for end in ("md", "html"))
        headline = "Nothing would be written: no user would be changed. 12 users would be, but the account may not write there."
        for report in (text, markdown, page):
            assert headline in report
            assert report.count("the right to write ") == len(DENIED)
        assert text.count(", add aci: ") == len(DENIED)
        for name in DENIED:
            assert f"  - 12 users, rule 1, {name}: the job's account may not write" in text
        assert re.search(f"\n      uid=ann00,{PEOPLE} .*← accountCode ann00, workNo 1000\n", text)
        assert "… and 2 more" in text
        assert all(markdown.count(uid) >= len(DENIED) and page.count(uid) >= len(DENIED) for uid in uids)
        problems = json.loads((tmp_path / "report.json").read_text())["problems"]
        assert sum(problem["kind"] == "rights" for problem in problems) == 12 * len(DENIED)
        write = f'(targetattr="*")(version 3.0; acl "one"; allow (write) userdn="ldap:///{SYNC}";)'
        server.modify(f"dn: uid=ann00,{PEOPLE}\nchangetype: modify\nadd: aci\naci: {write}\n")
        again = said(tmp_path, "plan", 0)
        assert "1 user would be changed. 11 more users would be, but the account may not write there." in again
        assert "of 12 of 13 users asked" in said_by_check(tmp_path)
        (tmp_path / "agents.json").write_text(json.dumps({"agents": agents[:1]}))
        alone = said(tmp_path, "plan", 0)
        assert "may not write" not in alone


def said_by_check(folder: Path) -> str:
    return program("check", "job.yaml", folder=folder, env=PASSWORD).out


def acl(folder: Path) -> str:
    """What `check --acl` prints: a file for ldapmodify."""
    done = program("check", "job.yaml", "--acl", folder=folder, env=PASSWORD)
    assert done.code == 0, done.said
    return done.out


NOBODY = f"{PASSWORD_RULES}access to * by * none\n"
CONFIGURED = f'database config\naccess to * by dn.exact="{ADMIN}" manage{{more}}\n'


@pytest.mark.slapd
@pytest.mark.parametrize("shown", [True, False])
def test_openldap_takes_what_check_prints_and_needs_no_more(tmp_path: Path, *, shown: bool) -> None:
    """The rules are in the way of each other, unless those for writing come first."""
    configured = CONFIGURED.format(more=f' by dn.exact="{SYNC}" read' if shown else "")
    with Slapd.start(tmp_path / "one", [person("ann")], acl=NOBODY, overlays=configured) as server:
        job(tmp_path, server.url)
        printed = acl(tmp_path)
        assert "olcDbIndex: uid,entryUUID eq" in printed
        said(tmp_path, "plan", 1)
        if not shown:
            assert "dn: olcDatabase={N}mdb,cn=config\n" in printed
            found = server.search("(olcSuffix=*)", "olcSuffix", base="cn=config").decode()
            number = re.search(r"^dn: olcDatabase=(\{\d\})mdb,cn=config$", found, re.MULTILINE)
            assert number, found
            printed = printed.replace("{N}", number[1])
        server.modify(printed)
        planned = said(tmp_path, "plan", 0)
        assert "Identity falls back" not in planned
        assert "may go unnoticed" not in planned
        assert "1 of 1 user written" in said(tmp_path, "apply", 0)
        assert "no user would be changed" in said(tmp_path, "plan", 0)


@pytest.mark.ds389
def test_389ds_takes_what_check_prints_and_needs_no_more(tmp_path: Path) -> None:
    mapping = MAPPING.replace('"{workNo}"', '{value: "{workNo}", unique: true}')
    with Ds389.start(tmp_path / "server", [person("ann")], rights=()) as server:
        job(tmp_path, server.url, mapping)
        assert "no user has uid 'ann'" in said(tmp_path, "plan", 0)
        printed = acl(tmp_path)
        assert "--attr uid --index-type eq" in printed
        assert "--attr employeeNumber --index-type eq" in printed
        server.modify(printed)
        assert "1 of 1 user written" in said(tmp_path, "apply", 0)


def test_a_file_has_no_access_rules(tmp_path: Path) -> None:
    (tmp_path / "people.ldif").write_text("version: 1\n")
    job(tmp_path, "ldap://127.0.0.1:9")
    configure(tmp_path / "job.yaml", directory=ldif_directory())
    done = program("check", "job.yaml", "--acl", folder=tmp_path, env=PASSWORD)
    assert (done.code, "--acl: is for LDAP servers alone" in done.said) == (64, True)
