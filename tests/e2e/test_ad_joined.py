"""Two controllers of one domain: the second one has joined, and hears what the first one knows when it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.ad_job import WITHOUT_TLS, AdJob, agent, held, people, told
from tests.support.ldap_proxy import LdapProxy
from tests.support.samba import PEOPLE, Samba
from tests.support.swapping import swap

pytestmark = [pytest.mark.samba, pytest.mark.slow]

MAPPING = """\
match: [{agent: "{accountCode}", directory: sAMAccountName}]
attributes: {ipPhone: "{sipAccount}"}
stale: clear
"""
COUNT = 4


class Pair(NamedTuple):
    first: Samba
    second: Samba


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with (
        Samba.start(tmp_path / "first", people(COUNT), services="ldap, rpc", options=WITHOUT_TLS) as first,
        first.joined(tmp_path / "second") as second,
    ):
        yield Pair(first, second)


def phones(server: Samba) -> list[list[str]]:
    return [held(server, number, "ipPhone") for number in range(COUNT)]


class Killed:
    """Lets so many modifies reach their server; the last one's answer is never heard."""

    def __init__(self, writes: int) -> None:
        self._left = writes

    def __call__(self, name: str) -> None:
        self._left -= 1
        if not self._left:
            raise ConnectionResetError


def killed(pair: Pair, folder: Path, window: int = COUNT) -> AdJob:
    """An apply at the first controller that writes two users, and hears of one; others may be on their way."""
    with LdapProxy(389, acted=Killed(2), host=pair.first.host) as proxy:
        job = AdJob(folder / "job", proxy.url, agents=COUNT, mapping=MAPPING)
        job.configure(directory={"window": window})
        job.run("apply", code=4)
    assert sum(map(len, phones(pair.first))) >= 2
    assert job.runs()[0]["outcomes"]["unknown"] >= 1
    job.configure(directory={"urls": [pair.second.url]})
    return job


def test_the_next_run_at_a_controller_that_has_not_heard_writes_all(pair: Pair, tmp_path: Path) -> None:
    job = killed(pair, tmp_path)
    assert phones(pair.second) == [[]] * COUNT
    job.run("apply")
    assert "dc2.example.test" in job.runs()[0]["server"]
    expected = [[str(7000 + number)] for number in range(COUNT)]
    assert phones(pair.second) == expected
    pair.first.pull(pair.second)
    pair.second.pull(pair.first)
    assert phones(pair.first) == phones(pair.second) == expected
    for server in pair:
        job.configure(directory={"urls": [server.url]})
        report = job.run("plan")
        assert report["changes"] == []
        assert told(report, "unsettled") == []


def test_who_left_before_the_write_arrived_is_cleared_once_it_has(pair: Pair, tmp_path: Path) -> None:
    job = killed(pair, tmp_path, window=1)  # what never reached the first one, the second one could not tell either
    job.agents([agent(99)])
    report = job.run("apply")
    assert told(report, "unsettled"), "the second controller cannot tell"
    assert phones(pair.second) == [[]] * COUNT
    pair.second.pull(pair.first)
    assert sum(map(len, phones(pair.second))) >= 2
    job.run("apply")
    assert phones(pair.second) == [[]] * COUNT
    assert told(job.run("plan"), "unsettled") == []
    pair.first.pull(pair.second)
    assert phones(pair.first) == [[]] * COUNT


def test_an_undo_names_what_has_not_arrived_and_takes_it_back_later(pair: Pair, tmp_path: Path) -> None:
    job = AdJob(tmp_path / "job", pair.first.url, agents=COUNT, mapping=MAPPING)
    job.run("apply")
    run = job.runs()[0]["id"]
    job.configure(directory={"urls": [pair.second.url]})
    report = job.run("undo", run, "--apply")
    assert report["changes"] == []
    lines = told(report, "undo")
    assert len(lines) == COUNT
    assert all("dc1.example.test" in line and "does not show it yet" in line for line in lines)
    pair.second.pull(pair.first)
    job.run("undo", run, "--apply")
    assert phones(pair.second) == [[]] * COUNT
    pair.first.pull(pair.second)
    assert phones(pair.first) == [[]] * COUNT


def test_a_rename_that_has_not_arrived_does_not_redirect_a_write(pair: Pair, tmp_path: Path) -> None:
    """Two users have swapped names on the first controller; the second one knows the old ones, and writes by id."""
    pair.first.modify(swap("CN=agent000", "CN=agent001", PEOPLE))
    job = AdJob(tmp_path / "job", pair.second.url, agents=2, mapping=MAPPING)
    job.run("apply")
    pair.first.pull(pair.second)
    pair.second.pull(pair.first)
    for server in pair:
        assert phones(server)[:2] == [["7000"], ["7001"]]
        assert b"CN=agent001," in server.search("(sAMAccountName=agent000)", "1.1"), "the rename has arrived"
    job.configure(directory={"urls": [pair.first.url]})
    assert job.run("plan")["changes"] == []
