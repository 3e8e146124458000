"""The whole job on SCIM: a tenant over HTTPS, real SCIM servers over TLS, the program as a subprocess."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.demo.simulator import Simulator
from tests.support.jobs import cec_source, changed, job_file, scim_directory
from tests.support.program import Ended, program
from tests.support.scim_servers import CEC, EACH_KIND, ENTERPRISE, TOKEN, ScimServer, extension, people, user
from tests.support.slapd import server_context
from tests.support.whole_job import agent, tenant

SECRETS = {"CEC_APP_KEY": "demo-key", "CEC_APP_SECRET": "demo-secret", "SCIM_TOKEN": TOKEN}


class World:
    """A tenant, a server, and a job between them."""

    def __init__(self, folder: Path, server: ScimServer, cec: Simulator) -> None:
        self.folder, self.server, self.cec = folder, server, cec
        folder.mkdir(exist_ok=True)
        self.job()

    def job(self, **changes: Any) -> None:
        ca = self.server.ca
        job = job_file(
            scim_directory(self.server.url, ca=ca), source=cec_source(self.cec.url, ca=ca), mapping="scim-extension"
        )
        (self.folder / "job.yaml").write_text(changed(job, **changes))

    def try_(self, command: str, *options: str, **env: str) -> Ended:
        ended = program(*command.split(), "job.yaml", *options, folder=self.folder, env=SECRETS | env)
        for secret in ("canary", "demo-secret", TOKEN):
            assert secret not in ended.said
            for path in self.folder.iterdir():
                assert secret.encode() not in path.read_bytes(), path
        return ended

    def run(self, command: str, *options: str, code: int = 0) -> Ended:
        ended = self.try_(command, *options)
        assert ended.code == code, ended.said
        return ended

    def plan(self, *options: str, code: int = 0) -> dict[str, Any]:
        self.run("plan", "--report", "report.json", *options, code=code)
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document

    def outcomes(self, command: str = "apply", *options: str, code: int = 0) -> list[dict[str, Any]]:
        self.run(command, "--report", "report.json", *options, code=code)
        found: list[dict[str, Any]] = json.loads((self.folder / "report.json").read_text())["outcomes"]
        return found


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), kind=request.param, tls=True) as started:
        yield started


@pytest.fixture
def world(tmp_path: Path, server: ScimServer) -> Iterator[World]:
    server.restore([])
    server.put(people(30))
    server.forget()
    with Simulator(tenant([agent(number) for number in range(1, 21)]), ssl_context=server_context()) as cec:
        yield World(tmp_path / "job", server, cec)


def held(number: int) -> dict[str, Any]:
    """What an agent's user holds of the extension when all is written."""
    return {
        "accountCode": f"agent{number:03}", "workNo": 1000 + number, "sipAccount": str(7000 + number),
        "sipPassword": f"canary-{number}", "sipServiceIp": "192.0.2.10", "sipServicePort": 5060,
    }  # fmt: skip


def rest(users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in each.items() if name not in {CEC, "schemas"}} for each in users]


def test_plan_apply_plan_edit_plan_apply(world: World) -> None:
    before = world.server.all()
    planned = world.plan("--fail-on-changes", code=2)
    assert planned["summary"]["matched"] == planned["summary"]["update"] == planned["summary"]["secret"] == 20
    assert world.server.all() == before, "a dry run wrote to the directory"
    assert world.server.writes() == []

    world.run("apply")
    after = world.server.all()
    assert [each.get(CEC) for each in after] == [held(n) if n <= 20 else None for n in range(1, 31)]
    assert rest(after) == rest(before)
    assert world.plan("--fail-on-changes")["changes"] == []
    world.server.forget()
    world.run("apply")
    assert world.server.writes() == [], "an apply with nothing to do touched the directory"
    assert world.server.all() == after

    id_ = world.server.stored("agent007")["id"]
    world.server.patch(id_, {"op": "replace", "path": f"{CEC}:workNo", "value": 9})
    (change,) = world.plan()["changes"]
    assert change["user"] == {"id": id_, "name": "agent007"}
    assert change["attributes"] == [{"name": f"{CEC}:workNo", "old": ["9"], "new": ["1007"]}]
    world.run("apply")
    assert world.server.all() == after
    assert world.plan("--fail-on-changes")["changes"] == []


@pytest.mark.slow
def test_a_password_that_changed_is_written_for_that_agent_alone(world: World) -> None:
    world.run("apply")
    agents = [agent(number) for number in range(1, 21)]
    agents[4]["sipPwd"] = "canary-new"
    world.cec.document = tenant(agents)
    (change,) = world.plan()["changes"]
    assert change["user"]["name"] == "agent005"
    assert [(each["name"], each["secret"]) for each in change["attributes"]] == [(f"{CEC}:sipPassword", "set")]
    world.run("apply")
    assert world.server.stored("agent005")[CEC] == held(5) | {"sipPassword": "canary-new"}
    assert world.plan("--fail-on-changes")["changes"] == []


def test_a_reviewed_plan_is_written_and_what_is_new_is_not(world: World) -> None:
    world.run("plan", "--save", "plan.json")
    world.cec.document = tenant([agent(number) for number in range(1, 23)])
    world.run("apply", "--plan", "plan.json")
    assert [each.get(CEC) for each in world.server.all()] == [held(n) if n <= 20 else None for n in range(1, 31)]
    assert len(world.plan()["changes"]) == 2


def test_a_run_is_taken_back(world: World) -> None:
    before = world.server.all()
    world.run("apply")
    run = json.loads(world.run("runs", "--json").out)[0]["id"]
    world.server.patch(
        world.server.stored("agent003")["id"], {"op": "replace", "path": f"{CEC}:sipAccount", "value": "theirs"}
    )
    ended = program("undo", "job.yaml", run, "--apply", folder=world.folder, env=SECRETS)
    assert ended.code in {0, 3}, ended.said
    if ended.code == 3:  # 20 users are more than what may be cleared without being asked
        digest = next(word for word in ended.out.split() if word.startswith("sha256:"))
        ended = program("undo", "job.yaml", run, "--apply", "--accept", digest, folder=world.folder, env=SECRETS)
        assert ended.code == 0, ended.said
    assert "this account cannot read it" in ended.out  # a password: who can say what it is
    after = world.server.all()
    assert rest(after) == rest(before)
    identity = held(1).keys() - {"accountCode", "workNo"}  # it stays whole, for its password does
    left = [{name for name, value in each.get(CEC, {}).items() if value} for each in after]
    assert left == [identity if number <= 20 else set() for number in range(1, 31)]
    assert world.server.stored("agent003")[CEC]["sipAccount"] == "theirs"


@pytest.mark.slow
def test_seats_that_were_swapped_end_swapped_and_a_held_one_is_named(world: World) -> None:
    world.run("apply")
    agents = [agent(number) for number in range(1, 21)]
    agents[0]["workNo"], agents[1]["workNo"] = agents[1]["workNo"], agents[0]["workNo"]
    agents[2]["workNo"] = 1500
    world.server.patch(world.server.stored("agent025")["id"], {"op": "replace", "path": f"{CEC}:workNo", "value": 1500})
    world.cec.document = tenant(agents)
    planned = world.plan()
    assert len(planned["changes"]) == 2
    (problem,) = planned["problems"]
    assert (problem["kind"], problem["users"]) == ("reassigned", ["agent003", "agent025"])
    world.run("apply")
    assert world.server.stored("agent001")[CEC]["workNo"] == 1002
    assert world.server.stored("agent002")[CEC]["workNo"] == 1001
    assert world.plan()["changes"] == []


STALE = f"""
match:
  - {{agent: "{{accountCode}}@example.org", directory: emails.value}}
attributes:
  {CEC}:accountCode: "{{accountCode}}"
  {CEC}:sipPassword: {{value: "{{sipPwd}}", secret: true}}
stale: clear
"""


@pytest.mark.slow
def test_a_stale_user_that_was_renamed_is_cleared_all_the_same(world: World) -> None:
    (world.folder / "stale.yaml").write_text(STALE)
    world.job(mapping="stale.yaml", limits={"clear": 100, "agents_drop": "100%"})
    world.run("apply")
    id_ = world.server.stored("agent003")["id"]
    world.server.patch(id_, {"op": "replace", "path": "userName", "value": "renamed"})
    world.cec.document = tenant([agent(number) for number in range(1, 21) if number != 3])
    (change,) = world.plan()["changes"]
    assert change["user"]["name"] == "renamed"
    world.run("apply")
    assert not any(world.server.stored("renamed").get(CEC, {}).values())
    assert world.plan()["summary"]["stale"] == 0


def test_check_says_what_is_there(world: World) -> None:
    out = world.run("check").out
    assert "20 agents" in out
    assert "30 users within base and filter" in out
    assert "workNo: integer, one value" in out
    assert world.server.writes() == []


@pytest.mark.slow
def test_only_users_within_the_filter_are_there(world: World) -> None:
    id_ = world.server.stored("agent002")["id"]
    world.server.patch(id_, {"op": "replace", "path": "active", "value": False})
    world.job(directory={"filter": "active eq true"})
    planned = world.plan()
    assert planned["summary"]["matched"] == 19
    assert [each["agent"]["accountCode"] for each in planned["problems"]] == ["agent002"]
    world.run("apply")
    assert CEC not in world.server.stored("agent002")


@pytest.mark.parametrize("read", ["find", "scan"])
def test_looked_up_and_read_whole_are_one_and_the_same(world: World, read: str) -> None:
    world.job(directory={"read": read, "page_size": 7})
    world.run("apply")
    assert [each.get(CEC) for each in world.server.all()] == [held(n) if n <= 20 else None for n in range(1, 31)]
    assert world.plan("--fail-on-changes")["changes"] == []


# ---------------------------------------------------------------- what is wrong


def job(**directory: Any) -> Callable[[World], dict[str, str]]:
    """A fault in the job file."""

    def prepare(world: World) -> dict[str, str]:
        world.job(directory=directory)
        return {}

    return prepare


def mapping(text: str) -> Callable[[World], dict[str, str]]:
    """A mapping of one's own."""

    def prepare(world: World) -> dict[str, str]:
        match = 'match: [{agent: "{accountCode}", directory: userName}]\nattributes:\n'
        (world.folder / "mapping.yaml").write_text(match + text)
        world.job(mapping="mapping.yaml")
        return {}

    return prepare


def _plain_http(world: World) -> dict[str, str]:
    world.job(directory={"url": world.server.url.replace("https:", "http:")})
    return {}


def _no_such_path(world: World) -> dict[str, str]:
    world.job(directory={"url": world.server.url.replace("/v2", "/v3")})
    return {}


def _wrong_token(world: World) -> dict[str, str]:
    assert world.folder.exists()
    return {"SCIM_TOKEN": "not-the-token"}


@pytest.mark.parametrize(
    ("prepare", "code", "said"),
    [
        (_wrong_token, 1, "401"),
        (job(token="hunter2-in-clear"), 78, "{env: NAME}"),
        (_plain_http, 78, "allow_plaintext"),
        (_no_such_path, 1, "404"),
        (job(filter="userName"), 78, "job.yaml:2"),
        (job(filter="nothing eq true"), 78, "no attribute nothing"),
        (job(filter=f"not ({CEC}:workNo pr)"), 78, f"writing {CEC}:workNo"),
        (mapping(f'  {CEC}:nothing: "{{workNo}}"\n'), 78, "mapping.yaml:3"),
        (mapping('  ims[type eq "sip"].value: "{workNo}"\n'), 78, "owns"),
        (mapping('  emails[type co "x"].value: {value: "{workNo}", owns: "*"}\n'), 78, "brackets"),
        (mapping(f'  {CEC}:workNo: "{{workNo}}"\nobject_classes: [cecAgent]\n'), 78, "object_classes"),
    ],
)
def test_each_fault_is_told_with_its_place_and_nothing_is_written(
    world: World, prepare: Callable[[World], dict[str, str]], code: int, said: str
) -> None:
    env = prepare(world)
    ended = world.try_("apply", **env)
    assert ended.code == code, ended.said
    assert said in ended.err
    assert "unexpected" not in ended.err
    assert world.server.writes() == []


# ---------------------------------------------------------------- one server's own


@pytest.fixture
def full(tmp_path: Path) -> Iterator[World]:
    """scim2-server, whose users have telephone numbers."""
    numbers = [{"type": "work", "value": "+49 1"}, {"type": "other", "value": "77"}]
    users = [user(number, phoneNumbers=numbers, ims=[{"type": "xmpp", "value": "x"}]) for number in range(1, 6)]
    with (
        ScimServer.start(
            tmp_path / "server", users, tls=True, schemas=[extension("urn:example:cec:1.0:User")]
        ) as server,
        Simulator(tenant([agent(number) for number in range(1, 6)]), ssl_context=server_context()) as cec,
    ):
        yield World(tmp_path / "job", server, cec)


def test_a_stock_server_without_the_extension(full: World) -> None:
    full.job(mapping="scim-enterprise")
    before = full.server.all()
    full.run("apply")
    stored = full.server.stored("agent003")
    assert stored[ENTERPRISE] == {"employeeNumber": "1003"}
    assert stored["phoneNumbers"] == [
        {"type": "work", "value": "+49 1"}, {"type": "other", "value": "77"},
        {"type": "other", "value": "7003", "display": "CEC softphone"},
    ]  # fmt: skip
    assert stored["ims"] == [
        {"type": "xmpp", "value": "x"}, {"type": "sip", "value": "sip:7003@192.0.2.10"},
        {"type": "sip", "value": "sip:7003@192.0.2.10:5060"},
    ]  # fmt: skip
    assert full.plan("--fail-on-changes")["changes"] == []
    full.cec.document = tenant([agent(number, sipAccount=str(8000 + number)) for number in range(1, 6)])
    full.run("apply")
    assert full.server.stored("agent003")["phoneNumbers"][2]["value"] == "8003"
    ours = {ENTERPRISE, "phoneNumbers", "ims", "schemas"}
    assert [{k: v for k, v in each.items() if k not in ours} for each in full.server.all()] == [
        {k: v for k, v in each.items() if k not in ours} for each in before
    ]


@pytest.mark.slow
def test_an_extension_under_another_urn(full: World) -> None:
    assert "no schema" in full.plan()["cautions"][0]
    full.job(directory={"urn": "urn:example:cec:1.0:User"})
    assert "cautions" not in full.plan()
    full.run("apply")
    assert full.server.stored("agent003")["urn:example:cec:1.0:User"] == held(3)
    assert full.plan("--fail-on-changes")["changes"] == []


HOSTILE = ['x" or userName pr', "a\\", "(a) and not (b)", " both ends ", "\u00e4\U0001f600", "%2F../Users", "x" * 300]


def test_all_faults_at_once_are_a_line_each_and_the_rest_is_written(world: World) -> None:
    """Law 7: records that are none, names that are filters, two on one seat, and somebody in the way."""
    holder = world.server.stored("agent026")["id"]
    world.server.patch(holder, {"op": "replace", "path": f"{CEC}:workNo", "value": 1003})
    before = world.server.stored("agent026")
    broken = [agent(40, accountCode="\0"), agent(41, workNo="x"), agent(42, accountCode=7), {"sipPwd": "canary"}]
    contested = [agent(5), agent(6, workNo=1005)]
    hostile = [agent(50 + number, accountCode=text) for number, text in enumerate(HOSTILE)]
    good = [agent(number) for number in (1, 2, 3, 4, *range(7, 20))]
    world.cec.document = tenant([*good, *contested, agent(43, accountCode=None), *broken, *hostile])
    document = world.plan()
    summary = document["summary"]
    assert (summary["matched"], summary["update"], summary["invalid"]) == (17, 17, 4), summary
    assert (summary["contested"], summary["unassigned"], summary["unmatched"]) == (2, 1, len(HOSTILE)), summary
    assert [each["attribute"] for each in document["problems"] if each["kind"] == "reassigned"] == [f"{CEC}:workNo"]
    world.run("apply")
    stored = {each["userName"]: each for each in world.server.all()}
    assert all(stored[f"agent{number:03}"][CEC] == held(number) for number in (1, 2, 4, *range(7, 20)))
    assert "workNo" not in stored["agent003"][CEC], "somebody else has it"
    assert stored["agent003"][CEC]["sipPassword"] == "canary-3"
    assert not {CEC} & (stored["agent005"].keys() | stored["agent006"].keys())
    assert world.server.stored("agent026") == before
    assert world.plan("--fail-on-changes")["changes"] == []
