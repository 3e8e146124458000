"""Kinds of changes and users that are worth a look, by the program itself: what the state knows decides the forms."""

from __future__ import annotations

import json
import re
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
    assert "did not write" not in job.run("plan").partition("\n\n")[0], "nobody loses any"
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
    said = job.run("plan", "--report", "report.html", "--report", "report.md", code=3)
    for text in (said, job.read("report.html"), job.read("report.md")):
        assert "1 user loses values that this job did not write." in text


def test_what_this_job_wrote_under_another_owns_is_told_and_replaced_if_both_are_named(job: Job) -> None:
    """Else it would stay for ever: once the new values are written, nobody knows whose the old ones are."""
    sip, tel = '"sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"', '"tel:{sipAccount}"'
    job.run("apply")
    mapping = job.read("mapping.yaml").replace(sip, tel)
    job.write("mapping.yaml", mapping.replace('owns: "sip:*"', 'owns: "tel:*"'))
    document = job.plan()
    assert {form for *_, form in forms(document)} == {"adds to others' values"}
    (caution,) = [each for each in document["cautions"] if "owns" in each]
    assert caution.startswith("SIPIdentitySIPURI of 6 users may keep values that this job wrote when its owns was sip:")
    assert "may keep values" in job.run("plan")
    job.write("mapping.yaml", mapping.replace('owns: "sip:*"', 'owns: ["sip:*", "tel:*"]'))
    document = job.plan()
    assert {form for *_, form in forms(document)} == {"replaces ours"}
    assert not document.get("cautions")
    job.run("apply")
    assert "sip:7" not in job.read("people.ldif")
    job.write("mapping.yaml", mapping.replace('owns: "sip:*"', 'owns: "tel:*"'))
    assert job.plan()["changes"] == []


def test_every_report_counts_users_that_lose_values_of_others(job: Job) -> None:
    """Replaced for one, emptied for lack of a value for another, and adopted on a user whom no agent claims."""
    mapping = job.read("mapping.yaml").replace('"{workNo}", unique: true', '"{workNo}", unique: true, adopt: true')
    mapping = mapping.replace('cecAccountCode: "{accountCode}"', 'description: {value: "{sipAccount}", owns: "*"}')
    job.write("mapping.yaml", mapping + "stale: clear\nwhen_absent: clear\n")
    held = {1: "employeeNumber: 1", 2: "description: theirs", 6: "employeeNumber: 6"}
    people = job.read("people.ldif")
    for number, line in held.items():
        people = people.replace(f"uid: user{number}\n", f"uid: user{number}\n{line}\n")
    job.write("people.ldif", people)
    job.agents([agent(1), agent(2, sipAccount=None, sipPwd=None), *(agent(number) for number in (3, 4, 5))])
    sentence = "3 users lose values that this job did not write."
    job.configure(limits={"clear": 10, "update": "100%", "secret": "100%"})
    names = [f"report.{suffix}" for suffix in ("json", "csv", "md", "html", "ldif")]
    said = job.run("plan", *(word for name in names for word in ("--report", name)))
    document = json.loads(job.read("report.json"))
    assert document["lost"] == 3
    for text in (said, *map(job.read, names[1:])):
        assert sentence in text
    assert {(uid, name): form for uid, name, form in forms(document) if "did not write" in form or "empt" in form} == {
        (("user1", "employeeNumber")): "replaces a value we did not write",
        (("user2", "description")): "emptied",
        (("user6", "employeeNumber")): "emptied",
    }
    job.run("apply")
    job.agents([agent(number) for number in (2, 3, 4, 5)])
    document = job.plan(code=3)
    assert "lost" not in document, "what this job wrote is not lost"


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
        f"uid=user{taker},{BASE}": "employeeNumber 1001 taken over from user1",
        f"uid=user{corrected},{BASE}": "replaces a value we did not write: employeeNumber",
        f"uid=user901,ou=contractors,{BASE}": "employeeNumber 4001 is outside its neighbours (3001 to 3196); "
        "the only user in its container",
        f"uid=svc-dialer902,{BASE}": "looks like a service account; employeeNumber 4002 is outside its "
        "neighbours (3001 to 3196); cecAccountCode: a value of another shape",
    }
    four = [each["user"]["name"] for each in document["worth_a_look"]]
    job.run("plan", "--report", "report.html")
    (listed,) = re.findall(r"<h2[^>]*>Worth a look \(4\)</h2>(.*?)</section>", job.read("report.html"), re.DOTALL)
    listed = listed.replace("<wbr>", "")
    assert [name for name in re.findall(r"uid=[^<&\s]+", listed) if name in four] == four
    assert listed.count("<tr") == 4 + 1, "and the head of the table"
    shown = job.run("plan")
    assert re.findall(r"^~ (\S+)", shown, re.MULTILINE) == four
    assert "Worth a look (4 users)\n" in shown
    assert job.run("plan", "--all").count("\n~ ") == 500, "each once"
