"""The whole job on Active Directory: the example's job, the ready mapping, Samba's domain controller, the program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from connector.directories.ldap.ber import Frame
from tests.support.ad_limits import Limits
from tests.support.jobs import changed, file
from tests.support.ldap_proxy import COMPARE, MODIFY, SEARCH, LdapProxy
from tests.support.samba import EXTENDED, PEOPLE, SUFFIX, SYNC, SYNC_DN, SYNC_NT, SYNC_PASSWORD, Samba, person
from tests.support.slapd import another_authority, server_context
from tests.support.whole_job import World, agent, tenant

pytestmark = pytest.mark.samba

EXAMPLE = Path(__file__).parents[2] / "examples" / "active-directory.yaml"
SEAT = "msDS-cloudExtensionAttribute20"
BIND, UNBIND, ABANDON = 0x60, 0x42, 0x50
OURS = ("ipPhone", "otherIpPhone", "msDS-cloudExtensionAttribute19", SEAT)


class Domain(World):
    """A tenant, a domain, and the example's job between them."""

    sync, password, people = SYNC, SYNC_PASSWORD, PEOPLE

    def settings(self) -> str:
        """The example with this test's addresses in the place of its own."""
        ca, urls = self.server.ca, [self.server.ldaps_url]
        return changed(
            EXAMPLE.read_text(),
            source={"url": self.cec.url, "app_secret": {"env": None} | file("app-secret"), "ca_file": ca},
            directory={"urls": urls, "bind_dn": self.sync, "base": self.people, "ca_file": ca},
            mapping=self.mapping,
        )

    def ours(self, name: str) -> dict[str, list[str]]:
        """What a user holds of the attributes that the ready mapping writes."""
        said = self.server.search(f"(cn={name})", *OURS).decode()
        pairs = [
            line.split(": ", 1) for line in said.splitlines() if ": " in line and not line.startswith(("dn", "ref"))
        ]
        return {key: sorted(value for name, value in pairs if name == key) for key, _ in pairs}

    def set(self, name: str, attribute: str, *values: str) -> None:
        lines = "".join(f"{attribute}: {value}\n" for value in values)
        self.server.modify(f"dn: CN={name},{PEOPLE}\nchangetype: modify\nreplace: {attribute}\n{lines}")

    def user(self, name: str) -> bytes:
        return self.server.search(f"(cn={name})", "*")


def written(number: int) -> dict[str, list[str]]:
    """What the ready mapping makes of an agent."""
    return {
        "ipPhone": [f"{7000 + number}"],
        "otherIpPhone": [f"sip:{7000 + number}@192.0.2.10", f"sip:{7000 + number}@192.0.2.10:5060"],
        "msDS-cloudExtensionAttribute19": [f"agent{number:03}"],
        SEAT: [f"{1000 + number}"],
    }


@contextmanager
def started(folder: Path, mapping: str = "active-directory") -> Iterator[Domain]:
    """Thirty users, the first twenty of which are agents; the twentieth is disabled."""
    (folder / "job").mkdir()
    people = [
        person(f"agent{number:03}", f"userAccountControl: {546 if number == 20 else 544}") for number in range(1, 31)
    ]
    agents = tenant([agent(number) for number in range(1, 21)])
    with Samba.start(folder / "server", people) as server, Simulator(agents, ssl_context=server_context()) as cec:
        yield Domain(folder / "job", server, cec, mapping)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Domain]:
    with started(tmp_path) as found:
        yield found


def test_plan_apply_plan_edit_plan_apply(world: Domain) -> None:
    world.set("agent007", "otherIpPhone", "theirs")
    before, disabled = world.user("agent0*"), world.user("agent020")
    planned = world.plan("--fail-on-changes", code=2)
    assert planned["summary"]["matched"] == planned["summary"]["update"] == 19
    assert [problem["agent"]["accountCode"] for problem in planned["problems"]] == ["agent020"]
    assert world.user("agent0*") == before, "a dry run wrote to the directory"

    world.run("apply")
    expected = written(7) | {"otherIpPhone": ["sip:7007@192.0.2.10", "sip:7007@192.0.2.10:5060", "theirs"]}
    assert world.ours("agent007") == expected
    assert world.user("agent020") == disabled, "a disabled user was written"
    after = world.user("agent0*")
    assert world.plan("--fail-on-changes")["changes"] == []
    world.run("apply")
    assert world.user("agent0*") == after, "an apply with nothing to do touched the directory"

    world.set("agent007", SEAT, "9")
    (change,) = world.plan()["changes"]
    assert change["user"]["name"] == f"CN=agent007,{PEOPLE}"
    assert change["attributes"] == [{"name": SEAT, "old": ["9"], "new": ["1007"]}]
    world.run("apply")
    assert world.ours("agent007") == expected
    assert world.plan("--fail-on-changes")["changes"] == []


def test_a_run_is_taken_back(world: Domain) -> None:
    before = {f"agent{number:03}": world.ours(f"agent{number:03}") for number in range(1, 21)}
    world.run("apply")
    assert world.ours("agent003") != before["agent003"]
    world.job(limits={"clear": 100})
    run = world.run("runs").out.split()[0]
    world.run("undo", run, "--apply")
    assert {name: world.ours(name) for name in before} == before


def test_check_says_what_is_there(world: Domain) -> None:
    out = world.run("check").out
    assert "20 agents" in out
    assert "29 users" in out
    assert "ipPhone: text, at most 64 characters, one value" in out
    assert "otherIpPhone: text, several values" in out
    assert "cannot be kept" not in out, "a check that keeps no state says nothing about a run's"


def test_the_ldif_report_is_applied_by_ldapmodify_as_it_is(world: Domain) -> None:
    world.run("plan", "--report", "plan.ldif")
    world.server.modify((world.folder / "plan.ldif").read_text())
    assert world.plan("--fail-on-changes")["changes"] == []


def test_seats_that_were_swapped_end_swapped_and_a_held_one_is_named(world: Domain) -> None:
    world.run("apply")
    agents = [agent(number) for number in range(1, 21)]
    agents[0]["workNo"], agents[1]["workNo"] = agents[1]["workNo"], agents[0]["workNo"]
    world.set("agent025", SEAT, "1500")
    agents[2]["workNo"] = 1500
    world.cec.document = tenant(agents)
    planned = world.plan()
    assert len(planned["changes"]) == 2
    (problem,) = [each for each in planned["problems"] if each["kind"] == "reassigned"]
    assert problem["users"] == [f"CN=agent003,{PEOPLE}", f"CN=agent025,{PEOPLE}"]
    world.run("apply")
    assert world.ours("agent001")[SEAT] == ["1002"]
    assert world.ours("agent002")[SEAT] == ["1001"]
    assert world.plan()["changes"] == []


@pytest.mark.parametrize("name", [SYNC_NT, SYNC_DN])
def test_start_tls_other_names_and_several_controllers_of_which_the_first_is_down(world: Domain, name: str) -> None:
    urls = ["ldap://127.0.0.1:1", world.server.url]
    world.job(directory={"urls": urls, "start_tls": True, "bind_dn": name})
    assert len(world.plan()["changes"]) == 19


def test_a_controller_that_goes_away_is_told_and_the_next_run_finishes(world: Domain) -> None:
    world.server.kill()
    assert world.server.host in world.run("apply", code=1).err
    world.server.restart()
    world.run("apply")
    assert world.plan()["changes"] == []


@pytest.mark.parametrize("base", [SUFFIX, PEOPLE])
def test_the_domains_root_is_as_good_a_base_as_a_unit(world: Domain, base: str) -> None:
    world.job(directory={"base": base})
    assert world.plan()["summary"]["matched"] == 19


# ---------------------------------------------------------------- what is refused


def _global_catalog(world: Domain) -> dict[str, str]:
    world.job(directory={"urls": [f"ldaps://{world.server.host}:3269"]})
    return {}


def _wrong_password(world: Domain) -> dict[str, str]:
    assert world.folder.exists()
    return {"LDAP_PASSWORD": "not-the-password"}


def _another_authority(world: Domain) -> dict[str, str]:
    other = another_authority(world.folder / "other.pem")
    world.job(directory={"ca_file": other})
    return {}


def _in_clear(world: Domain) -> dict[str, str]:
    world.job(directory={"urls": [world.server.url], "allow_plaintext": True})
    return {}


def _back_link(world: Domain) -> dict[str, str]:
    text = "match: [{agent: '{accountCode}', directory: sAMAccountName}]\n"
    (world.folder / "other.yaml").write_text(
        text + "attributes: {directReports: {value: '{accountCode}', owns: '*'}}\n"
    )
    world.job(mapping="other.yaml")
    return {}


def _constructed(world: Domain) -> dict[str, str]:
    text = "match: [{agent: 'example.test/people/{accountCode}', directory: canonicalName}]\n"
    (world.folder / "other.yaml").write_text(text + "attributes: {ipPhone: '{sipAccount}'}\nstale: clear\n")
    world.job(mapping="other.yaml", directory={"read": "scan"})
    return {}


@pytest.mark.parametrize(
    ("prepare", "code", "said"),
    [
        (_global_catalog, 78, ["Global Catalog", "636"]),
        (_wrong_password, 1, ["data 52e", "wrong name or password"]),
        (_another_authority, 1, ["not trusted", "ca_file"]),
        (_in_clear, 1, ["strongerAuthRequired (8)", "ldaps://"]),
        (_back_link, 78, ["directReports cannot be written"]),
        (_constructed, 78, ["match rule 1: canonicalName", "Match by a stored attribute"]),
    ],
)
def test_what_cannot_be_is_said_with_the_way_out(
    world: Domain, prepare: Callable[[Domain], dict[str, str]], code: int, said: list[str]
) -> None:
    environment = prepare(world)
    for command in ("check", "plan", "apply"):
        ended = world.try_(command, **environment)
        assert ended.code == code, ended.said
        assert [words for words in said if words not in ended.err] == []


# ---------------------------------------------------------------- passwords, in a schema that was extended


@pytest.mark.parametrize("confidential", [False, True], ids=["readable", "confidential"])
def test_a_password_converges_whether_it_may_be_read_or_not(world: Domain, confidential: bool) -> None:
    if confidential:
        assert isinstance(world.server, Samba)
        world.server.refuse_control()
    (world.folder / "extended.yaml").write_text(EXTENDED)
    world.job(mapping="extended.yaml")
    planned = world.plan()
    assert planned["summary"]["secret"] == 19, planned["problems"]
    world.run("apply")
    entry = world.server.search("(cn=agent007)", "*").decode()
    assert "cecWorkNo: 1007" in entry
    assert "SIPIdentityPassword: canary-7" in entry
    assert "objectClass: SIPIdentity" in entry
    assert world.plan("--fail-on-changes")["changes"] == []

    agents = [agent(number, sipPwd=f"canary-{number + 100 * (number == 7)}") for number in range(1, 21)]
    world.cec.document = tenant(agents)
    (change,) = world.plan()["changes"]
    assert change["attributes"][0]["name"] == "SIPIdentityPassword"
    world.run("apply")
    assert b"SIPIdentityPassword: canary-107" in world.server.search("(cn=agent007)", "*")
    assert world.plan("--fail-on-changes")["changes"] == []


def test_a_match_attribute_that_becomes_hidden_clears_nobody(world: Domain) -> None:
    """A domain controller shows it like one that is not there, so that nothing tells the two apart."""
    assert isinstance(world.server, Samba)
    names = [f"agent{number:03}" for number in range(1, 4)]
    world.cec.document = tenant([agent(number) for number in range(1, 4)])
    for name in names:
        world.set(name, "mail", f"{name}@example.org")
    (world.folder / "stale.yaml").write_text(
        'match: [{agent: "{accountCode}@example.org", directory: mail}]\n'
        'attributes: {ipPhone: "{sipAccount}"}\nstale: clear\n'
    )
    world.job(mapping="stale.yaml", limits={"clear": 100, "matched_drop": "100%"})
    world.run("apply")
    assert world.ours("agent003")["ipPhone"] == ["7003"]
    for name in names:
        world.server.hide(f"CN={name},{PEOPLE}", "mail")
    before = world.user("agent0*")
    planned = world.plan()
    assert planned["summary"]["matched"] == 0
    assert planned["changes"] == []
    world.run("apply")
    assert world.user("agent0*") == before


def test_an_undo_leaves_the_class_that_the_hidden_password_of_a_later_run_needs(world: Domain) -> None:
    assert isinstance(world.server, Samba)
    world.server.refuse_control()
    alone = EXTENDED.replace("secret: true", "secret: true, together: false")  # else the whole identity stays
    without = [line for line in alone.splitlines() if "Password" not in line]
    (world.folder / "extended.yaml").write_text("\n".join(without))
    world.job(mapping="extended.yaml", limits={"clear": 100})
    world.run("apply")
    (world.folder / "extended.yaml").write_text(alone)
    world.run("apply")
    first = json.loads(world.run("runs", "--json").out)[-1]["id"]
    world.run("undo", first, "--apply")
    left = world.server.search("(cn=agent007)", "*").decode()
    assert "objectClass: SIPIdentity" in left
    assert "SIPIdentityPassword: canary-7" in left
    assert "cecAgent" not in left
    assert "SIPIdentityUserName" not in left


def test_the_limits_of_a_real_domain_controller_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}", "userAccountControl: 544") for number in range(1, 31)]
    people.append(person("agent031", "userAccountControl: 544", *(f"otherIpPhone: {n}" for n in range(900))))
    agents = tenant([agent(number) for number in range(1, 32)])
    weak = ["ldap server require strong auth = no"]
    with (
        Samba.start(tmp_path / "server", people, options=weak) as server,
        Simulator(agents, ssl_context=server_context()) as cec,
        Limits(server.host, page=10, values=400) as proxy,
    ):
        world = Domain(tmp_path / "job", server, cec, "active-directory")
        for read in ("find", "scan"):
            world.job(directory={"urls": [proxy.url], "allow_plaintext": True, "read": read})
            assert world.plan()["summary"]["matched"] == 31
        world.run("apply")
        assert len(world.ours("agent031")["otherIpPhone"]) == 902
        assert world.plan("--fail-on-changes")["changes"] == []
        assert proxy.cut["searches"]
        assert proxy.cut["entries"]


HOSTILE = [
    "*)(objectClass=*",
    "\\2a",
    "a,b+c=d",
    "#hash",
    " both ends ",
    "\u00e4\U0001f600",
    "dup@example.org",
    "x" * 300,
]


def test_all_faults_at_once_are_a_line_each_and_the_rest_is_written(world: Domain) -> None:
    """Law 7: records that are none, names that are filters, values that do not fit, and somebody in the way."""
    for name in ("agent024", "agent025"):
        world.set(name, "mail", "dup@example.org")
    world.set("agent026", SEAT, "1003")
    broken = [agent(40, accountCode="\0"), agent(41, workNo="x"), agent(42, accountCode=7), {"sipPwd": "canary"}]
    seats = [agent(43, accountCode=None)]
    misfits = [agent(1, sipAccount="x" * 70), agent(2, sipAccount=' 7,0+"<ae>;=#')]
    hostile = [agent(50 + number, accountCode=text) for number, text in enumerate(HOSTILE)]
    world.cec.document = tenant([*misfits, *(agent(number) for number in range(3, 20)), *seats, *broken, *hostile])
    summary = world.plan()["summary"]
    assert (summary["matched"], summary["update"], summary["invalid"]) == (19, 19, 4), summary
    assert (summary["ambiguous"], summary["unassigned"]) == (1, 1), summary
    assert summary["unmatched"] == len(HOSTILE) - 1
    world.run("apply")
    assert "ipPhone" not in world.ours("agent001")
    assert "otherIpPhone" not in world.ours("agent002"), "no address of RFC 3261 can be made of it"
    assert SEAT not in world.ours("agent003"), "somebody else has it"
    assert world.ours("agent019") == written(19)
    assert world.plan("--fail-on-changes")["changes"] == []


class Listening(LdapProxy):
    """Notes what kinds of requests pass."""

    def __init__(self, host: str) -> None:
        self.kinds: set[int] = set()
        super().__init__(389, host=host)

    def _request(self, frame: Frame) -> bytes:
        self.kinds.add(frame.tag)
        return super()._request(frame)


def test_until_an_apply_nothing_but_reading_is_sent(tmp_path: Path) -> None:
    """Also where there is a change to check that the server would refuse: one that is refused leaves no trace."""
    (tmp_path / "job").mkdir()
    people = [person(f"agent{number:03}", "userAccountControl: 544") for number in range(1, 4)]
    agents = tenant([agent(1), agent(2, sipAccount="x" * 70), agent(9)])
    with (
        Samba.start(tmp_path / "server", people, options=["ldap server require strong auth = no"]) as server,
        Simulator(agents, ssl_context=server_context()) as cec,
        Listening(server.host) as proxy,
    ):
        world = Domain(tmp_path / "job", server, cec, "active-directory")
        world.job(directory={"urls": [proxy.url], "allow_plaintext": True})
        world.run("check")
        assert {"value", "unmatched"} <= {problem["kind"] for problem in world.plan()["problems"]}
        assert proxy.kinds <= {BIND, UNBIND, SEARCH, COMPARE, ABANDON}
        assert SEARCH in proxy.kinds
        world.run("apply")
        assert MODIFY in proxy.kinds


def test_an_explanation_names_who_is_disabled_and_who_is_nearly_meant(world: Domain) -> None:
    said = world.run("explain", "agent020").out
    assert f"outside of base and filter: CN=agent020,{PEOPLE}" in said
    misspelt = [agent(28, accountCode="agent 025"), agent(29, accountCode="agent 007")]
    world.cec.document = tenant([*(agent(number) for number in range(1, 21)), *misspelt])
    planned = {each["agent"]["accountCode"]: each.get("near") for each in world.plan()["problems"]}
    for name in ("agent 025", "agent 007", "agent020"):
        (explained,) = json.loads(world.run("explain", name, "--json").out)["agents"]
        assert explained["problems"][0].get("near") == planned[name], "another agent's user is not meant"
    assert [each["user"] for each in planned["agent 025"]] == [f"CN=agent025,{PEOPLE}"]
    assert planned["agent 007"] is None


RACES: Mapping[str, tuple[list[str], str, str, list[str]]] = {
    # who: what is there before, what the second writer does, and what is there in the end
    "agent001": (["ipPhone: 1"], "replace: ipPhone\nipPhone: 5", "ipPhone", ["5"]),
    "agent002": (["ipPhone: 1"], "delete: ipPhone", "ipPhone", []),
    "agent003": ([], "add: ipPhone\nipPhone: 5", "ipPhone", ["5"]),
    "agent004": ([f"{SEAT}: 1"], f"replace: {SEAT}\n{SEAT}: 5", SEAT, ["5"]),
}


def test_a_lost_race_is_a_conflict_and_never_an_overwrite(tmp_path: Path) -> None:
    """A second writer changes each entry after it was read for the last time, and before its modify arrives."""
    (tmp_path / "job").mkdir()
    before = {name: lines for name, (lines, *_) in RACES.items()}
    names = [f"agent{number:03}" for number in range(1, 7)]
    people = [person(name, "userAccountControl: 544", *before.get(name, [])) for name in names]
    raced = []
    with (
        Samba.start(tmp_path / "server", people, options=["ldap server require strong auth = no"]) as server,
        Simulator(tenant([agent(number) for number in range(1, 7)]), ssl_context=server_context()) as cec,
    ):

        def second(address: str, message: bytes) -> bytes:
            name = server.named(address)
            who = name[3:].partition(",")[0]
            if who in RACES:
                server.modify(f"dn: {name}\nchangetype: modify\n{RACES[who][1]}\n")
                raced.append(who)
            return message

        world = Domain(tmp_path / "job", server, cec, "active-directory")
        with LdapProxy(389, second, host=server.host) as proxy:
            world.job(directory={"urls": [proxy.url], "allow_plaintext": True})
            world.run("apply", "--report", "applied.json", code=4)
        assert sorted(raced) == sorted(RACES)
        outcomes = json.loads((world.folder / "applied.json").read_text())["outcomes"]
        became = {each["user"][3:].partition(",")[0]: each["outcome"] for each in outcomes}
        assert became == {name: "conflict" if name in RACES else "written" for name in names}
        for name, (_, _, attribute, left) in RACES.items():
            assert world.ours(name).get(attribute, []) == left
            assert "otherIpPhone" not in world.ours(name), "a part of a lost change was written"
