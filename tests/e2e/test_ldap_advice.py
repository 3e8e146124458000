"""What the program says where a server's certificate or the account's password is not good: where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.support.jobs import configure
from tests.support.ldap_job import LdapJob
from tests.support.ldap_server import authority
from tests.support.program import program
from tests.support.slapd import SYNC, Slapd, person

pytestmark = pytest.mark.slapd

MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
"""
NOW = datetime.now(UTC).replace(tzinfo=None)
DAY = timedelta(days=1)


class DatedSlapd(Slapd):
    """One whose certificate is good at another time than now; its administrator comes without TLS."""

    not_before, not_after = NOW - 2 * DAY, NOW - DAY

    @property
    def admin_url(self) -> str:
        return self.url

    def _certificates(self) -> None:
        super()._certificates()
        leaf: trustme.LeafCert = authority()[0].issue_cert(
            "localhost", not_before=self.not_before, not_after=self.not_after
        )
        leaf.private_key_pem.write_to_path(self.folder / "server.key")
        leaf.cert_chain_pems[0].write_to_path(self.folder / "server.pem")


class EarlySlapd(DatedSlapd):
    not_before, not_after = NOW + DAY, NOW + 2 * DAY


def make_job(folder: Path, server: Slapd, url: str) -> LdapJob:
    job = LdapJob(folder, server.url, "anna", mapping=MAPPING)
    configure(folder / "job.yaml", directory={"urls": [url], "ca_file": str(server.ca), "allow_plaintext": None})
    return job


def said_by_plan(job: LdapJob) -> str:
    ended, _ = job.run("plan")
    assert ended.code == 1, ended.said
    return " ".join(ended.err.split())


@pytest.mark.parametrize(
    ("kind", "find_url", "why", "advice"),
    [
        (
            DatedSlapd,
            lambda server: server.ldaps_url,
            "certificate has expired",
            "CEC-0131: Check this machine's clock.",
        ),
        (EarlySlapd, lambda server: server.ldaps_url, "is not yet valid", "CEC-0131: Check this machine's clock."),
        (Slapd, lambda server: server.strange_url, "IP address mismatch", "CEC-0132: Use a host name that the server"),
    ],
)
def test_advice_for_a_certificate_fits_what_is_wrong_with_it(
    tmp_path: Path, kind: type[Slapd], find_url: Callable[[Slapd], str], why: str, advice: str
) -> None:
    with kind.start(tmp_path / "s", [person("anna")]) as server:
        said = said_by_plan(make_job(tmp_path / "job", server, find_url(server)))
    assert "is not trusted: " in said
    assert why in said
    assert advice in said
    assert "Set `ca_file` to the authority" not in said


def test_a_refused_password_names_the_line_of_bind_dn_and_where_the_password_is(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "s", [person("anna")]) as server:
        job = make_job(tmp_path / "job", server, server.ldaps_url)
        ended = program("plan", "job.yaml", folder=job.folder, env={"LDAP_PASSWORD": "wrong-canary"})
        assert ended.code == 1
        said = " ".join(ended.err.split())
        lines = (job.folder / "job.yaml").read_text().splitlines()
        (name,) = [number for number, line in enumerate(lines, start=1) if "bind_dn:" in line]
        (kept,) = [number for number, line in enumerate(lines, start=1) if "password:" in line]
        assert f"the bind as {SYNC} failed: invalidCredentials (49)" in said
        assert f". bind_dn: job.yaml:{name}; its password: environment variable LDAP_PASSWORD (line {kept})" in said
        (job.folder / "secret").write_text("wrong-canary\n")
        configure(job.folder / "job.yaml", directory={"password": {"env": None, "file": "secret"}})
        ended = program("check", "job.yaml", folder=job.folder)
        assert re.search(r"; its password: \S*/secret \(line \d+\)", " ".join(ended.err.split())), ended.err
        assert "wrong-canary" not in ended.said
