"""`explain`, through the program: on OpenLDAP and on an LDIF file, held to what `plan` says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import Part, changed, job_file, ldap_directory, ldif_directory
from tests.support.pages import Page
from tests.support.program import Ended, program
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd, person

MAPPING = """\
match:
  - {agent: "{accountCode|lower}", directory: uid}
  - {agent: "{accountCode|before:'@'|lower}@example.org", directory: mail}
  - {agent: "{sipAccount}", directory: telephoneNumber}
attributes:
  cecAccountCode: "{accountCode}"
  employeeNumber: {value: "{workNo|pad:6}", unique: true}
  preferredLanguage: "{sipAccount|default:none}"
  telephoneNumber: {value: "{sipAccount}", owns: "7*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd|first:9}", owns: "*", secret: true}
object_classes: [cecAgent, SIPIdentity]
"""
AGENTS: list[dict[str, Any]] = [
    {"workNo": 1001, "accountCode": "Ann", "sipAccount": "7001", "sipPwd": "canary-ann"},
    {"workNo": 1002, "accountCode": "bob@two.example", "sipAccount": "7002"},
    {"workNo": 1003, "accountCode": "cid"},
    {"workNo": 1004, "accountCode": "dan"},
    {"workNo": 1005, "accountCode": "dan2", "sipAccount": "7005"},
    {"workNo": 1006, "accountCode": "eve"},
    {"workNo": 1007, "accountCode": "far"},
    {"workNo": 1008, "accountCode": "left"},
    {"workNo": 1009},
    {"workNo": 1010, "accountCode": "pinned"},
    {"workNo": 1011, "accountCode": "spared"},
    {"workNo": 1012, "accountCode": "mover"},
    {"workNo": 1013, "accountCode": "giver", "sipAccount": "7013"},
    {"workNo": 1014, "accountCode": "deep"},
    {"workNo": "x", "accountCode": "broken"},
]
MINE = ["cecAgent", "SIPIdentity"]
USERS = [
    person("ann", "cecAccountCode: Ann", "employeeNumber: 7", "telephoneNumber: 123", classes=MINE),
    person("bobby", "mail: Bob@Example.org"),
    person("dan", "telephoneNumber: 7005"),
    person("eve1", "mail: eve@example.org"),
    person("eve2", "mail: eve@example.org"),
    person("left", "title: left"),
    person("c id"),
    person("somebody"),
    person("spared"),
    person("mover"),
    person("giver", "employeeNumber: 001012", classes=["cecAgent"]),
]
USERS += [
    f"dn: ou=sub,{PEOPLE}\nobjectClass: organizationalUnit\nou: sub\n",
    person("deep").replace(PEOPLE, f"ou=sub,{PEOPLE}"),
]
ALL_BUT_WHO_LEFT = "(&(objectClass=inetOrgPerson)(!(title=left)))"
FAR = f"dn: uid=far,ou=services,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: far\ncn: Far\nsn: Far\n"


class Job:
    """A job in a folder of its own; what it prints never holds a secret."""

    def __init__(self, folder: Path, directory: Part) -> None:
        self.folder = folder
        folder.mkdir()
        tenant = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": AGENTS}
        for name, text in {
            "mapping.yaml": MAPPING,
            "job.yaml": job_file(directory | {"filter": ALL_BUT_WHO_LEFT}, pins="pins.csv", exclude="exclude.csv"),
            "agents.json": json.dumps(tenant),
            "pins.csv": f'accountCode,workNo,user\npinned,,"uid=somebody,{PEOPLE}"\n',
            "exclude.csv": "accountCode,workNo,user\nspared,,\n",
        }.items():
            (folder / name).write_text(text)

    def run(self, *arguments: str, code: int = 0) -> Ended:
        ended = program(*arguments, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert "canary" not in ended.said
        assert ended.code == code, ended.said
        return ended

    def explain(self, agent: str) -> dict[str, Any]:
        said = json.loads(self.run("explain", "job.yaml", agent, "--json").out)
        assert said["schema"] == "cec-connector/explain/1"
        (explained,) = said["agents"]
        assert isinstance(explained, dict)
        return explained

    def text(self, agent: str) -> str:
        return self.run("explain", "job.yaml", agent).out

    def plan(self) -> dict[str, Any]:
        self.run("plan", "job.yaml", "--report", "report.json")
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document


@pytest.fixture(scope="module", params=[pytest.param("ldap", marks=pytest.mark.slapd), "ldif"])
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    folder = tmp_path_factory.mktemp("explain")
    if request.param == "ldif":
        (folder / "people.ldif").write_text("version: 1\n\n" + "\n".join([*USERS, FAR]))
        yield Job(folder / "job", ldif_directory("../people.ldif"))
        return
    with Slapd.start(folder / "slapd", ["\n".join([*USERS, FAR])]) as server:
        yield Job(folder / "job", ldap_directory(server.ldaps_url, ca=server.ca, bind_dn=SYNC))


def rules(explained: dict[str, Any]) -> list[tuple[int, Any, str]]:
    return [(rule["rule"], rule["value"], rule["outcome"]) for rule in explained["rules"]]


def attribute(explained: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in explained["attributes"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def test_every_agent_is_explained_as_it_is_planned(job: Job) -> None:
    plan = job.plan()
    counted: dict[str, int] = {}
    for agent in AGENTS:
        explained = job.explain(str(agent.get("accountCode") or agent["workNo"]))
        counted[explained["verdict"]] = counted.get(explained["verdict"], 0) + 1
        changes = [change for change in plan["changes"] if change["agent"] == explained["agent"]]
        assert [explained["change"]] == (changes or [None])
        lines = [problem for problem in plan["problems"] if problem["agent"] == explained["agent"]]
        if explained["verdict"] != "invalid":
            assert [each for each in explained["problems"] if each["agent"]] == lines
    assert counted == {name: plan["summary"][name] for name in counted}
    assert sum(counted.values()) == plan["summary"]["agents"]


def test_a_match_and_a_change_are_told_step_by_step(job: Job) -> None:
    explained = job.explain("Ann")
    assert explained["user"]["name"] == f"uid=ann,{PEOPLE}"
    assert rules(explained) == [
        (1, "ann", "found"),
        (2, "ann@example.org", "not tried: rule 1 decided"),
        (3, "7001", "not tried: rule 1 decided"),
    ]
    assert explained["rules"][0]["fields"] == [
        {"field": "accountCode", "value": "Ann", "steps": [{"transform": "lower", "value": "ann"}]}
    ]
    assert explained["rules"][1]["fields"][0]["steps"] == [
        {"transform": "before:@", "value": "Ann"}, {"transform": "lower", "value": "ann"},
    ]  # fmt: skip
    number = attribute(explained, "employeeNumber")
    assert (number["value"], number["held"], number["outcome"]) == ("001001", ["7"], "set")
    assert attribute(explained, "cecAccountCode")["outcome"] == "same"
    phone = attribute(explained, "telephoneNumber")
    assert (phone["owns"], phone["held"], phone["outcome"]) == ("7*", ["123"], "set")
    text = job.text("1001")
    assert "accountCode is Ann, before:@ → Ann, lower → ann" in text
    assert "set: 7 → 001001" in text


def test_a_secret_is_never_shown_neither_whole_nor_in_steps(job: Job) -> None:
    secret = attribute(job.explain("Ann"), "SIPIdentityPassword")
    assert secret["value"] == secret["fields"][0]["value"] == {"secret": True}
    assert secret["fields"][0]["steps"] == [{"transform": "first:9", "value": {"secret": True}}]
    assert secret["key"] is None
    assert secret["outcome"] == "set"
    assert "sipPwd is (secret), first:9 → (secret)" in job.text("Ann")
    assert job.text("Ann").count("      held   (none shown)\n") == 1, "nobody can tell that there is none"


def test_what_an_agent_lacks_is_kept_and_the_default_stands_in(job: Job) -> None:
    explained = job.explain("mover")
    uri = attribute(explained, "SIPIdentitySIPURI")
    assert (uri["value"], uri["outcome"]) == (None, "kept")
    assert uri["why"] == "sipAccount gives no value, and when_absent is keep"
    steps = attribute(explained, "preferredLanguage")["fields"][0]
    assert steps == {"field": "sipAccount", "value": None, "steps": [{"transform": "default:none", "value": "none"}]}


def test_rules_that_find_nobody_say_why(job: Job) -> None:
    explained = job.explain("cid")
    assert explained["verdict"] == "unmatched"
    assert rules(explained) == [
        (1, "cid", "found nobody"),
        (2, "cid@example.org", "found nobody"),
        (3, None, "no look-up: sipAccount gives no value"),
    ]
    (problem,) = explained["problems"]
    assert [near["user"] for near in problem["near"]] == [f"uid=c id,{PEOPLE}"]
    assert f"almost: uid=c id,{PEOPLE}" in job.text("cid")


def test_a_later_rule_is_tried_where_the_first_finds_nobody(job: Job) -> None:
    explained = job.explain("bob@two.example")
    assert rules(explained)[:2] == [(1, "bob@two.example", "found nobody"), (2, "bob@example.org", "found")]
    assert explained["change"]["rule"] == 2


def test_several_users_and_several_agents(job: Job) -> None:
    several = job.explain("eve")
    assert several["verdict"] == "ambiguous"
    assert rules(several)[1] == (2, "eve@example.org", "found 2 users")
    assert several["rules"][1]["found"] == [f"uid=eve1,{PEOPLE}", f"uid=eve2,{PEOPLE}"]
    for agent, other in (("dan", "dan2 (workNo 1005)"), ("dan2", "dan (workNo 1004)")):
        contested = job.explain(agent)
        assert contested["verdict"] == "contested"
        assert contested["why"] == f"the user is also claimed by {other}"
        assert contested["change"] is None


def test_a_uid_and_a_mail_name_a_user_also_where_no_rule_looks_for_them(job: Job) -> None:
    own = '{agent: "{sipAccount}", directory: telephoneNumber}'
    text = f'match: [{own}]\nattributes: {{employeeNumber: "{{workNo}}"}}\n'
    (job.folder / "own.yaml").write_text(text)
    job_yaml = (job.folder / "job.yaml").read_text().replace("mapping.yaml", "own.yaml")
    (job.folder / "other.yaml").write_text(job_yaml)
    for name in ("bobby", "user:BOB@example.org"):
        assert f"user uid=bobby,{PEOPLE}" in job.run("explain", "other.yaml", name).out
    assert "accountCode dan2, workNo 1005: matched" in job.run("explain", "other.yaml", "user:dan").out
    several = f"2 users have 'eve@example.org'. Name one of them: 'user:uid=eve1,{PEOPLE}' or 'user:uid=eve2,{PEOPLE}'"
    for command in (("explain", "other.yaml"), ("plan", "other.yaml", "--only")):
        assert several in job.run(*command, "eve@example.org", code=64).err
    assert "no user of that name" in job.run("explain", "other.yaml", "bobb", code=64).err


def test_a_user_outside_of_base_or_filter_is_named_as_such(job: Job) -> None:
    for agent, name in (("far", f"uid=far,ou=services,{SUFFIX}"), ("left", f"uid=left,{PEOPLE}")):
        explained = job.explain(agent)
        assert explained["verdict"] == "unmatched"
        assert explained["rules"][0]["outside"] == [name]
        assert f"outside of base and filter: {name}" in job.text(agent)


@pytest.mark.slapd
@pytest.mark.parametrize("job", ["ldap"], indirect=True)  # a file has no scope
def test_a_user_below_the_scope_is_outside_too(job: Job) -> None:
    text = (job.folder / "job.yaml").read_text()
    (job.folder / "flat.yaml").write_text(changed(text, directory={"scope": "onelevel"}))
    assert job.explain("deep")["verdict"] == "matched"
    said = job.run("explain", "flat.yaml", "deep").out
    assert f"outside of base and filter: uid=deep,ou=sub,{PEOPLE}" in said


def test_everybody_in_a_file_who_is_not_the_job_s_is_outside_whatever_tree_they_are_in(tmp_path: Path) -> None:
    away = "uid=away,ou=people,dc=elsewhere"
    entry = f"dn: {away}\nobjectClass: account\nuid: away\n"
    (tmp_path / "people.ldif").write_text("version: 1\n\n" + "\n".join([*USERS, entry]))
    job = Job(tmp_path / "job", ldif_directory("../people.ldif"))
    (job.folder / "agents.json").write_text(json.dumps({"agents": [{"workNo": 1, "accountCode": "away"}]}))
    assert job.explain("away")["rules"][0]["outside"] == [away]


def test_pins_the_exclude_list_seats_without_an_account_and_records_that_cannot_be_read(job: Job) -> None:
    pinned = job.explain("pinned")
    assert rules(pinned) == [(0, f"uid=somebody,{PEOPLE}", "found")]
    assert pinned["change"]["rule"] == 0
    spared = job.explain("spared")
    assert {each["outcome"] for each in spared["attributes"]} == {"refused", "kept"}
    assert "exclude list" in attribute(spared, "cecAccountCode")["why"]
    assert job.explain("1009")["verdict"] == "unassigned"
    broken = job.explain("broken")
    assert broken["verdict"] == "invalid"
    assert "workNo" in broken["why"]


def test_a_value_that_another_user_still_has_waits_for_that_users_change(job: Job) -> None:
    number = attribute(job.explain("mover"), "employeeNumber")
    assert (number["outcome"], number["value"]) == ("set", "001012")
    assert "written after the change of user" in job.text("mover")
    giver = attribute(job.explain("giver"), "employeeNumber")
    assert (giver["outcome"], giver["held"]) == ("set", ["001012"])


def test_an_unknown_agent_is_a_usage_error_that_names_the_near_ones(job: Job) -> None:
    said = job.run("explain", "job.yaml", "Anb", code=64).err
    assert "workNo 'Anb', and base and filter have no user of that name; did you mean " in said
    assert "'Ann'" in said
    assert "did you mean 1" not in job.run("explain", "job.yaml", "somebody-else", code=64).err
    job.run("explain", "job.yaml", code=64)


def test_nothing_is_written(job: Job) -> None:
    before = job.plan()
    job.explain("Ann")
    assert job.plan()["digest"] == before["digest"]
    assert job.run("runs", "job.yaml", "--json").out.strip() == "[]"


HIDING = f"""
access to attrs=userPassword by anonymous auth by * none
access to attrs=employeeNumber by dn.exact="{SYNC}" =wc by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


@pytest.mark.slapd
def test_an_attribute_that_is_hidden_is_unknown_to_an_explanation_as_it_is_to_a_plan(tmp_path: Path) -> None:
    users = [person(f"u{number}", *(["employeeNumber: 9"] if number < 3 else [])) for number in range(1, 6)]
    with Slapd.start(tmp_path / "slapd", users, acl=HIDING) as server:
        job = Job(tmp_path / "job", ldap_directory(server.ldaps_url, ca=server.ca, bind_dn=SYNC))
        agents = [{"workNo": number, "accountCode": f"u{number}"} for number in range(1, 6)]
        (job.folder / "agents.json").write_text(json.dumps({"agents": agents}))
        plan = job.plan()
        unreadable = {each["agent"]["accountCode"]: each for each in plan["problems"] if each["kind"] == "unreadable"}
        assert sorted(unreadable) == ["u1", "u2"], "the others have none"
        for each in agents:
            explained = job.explain(str(each["accountCode"]))
            assert [explained["change"]] == [
                change for change in plan["changes"] if change["agent"] == explained["agent"]
            ]
            seat, line = attribute(explained, "employeeNumber"), unreadable.get(each["accountCode"])
            if line is None:
                assert seat["outcome"] == "set"
                continue
            assert line in explained["problems"]
            assert (seat["outcome"], seat["why"]) == ("refused", line["why"])


@pytest.mark.slapd
def test_a_name_that_the_server_takes_for_no_dn_is_nobodys(tmp_path: Path) -> None:
    """As for `--only`: it is not the name of a user that no agent claims."""
    record = person("u1").replace(f"dn: uid=u1,{PEOPLE}", f'dn: cn=Doe\\, \\"J\\" \\+ \\<x\\>\\=\\#,{PEOPLE}')
    record = record.replace("cn: ", 'cn: Doe, "J" + <x>=#\ncn: ')  # apart, slapadd 2.6.14 mixes them up
    with Slapd.start(tmp_path / "slapd", [record]) as server:
        job = Job(tmp_path / "job", ldap_directory(server.ldaps_url, ca=server.ca, bind_dn=SYNC))
        (job.folder / "agents.json").write_text(json.dumps({"agents": [{"workNo": 1, "accountCode": "u1"}]}))
        job.run("apply", "job.yaml")
        written = f'user:cn=Doe\\, "J" \\+ <x>\\=\\#,{PEOPLE}'
        for command in (("plan", "job.yaml", "--only", written), ("explain", "job.yaml", written)):
            assert "there is no user" in job.run(*command, code=64).said


def test_the_page_shows_what_is_printed(tmp_path: Path) -> None:
    users = [person("ann", "employeeNumber: 7"), person("bob")]
    agents = [{"workNo": 1001, "accountCode": "Ann"}, {"workNo": 1002, "accountCode": "bo b"}]
    first, second, *_ = MAPPING.splitlines()[1:]
    mapping = ["match:", first, second.replace("before:'@'|", ""), "attributes:", '  employeeNumber: "{workNo|pad:6}"']
    files = {
        "people.ldif": "\n".join(users),
        "agents.json": json.dumps({"agents": agents}),
        "mapping.yaml": "\n".join(mapping),
        "job.yaml": job_file(ldif_directory()),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    page = Page("docs/explain.md", tmp_path, {}, {})
    page.follow("matched")
    page.follow("unmatched")
    page.follow("user")
