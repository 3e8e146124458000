"""`init`, through the program: what it writes for a real directory passes `check` and `plan`, and holds no secret."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.pages import Page
from tests.support.program import WARNINGS, Ended, program
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd, person, server_context

pytestmark = pytest.mark.slow

ENV = {"LDAP_PASSWORD": SYNC_PASSWORD}
COUNT = 30


def people(*, mail: bool = True, number: str = "") -> list[str]:
    """Users whose logins are accounts, but for the last five, who are known by their mail alone."""
    users = []
    for each in range(1, COUNT + 1):
        uid = f"agent{each:02}" if each <= COUNT - 5 else f"x{each}"
        lines = [f"mail: agent{each:02}@example.org"] if mail else []
        users.append(person(uid, *lines, *([f"employeeNumber: {number}{each}"] if number else [])))
    return users


def agents(folder: Path, template: str = "agent{:02}") -> None:
    known = [
        {
            "workNo": 1000 + each,
            "accountCode": template.format(each),
            "sipAccount": str(7000 + each),
            "sipPwd": "canary",
        }
        for each in range(1, COUNT + 1)
    ]
    tenant = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": [*known, {"workNo": 2000}]}
    (folder / "agents.json").write_text(json.dumps(tenant))


def run(folder: Path, *arguments: str | Path, code: int = 0) -> Ended:
    ended = program(*arguments, folder=folder, env=ENV)
    assert ended.code == code, ended.said
    assert SYNC_PASSWORD not in ended.said
    assert "canary" not in ended.said
    return ended


def written(folder: Path) -> str:
    text = (folder / "job.yaml").read_text() + (folder / "mapping.yaml").read_text()
    assert SYNC_PASSWORD not in text
    assert "canary" not in text
    return text


def planned(folder: Path) -> dict[str, int]:
    """`check` and `plan` say yes to what was written; the plan's summary."""
    run(folder, "check", "job.yaml")
    run(folder, "plan", "job.yaml", "--report", "report.json")
    summary: dict[str, int] = json.loads((folder / "report.json").read_text())["summary"]
    return summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job").mkdir()
    agents(tmp_path / "job")
    return tmp_path / "job"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd.start(tmp_path / "slapd", ["\n".join(people())]) as started:
        yield started


def login(server: Slapd) -> list[str]:
    address = ["--directory", server.ldaps_url, "--ca-file", str(server.ca)]
    return [*address, "--bind-dn", SYNC, "--password", "env:LDAP_PASSWORD"]


@pytest.mark.slapd
def test_a_server_with_our_schema_gets_the_full_mapping_and_rules_that_find_everybody(
    folder: Path, server: Slapd
) -> None:
    out = run(folder, "init", "--source", "agents.json", *login(server), "--base", PEOPLE).out
    assert "directory  OpenLDAP: ldaps://" in out
    assert "filter     (objectClass=inetOrgPerson)" in out
    assert "mapping    openldap-h350" in out
    assert "agents     31; tried: 30 with an account" in out
    assert "   30  {accountCode}@example.org in mail   rule 1" in out
    assert "   25  {accountCode} in uid\n" in out
    assert "agents match" in out
    assert out.endswith("cec-connector check job.yaml\n  cec-connector plan job.yaml\n")
    text = written(folder)
    assert '- {agent: "{accountCode}@example.org", directory: mail}  # 30' in text
    assert "SIPIdentityPassword" in text
    summary = planned(folder)
    assert (summary["matched"], summary["update"], summary["secret"]) == (30, 30, 30)


@pytest.mark.slapd
def test_the_page_shows_what_is_printed(folder: Path, server: Slapd) -> None:
    (folder / "cec-app-secret").write_text("demo-secret\n")
    shutil.copy(server.ca, folder / "ldap-ca.pem")
    document = json.loads((folder / "agents.json").read_text())
    with Simulator(document, ssl_context=server_context()) as tenant:
        places = {
            "https://cec.example.org": f"{tenant.url} --source-ca-file ldap-ca.pem",
            "ldaps://ldap.example.org": server.ldaps_url,
            "cn=cec-connector,ou=services,dc=example,dc=org": SYNC,
        }
        Page("docs/init.md", folder, ENV | {"CEC_APP_KEY": "demo-key"}, places).follow("init")


@pytest.mark.slapd
def test_a_server_without_our_schema_gets_stock_attributes_and_none_that_are_taken(
    folder: Path, tmp_path: Path
) -> None:
    with Slapd.start(tmp_path / "plain", ["\n".join(people(number="55"))], stock=True) as server:
        out = run(folder, "init", "--source", "agents.json", *login(server), "--base", PEOPLE).out
        assert "not openldap-h350: the directory's schema has no attribute cecAccountCode" in out
        assert "mapping    inetorgperson" in out
        assert "without employeeNumber: 30 of 30 matched users hold another value" in out
        text = written(folder)
        assert "# employeeNumber: " in text
        summary = planned(folder)
        assert (summary["matched"], summary["update"]) == (30, 30)
        reported = (folder / "report.json").read_text()
        assert "employeeNumber" not in reported


@pytest.mark.slapd
def test_rules_add_up_where_no_single_one_finds_everybody(folder: Path, tmp_path: Path) -> None:
    users = people(mail=False)[:25] + [person(f"y{each}", f"mail: agent{each}@example.org") for each in range(26, 31)]
    with Slapd.start(tmp_path / "both", ["\n".join(users)]) as server:
        out = run(folder, "init", "--source", "agents.json", *login(server), "--base", PEOPLE).out
        assert "   25  {accountCode} in uid   rule 1" in out
        assert "    5  {accountCode}@example.org in mail   rule 2" in out
        assert "With the rules of the mapping, 30 of 30 agents match." in out
        assert planned(folder)["matched"] == 30


@pytest.mark.slapd
def test_a_tenant_over_https_and_secrets_in_files(folder: Path, server: Slapd) -> None:
    (folder / "key").write_text("demo-key\n")
    (folder / "secret").write_text("demo-secret\n")
    (folder / "ldap").write_text(SYNC_PASSWORD + "\n")
    document = json.loads((folder / "agents.json").read_text())
    with Simulator(document, ssl_context=server_context()) as tenant:
        arguments = ["--source", tenant.url, "--app-key", "file:key", "--app-secret", "file:secret"]
        arguments += ["--source-ca-file", str(server.ca), *login(server)[:-1], "file:ldap", "--base", PEOPLE]
        run(folder, "init", *arguments)
        text = written(folder)
        assert "app_secret: {file: secret}" in text
        assert "password: {file: ldap}" in text
        assert "demo-secret" not in text
        assert planned(folder)["matched"] == 30


def test_an_ldif_file_gets_its_mapping(folder: Path) -> None:
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
    out = run(folder, "init", "--source", "agents.json", "--directory", "people.ldif").out
    assert "mapping    ldif" in out
    assert "sipPwd" not in (folder / "mapping.yaml").read_text().partition("\nmatch:")[2]
    assert planned(folder)["matched"] == 30


def test_addresses_for_accounts_are_tried_with_the_users_domain(folder: Path) -> None:
    agents(folder, "agent{:02}@cec.example.net")
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
    out = run(folder, "init", "--source", "agents.json", "--directory", "people.ldif").out
    assert "   30  {accountCode|before:'@'}@example.org in mail   rule 1" in out
    assert planned(folder)["matched"] == 30


def test_where_nobody_is_found_that_is_said_and_the_seat_is_shown_but_not_proposed(folder: Path) -> None:
    agents(folder, "stranger{:02}")
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people(number="10")))
    out = run(folder, "init", "--source", "agents.json", "--directory", "people.ldif").out
    assert "No rule matches an agent" in out
    assert "{workNo} in employeeNumber   not proposed: a seat can be reassigned" in out
    assert planned(folder)["matched"] == 0


def test_files_in_other_folders_are_named_from_where_the_job_is(folder: Path) -> None:
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
    (folder / "jobs").mkdir()
    arguments = ["--source", "agents.json", "--directory", "people.ldif", "--job", "jobs/hr.yaml"]
    out = run(folder, "init", *arguments).out
    assert "cec-connector plan jobs/hr.yaml" in out
    run(folder, "check", "jobs/hr.yaml")


def test_nothing_is_overwritten_unless_that_is_said(folder: Path) -> None:
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
    for name in ("job.yaml", "mapping.yaml"):
        (folder / name).write_text("mine\n")
        said = run(folder, "init", "--source", "agents.json", "--directory", "people.ldif", code=64).err
        assert f"{name}: the file exists. Name another, or replace it with --force" in said
        assert (folder / name).read_text() == "mine\n"
        (folder / name).unlink()
    (folder / "job.yaml").write_text("mine\n")
    run(folder, "init", "--source", "agents.json", "--directory", "people.ldif", "--force")
    assert planned(folder)["matched"] == 30


@pytest.mark.slapd
def test_without_a_terminal_what_is_missing_is_named(folder: Path, server: Slapd) -> None:
    given: list[str] = []
    answers = [
        ("--source", "agents.json"),
        ("--directory", server.ldaps_url),
        ("--bind-dn", SYNC),
        ("--password", "env:LDAP_PASSWORD"),
        ("--base", PEOPLE),
    ]
    for option, value in answers:
        said = run(folder, "init", *given, "--ca-file", str(server.ca), code=64).err
        assert f"{option} is missing" in said
        given += [option, value]
    assert f"the directory has {SUFFIX}" in said
    assert not (folder / "job.yaml").exists()
    run(folder, "init", *given, "--ca-file", str(server.ca))


def test_a_secret_is_refused_and_not_repeated(folder: Path) -> None:
    given = ["--source", "agents.json", "--directory", "ldaps://ldap.example.org", "--bind-dn", SYNC]
    said = run(folder, "init", *given, "--password", SYNC_PASSWORD, code=64).err
    assert "not the secret itself" in said
    said = run(folder, "init", *given, "--password", "env:NOT_SET", "--base", PEOPLE, code=64).err
    assert "environment variable NOT_SET is not set" in said
    said = run(folder, "init", *given[:3], "ldap://ldap.example.org", *given[4:], "--password", "env:X", code=64).err
    assert "ldap:// sends secrets in clear" in said


def test_a_directory_of_another_kind_is_a_usage_error(folder: Path) -> None:
    for directories in (["ftp://ldap.example.org"], ["people.ldif", "more.ldif"]):
        arguments = [word for name in directories for word in ("--directory", name)]
        said = run(folder, "init", "--source", "agents.json", *arguments, code=64).err
        assert "addresses, one https:// address (SCIM), or one LDIF file" in said


def test_a_base_or_a_filter_that_nobody_is_within_is_a_usage_error(folder: Path) -> None:
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
    given = ["--source", "agents.json", "--directory", "people.ldif"]
    said = run(folder, "init", *given, "--filter", "(uid=nobody)", code=64).err
    assert "no users within people.ldif by (uid=nobody)" in said
    assert "--base, --filter" in said
    assert not (folder / "job.yaml").exists()


def test_a_server_that_cannot_be_reached_is_told_and_nothing_is_written(folder: Path) -> None:
    given = ["--source", "agents.json", "--directory", "ldaps://127.0.0.1:1", "--bind-dn", SYNC]
    run(folder, "init", *given, "--password", "env:LDAP_PASSWORD", "--base", PEOPLE, code=1)
    assert sorted(path.name for path in folder.iterdir()) == ["agents.json"]


@pytest.mark.slapd
def test_at_a_terminal_it_asks_and_proposes(folder: Path, server: Slapd) -> None:
    typed = ["agents.json", server.ldaps_url, SYNC, SYNC_PASSWORD, "env:LDAP_PASSWORD", ""]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= ENV | {"TERM": "xterm"}
        command = [sys.executable, *WARNINGS, "-m", "connector", "init", "--ca-file", str(server.ca)]
        os.execv(sys.executable, command)
    os.write(terminal, "".join(f"{line}\n" for line in typed).encode())
    seen = b""
    try:
        while octets := os.read(terminal, 65536):
            seen += octets
    except OSError:
        pass  # Linux tells the end of a terminal so
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    said = seen.decode()
    assert os.waitstatus_to_exitcode(status) == 0, said
    assert "Base DN of the users [dc=example,dc=org]:" in said
    assert "Enter env:NAME or file:PATH" in said
    written(folder)
    assert f"base: {SUFFIX}" in (folder / "job.yaml").read_text()
    assert planned(folder)["matched"] == 30
