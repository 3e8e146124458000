"""Who may be cleared: whoever is nobody's for sure, in a run about everybody, and of what we wrote there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, assume, event, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.errors import UsageError
from connector.matching.people import AgentPin, ExcludeList
from connector.model import (
    Agent,
    Change,
    Description,
    InvalidRecord,
    Key,
    Outcome,
    Plan,
    Result,
    Secret,
    Tenant,
    User,
    UserRef,
)
from connector.model.limits import Limit, Limits
from connector.model.mapping import AttributeRule, Grace, MatchRule
from connector.model.templates import Template
from tests.support.examples import examples
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, SEATS, World, busy_tenants, busy_worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=examples(40))


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def plan(world: World) -> Plan:
    with world.context() as context:
        return dry_run(context, quiet).plan


def apply(world: World, only: Collection[str] = ()) -> FinishedRun:
    with world.context() as context:
        return apply_run(context, quiet, only)


def cleared(drawn: Plan) -> set[str]:
    """The users whose values the plan takes away since they are nobody's."""
    return {change.user.id for change in drawn.changes if change.agent is None}


def told_of_the_stale(drawn: Plan) -> list[str]:
    return [f"{problem.users} {problem.why}" for problem in drawn.problems if problem.kind == "stale"]


class Veiled(MemoryDirectory):
    """Some users do not show some of their attributes, and the directory says that this may be so."""

    veil: Collection[tuple[str, str]] = ()

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, reading=replace(described.reading, hides=True))

    def _veiled(self, users: Iterable[User]) -> Iterator[User]:
        for user in users:
            shown = {name: held for name, held in user.values.items() if (user.id, name) not in self.veil}
            yield replace(user, values=shown)

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        return self._veiled(super().scan(holding))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        return self._veiled(super().find(keys))

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        return self._veiled(super().read(users, disabled=disabled))


BY_MAIL = MatchRule(Template.parse("{accountCode}@example.org"), "mail")


@st.composite
def worlds_that_are_left(draw: st.DrawFn) -> World:
    """An apply has written to users, who are found by uid or else by mail; then some of their agents leave."""
    world = draw(busy_worlds(hidden=False))
    count = len(world.store.entries)
    for id_, (name, held) in world.store.snapshot().items():
        box = draw(st.sampled_from([None, *range(count)]))
        uid = held["uid"] if draw(st.integers(0, 3)) else ()
        world.store.put(id_, name, {**held, "uid": uid, "mail": [] if box is None else [f"u{box}@example.org"]})
    world.mapping = replace(SEATS, match=(*SEATS.match, BY_MAIL))
    apply(world)
    stay = [agent for agent in world.tenant.agents if draw(st.booleans())]
    world.tenant = Tenant([*stay, Agent(99, "u99", "99")])
    return world


@law
@given(worlds_that_are_left(), st.data(), st.booleans())
def test_nobody_is_cleared_who_would_not_be_if_everything_were_shown(
    world: World, data: st.DataObject, everybody: bool
) -> None:
    """Rights change between two runs, for an attribute of everybody's or for some users' alone."""
    sure = cleared(plan(world))
    attributes = st.sampled_from(["uid", "mail", *(rule.name for rule in world.mapping.attributes)])
    if everybody:
        world.store.hidden = frozenset(
            map(world.store.schema.attribute_key, data.draw(st.lists(attributes, max_size=2)))
        )
    else:
        users = st.sampled_from(sorted(world.store.entries))
        veil = data.draw(st.lists(st.tuples(users, attributes), max_size=3))

        def veiled(view: object) -> Veiled:
            directory = Veiled(world.store, world.mapping.view(), base=BASE, filter=FILTER)
            directory.veil = veil
            return directory

        world.connect = veiled
    found = cleared(plan(world))
    event("some are cleared" if found else "nobody is cleared")
    assert found <= sure


def leavers(count: int = 4) -> World:
    """Users who were all written to, by their uid or, where nobody has that, by their mail; the last two have left."""
    entries = {
        f"id-{n}": (
            f"cn=Entry {n},{BASE}",
            {"objectClass": ["inetOrgPerson"], "uid": [f"u{n}"], "mail": [f"u{n}@example.org"]},
        )
        for n in range(count)
    }
    mapping = replace(SEATS, match=(*SEATS.match, BY_MAIL))
    world = World(Tenant([Agent(n, f"u{n}", str(n)) for n in range(count)]), MemoryStore(entries), mapping)
    assert len(apply(world).plan.changes) == count
    world.tenant = Tenant(world.tenant.agents[:-2])
    assert cleared(plan(world)) == {f"id-{count - 2}", f"id-{count - 1}"}
    return world


@pytest.mark.parametrize("hidden", [("uid",), ("mail",), ("uid", "mail")])
def test_where_an_attribute_of_a_match_rule_is_hidden_from_us_nobody_is_cleared_and_that_is_told(
    hidden: tuple[str, ...],
) -> None:
    world = leavers()
    world.store.hidden = frozenset(hidden)
    drawn = plan(world)
    assert not cleared(drawn)
    told = [line for line in told_of_the_stale(drawn) if "not cleared" in line]
    if "uid" in hidden:  # by which agents were looked up
        (caution,) = drawn.cautions
        assert caution.startswith(f"stale users are kept: no user shows a value of {' and '.join(sorted(hidden))}, ")
        assert not told
    else:
        assert told == [f"('cn=Entry {n},{BASE}',) not cleared: it shows no mail, so an agent may still match it"
                        for n in (2, 3)]  # fmt: skip


def test_who_alone_hides_an_attribute_of_a_match_rule_is_not_cleared_and_the_others_are() -> None:
    world = leavers()

    def veiled(view: object) -> Veiled:
        directory = Veiled(world.store, world.mapping.view(), base=BASE, filter=FILTER)
        directory.veil = [("id-2", "mail")]
        return directory

    world.connect = veiled
    assert cleared(plan(world)) == {"id-3"}


def test_who_just_has_no_value_of_an_attribute_that_may_be_read_is_cleared() -> None:
    world = leavers()
    name, held = world.store.snapshot()["id-3"]
    world.store.put("id-3", name, {attribute: values for attribute, values in held.items() if attribute != "mail"})
    assert cleared(plan(world)) == {"id-2", "id-3"}


def test_a_hidden_attribute_that_is_written_and_not_looked_at_keeps_nobody_from_being_cleared() -> None:
    world = leavers()
    world.store.hidden = frozenset({"sipidentitypassword"})
    assert cleared(plan(world)) == {"id-2", "id-3"}


PASSWORD = "SIPIdentityPassword"


def left_with_passwords() -> World:
    """The same, and all of them have got a password."""
    world = leavers()
    everybody = [Agent(n, f"u{n}", str(n), Secret(f"word-{n}")) for n in range(4)]
    world.tenant = Tenant(everybody)
    assert len(apply(world).plan.changes) == 4
    world.tenant = Tenant(everybody[:2])
    return world


def taken(drawn: Plan) -> dict[str, bool]:
    """Whose password the plan takes away, and whether it was seen."""
    changes = [(change.user.id, each) for change in drawn.changes for each in change.attributes]
    return {id_: each.seen for id_, each in changes if each.name == PASSWORD and not each.new}


UNSEEN = "secrets that this account cannot read are cleared from stale users, whoever wrote them"


@pytest.mark.parametrize("hidden", [True, False])
def test_a_password_of_ours_is_cleared_also_where_nobody_can_tell_that_it_still_is_ours_and_that_is_said(
    hidden: bool,
) -> None:
    world = left_with_passwords()
    world.store.hidden = frozenset({PASSWORD.lower()}) if hidden else frozenset()
    drawn = plan(world)
    assert taken(drawn) == {"id-2": not hidden, "id-3": not hidden}
    assert (UNSEEN in drawn.cautions) is hidden
    apply(world)
    world.store.hidden = frozenset()
    assert [PASSWORD in held for _, held in world.store.snapshot().values()] == [True, True, False, False]
    assert taken(plan(world)) == {}


def test_a_password_that_somebody_has_changed_since_is_kept_where_it_is_shown_and_that_is_told() -> None:
    world = left_with_passwords()
    name, held = world.store.snapshot()["id-3"]
    world.store.put("id-3", name, {**held, PASSWORD: [b"by hand"], "SIPIdentityUserName": ["by hand"]})
    drawn = plan(world)
    assert taken(drawn) == {"id-2": True}
    why = "changed by somebody since this job wrote it; kept"
    told = {(problem.users, problem.attribute) for problem in drawn.problems if problem.why == why}
    assert told == {((name,), PASSWORD), ((name,), "SIPIdentityUserName")}


@law
@given(worlds_that_are_left(), st.data())
def test_a_run_for_some_agents_clears_nobody_and_counts_no_run_for_who_is_stale(
    world: World, data: st.DataObject
) -> None:
    world.mapping = replace(world.mapping, stale=data.draw(st.sampled_from(["clear", Grace(2, "runs")])))
    before = told_of_the_stale(plan(world))
    event("some are stale" if before else "nobody is stale")
    agent = data.draw(st.sampled_from(world.tenant.agents))
    only = data.draw(st.sampled_from([agent.account_code or str(agent.work_no), str(agent.work_no)]))
    for _ in range(2):
        run = apply(world, [only])
        assert not cleared(run.plan)
        assert {str(change.agent.work_no) for change in run.plan.changes if change.agent} <= {
            str(one.work_no) for one in world.tenant.agents if only in (one.account_code, str(one.work_no))
        }
    assert told_of_the_stale(plan(world)) == before


def test_an_agent_is_named_by_its_account_or_by_its_seat() -> None:
    world = leavers()
    world.tenant = Tenant([Agent(n + 10, f"u{n}", str(n)) for n in range(4)])
    for only in (["u1"], ["11"], ["u1", "11"]):
        with world.context() as context:
            drawn = dry_run(context, quiet, only).plan
        assert [change.user.id for change in drawn.changes] == ["id-1"]
        assert (drawn.summary.matched, drawn.summary.update, drawn.summary.unchanged) == (4, 1, 0)
        assert f"limited to {', '.join(sorted(only))} (--only): changes of 3 other users" in drawn.cautions[-1]
    with world.context() as context, pytest.raises(UsageError, match="no agent with accountCode or workNo 'u9'"):
        dry_run(context, quiet, ["u1", "u9"])


def test_who_is_stale_is_counted_by_runs_about_everybody_alone() -> None:
    world = leavers()
    world.mapping = replace(world.mapping, stale=Grace(2, "runs"))
    for only in ((), ["u0"], ["1"], ()):
        run = apply(world, only)
        assert not run.refused
        assert not cleared(run.plan)
    assert cleared(apply(world).plan) == {"id-2", "id-3"}


def test_runs_that_could_not_look_for_everybody_count_for_nobody() -> None:
    world = leavers()
    world.mapping = replace(world.mapping, stale=Grace(1, "runs"))
    world.tenant = replace(world.tenant, invalid=[InvalidRecord(9, "workNo is a list")])
    for _ in range(3):
        assert not cleared(apply(world).plan)
    world.tenant = replace(world.tenant, invalid=[])
    assert not cleared(apply(world).plan), "the first that is sure of it"
    assert cleared(apply(world).plan) == {"id-2", "id-3"}


def test_an_agent_without_a_value_for_every_match_rule_may_be_anybody() -> None:
    """It is looked for by its account alone; by its SIP number it might be one of those who seem to be nobody's."""
    world = leavers()
    by_number = MatchRule(Template.parse("{sipAccount}"), "employeeNumber")
    world.mapping = replace(world.mapping, match=(*SEATS.match, by_number))
    for id_, (name, held) in world.store.snapshot().items():
        world.store.put(id_, name, {**held, "employeeNumber": [f"7{id_[-1]}"]})
    assert cleared(plan(world)) == {"id-2", "id-3"}
    world.tenant = Tenant([*world.tenant.agents, Agent(99, "somebody")])
    drawn = plan(world)
    assert not cleared(drawn)
    assert [line for line in told_of_the_stale(drawn) if "no value for the match rule of employeeNumber" in line]
    name, held = world.store.snapshot()["id-3"]
    world.store.put(
        "id-3", name, {attribute: some for attribute, some in held.items() if attribute != "employeeNumber"}
    )
    assert cleared(plan(world)) == {"id-3"}, "it holds no number by which somebody might have it"
    world.store.put("id-3", name, held)
    world.tenant = Tenant([*world.tenant.agents[:-1], Agent(99, "somebody", "99")])
    assert cleared(plan(world)) == {"id-2", "id-3"}


def test_of_records_that_share_what_no_rule_looks_at_none_is_mistaken_for_somebody_else() -> None:
    """Two free seats of one number have no users; and where accounts are looked up, a seat does not matter."""
    world = leavers()
    agents = world.tenant.agents
    for twins in ([Agent(99), Agent(99)], [Agent(0), Agent(99)], [replace(agents[0], account_code="u3")]):
        world.tenant = Tenant([*agents, *twins])
        drawn = plan(world)
        assert cleared(drawn) == {"id-2", "id-3"} - {
            f"id-{twin.account_code[1:]}" for twin in twins if twin.account_code
        }
        assert drawn.summary.contested == 2
        assert not drawn.cautions


def test_where_records_or_pins_contradict_each_other_nobody_is_cleared() -> None:
    """One of them is mistaken for somebody else, whose own user nobody claims then."""
    world = leavers()
    agents = world.tenant.agents
    assert cleared(plan(world)) == {"id-2", "id-3"}
    world.tenant = Tenant([*agents, replace(agents[0], work_no=99)])
    drawn = plan(world)
    assert (cleared(drawn), drawn.summary.contested) == (set(), 2)
    assert len([line for line in told_of_the_stale(drawn) if "shares one with another record" in line]) == 2
    world.tenant = Tenant([*agents, replace(agents[0], account_code="u3")])
    world.pins = (AgentPin(None, 99, user="id-2"),)
    drawn = plan(world)
    assert (cleared(drawn), drawn.summary.contested) == (set(), 2), "its own seat may be that of the pin"
    assert any("pins that contradict each other or the records" in caution for caution in drawn.cautions)
    world.pins = ()
    world.tenant = Tenant([*agents, Agent(99, "u2")])
    assert cleared(plan(world)) == {"id-3"}
    world.pins = (AgentPin("u2", None, user="id-0"),)
    drawn = plan(world)
    assert (cleared(drawn), drawn.summary.contested) == (set(), 2)


def test_a_run_for_some_agents_has_read_the_whole_tenant() -> None:
    """A drop of agents is measured against all that it read, not against those that it was for."""
    world = leavers(10)
    world.limits = Limits(Limit(100, percent=True), Limit(100), None, Limit(25, percent=True))
    apply(world, ["u0"])
    world.tenant = Tenant(world.tenant.agents[:6])
    assert [(refusal.limit, refusal.planned) for refusal in plan(world).refusals] == []
    world.tenant = Tenant(world.tenant.agents[:5])
    assert [(refusal.limit, refusal.planned) for refusal in plan(world).refusals] == [("agents_drop", 3)]


def test_who_is_named_on_the_exclude_list_is_stale_and_not_cleared() -> None:
    world = leavers()
    world.exclude = ExcludeList(users=frozenset({"ID-3"}))
    drawn = plan(world)
    assert cleared(drawn) == {"id-2"}
    assert len(told_of_the_stale(drawn)) == drawn.summary.stale == 2
    assert [each.users for each in drawn.problems if each.kind == "exclude"] == [(f"cn=Entry 3,{BASE}",)]


def test_what_the_mapping_no_longer_writes_is_told_and_not_cleared() -> None:
    world = leavers()
    world.mapping = replace(world.mapping, attributes=(AttributeRule("mobile", Template.parse("{workNo}"), owns="*"),))
    drawn = plan(world)
    assert not cleared(drawn)
    assert all("The mapping no longer writes " in each for each in told_of_the_stale(drawn))


def test_of_an_adopted_user_all_that_is_ours_is_cleared_whoever_wrote_it() -> None:
    """What it holds of an adopted attribute, and what we wrote there besides; nothing else."""
    world = leavers()
    adopt = AttributeRule("employeeNumber", Template.parse("{workNo}"), adopt=True)
    world.mapping = replace(world.mapping, attributes=(*world.mapping.attributes, adopt))
    for id_, (name, held) in world.store.snapshot().items():
        world.store.put(id_, name, {**held, "employeeNumber": ["9"]})
    name, held = world.store.snapshot()["id-0"]
    world.store.put("never-ours", f"cn=Other,{BASE}", {**held, "uid": ["other"], "mail": [], "cecWorkNo": ["77"]})
    drawn = plan(world)
    names = {change.user.id: {each.name for each in change.attributes} for change in drawn.changes
             if change.agent is None}  # fmt: skip
    ours = {"cecAccountCode", "cecWorkNo", "SIPIdentityUserName"}
    assert names == {
        "id-2": ours | {"employeeNumber"}, "id-3": ours | {"employeeNumber"}, "never-ours": {"employeeNumber"},
    }  # fmt: skip


def test_who_holds_nothing_that_the_pattern_of_an_adopted_attribute_says_is_ours_is_not_stale() -> None:
    """A line of theirs in the same attribute makes nobody ours; nor is it taken along with one of ours."""
    rule = AttributeRule("telephoneNumber", Template.parse("7{workNo}"), owns="7*", adopt=True)
    people = {"ours": ["71"], "theirs": ["81"], "both": ["72", "82"], "none": []}
    store = MemoryStore(
        {
            name: (f"cn={name},{BASE}", {"objectClass": ["inetOrgPerson"], "uid": [name], "telephoneNumber": lines})
            for name, lines in people.items()
        }
    )
    world = World(Tenant([Agent(9, "none")]), store, replace(SEATS, attributes=(rule,)))
    drawn = plan(world)
    assert cleared(drawn) == {"ours", "both"}
    assert drawn.summary.stale == len(told_of_the_stale(drawn)) == 2
    apply(world)
    held = {id_: values.get("telephoneNumber") for id_, (_, values) in store.snapshot().items()}
    assert held == {"ours": None, "theirs": ("81",), "both": ("82",), "none": ("79",)}


BY_ACCOUNT = MatchRule(Template.parse("{accountCode}"), "uid")
BY_SEAT = MatchRule(Template.parse("{workNo}"), "employeeNumber")
BY_NUMBER = MatchRule(Template.parse("{sipAccount}"), "mail")
KEYS = {"uid": "account_code", "employeeNumber": "work_no", "mail": "sip_account"}


def claimed_by(agents: Iterable[Agent], rules: Iterable[MatchRule], store: MemoryStore) -> set[str]:
    """Whom these agents have, all that there is being known: each by its first rule that finds anybody."""
    held = {id_: values for id_, (_, values) in store.snapshot().items()}
    found: set[str] = set()
    for agent in agents:
        for rule in rules:
            key = str(getattr(agent, KEYS[rule.directory]))
            users = {id_ for id_, values in held.items() if key in values.get(rule.directory, ())}
            if users:
                found |= users
                break
    return found


@st.composite
def worlds_in_doubt(draw: st.DrawFn) -> tuple[World, list[Agent]]:
    """Users were written; some of their agents left, and of those that stay the source tells some fields wrongly.

    A wrong seat or account is that of another, honest record. A number that is not told is no number. Free seats come
    twice. With the agents as they are in truth.
    """
    count = draw(st.integers(3, 6))
    entries: dict[str, tuple[str, dict[str, list[str]]]] = {}
    for n in range(count):
        keys = {"uid": f"u{n}", "employeeNumber": str(n), "mail": f"7{n}"}
        shown = draw(st.lists(st.sampled_from(sorted(keys)), min_size=1, unique=True))
        values = {name: [keys[name]] for name in shown}
        entries[f"id-{n}"] = (f"cn=Entry {n},{BASE}", {"objectClass": ["inetOrgPerson"], **values})
    first = draw(st.sampled_from([(BY_ACCOUNT,), (BY_ACCOUNT, BY_SEAT), (BY_SEAT, BY_ACCOUNT)]))
    mapping = replace(SEATS, match=(*first, BY_NUMBER))
    everybody = [Agent(n, f"u{n}", f"7{n}") for n in range(count)]
    world = World(Tenant(everybody), MemoryStore(entries), mapping)
    apply(world)
    truth = [agent for agent in everybody if draw(st.booleans())] or everybody[:1]
    honest = [agent for agent in truth if draw(st.booleans())] or truth[:1]
    told = list(honest)
    for agent in (each for each in truth if each not in honest):
        field = draw(st.sampled_from(["work_no", "account_code", "sip_account"]))
        wrong = None if field == "sip_account" else getattr(draw(st.sampled_from(honest)), field)
        told.append(replace(agent, **{field: wrong}))
    seats = draw(st.lists(st.sampled_from([Agent(90), Agent(90), Agent(truth[0].work_no)]), max_size=2))
    world.tenant = Tenant([*told, *seats])
    hidden = draw(st.sampled_from([(), (), ("mail",), ("uid",), ("mail", "employeeNumber")]))
    world.store.hidden = frozenset(map(world.store.schema.attribute_key, hidden))
    world.store.veiled = draw(st.none() | st.sets(st.sampled_from(sorted(entries))))
    world.store.compares = draw(st.booleans())
    world.store.mute = draw(st.sets(st.sampled_from(sorted(entries)), max_size=1))
    return world, truth


@settings(law, max_examples=examples(150))
@given(worlds_in_doubt())
def test_nobody_is_cleared_whom_an_agent_has_in_truth(doubt: tuple[World, list[Agent]]) -> None:
    """Whatever of an agent is told wrongly together with another record, not told, or hidden on the user."""
    world, truth = doubt
    found = cleared(plan(world))
    event("some are cleared" if found else "nobody is cleared")
    event(f"hidden: {bool(world.store.hidden)}; some are cleared: {bool(found)}")
    assert found.isdisjoint(claimed_by(truth, world.mapping.match, world.store))


@law
@given(worlds_that_are_left(), st.data())
def test_what_was_cleared_and_is_back_is_named_and_never_cleared_again(world: World, data: st.DataObject) -> None:
    """Whoever was cleared gets everything back, or what somebody else has made of it, perhaps on purpose."""
    before = world.store.snapshot()
    users = cleared(apply(world).plan)
    event("some were cleared" if users else "nobody was cleared")
    theirs = data.draw(st.sets(st.sampled_from(sorted(users)))) if users else set()
    for id_ in users:
        name, held = before[id_]
        world.store.put(id_, name, {**held, "SIPIdentityUserName": ["theirs"]} if id_ in theirs else held)
    for _ in range(2):
        drawn = apply(world).plan
        assert cleared(drawn).isdisjoint(users)
        named = {name for problem in drawn.problems if "and back" in problem.why for name in problem.users}
        assert {before[id_][0] for id_ in users - theirs} <= named <= {before[id_][0] for id_ in users}


class Unreliable(MemoryDirectory):
    """Writes of some users do not happen, each for a reason; `log` is what did happen, by user and attribute."""

    fate: dict[str, Result]
    log: set[tuple[str, str]]

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            result = self.fate.get(change.user.id, Result.WRITTEN)
            if result is not Result.WRITTEN:
                yield Outcome(change.user, result, "not this one")
                continue
            for outcome in super().write([change]):
                if outcome.result is Result.WRITTEN:
                    self.log |= {(change.user.id, each.name) for each in change.attributes}
                yield outcome


@law
@given(busy_worlds(hidden=False), st.data())
def test_nothing_is_cleared_that_no_write_of_ours_has_put_there(world: World, data: st.DataObject) -> None:
    """What we could not write somebody else writes, to the letter; it is theirs."""
    results = st.sampled_from([Result.FAILED, Result.CONFLICT, Result.UNCHANGED, Result.SKIPPED, Result.WRITTEN])
    count = len(world.store.entries)
    log: set[tuple[str, str]] = set()
    fate: dict[str, Result] = {}

    def unreliable(view: object) -> Unreliable:
        directory = Unreliable(world.store, world.mapping.view(), base=BASE, filter=FILTER)
        directory.fate, directory.log = fate, log
        return directory

    world.connect = unreliable
    for _ in range(2):
        fate |= data.draw(st.dictionaries(st.sampled_from(sorted(world.store.entries)), results))
        run = apply(world)
        somebody = MemoryDirectory(world.store, world.mapping.view(), base=BASE, filter=FILTER)
        done = {outcome.user.id for outcome in run.outcomes or () if outcome.result is Result.WRITTEN}
        list(somebody.write([change for change in run.plan.changes if change.user.id not in done]))
        world.tenant = data.draw(busy_tenants(count))
    assume(world.tenant.agents)
    drawn = plan(world)
    takes = {(change.user.id, each.name) for change in drawn.changes if change.agent is None
             for each in change.attributes}  # fmt: skip
    event("something is cleared" if takes else "nothing is cleared")
    assert takes <= log


PASSWORD = "SIPIdentityPassword"


def left_with_a_password(*, hidden: bool) -> World:
    """A user with a password that was written by the job, and whose agent has left."""
    classes = ["inetOrgPerson", "cecAgent", "SIPIdentity"]
    entries = {f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": classes, "uid": [f"u{n}"]}) for n in range(2)}
    store = MemoryStore(entries, hidden=[PASSWORD] if hidden else [], compares=False)
    agents = [Agent(n, f"u{n}", str(n), Secret(f"canary-{n}")) for n in range(2)]
    world = World(Tenant(agents), store, SEATS)
    assert len(apply(world).plan.changes) == 2
    world.tenant = Tenant(agents[:1])
    return world


@pytest.mark.parametrize("hidden", [True, False])
def test_a_secret_of_ours_is_cleared_with_its_user_and_it_is_said_where_nobody_can_read_it(hidden: bool) -> None:
    world = left_with_a_password(hidden=hidden)
    drawn = plan(world)
    assert cleared(drawn) == {"id-1"}
    assert any("secrets that this account cannot read" in caution for caution in drawn.cautions) == hidden
    apply(world)
    assert PASSWORD not in world.store.snapshot()["id-1"][1]


def test_a_secret_that_somebody_else_has_set_since_stays() -> None:
    world = left_with_a_password(hidden=False)
    name, held = world.store.snapshot()["id-1"]
    world.store.put("id-1", name, {**held, PASSWORD: [b"theirs"]})
    apply(world)
    assert world.store.snapshot()["id-1"][1][PASSWORD] == (b"theirs",)
    assert "cecWorkNo" not in world.store.snapshot()["id-1"][1]
