"""What each refusal prints, in every format for people: limit, numbers, ten users, and the command that lifts it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.support.ldif_job import BASE, Job, agent

EVERYBODY = range(1, 13)
Prepare = Callable[[Job], None]


def limits(**changes: Any) -> Prepare:
    return lambda job: job.configure(limits=changes)


def nobody_has_a_telephone_any_more(job: Job) -> None:
    job.write("mapping.yaml", job.read("mapping.yaml") + "when_absent: clear\n")
    job.run("apply")
    job.agents([{"workNo": 1000 + number, "accountCode": f"user{number}"} for number in EVERYBODY])


def all_but_one_have_gone(job: Job) -> None:
    job.run("apply")
    job.agents([agent(1)])


def all_have_gone(job: Job) -> None:
    job.run("apply")
    job.agents([])


def the_filter_finds_but_one(job: Job) -> None:
    job.run("apply")
    job.configure(directory={"filter": "(uid=user1)"})


CASES: dict[str, tuple[Prepare, str, str]] = {
    "update": (limits(update=2, secret="100%"), "12 planned, 2 allowed", ""),
    "update in percent": (
        limits(update="20%", secret="100%"), "12 planned, 2 allowed",
        "(20% of 12)",
    ),
    "secret": (limits(secret=3), "12 planned, 3 allowed", "set a secret"),
    "attributes.employeeNumber": (
        limits(attributes={"employeenumber": 4}), "12 planned, 4 allowed",
        "change employeeNumber",
    ),
    "clear": (nobody_has_a_telephone_any_more, "12 planned, 2 allowed", "20% of the 12 users that hold"),
    "agents_drop": (all_but_one_have_gone, "11 fewer, 1 allowed", "has 1 agent; the last good run read 12"),
    "matched_drop": (
        the_filter_finds_but_one, "11 fewer, 1 allowed",
        "1 agent has a user; in the last good run 12 had one. Check base, filter and match rules",
    ),
    "agents": (all_have_gone, "", "no agents at all"),
}  # fmt: skip
HEADLINES = {
    "update": "Too many updates", "secret": "Too many secrets to set", "clear": "Too many users to empty",
    "attributes.employeeNumber": "Too many changes of employeeNumber", "agents": "No agents",
    "agents_drop": "Agents are missing", "matched_drop": "Matches are missing",
}  # fmt: skip


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, users=len(EVERYBODY))


def refusals(job: Job, *command: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What is said of a refusal, by where; and as the JSON report has it."""
    said = job.run(*command, "--report", "r.md", "--report", "r.html", "--report", "r.json", code=3)
    ticket = job.read("r.md")
    markdown = ticket.partition("## Refused\n")[2].partition("## ")[0].partition("| Count")[0]
    markdown += ticket.partition("## Next\n")[2]
    source = job.read("r.html").replace("<wbr>", "")
    sections = [source.partition(begin)[2].partition("</section>")[0] for begin in ('class="refused"', 'id="next"')]
    page = unescape(re.sub(r"<[^>]+>", " ", " ".join(sections)))
    found: list[dict[str, Any]] = json.loads(job.read("r.json"))["refusals"]
    return {
        "terminal": said.partition("REFUSED\n")[2].partition("\n\n")[0] + said.partition("\nRefused. ")[2],
        "Markdown": markdown.replace("`", ""),
        "HTML": page,
    }, found


def acknowledgement(text: str) -> list[str]:
    (found,) = re.findall(r"cec-connector .* --accept sha256:[0-9a-f]{64}", text)
    return shlex.split(found)


@pytest.mark.parametrize("name", CASES)
def test_each_refusal_names_its_limit_the_numbers_ten_users_and_the_command_that_lifts_it(job: Job, name: str) -> None:
    prepare, numbers, why = CASES[name]
    prepare(job)
    shown, found = refusals(job, "plan")
    assert [each["limit"] for each in found] == [name.partition(" ")[0]]
    for where, text in shown.items():
        head, _, rest_of_it = " ".join(text.split()).partition(numbers or "the source has")
        key = name.partition(" ")[0]
        assert HEADLINES[key] in head, where
        assert key == "agents" or f"Key in the job: limits.{key}" in rest_of_it, where
        assert "_" not in head, f"a key in a headline: {where}"
        assert numbers in text, where
        assert why in " ".join(text.split()), where
        users = re.findall(rf"uid=user\d+,{BASE}", text)
        assert len(users) == len(set(users)) == 10, where
        rest = 1 if name in {"agents_drop", "matched_drop"} else 2
        assert f"… and {rest} more" in text, where
        assert acknowledgement(text)[:3] == ["cec-connector", "apply", "job.yaml"], where
    (command,) = {tuple(acknowledgement(text)) for text in shown.values()}
    before = job.read("people.ldif")
    job.run("apply", code=3)
    assert job.read("people.ldif") == before
    job.run("apply", *command[3:])


def test_of_a_plan_that_is_saved_the_command_applies_that_very_plan(job: Job) -> None:
    job.configure(limits={"update": 2})
    shown, _ = refusals(job, "plan", "--save", "my plan.json")
    (command,) = {tuple(acknowledgement(text)) for text in shown.values()}
    assert command[:4] == ("cec-connector", "apply", "job.yaml", "--plan=my plan.json")
    job.agents([agent(number) for number in (*EVERYBODY, 13)])
    job.run("apply", *command[3:])


def test_of_a_pilot_the_command_keeps_to_it(job: Job) -> None:
    job.configure(limits={"update": 0})
    shown, _ = refusals(job, "plan", "--only", "user1", "--only", "1002")
    (command,) = {tuple(acknowledgement(text)) for text in shown.values()}
    job.run("apply", *command[3:])
    assert job.read("people.ldif").count("employeeNumber:") == 2


def test_of_an_undo_too(job: Job) -> None:
    job.run("apply")
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    job.configure(limits={"clear": 5})
    shown, (refusal,) = refusals(job, "undo", run)
    assert (refusal["limit"], refusal["planned"], refusal["allowed"]) == ("clear", 12, 5)
    for where, text in shown.items():
        assert len(re.findall(rf"uid=user\d+,{BASE}", text)) == 10, where
    (command,) = {tuple(acknowledgement(text)) for text in shown.values()}
    assert command[:5] == ("cec-connector", "undo", "job.yaml", run, "--apply")
    job.run("undo", *command[3:])
    assert "employeeNumber" not in job.read("people.ldif")


def test_of_a_hold_the_command_that_ends_it(job: Job) -> None:
    job.configure(limits={"clear": 12})
    job.run("apply")
    run = json.loads(job.run("runs", "--json"))[0]["id"]
    job.run("undo", run, "--apply")
    said = job.run("apply", code=3)
    assert run in said
    assert "\n    cec-connector release job.yaml\n" in said
