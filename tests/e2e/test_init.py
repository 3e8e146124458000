"""`init`, through the program: what it writes for a real directory passes `check` and `plan`, and holds no secret."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.init_folder import COMMENT, judge_attributes
from tests.support.ldif_job import person as ldif_person
from tests.support.pages import Page
from tests.support.program import WARNINGS, Ended, program
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd, person, server_context

pytestmark = pytest.mark.slow

ENV = {"LDAP_PASSWORD": SYNC_PASSWORD, "CEC_APP_KEY": "demo-key", "CEC_APP_SECRET": "demo-secret"}
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
            "sipPwd": f"canary-{each}",
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


def planned(folder: Path, check: int = 0) -> dict[str, int]:
    """`check` and `plan` say yes to what was written; the plan's summary."""
    run(folder, "check", "job.yaml", code=check)
    run(folder, "plan", "job.yaml", "--report", "report.json")
    summary: dict[str, int] = json.loads((folder / "report.json").read_text())["summary"]
    return summary


def test_a_record_that_cannot_be_read_is_named_by_init_and_check_with_what_is_wrong(tmp_path: Path) -> None:
    agents = [{"accountCode": "user0"}, *({"workNo": 1000 + n, "accountCode": f"user{n}"} for n in range(1, 6))]
    (tmp_path / "agents.json").write_text(json.dumps({"agents": agents}))
    (tmp_path / "people.ldif").write_text("version: 1\n\n" + "".join(map(ldif_person, range(1, 6))))
    (tmp_path / "list.json").write_text(json.dumps(agents))
    where = ("--directory", "people.ldif", "--base", PEOPLE)
    refused = run(tmp_path, "init", "--source", "list.json", *where, code=1).err
    assert 'list.json: not an answer of the agent query, {"agents": [{"workNo": 1001, ' in refused
    source = ("--source", "agents.json", *where)
    told = [run(tmp_path, *command).out for command in (("init", *source), ("check", "job.yaml"))]
    for out in told:
        assert re.search(r"^ +record 1 is invalid: .*workNo", out, re.MULTILINE), out
    text = (tmp_path / "mapping.yaml").read_text()
    assert "when_absent: keep  # a field that the agent lacks leaves the value; clear: empties it\n" in text
    keys = [line.split()[0] for line in told[1].splitlines()]
    assert (keys.count("source"), keys.count("directory")) == (1, 2)
    assert "\n  read from: " in told[1]
    assert "\n  directory at: " in told[1]


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
    assert "agents     31; tried: 30 of those with an account" in out
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
        assert "remove this line" not in out
        assert "mapping    inetorgperson" in out
        judged = judge_attributes(out)["employeeNumber"]
        assert judged == ("30 of 30 matched users hold another value", COMMENT)
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
        ended = run(folder, "init", *arguments)
        assert ended.out.startswith("directory  OpenLDAP"), "the log goes elsewhere"
        assert "agent query answered" in ended.err
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
    assert planned(folder, check=1)["matched"] == 0


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
        assert f"{name}: the file exists. Name another by --job and --mapping, or add --force" in said
        (line,) = [line for line in said.splitlines() if line.startswith("  cec-connector init ")]
        assert line.endswith("init --source agents.json --directory people.ldif --force")
        assert (folder / name).read_text() == "mine\n"
        (folder / name).unlink()
    (folder / "job.yaml").write_text("mine\n")
    run(folder, *shlex.split(line)[1:])
    assert planned(folder)["matched"] == 30


def test_the_command_line_of_a_refusal_names_the_same_files(folder: Path) -> None:
    (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join(people()))
    (folder / "our map.yaml").write_text("mine\n")
    given = ["--source", "agents.json", "--directory", "people.ldif", "--job", "hr.yaml", "--mapping", "our map.yaml"]
    said = run(folder, "init", *given, code=64).err
    assert f"  {shlex.join(['cec-connector', 'init', *given, '--force'])}\n" in said
    run(folder, "init", *given, "--force")
    assert "mapping: our map.yaml" in (folder / "hr.yaml").read_text()


@pytest.mark.slapd
def test_several_bases_go_into_the_job(folder: Path, server: Slapd) -> None:
    north = f"ou=north,{SUFFIX}"
    server.add(f"dn: {north}\nobjectClass: organizationalUnit\nou: north\n")
    given = ["--source", "agents.json", *login(server), "--base", PEOPLE, "--base"]
    out = run(folder, "init", *given, north).out
    assert f"base       {PEOPLE} or {north}\n" in out
    assert f'  base: ["{PEOPLE}", "{north}"]\n' in (folder / "job.yaml").read_text()
    assert planned(folder)["matched"] == 30
    said = run(folder, "init", *given, SUFFIX, "--force", code=64).err
    assert f"{PEOPLE} is not to be below {SUFFIX}: name the upper one alone" in said
    said = run(folder, "init", *given, "dc=example,dc=net", "--force", code=64).err
    assert f"dc=example,dc=net is in no naming context, and {PEOPLE} in {SUFFIX}" in said


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
    typed = ["agents.json", server.ldaps_url, SYNC, SYNC_PASSWORD, "env:NOT_SET", "env:LDAP_PASSWORD", ""]
    said = at_terminal(folder, typed, "--ca-file", str(server.ca))
    assert "Base DN of the users [dc=example,dc=org]:" in said
    assert "Enter env:NAME or file:PATH" in said
    assert "The environment variable NOT_SET is not set." in said
    written(folder)
    assert f"base: {SUFFIX}" in (folder / "job.yaml").read_text()
    assert planned(folder)["matched"] == 30


@pytest.mark.slapd
def test_at_a_terminal_it_asks_once_more_for_what_does_not_work_and_keeps_the_rest(folder: Path, server: Slapd) -> None:
    """An authority that is not known, a wrong password, and a base with nobody within."""
    server.add(f"dn: ou=empty,{SUFFIX}\nobjectClass: organizationalUnit\nou: empty\n")
    (folder / "wrong").write_text("not the password")
    (folder / "right").write_text(SYNC_PASSWORD)
    shutil.copy(server.ca, folder / "ldap-ca.pem")
    first = ["agents.json", server.ldaps_url, SYNC, "file:wrong"]
    then = ["nowhere.pem", "ldap-ca.pem", "", "right", "file:right", f"ou=empty,{SUFFIX}", PEOPLE, ""]
    said = at_terminal(folder, [*first, *then])
    assert "is not trusted" in said
    assert "There is no file nowhere.pem." in said
    assert "Did you mean file:right?" in said
    assert f"The bind DN [{SYNC}]:" in said
    assert "no users within ou=empty" in said
    (line,) = [line for line in said.splitlines() if line.strip().startswith("cec-connector init ")]
    written(folder)
    for name in ("job.yaml", "mapping.yaml"):
        (folder / name).rename(folder / f"{name}.typed")
    run(folder, *shlex.split(line)[1:])
    for name in ("job.yaml", "mapping.yaml"):
        assert (folder / name).read_text() == (folder / f"{name}.typed").read_text(), "the command line does the same"


@pytest.mark.slapd
def test_at_a_terminal_several_bases_stay_until_another_is_given(folder: Path, server: Slapd) -> None:
    bases = [f"ou=empty{number},{SUFFIX}" for number in (1, 2)]
    server.add("\n".join(f"dn: {base}\nobjectClass: organizationalUnit\n" for base in bases))
    given = ["--source", "agents.json", *login(server), *(word for base in bases for word in ("--base", base))]
    said = at_terminal(folder, ["", "", PEOPLE, ""], *given)
    assert said.count(f"Base DN of the users [{' and '.join(bases)}]:") == 2
    assert f"base: {PEOPLE}" in (folder / "job.yaml").read_text()


@pytest.mark.slapd
def test_at_a_terminal_an_address_without_tls_is_asked_about_at_once(folder: Path, server: Slapd) -> None:
    """The tenant's `http` is refused, then allowed; the directory's `ldap` gets StartTLS."""
    with Simulator(json.loads((folder / "agents.json").read_text())) as tenant:
        addresses = [tenant.url, "n", "ftp://ldap.example.org", tenant.url, "y", server.url, "y"]
        keys = ["env:CEC_APP_KEY", "env:CEC_APP_SECRET"]
        options = ["--ca-file", str(server.ca), "--base", PEOPLE]
        said = at_terminal(folder, [*addresses, *keys, SYNC, "env:LDAP_PASSWORD"], *options)
        assert said.count("http:// sends secrets in clear. Use it all the same? [y/N]: ") == 2
        assert "Addresses begin with https://.\r\n" in said
        assert said.count("Begin TLS on it (StartTLS)? [Y/n]: ") == 1
        text = written(folder)
        assert f"  url: {tenant.url}\n  allow_plaintext: true\n" in text
        assert text.count("allow_plaintext") == 1
        assert "  start_tls: true\n" in text
        assert planned(folder)["matched"] == 30
        (line,) = [line for line in said.splitlines() if line.strip().startswith("cec-connector init ")]
        assert line.endswith(" --start-tls --allow-plaintext")
        run(folder, *shlex.split(line)[1:], "--force")
        assert written(folder) == text, "the command line does the same"


@pytest.mark.slapd
def test_at_a_terminal_ports_without_tls_are_asked_for_again(folder: Path, server: Slapd) -> None:
    document = json.loads((folder / "agents.json").read_text())
    with Simulator(document) as plain, Simulator(document, ssl_context=server_context()) as tenant:
        http = plain.url.replace("http:", "https:")
        keys = ["env:CEC_APP_KEY", "env:CEC_APP_SECRET"]
        login_ = [SYNC, "env:LDAP_PASSWORD"]
        options = ["--ca-file", str(server.ca), "--source-ca-file", str(server.ca), "--base", PEOPLE]
        typed = [http, http.replace("https:", "ldaps:"), *keys, *login_, server.ldaps_url, tenant.url]
        said = at_terminal(folder, typed, *options)
    assert said.count("what answers there speaks no TLS") == 2
    assert f"url: {tenant.url}\n" in written(folder)


def test_answers_are_not_lost_where_it_cannot_go_on(folder: Path) -> None:
    directories = ["ftp://ldap.example.org", "ldaps://ldap.example.org:port"]
    said = at_terminal(folder, ["nothing.json", "agents.json", *directories, SYNC, "env:LDAP_PASSWORD"], code=64)
    assert "There is no file nothing.json." in said
    assert "Addresses begin with https://, ldaps://, ldap://, ldapi://.\r\n" in said
    assert "Your answers, as a command line:\r\n  cec-connector init --source agents.json --directory ldaps://" in said
    assert "init: --directory: is no valid URL: check its host and port" in said


def at_terminal(folder: Path, typed: list[str], *options: str, code: int = 0) -> str:
    """What comes to a terminal at which somebody types these lines."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ |= ENV | {"TERM": "xterm", "COLUMNS": "400"}
        os.execv(sys.executable, [sys.executable, *WARNINGS, "-m", "connector", "init", *options])
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
    assert os.waitstatus_to_exitcode(status) == code, said
    return said
