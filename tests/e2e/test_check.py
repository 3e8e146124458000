"""What `check` finds before anybody plans: lists that name nobody, a state that cannot be written, misspelt names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ldap_job import LdapJob
from tests.support.ldif_job import BASE, Job
from tests.support.postgres import Postgres
from tests.support.program import program
from tests.support.scim_job import ScimJob
from tests.support.scim_servers import CEC, ScimServer, people
from tests.support.slapd import SYNC_PASSWORD, Slapd, person
from tests.support.ssh_keys import pen


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_an_address_without_a_socket_is_refused_before_anything_is_read(job: Job) -> None:
    job.configure(directory={"type": "ldap", "urls": ["ldapi:///"], "base": BASE, "sasl": "external"})
    (job.folder / "agents.json").write_text("not JSON")
    for command in ("check", "plan"):
        ended = job.program(command, "job.yaml")
        assert (ended.code, ended.out) == (78, "")
        assert "job.yaml:2: directory.urls[1]: must name the whole path of a socket, as ldapi://%2F" in ended.err


@pytest.mark.slow
def test_files_that_say_who_approves_and_that_others_may_write_are_named(job: Job) -> None:
    signers = job.folder / "signers" / "allowed"
    signers.parent.mkdir()
    signers.write_text(f"anna@example.org {pen().public}\n")
    job.configure(approvers={"allowed": "signers/allowed", "needed": 1})
    open_ones = {signers: 0o646, signers.parent: 0o777, job.folder / "job.yaml": 0o606}
    words = "other users of this machine can write here, and so change who approves plans"
    for path in open_ones:
        path.chmod(0o755)
    assert words not in job.run("check") + job.program("plan", "job.yaml").err
    for path, mode in open_ones.items():
        path.chmod(mode)
    told = job.run("check").replace("\n", " ")
    assert all(str(path) in told for path in open_ones)
    assert "; run `chmod o-w,g-w` on it" in told
    warned = [json.loads(line) for line in job.program("plan", "job.yaml").err.splitlines() if words in line]
    assert [each["fix"] for each in warned] == [f"chmod o-w,g-w {path}" for path in sorted(open_ones)]
    job.configure(approvers=None)
    assert words not in job.run("check")


# ---------------------------------------------------------------- lists


def test_a_secret_file_that_others_may_read_is_named_in_the_log_of_each_run_and_by_check(job: Job) -> None:
    job.write("state-key", "k" * 64)
    job.configure(key={"file": "state-key"})
    path = job.folder / "state-key"
    path.chmod(0o600)
    quiet = [job.program(command, "job.yaml") for command in ("check", "plan")]
    path.chmod(0o644)
    check, plan = (job.program(command, "job.yaml") for command in ("check", "plan"))
    assert [ended.code for ended in (*quiet, check, plan)] == [0, 0, 0, 0]
    assert not any("can read this secret file" in ended.said for ended in quiet)
    assert f"{path}: other users of this machine can read this secret file; run `chmod o-r,g-r` on it" in check.out
    (warned,) = [event for event in map(json.loads, plan.err.splitlines()) if "secret file" in event["event"]]
    assert (warned["level"], warned["path"], warned["fix"]) == ("warning", str(path), f"chmod o-r,g-r {path}")


def test_each_line_of_a_list_that_names_nobody_is_named(job: Job) -> None:
    job.write("pins.csv", f'accountCode,user\nuser1,"uid=user1,{BASE}"\nuser2,"uid=gone,{BASE}"\nnobody,no-id\n')
    listed = f'user1,,\n,1002,\n,,"UID=user3,{BASE}"\n,,"uid=misspelt,{BASE}"\nuser9,,\n,77,\n'
    job.write("exclude.csv", f"accountCode,workNo,user\n{listed}")
    job.configure(pins="pins.csv", exclude="exclude.csv")
    told = {line.strip() for line in job.run("check").splitlines() if line.startswith(("  pin", "  exclude"))}
    assert told == {
        f"pin: line 3 of the pins: no such user within base and filter: user2 (workNo ?), uid=gone,{BASE}",
        "pin: line 4 of the pins: no such user within base and filter: nobody (workNo ?), no-id",
        "pin: line 4 of the pins: no such agent in the source: nobody (workNo ?)",
        f"exclude: line 5 of the exclude list: no such user within base and filter: uid=misspelt,{BASE}",
        "exclude: line 6 of the exclude list: no such account in the source: user9 (workNo ?)",
        "exclude: line 7 of the exclude list: no such seat in the source: (no account) (workNo 77)",
    }


# ---------------------------------------------------------------- the state


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Nobody may change it, not even root."""
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@pytest.mark.parametrize("what", ["folder", "file", "folder without a state"])
def test_a_state_in_a_file_that_cannot_be_written_is_found(job: Job, what: str) -> None:
    kept = job.folder / "kept"
    kept.mkdir()
    job.configure(state="sqlite:///kept/state.db")
    if "without" not in what:
        job.run("plan")
    before = sorted(kept.iterdir())
    job.run("check")
    assert sorted(kept.iterdir()) == before, "a check leaves something behind"
    with immutable(kept / "state.db" if what == "file" else kept):
        said = job.run("check", code=1)
    assert "the state cannot be " in said
    assert "kept" in said
    assert "5 users within base and filter" in said, "all else was told as well"


@pytest.mark.postgresql
def test_a_database_that_cannot_be_written_is_found(job: Job, postgresql: Postgres) -> None:
    url = postgresql.create("checked")
    job.write("key", "the key of a job\n")
    job.configure(state=url, key={"file": "key"})
    job.run("check")
    assert postgresql.run("checked", "select * from facts where kind = 'trial'") == []
    postgresql.run("checked", "alter database checked set default_transaction_read_only = on")
    said = job.run("check", code=1)
    assert "the state cannot be written" in said
    assert "read-only" in said


# ---------------------------------------------------------------- names


@pytest.mark.slapd
def test_names_that_the_schema_does_not_have_are_told_with_line_and_the_nearest(tmp_path: Path) -> None:
    mapping = """\
match:
  - {agent: "{accountCode}", directory: uid}
  - {agent: "{accountCode}", directory: mial}
attributes:
  employeNumber: "{workNo}"
  departmentNumber: {value: "{workNo}", owns: "*"}
  facsimiletelephonenumbr;x-a: {value: "{workNo}", owns: "*"}
  quiteSomethingElse: "{workNo}"
object_classes: [cecAgent, SipIdentty]
"""
    with Slapd.start(tmp_path / "s", [person("anna")]) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", mapping=mapping)
        ended, _ = job.run("plan")
        assert ended.code == 78
        told = [line.partition("mapping.yaml:")[2] for line in ended.err.splitlines() if not line.startswith("{")]
    unknown, load = "the directory's schema has no", "load its schema, or use a mapping without this line"
    assert [line for line in told if line] == [
        f"5: {unknown} attribute employeNumber (did you mean employeeNumber?): {load}",
        f"7: {unknown} attribute {FAX}: {load}",
        f"8: {unknown} attribute quiteSomethingElse: {load}",
        f"3: match rule 2: {unknown} attribute mial (did you mean mail?)",
        f"9: object_classes: {unknown} class SipIdentty (did you mean SIPIdentity?)",
    ]


@pytest.mark.slapd
def test_what_holds_for_several_attributes_is_told_once_with_what_to_do(tmp_path: Path) -> None:
    mapping = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
"""
    people = [person("anna", classes=("SIPIdentity",)), person("ben"), person("cora")]
    with Slapd.start(tmp_path / "s", people) as server:
        job = LdapJob(tmp_path / "job", server.url, "anna", mapping=mapping)
        found = program("check", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
    assert found.code == 0, found.said
    (line,) = [line for line in found.out.splitlines() if "of the users cannot take" in line]
    assert line == (
        "  note: 2 of the users cannot take SIPIdentityUserName: no object class of the entry allows "
        "SIPIdentityUserName. Add SIPIdentity under `object_classes` of the mapping. The same holds for "
        "SIPIdentitySIPURI, SIPIdentityPassword"
    )


FAX = "facsimiletelephonenumbr;x-a, or not with these options (did you mean facsimileTelephoneNumber?)"


@pytest.mark.slow
def test_a_path_that_no_schema_of_a_scim_server_has_is_told_with_the_nearest(tmp_path: Path) -> None:
    with ScimServer.start(tmp_path / "s", people(1)) as server:
        job = ScimJob(tmp_path / "job", server, agents=1)
        text = (
            f'match: [{{agent: "{{accountCode}}", directory: userNam}}]\nattributes:\n  {CEC}:workNum: "{{workNo}}"\n'
        )
        (job.folder / "mapping.yaml").write_text(text)
        job.configure(mapping="mapping.yaml")
        ended = job.try_("check")
    assert ended.code == 78
    unknown = "the directory's schema has no attribute"
    assert f"mapping.yaml:3: {unknown} {CEC}:workNum (did you mean {CEC}:workNo?)" in ended.err
    assert f"mapping.yaml:1: match rule 1: {unknown} userNam (did you mean userName?)" in ended.err
