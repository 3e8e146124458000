"""People who leave an Active Directory domain: disabled, moved out of the base, deleted. Their numbers go to others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ad_job import DISABLED, WITHOUT_TLS, AdJob, agent, held, named, people, told
from tests.support.samba import SUFFIX, Samba

pytestmark = pytest.mark.samba


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Samba]:
    with Samba.start(tmp_path / "dc", people(3), options=WITHOUT_TLS) as started:
        yield started


@pytest.fixture
def job(server: Samba, tmp_path: Path) -> AdJob:
    """User 1 is given number 7001, and leaves; agent 2 is given that number."""
    made = AdJob(tmp_path / "job", server.url, agents=2)
    made.run("apply")
    return made


def disable(server: Samba) -> str:
    text = f"dn: {named(1)}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {DISABLED}\n"
    server.modify(text)
    return named(1)


def move(server: Samba) -> str:
    base = f"OU=services,{SUFFIX}"
    server.modify(f"dn: {named(1)}\nchangetype: modrdn\nnewrdn: CN=agent001\ndeleteoldrdn: 1\nnewsuperior: {base}\n")
    return named(1, base)


@pytest.mark.parametrize("leave", [disable, move])
def test_a_number_that_somebody_out_of_reach_still_holds_is_not_given_to_another(
    server: Samba, job: AdJob, leave: object
) -> None:
    where = leave(server)  # type: ignore[operator]  # one of the two above
    job.agents([agent(0), agent(2, sipAccount="7001")])
    report = job.run("apply")
    (problem,) = [each for each in report["problems"] if each["kind"] == "reassigned"]
    assert problem["users"] == [named(2), where]
    assert (held(server, 1, "ipPhone"), held(server, 2, "ipPhone")) == (["7001"], [])
    (stale,) = [each for each in report["problems"] if each["kind"] == "stale"]
    assert stale["outside"] == [where]

    server.modify(f"dn: {where}\nchangetype: modify\ndelete: ipPhone\n")
    job.run("apply")
    assert held(server, 2, "ipPhone") == ["7001"], "somebody took it from there"


def test_the_number_of_a_deleted_user_is_free(server: Samba, job: AdJob) -> None:
    server.modify(f"dn: {named(1)}\nchangetype: delete\n")
    job.agents([agent(0), agent(2, sipAccount="7001")])
    assert told(job.run("apply"), "reassigned") == []
    assert held(server, 2, "ipPhone") == ["7001"]
