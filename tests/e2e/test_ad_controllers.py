"""Two controllers of one domain, of which one lags: a Samba controller and a copy of its database stand in for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.ad_job import WITHOUT_TLS, AdJob, agent, held, named, outcomes, people, told
from tests.support.ldap_proxy import MODIFY, LdapProxy
from tests.support.samba import Samba

pytestmark = pytest.mark.samba


class Pair(NamedTuple):
    """`late` never hears of what `first` was told after the copy was made."""

    first: Samba
    late: Samba

    def replicate(self, number: int, attribute: str, value: str) -> None:
        """What the late one hears in the end."""
        self.late.modify(f"dn: {named(number)}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controllers") / "dc"
    Samba.start(folder, people(4), options=WITHOUT_TLS).stop()
    return folder


@pytest.fixture
def pair(template: Path, tmp_path: Path) -> Iterator[Pair]:
    stopped = Samba(template, options=WITHOUT_TLS)
    with stopped.copied(tmp_path / "first") as first, stopped.copied(tmp_path / "late") as late:
        yield Pair(first, late)


class Lost:
    """Lets a modify reach its server, and cuts the connection before (or after) the client hears of it."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, name: str) -> None:
        self.seen += 1
        raise ConnectionResetError


class Deaf(LdapProxy):
    """Ends after the client has heard that its writes were done: nothing can be read back."""

    def _request(self, frame: object) -> bytes:
        if self.asked[MODIFY] and frame.tag != MODIFY:  # type: ignore[attr-defined]  # a Frame
            raise ConnectionResetError
        return super()._request(frame)  # type: ignore[arg-type]  # a Frame


MAPPING = """\
match: [{agent: "{accountCode}", directory: sAMAccountName}]
attributes: {ipPhone: "{sipAccount}"}
stale: clear
"""


def job_on(folder: Path, url: str, agents: int = 2) -> AdJob:
    return AdJob(folder / "job", url, agents=agents, mapping=MAPPING)


def at(job: AdJob, url: str) -> None:
    job.configure(directory={"urls": [url]})


def test_an_answer_of_success_is_written_though_nothing_can_be_read_back(pair: Pair, tmp_path: Path) -> None:
    with Deaf(389, host=pair.first.host) as proxy:
        job = job_on(tmp_path, proxy.url)
        report = job.run("apply")
    became = outcomes(report)
    assert {result for result, _ in became.values()} == {"written"}
    assert all("not read back" in why for _, why in became.values())
    (run,) = job.runs()
    assert run["outcomes"] == {"written": 2}
    at(job, pair.late.url)
    job.agents([])
    job.agents([agent(3)])
    planned = job.run("plan")
    assert planned["summary"]["stale"] == 2, "what was written is ours, wherever it is asked for"
    assert job.runs()[0]["outcomes"] == {"written": 2}


def test_no_answer_is_settled_by_the_server_that_was_asked_or_by_the_value(pair: Pair, tmp_path: Path) -> None:
    with LdapProxy(389, acted=Lost(), host=pair.first.host) as proxy:
        job = job_on(tmp_path, proxy.url, agents=1)
        job.run("apply", code=4)
    assert held(pair.first, 0, "ipPhone") == ["7000"], "the write has happened"
    assert job.runs()[0]["outcomes"] == {"unknown": 1}
    lost_at = job.runs()[0]["server"]
    assert lost_at.startswith(proxy.url)

    at(job, pair.late.url)
    job.agents([agent(3)])  # the agent has left
    report = job.run("apply")
    (why,) = told(report, "unsettled")
    assert lost_at in why
    assert [each["users"] for each in report["problems"] if each["kind"] == "stale"] == [[named(0)]]
    assert job.runs()[-1]["outcomes"] == {"unknown": 1}, "another server cannot say that it did not happen"

    pair.replicate(0, "ipPhone", "7000")
    report = job.run("apply")
    assert told(report, "unsettled") == []
    assert held(pair.late, 0, "ipPhone") == [], "found, it is ours, and cleared as ours is"
    assert job.runs()[-1]["outcomes"] == {"written": 1}


def test_the_server_that_was_asked_settles_what_did_not_happen(pair: Pair, tmp_path: Path) -> None:
    def never(name: str, message: bytes) -> bytes:
        raise ConnectionResetError

    with LdapProxy(389, never, host=pair.first.host) as proxy:
        job = job_on(tmp_path, proxy.url, agents=1)
        job.run("apply", code=4)
        assert job.runs()[0]["outcomes"] == {"unknown": 1}
        at(job, pair.late.url)
        assert "without an answer" in told(job.run("plan"), "unsettled")[0]
        at(job, proxy.url)
        assert told(job.run("plan"), "unsettled") == []
        job.run("apply", code=4)  # again no write arrives
        assert job.runs()[-1]["outcomes"] == {"skipped": 1}


def test_a_later_write_of_the_same_takes_the_place_of_one_without_an_answer(pair: Pair, tmp_path: Path) -> None:
    with LdapProxy(389, acted=Lost(), host=pair.first.host) as proxy:
        job = job_on(tmp_path, proxy.url, agents=1)
        job.run("apply", code=4)
    at(job, pair.late.url)
    job.agents([agent(0, sipAccount="7999")])
    job.run("apply")
    assert held(pair.late, 0, "ipPhone") == ["7999"]
    assert told(job.run("plan"), "unsettled") == []
    assert job.runs()[-1]["outcomes"] == {"failed": 1}


def test_what_is_maybe_ours_is_taken_back_once_it_is_found(pair: Pair, tmp_path: Path) -> None:
    with LdapProxy(389, acted=Lost(), host=pair.first.host) as proxy:
        job = job_on(tmp_path, proxy.url, agents=1)
        job.run("apply", code=4)
    at(job, pair.late.url)
    run = job.runs()[0]["id"]
    assert "without an answer" in told(job.run("undo", run), "unsettled")[0]
    pair.replicate(0, "ipPhone", "7000")
    job.run("undo", run, "--apply")
    assert held(pair.late, 0, "ipPhone") == []


def test_reports_and_runs_name_the_server_that_served(pair: Pair, tmp_path: Path) -> None:
    job = job_on(tmp_path, pair.first.url)
    job.configure(directory={"urls": ["ldap://127.0.0.1:1", pair.late.url]})
    job.run("apply")
    assert f"at {pair.late.url} (dc1.example.test)" in job.ended.out
    assert f"{pair.late.url} (dc1.example.test)" in job.program("runs", "job.yaml", "last").out
