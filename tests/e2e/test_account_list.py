"""The tenant's account list: read whole or not at all, joined by account, and what it masks is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import AccountListing, Fault, Reply, Simulator
from tests.support.jobs import cec_source
from tests.support.ldif_job import Job, agent, person

MAPPING = """\
match:
  - {agent: "{email}", directory: mail}
attributes:
  employeeNumber: "{workNo}"
  mobile: {value: "{phone}", owns: "*", when_absent: clear}
  displayName: {value: "{agentType}", when_absent: clear}
"""
MASKED = "t**@*****.com"


def account(number: int, **fields: Any) -> dict[str, Any]:
    known = {
        "userAccount": f"user{number}",
        "userName": f"User {number}",
        "email": f"mail{number}@example.org",
        "phone": f"+49{number}",
        "agentType": 3,
        "workNo": 1000 + number,
    }
    return {name: value for name, value in (known | fields).items() if value is not None}


def accounts(count: int = 5, **of_the_first: Any) -> list[dict[str, Any]]:
    return [account(1, **of_the_first), *[account(number) for number in range(2, count + 1)]]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path)
    job.write("mapping.yaml", MAPPING)
    job.configure(source={"accounts": True}, limits={"update": "100%", "clear": 10, "matched_drop": "100%"})
    tell(job, accounts())
    return job


def tell(job: Job, listed: list[dict[str, Any]], count: int = 5) -> None:
    agents = [agent(number) for number in range(1, count + 1)]
    job.write("agents.json", json.dumps({"agents": agents, "accounts": listed}))


def values(plan: dict[str, Any], user: str) -> dict[str, tuple[list[str], list[str]]]:
    """What is planned for a user: old and new by attribute."""
    for change in plan["changes"]:
        if change["user"]["name"].startswith(f"uid={user},"):
            return {each["name"]: (each["old"], each["new"]) for each in change["attributes"]}
    return {}


def lines(plan: dict[str, Any], kind: str) -> list[str]:
    return [problem["why"] for problem in plan["problems"] if problem["kind"] == kind]


def test_agents_are_matched_and_written_by_the_account_list(job: Job) -> None:
    plan = job.plan()
    assert plan["summary"]["matched"] == 5
    assert values(plan, "user2") == {
        "employeeNumber": ([], ["1002"]),
        "mobile": ([], ["+492"]),
        "displayName": ([], ["3"]),
    }
    assert plan["about"]["accounts"] == "listed: 5; agents that are not listed: 0; accounts without an agent: 0"
    job.run("apply")
    assert job.plan("--fail-on-changes")["changes"] == []


def test_what_is_masked_is_kept_and_counted(job: Job) -> None:
    job.run("apply")
    tell(job, accounts(phone="138****1"))
    plan = job.plan()
    assert plan["changes"] == []
    assert len(lines(plan, "tenant")) == 1
    assert "does not tell phone: 1." in lines(plan, "tenant")[0]
    assert "agents of unknown phone: 1" in plan["about"]["accounts"]


def test_nothing_stands_in_for_what_is_masked(job: Job) -> None:
    job.write("mapping.yaml", MAPPING.replace("{agentType}", "{agentType|default:none}"))
    tell(job, accounts(agentType="m**", email="mail1@example.org"))
    assert values(job.plan(), "user1").keys() == {"employeeNumber", "mobile"}
    assert "agentType is unknown\n" in job.run("explain", "account:user1")
    job.write("mapping.yaml", MAPPING.replace("{email}", "{email|default:mail1@example.org}"))
    tell(job, accounts(email=MASKED))
    assert "no look-up: the account list does not tell email" in job.run("explain", "account:user1")


def test_what_an_account_lacks_is_cleared_as_the_mapping_says(job: Job) -> None:
    job.run("apply")
    tell(job, accounts(phone=None))
    assert values(job.plan(), "user1") == {"mobile": (["+491"], [])}


def test_a_field_that_no_account_shows_is_kept(job: Job) -> None:
    job.run("apply")
    tell(job, [account(number, phone=None) for number in range(1, 6)])
    plan = job.plan()
    assert plan["changes"] == []
    assert "does not tell phone: 5." in lines(plan, "tenant")[0]


def test_an_agent_that_the_list_lacks_finds_nobody_and_clears_nobody(job: Job) -> None:
    job.write("mapping.yaml", MAPPING + "stale: clear\n")
    job.run("apply")
    tell(job, accounts()[1:])
    plan = job.plan()
    assert plan["summary"]["unmatched"] == 1
    assert plan["changes"] == []
    assert plan["summary"]["stale"] == 1
    assert "the account list does not tell email" in job.run("explain", "account:user1")


def test_a_rule_by_masked_values_says_so(job: Job) -> None:
    tell(job, [account(number, email=MASKED) for number in range(1, 6)])
    plan = job.plan()
    assert plan["summary"]["matched"] == 0
    assert "match rule 1 finds nobody: the account list tells email of no agent" in lines(plan, "tenant")


def test_another_seat_in_the_list_is_a_problem_of_that_agent(job: Job) -> None:
    tell(job, accounts(workNo=2002))
    plan = job.plan()
    assert values(plan, "user1") == {}
    assert lines(plan, "contested") == ["the account list has it at the seat 2002"]
    assert plan["summary"]["matched"] == 4


def test_a_contradicting_seat_clears_nobody(job: Job) -> None:
    people = job.read("people.ldif")
    for number in range(1, 6):
        people = people.replace(f"cn: User {number}\n", f"cn: User {number}\ndescription: {1000 + number}\n")
    job.write("people.ldif", people)
    rule = '{agent: "{workNo}", directory: description}'
    job.write("mapping.yaml", MAPPING.replace('{agent: "{email}", directory: mail}', rule) + "stale: clear\n")
    job.run("apply")
    agents = [agent(1, workNo=1009), *(agent(number) for number in range(2, 6))]
    job.write("agents.json", json.dumps({"agents": agents, "accounts": accounts()}))
    plan = job.plan()
    assert (plan["summary"]["contested"], plan["summary"]["stale"]) == (1, 1)
    assert plan["changes"] == []


def test_an_agent_whose_mail_is_masked_now_does_not_move_to_another_user(job: Job) -> None:
    by_account = 'directory: mail}\n  - {agent: "{accountCode}", directory: uid}\n'
    job.write("mapping.yaml", MAPPING.replace("directory: mail}\n", by_account) + "stale: clear\n")
    job.write("people.ldif", "version: 1\n\n" + "".join(person(number) for number in range(1, 8)))
    tell(job, accounts(email="mail6@example.org"))
    job.run("apply")
    for listed in (accounts(email=MASKED), accounts()[1:]):
        tell(job, listed)
        plan = job.plan()
        assert plan["changes"] == []
        assert plan["summary"]["contested"] == 1
        assert "this job wrote to uid=user6," in lines(plan, "contested")[0]
        assert "this job wrote to uid=user6," in job.run("explain", "account:user1")
    tell(job, accounts(email=None))  # that is told: it has no address
    assert len(job.plan()["changes"]) == 2


@pytest.mark.parametrize("of_users", [(2, 3), (4,)])
def test_whoever_an_agent_of_masked_mail_may_have_is_not_cleared(job: Job, of_users: tuple[int, ...]) -> None:
    by_account = 'directory: mail}\n  - {agent: "{accountCode}", directory: description}\n'
    job.write("mapping.yaml", MAPPING.replace("directory: mail}\n", by_account) + "stale: clear\n")
    people = "".join(person(number) for number in range(1, 8))
    for number in of_users:
        people = people.replace(f"cn: User {number}\n", f"cn: User {number}\ndescription: user1\n")
    job.write("people.ldif", f"version: 1\n\n{people}")
    tell(job, accounts(email="mail6@example.org"))
    job.run("apply")
    tell(job, accounts(email=MASKED))
    plan = job.plan()
    assert plan["summary"]["ambiguous"] + plan["summary"]["contested"] >= 1
    assert [change["user"]["name"] for change in plan["changes"]] == []


def test_an_account_without_an_agent_is_counted_and_named(job: Job) -> None:
    tell(job, accounts(7))
    assert "accounts without an agent: 2" in job.plan()["about"]["accounts"]
    assert "the account list has it, and no agent" in job.run("explain", "account:user7", code=64)


def test_a_part_of_the_tenant_is_told_by_role_and_skill(job: Job) -> None:
    tell(job, [account(1, ccRoleId="7", skills=["sales"]), account(2, ccRoleId="8"), *accounts(5)[2:]])
    for pattern, matched in (("role:7", 1), ("skill:sales", 1), ("agent_type:3", 5)):
        job.configure(source={"accounts": True, "only": [pattern]})
        assert job.plan()["summary"]["matched"] == matched


@pytest.mark.parametrize("masked", [["v**"], "vip", [{"name": "v**"}]])
def test_an_agent_of_masked_skills_is_left_out(job: Job, masked: Any) -> None:
    tell(job, [account(1, skills=masked), account(2, skills=["vip"]), account(3, skills=[{"id": 1, "name": ""}])])
    job.configure(source={"accounts": True, "except": ["skill:vip"]}, limits={"agents_drop": "100%"})
    assert [change["agent"]["accountCode"] for change in job.plan()["changes"]] == ["user3"]


def test_a_value_may_be_the_name_of_a_member(job: Job) -> None:
    tell(job, [account(number, skills=["email", "phone", "total"]) for number in range(1, 6)])
    assert job.plan()["summary"]["matched"] == 5


def test_a_file_of_no_agents_and_no_accounts_is_refused(job: Job) -> None:
    job.write("agents.json", '{"agents": [], "accounts": []}')
    job.run("plan", code=3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"userAccount": "user1", "email": "mail1@example.org", "email": "mail2@example.org"}', "has email twice"),
        ('{"userAccount": "user1", "workNo": 1, "work\\u004eo": 2}', "has workNo twice"),
        ('{"userAccount": "user1"}], "accounts": [', "the file has accounts twice"),
    ],
)
def test_a_member_that_is_there_twice_plans_nothing(job: Job, text: str, why: str) -> None:
    lacking = json.dumps(account(2, email=None, workNo=None))
    agents = json.dumps([agent(1), agent(2)])
    job.write("agents.json", f'{{"agents": {agents}, "accounts": [{lacking}, {text}]}}')
    assert why in job.run("plan", code=1)


@pytest.mark.parametrize("source", [{"accounts": False}, {"accounts": False, "only": ["role:7"]}])
def test_what_needs_the_list_is_refused_without_it(job: Job, source: dict[str, Any]) -> None:
    job.configure(source=source)
    assert "accounts: true" in job.run("plan", code=78)


@pytest.mark.parametrize(
    ("accounts", "why"),
    [
        ({"page_size": 0}, "source.accounts.page_size: must be at least 1"),
        ({"pagesize": 9}, "source.accounts.pagesize: unknown key; did you mean page_size?"),
        ("yes", "source.accounts: must be"),
    ],
)
def test_a_faulty_section_is_told_by_its_own_keys(job: Job, accounts: object, why: str) -> None:
    job.configure(source={"accounts": accounts})
    said = job.run("plan", code=78)
    assert why in said
    assert "bool" not in said


def test_nothing_is_kept_that_no_rule_names(job: Job) -> None:
    job.write("mapping.yaml", MAPPING.replace('  mobile: {value: "{phone}", owns: "*", when_absent: clear}\n', ""))
    tell(job, accounts(phone="canary-phone"))
    for command in ("plan", "apply"):
        job.run(command, "--report", "report.json")
        assert "canary-phone" not in job.read("report.json")


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([*accounts(), account(1)], "an account that is there already"),
        ([{**account(1), "email": 7}, *accounts()[1:]], ""),
        (None, "no list of `accounts` in it"),
        ([7], "`accounts` in it is no list of records"),
    ],
    ids=["twice", "odd", "missing", "none"],
)
def test_a_file_is_read_whole_or_not_at_all(job: Job, listed: list[Any] | None, why: str) -> None:
    document: dict[str, Any] = {"agents": [agent(number) for number in range(1, 6)]}
    if listed is not None:
        document["accounts"] = listed
    job.write("agents.json", json.dumps(document))
    if why:
        assert why in job.run("plan", code=1)
    else:
        assert job.plan()["summary"]["matched"] == 4


def test_init_proposes_a_rule_by_mail_where_it_finds_more(job: Job) -> None:
    people = job.read("people.ldif").replace("uid: user", "uid: u-").replace("uid=user", "uid=u-")
    job.write("people.ldif", people)
    ended = job.program("init", "--source", "agents.json", "--directory", "people.ldif", "--force")
    assert ended.code == 0, ended.said
    assert "{email} in mail" in ended.out
    assert "With the rules of the mapping, 5 of 5 agents match." in ended.out
    assert "accounts: true" in job.read("job.yaml")
    assert job.plan()["summary"]["matched"] == 5


def test_init_says_what_is_wrong_with_a_list_in_a_file(job: Job) -> None:
    command = ("init", "--source", "agents.json", "--directory", "people.ldif", "--force")
    tell(job, [*accounts(), account(1)])
    assert "no rule by mail is tried: record 6 of the account list has an account" in job.program(*command).out
    job.agents([agent(1)])
    assert "no rule by mail" not in job.program(*command).out


# ---------------------------------------------------------------- over HTTP


@pytest.fixture
def tenant(job: Job) -> Iterator[Simulator]:
    with Simulator({"agents": [agent(number) for number in range(1, 6)]}) as simulator:
        job.configure(source=cec_source(simulator.url, accounts={"page_size": 2}))
        yield simulator


def ask(job: Job, command: str, *options: str, code: int = 0) -> str:
    ended = job.program(command, "job.yaml", *options, CEC_APP_KEY="demo-key", CEC_APP_SECRET="demo-secret")
    assert ended.code == code, ended.said
    return ended.said


@pytest.mark.parametrize("has_total", [True, False])
@pytest.mark.parametrize("wrapped", [False, True])
def test_both_shapes_are_read_in_pages(job: Job, tenant: Simulator, *, wrapped: bool, has_total: bool) -> None:
    tenant.accounts = AccountListing(accounts(), wrapped=wrapped, largest_page=1, has_total=has_total)
    ask(job, "plan", "--report", "report.json")
    assert json.loads(job.read("report.json"))["summary"]["matched"] == 5
    said = ask(job, "check", "--source")
    assert ("wrapped in `result`, asked wrapped" if wrapped else "flat, asked flat") in said
    assert "mail1@example.org" not in said


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("short total", "the account list says 4 records, and shows more"),
        ("repeated page", "is an earlier one again"),
        ("account twice", "an account that is there already"),
        ("cut", "is not the JSON that its page says"),
    ],
)
def test_a_list_that_is_not_whole_plans_nothing(job: Job, tenant: Simulator, fault: Fault, why: str) -> None:
    tenant.accounts = AccountListing(accounts(), largest_page=2, fault=fault)
    assert why in ask(job, "plan", code=1)


class OddListing(AccountListing):
    """Answers so from a page on."""

    first_odd = 1
    odd: Reply = (200, b"")

    def show_page(self, parameters: dict[str, Any]) -> Reply:
        asked = parameters.get("requestParams", parameters)
        return self.odd if asked["pageNum"] >= self.first_odd else super().show_page(parameters)


def answer_oddly(tenant: Simulator, odd: Reply, first_odd: int = 0, *, has_total: bool = False) -> None:
    listing = OddListing(accounts(), has_total=has_total)
    listing.odd, listing.first_odd = odd, first_odd
    tenant.accounts = listing


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"resultCode": "0", "rows": [account(3)]}, "no `data` in the account list"),
        ({"resultCode": "0", "data": [], "total": "0"}, "says 5 records, then 0"),
        ({"resultCode": "9", "resultMessage": "no right"}, "the account list was refused: resultCode 9: no right"),
    ],
)
def test_only_an_empty_page_ends_a_list(job: Job, tenant: Simulator, answer: dict[str, Any], why: str) -> None:
    answer_oddly(tenant, (200, answer), 1, has_total="total" in answer)
    assert why in ask(job, "plan", code=1)


def test_a_list_of_nobody_may_say_its_total_as_text(job: Job, tenant: Simulator) -> None:
    answer_oddly(tenant, (200, {"resultCode": "0", "data": [], "total": "0"}))
    ask(job, "plan")


def test_a_key_without_the_right_to_the_list_is_told_so(job: Job, tenant: Simulator) -> None:
    answer_oddly(tenant, (403, {"errorCode": "9", "exceptionInfo": "no right"}))
    said = ask(job, "plan", code=1)
    assert "errorCode 9: no right" in said
    assert "The key may query agents, and not agentAccount/query" in said


def test_init_says_why_no_rule_by_mail_is_tried(job: Job, tenant: Simulator) -> None:
    source = ["--source", tenant.url, "--allow-plaintext", "--app-key", "env:CEC_APP_KEY"]
    files = ["--app-secret", "env:CEC_APP_SECRET", "--directory", "people.ldif", "--force"]
    ended = job.program("init", *source, *files, CEC_APP_KEY="demo-key", CEC_APP_SECRET="demo-secret")
    assert ended.code == 0, ended.said
    assert "no rule by mail is tried: the account list was answered with 404" in ended.out
    assert "accounts" not in job.read("job.yaml")


def test_a_tenant_without_the_list_plans_nothing(job: Job, tenant: Simulator) -> None:
    assert tenant.accounts is None
    assert "the account list was answered with 404" in ask(job, "plan", code=1)
