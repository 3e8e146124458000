"""People who leave an Active Directory domain: disabled, moved out of the base, deleted. Their numbers go to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.ad_job import (
    DISABLED,
    FILTER,
    MAPPING,
    WITHOUT_TLS,
    AdJob,
    agent,
    held,
    named,
    outcomes,
    people,
    told,
)
from tests.support.jobs import configure, ldap_directory
from tests.support.samba import PEOPLE, SUFFIX, SYNC, Samba

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


@pytest.mark.parametrize("read", ["find", "scan"])
def test_a_disabled_user_that_the_filter_does_not_leave_out_is_worth_a_look(
    server: Samba, tmp_path: Path, read: str
) -> None:
    look = AdJob(tmp_path / "look", server.url, agents=2)
    configure(look.folder / "job.yaml", directory={"filter": "(objectClass=user)", "read": read})
    before = look.run("plan")
    disable(server)
    report = look.run("plan")
    assert {each["user"]["name"]: each["why"] for each in report["worth_a_look"]} == {named(1): "a disabled account"}
    assert report["digest"] == before["digest"]
    assert {became for became, _ in outcomes(look.run("apply")).values()} == {"written"}


@pytest.mark.parametrize("leave", [disable, move])
def test_a_number_that_somebody_out_of_reach_still_holds_is_not_given_to_another(
    server: Samba, job: AdJob, leave: Callable[[Samba], str]
) -> None:
    where = leave(server)
    job.agents([agent(0), agent(2, sipAccount="7001")])
    report = job.run("apply")
    (problem,) = [each for each in report["problems"] if each["kind"] == "reassigned"]
    assert problem["users"] == [named(2), where]
    assert (held(server, 1, "ipPhone"), held(server, 2, "ipPhone")) == (["7001"], [])

    server.modify(f"dn: {where}\nchangetype: modify\ndelete: ipPhone\n")
    job.run("apply")
    assert held(server, 2, "ipPhone") == ["7001"], "somebody took it from there"


def test_the_number_of_a_deleted_user_is_free_and_the_user_is_named_once(server: Samba, job: AdJob) -> None:
    server.modify(f"dn: {named(1)}\nchangetype: delete\n")
    job.agents([agent(0), agent(2, sipAccount="7001")])
    for command in ("plan", "plan", "apply"):
        report = job.run(command)
        assert told(report, "reassigned") == []
        (line,) = told(report, "stale")
        assert "was deleted" in line
        assert report["summary"]["stale"] == 1
    assert held(server, 2, "ipPhone") == ["7001"]
    for command in ("plan", "apply"):
        report = job.run(command)
        assert told(report, "stale") == []
        assert report["summary"]["stale"] == 0


def filtered(server: Samba) -> str:
    """The filter leaves the user out, though it is enabled."""
    server.modify(f"dn: {named(1)}\nchangetype: modify\nreplace: department\ndepartment: away\n")
    return named(1)


NOT_AWAY = f"(&{FILTER}(!(department=away)))"


@pytest.mark.parametrize(
    ("leave", "words"),
    [(disable, "is disabled"), (filtered, "The filter leaves the user out"), (move, "moved out of the base")],
)
def test_where_somebody_is_gone_to_is_said_and_nothing_is_written_there(
    server: Samba, job: AdJob, leave: Callable[[Samba], str], words: str
) -> None:
    directory = ldap_directory(server.url, bind_dn=SYNC, base=PEOPLE) | {"filter": NOT_AWAY}
    job.configure(directory=directory)
    where = leave(server)
    job.agents([agent(0), agent(2)])
    report = job.run("apply")
    (line,) = told(report, "stale")
    assert words in line
    assert held(server, 1, "ipPhone", "employeeNumber") == ["1001", "7001"], where


CLEARING = MAPPING.replace("stale: clear", "stale: {disabled: clear}")


def test_a_disabled_user_is_cleared_and_the_number_goes_on_in_one_run(server: Samba, job: AdJob) -> None:
    (job.folder / "mapping.yaml").write_text(CLEARING)
    disable(server)
    job.agents([agent(0), agent(2, sipAccount="7001")])
    report = job.run("apply")
    assert told(report, "reassigned") == []
    assert outcomes(report) == {"agent001": ("written", ""), "agent002": ("written", "")}
    assert held(server, 1, "ipPhone", "employeeNumber", "otherIpPhone") == []
    assert held(server, 2, "ipPhone") == ["7001"]
    assert job.run("plan")["changes"] == []

    back = job.program("undo", "job.yaml", job.runs()[0]["id"], "--apply")
    assert back.code == 0, back.said
    assert held(server, 1, "ipPhone", "employeeNumber") == ["1001", "7001"], "disabled as it is"
    assert held(server, 2, "ipPhone") == [], "given to it by that run"


def test_what_somebody_else_wrote_to_a_disabled_user_stays(server: Samba, job: AdJob) -> None:
    (job.folder / "mapping.yaml").write_text(CLEARING)
    disable(server)
    server.modify(f"dn: {named(1)}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: theirs\n")
    job.agents([agent(0), agent(2)])
    job.run("apply")
    assert held(server, 1, "ipPhone", "employeeNumber") == ["theirs"]


@pytest.mark.parametrize("leave", [filtered, move])
def test_who_is_disabled_and_out_of_reach_for_another_reason_is_not_written(
    server: Samba, job: AdJob, leave: Callable[[Samba], str]
) -> None:
    (job.folder / "mapping.yaml").write_text(CLEARING)
    job.configure(directory=ldap_directory(server.url, bind_dn=SYNC, base=PEOPLE) | {"filter": NOT_AWAY})
    disable(server)
    leave(server)
    job.agents([agent(0)])
    assert job.run("apply")["changes"] == []
    assert held(server, 1, "ipPhone", "employeeNumber") == ["1001", "7001"]


def test_of_disabled_users_alone_anything_is_cleared_where_the_mapping_says_so(server: Samba, job: AdJob) -> None:
    (job.folder / "mapping.yaml").write_text(
        CLEARING.replace("{disabled: clear}", "{unclaimed: report, disabled: clear}")
    )
    disable(server)
    job.agents([agent(2)])
    job.run("apply")
    assert held(server, 1, "ipPhone") == []
    assert held(server, 0, "ipPhone") == ["7000"], "enabled, and nobody's"
