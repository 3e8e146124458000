"""Jobs of one account, each with a state of its own, and a wrong password: `serve` does not lock the account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.serve.accounts import AccountBook, DirectoryAccount
from connector.settings.job import load_job
from tests.support.jobs import Part, env, file, job_file, ldap_directory, scim_directory
from tests.support.ldif_job import Job
from tests.support.serving import Served, serving, until
from tests.support.slapd import SUFFIX, SYNC, SYNC_PASSWORD, Slapd

POLICY = f"\nmoduleload ppolicy.la\noverlay ppolicy\nppolicy_default cn=policy,{SUFFIX}\n"
LOCKS_AFTER_FOUR = (
    f"dn: cn=policy,{SUFFIX}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\n"
    "pwdLockout: TRUE\npwdMaxFailure: 4\n\n"
)
NAMES = [f"job-{number}" for number in range(6)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd.start(tmp_path / "server", [LOCKS_AFTER_FOUR], overlays=POLICY) as started:
        yield started


@pytest.fixture
def jobs(tmp_path: Path, server: Slapd) -> Job:
    """Every second one keeps the password in a file of its own."""
    made = Job(tmp_path, users=3)
    set_password(made, "wrong")
    for number, name in enumerate(NAMES):
        directory = ldap_directory(server.url, bind_dn=SYNC, base="ou=services,dc=example,dc=org")
        secret = file("password" if number % 2 else f"password-{number}")
        text = job_file(directory | {"password": secret}, state=f"sqlite:///{name}.db", serve={"every": "10s"})
        made.write(f"{name}.yaml", text)
    return made


def set_password(job: Job, password: str) -> None:
    for name in ("password", "password-0", "password-2", "password-4"):
        job.write(name, f"{password}\n")


def failures(server: Slapd) -> int:
    """How many wrong passwords the server has counted since the last right one. A lock counts as all."""
    entry = server.search("+", base=SYNC).decode()
    return 99 if "pwdAccountLockedTime" in entry else entry.count("pwdFailureTime:")


def run_events(served: Served) -> list[tuple[str, str]]:
    wanted = ("run started", "run ended")
    return [(each["event"], each["job"]) for each in served.events if each["event"] in wanted]


@pytest.mark.slow
@pytest.mark.slapd
def test_six_jobs_of_one_account_make_one_attempt_for_each_wrong_password(jobs: Job, server: Slapd) -> None:
    with serving(jobs.folder, *(f"{name}.yaml" for name in NAMES)) as served:
        until(lambda: served.get("/readyz")[1].count("the directory refused its account") == len(NAMES))
        assert failures(server) == 1
        served.next("run ended", ending="failed")
        set_password(jobs, "wrong again")
        served.next("run ended", ending="failed")
        assert failures(server) == 2
        set_password(jobs, SYNC_PASSWORD)
        waiting = {*NAMES}
        while waiting:
            waiting.discard(served.next("run ended", ending="done")["job"])
        assert failures(server) == 0
        begun = run_events(served)
        for start, end in zip(begun[:6:2], begun[1:6:2], strict=True):
            assert (start[0], end) == ("run started", ("run ended", start[1])), "the first attempt has company"
        assert served.stop() == 0


def account(folder: Path, directory: Part) -> DirectoryAccount:
    path = folder / "job.yaml"
    path.write_text(job_file(directory))
    for beside in ("agents.json", "mapping.yaml", "password", "other"):
        path.with_name(beside).touch()
    return DirectoryAccount.of_job(load_job(path).job)


def ldap(*urls: str, secret: Part, **more: Any) -> Part:
    return ldap_directory(*urls, bind_dn=SYNC) | {"password": secret} | more


def scim(url: str, **proof: Any) -> Part:
    return {name: value for name, value in (scim_directory(url) | proof).items() if name != "token"}


def basic(user: str, secret: Part) -> Part:
    return {"user": user, "password": secret}


def client(name: str, secret: Part) -> Part:
    return {"token_url": "https://id.example.org/token", "client_id": name, "client_secret": secret}


ONE, TWO = "ldaps://one.example.org", "ldaps://two.example.org"


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        (ldap(ONE, secret=env("ONE")), ldap(ONE, secret=env("TWO")), True),
        (ldap(ONE, secret=env("ONE")), ldap("ldap://ONE.example.org:1389", TWO, secret=env("TWO")), True),
        (ldap(ONE, secret=env("ONE")), ldap(TWO, secret=env("TWO")), False),
        (ldap(ONE, secret=env("ONE")), ldap(TWO, secret=env("ONE")), True),
        (ldap(ONE, secret=env("ONE")), ldap(ONE, secret=env("ONE"), bind_dn="cn=other"), False),
        (
            scim("https://one.example.org/v2/", basic=basic("u", env("ONE"))),
            scim("https://one.example.org/v2", basic=basic("u", env("TWO"))),
            True,
        ),
        (
            scim("https://one.example.org", basic=basic("u", env("ONE"))),
            scim("https://one.example.org", basic=basic("v", env("TWO"))),
            False,
        ),
        (
            scim("https://one.example.org", oauth=client("c", env("ONE"))),
            scim("https://two.example.org", oauth=client("c", env("TWO"))),
            True,
        ),
        (scim_directory("https://one.example.org"), scim_directory("https://one.example.org"), False),
    ],
)
def test_an_account_is_a_server_and_a_name_or_a_secret_and_a_name(
    tmp_path: Path, left: Part, right: Part, *, is_same: bool
) -> None:
    one, other = account(tmp_path, left), account(tmp_path, right)
    assert (one.is_same(other), other.is_same(one)) == (is_same, is_same)


def test_an_account_is_taken_until_its_file_changes_or_a_run_of_it_is_refused(tmp_path: Path) -> None:
    here = account(tmp_path, ldap(ONE, secret=file("password")))
    there = account(tmp_path, ldap(ONE, secret=file("other")))
    accounts = AccountBook()
    assert not accounts.is_taken(here)
    accounts.note_login(here, here.read_mark())
    assert (accounts.is_taken(here), accounts.is_taken(there)) == (True, False)
    before = here.read_mark()
    (tmp_path / "password").write_text("new")
    assert not accounts.is_taken(here)
    accounts.note_login(here, before)
    assert not accounts.is_taken(here), "the run logged in with the old one"
    accounts.note_login(here, here.read_mark())
    accounts.note_refusal(there, there.read_mark())
    assert not accounts.is_taken(here)
    assert accounts.explain_waiting(here), "another attempt at this account could lock it, whichever secret it takes"
    accounts.forget_all()
    assert (accounts.explain_waiting(here), accounts.is_taken(here)) == ("", False)
