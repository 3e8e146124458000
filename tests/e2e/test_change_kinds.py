"""Kinds of changes and users that are worth a look, by the program itself: what the state knows decides the forms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import BASE, Job, agent, person

CHANGED = 196
NEW = 302


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=6)


def kinds(document: dict[str, Any]) -> list[tuple[str, int, list[str]]]:
    return [(kind["kind"], kind["users"], kind["attributes"]) for kind in document["kinds"]]


def forms(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for change in document["changes"]:
        uid = change["user"]["name"].partition(",")[0].removeprefix("uid=")
        for each, form in zip(change["attributes"], change["forms"], strict=True):
            if form:
                yield uid, each["name"], form


def test_the_form_of_a_change_says_whose_value_it_replaces(job: Job) -> None:
    assert {form for *_, form in forms(job.plan())} == {"first value", "secret set"}
    job.run("apply", "--report", "report.json")
    people = job.read("people.ldif").replace("employeeNumber: 1002", "employeeNumber: 9")
    with_others = people.replace("uid: user3\n", "uid: user3\nSIPIdentitySIPURI: tel:+493012345\n")
    job.write("people.ldif", with_others.replace("SIPIdentitySIPURI: sip:7003@192.0.2.10:5060\n", ""))
    renumbered = [agent(1, workNo=2001), agent(2), agent(3), agent(4, workNo=1005), agent(5, workNo=2005)]
    job.agents([*renumbered, agent(6, accountCode=None, sipAccount=None, sipPwd=None)])
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: clear\n")
    document = job.plan(code=3)  # one agent of six has no account any more
    found = {(uid, name): form for uid, name, form in forms(document)}
    assert found == {
        ("user1", "employeeNumber"): "replaces ours",
        ("user2", "employeeNumber"): "replaces a value we did not write",
        ("user3", "SIPIdentitySIPURI"): "adds to others' values",
        ("user4", "employeeNumber"): "taken over from another user",
        ("user5", "employeeNumber"): "replaces ours",
        ("user6", "cecAccountCode"): "emptied",
        ("user6", "employeeNumber"): "emptied",
        ("user6", "SIPIdentitySIPURI"): "emptied",
        ("user6", "SIPIdentityPassword"): "emptied",
    }
    assert [(kind, users) for kind, users, _ in kinds(document)] == [
        ("taken over from another user", 1),
        ("replaces a value we did not write", 1),
        ("emptied", 1),
        ("adds to others' values", 1),
        ("replaces ours", 2),
    ]
    assert document["digest"] == job.plan(code=3)["digest"]


def test_a_user_that_now_stands_for_another_agent_says_so(job: Job) -> None:
    job.run("apply")
    job.write("mapping.yaml", job.read("mapping.yaml").replace('"{accountCode|lower}@example.org"', '"{sipAccount}@x"'))
    job.write("people.ldif", job.read("people.ldif").replace("mail: mail1@example.org", "mail: 7077@x"))
    job.agents([agent(77), *(agent(number) for number in range(2, 7))])
    document = job.plan()
    (change,) = document["changes"]
    assert change["agent"]["accountCode"] == "user77"
    assert {form for form in change["forms"] if form} == {"other agent than last time"}
    assert kinds(document)[0][:2] == ("other agent than last time", 1)
    assert [look["user"]["name"] for look in document["worth_a_look"]] == [f"uid=user1,{BASE}"]


def test_the_four_that_are_not_routine_are_all_that_is_worth_a_look(tmp_path: Path) -> None:
    """500 changes: 300 people who come, 196 with new numbers; and a seat that passes on, and three more."""
    known = CHANGED + 2
    job = Job(tmp_path, users=known)
    job.run("apply")
    taker, corrected = CHANGED + 1, CHANGED + 2
    people = job.read("people.ldif").replace(f"employeeNumber: {1000 + corrected}\n", "employeeNumber: 77\n")
    new = range(known + 1, known + NEW - 1)
    people += "".join("\n" + person(number).rstrip("\n") + "\n" for number in new)
    elsewhere = person(901).replace(BASE, f"ou=contractors,{BASE}")
    service = person(902).replace("user902", "svc-dialer902")
    job.write("people.ldif", people + "\n" + elsewhere.rstrip("\n") + "\n\n" + service.rstrip("\n") + "\n")
    job.agents([
        *(agent(number, workNo=3000 + number, sipAccount=str(8000 + number)) for number in range(1, CHANGED + 1)),
        agent(taker, workNo=1001, sipAccount=str(8000 + taker)), agent(corrected),
        *(agent(number) for number in new), agent(901, workNo=4001, sipAccount="7801"),
        agent(902, workNo=4002, sipAccount="7802", accountCode="svc-dialer902"),
    ])  # fmt: skip
    document = job.plan()
    assert document["summary"]["update"] == len(document["changes"]) == 500
    assert [(kind, users) for kind, users, _ in kinds(document)] == [
        ("taken over from another user", 1),
        ("replaces a value we did not write", 1),
        ("secret set", NEW),
        ("replaces ours", CHANGED),
    ]
    assert {look["user"]["name"]: look["why"] for look in document["worth_a_look"]} == {
        f"uid=user{taker},{BASE}": "taken over from another user: employeeNumber",
        f"uid=user{corrected},{BASE}": "replaces a value we did not write: employeeNumber",
        f"uid=user901,ou=contractors,{BASE}": "the only user in its container",
        f"uid=svc-dialer902,{BASE}": "looks like a service account; cecAccountCode: a value of another shape",
    }
    shown = job.run("plan")
    assert shown.count("\n~ ") == 4
    assert len(shown.splitlines()) < 100
    assert job.run("plan", "--all").count("\n~ ") == 504
