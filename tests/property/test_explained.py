"""Explanations by example: who is told about, who is near, and who is found past base and filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.sync import apply_run, make_plan
from connector.directories.port import Reader
from connector.errors import UsageError
from connector.explain.explainer import explain_name
from connector.matching.people import AgentPin
from connector.model import (
    ID,
    UNKNOWN_SECRET,
    Agent,
    AgentRef,
    AttributeInfo,
    Equality,
    InvalidRecord,
    Key,
    Secret,
    Tenant,
    User,
    View,
)
from connector.model.equality import are_alike
from connector.model.mapping import MatchRule
from connector.model.templates import Template
from connector.planning.explanation import Explanation
from connector.planning.unseen import PROBES
from tests.support.memory import Closed, MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, SEATS, World

AWAY = "ou=elsewhere,dc=example,dc=org"


def world(*accounts: str, users: Iterable[str] = (), away: Iterable[str] = ()) -> World:
    """Agents of these accounts, and users within reach and elsewhere."""
    people = [("id", uid, BASE) for uid in users] + [("far", uid, AWAY) for uid in away]
    store = MemoryStore(
        {
            f"{place}-{uid}": (f"uid={uid},{base}", {"objectClass": ["inetOrgPerson"], "uid": [uid], "cn": [uid]})
            for place, uid, base in people
        }
    )
    return World(Tenant([Agent(number, account) for number, account in enumerate(accounts)]), store, SEATS)


def explained(of: World, name: str, beyond: Reader | None = None) -> list[Explanation]:
    with of.context() as context:
        return list(
            explain_name(replace(context, beyond=None if beyond is None else lambda: beyond), name).explanations
        )


def one(of: World, name: str, beyond: Reader | None = None) -> Explanation:
    (found,) = explained(of, name, beyond)
    return found


def everywhere(of: World) -> MemoryDirectory:
    return MemoryDirectory(of.store, of.mapping.view())


def test_who_holds_the_value_past_base_and_filter_is_named_where_nobody_within_does() -> None:
    of = world("ann", "bob", users=["bob"], away=["ann", "bob"])
    (rule,) = one(of, "ann", everywhere(of)).rules
    assert (rule.outcome, rule.outside) == ("found nobody", (f"uid=ann,{AWAY}",))
    (rule,) = one(of, "bob", everywhere(of)).rules
    assert (rule.outcome, rule.outside) == ("found", ())
    (rule,) = one(of, "ann").rules
    assert rule.outside == (), "without a look past them"


class All(MemoryDirectory):
    """Answers each look-up with everybody, as a directory may that is read whole for it."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        return self.scan()


def test_of_those_past_base_and_filter_each_is_named_that_holds_the_value_in_their_order() -> None:
    of = world("ann", away=["bob", "ann"])
    for place in "dcba":
        of.store.put(place, f"uid=ann,ou={place}", {"objectClass": ["inetOrgPerson"], "uid": ["ann"], "cn": ["ann"]})
    of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{sipAccount}"), "mail")))
    for beyond in (All(of.store, of.mapping.view()), everywhere(of)):
        number, mail = one(of, "ann", beyond).rules
        assert number.outside == (*(f"uid=ann,ou={place}" for place in "abcd"), f"uid=ann,{AWAY}")
        assert mail.outside == (), "a rule that gives no value looks for nobody"


def test_where_nobody_may_look_past_base_and_filter_all_else_is_explained() -> None:
    of = world("ann", away=["ann"])
    closed = Closed(of.store, of.mapping.view())
    assert one(of, "ann", closed) == one(of, "ann")


def test_whom_another_agent_claims_is_near_nobody() -> None:
    """However many of those who are nearest are claimed."""
    name = "abcdefghijklmnopqrstuvwxyz"
    spaced = [f"{name[:place]} {name[place:]}" for place in range(1, len(name))]
    for taken in (12, 20):
        of = world(name, *spaced[:taken], users=spaced)
        assert len(one(of, name).problems[0].near) == 5
    of = world(name, *spaced[:7], users=spaced[:10])
    (problem,) = one(of, name).problems
    assert [near.user for near in problem.near] == [f"uid={uid},{BASE}" for uid in spaced[7:10]]
    with of.context() as context:
        (planned,) = make_plan(context).plan.problems
    assert problem == planned


def test_every_record_of_that_name_is_explained_those_that_cannot_be_read_too() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    unread = [InvalidRecord(7, "workNo is a list", None, "ann"), InvalidRecord(8, "sipAccount is a list", 0, "x")]
    of.tenant = Tenant([*of.tenant.agents, Agent(9, "ann"), Agent(1)], invalid=unread)
    of.mapping = replace(of.mapping, stale="report")

    def told(name: str) -> list[tuple[int | AgentRef | None, str]]:
        return [(each.agent and each.agent.work_no, each.verdict) for each in explained(of, name)]

    assert told("ann") == [(0, "contested"), (9, "contested"), (None, "invalid")]
    assert told("0") == [(0, "contested"), (0, "invalid")]
    assert told("1") == [(1, "contested"), (1, "contested")], "a seat with two records"
    assert told("x") == [(0, "invalid")]
    assert explained(of, "x")[0].why == "record 8: sipAccount is a list"


def as_planned(of: World) -> dict[str, Explanation]:
    """Every agent explained by its account, each held to the plan."""
    with of.context() as context:
        drawn = make_plan(context).plan
    found = {}
    for agent in of.tenant.agents:
        explained_ = one(of, str(agent.work_no))
        ref = explained_.agent
        assert explained_.change == next((each for each in drawn.changes if each.agent == ref), None)
        assert explained_.change is None or explained_.change.user == explained_.user
        assert {each for each in explained_.problems if each.agent == ref} == {
            each for each in drawn.problems if each.agent == ref
        }
        found[agent.account_code or ""] = explained_
    return found


def seated(of: World, **seats: str) -> World:
    """Users by account on seats, whoever put them there."""
    for entry in of.store.entries.values():
        (uid,) = entry.values["uid"]
        seat = seats.get(uid.decode())
        entry.values.update(
            {"objectclass": [b"inetOrgPerson", b"cecAgent"], "cecworkno": [seat.encode()]} if seat else {}
        )
    return of


def left_behind() -> World:
    """Ann and bob are to have seats 0 and 1; cid and dan, who are nobody's now, sit there by an earlier run."""
    of = world("cid", "dan", "ann", "bob", users=["ann", "bob", "cid", "dan"])
    of.tenant = Tenant([Agent(0, "cid"), Agent(1, "dan")])
    with of.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    of.tenant = Tenant([Agent(0, "ann"), Agent(1, "bob")])
    return of


def test_a_value_that_is_nobodys_any_more_comes_free_in_an_explanation_as_in_the_plan() -> None:
    found = as_planned(left_behind())
    assert found["ann"].change is not None
    assert found["ann"].change.after == {"id-cid"}
    assert found["ann"].problems == (), "what becomes of cid and dan is no problem of ann's"
    assert found["bob"].change is not None
    assert found["bob"].change.after == {"id-dan"}


def hold_numbers(of: World, *people: str) -> None:
    """These users hold a number by which an agent without one may have them."""
    for number, name in enumerate(people):
        of.store.entries[f"id-{name}"].values["mail"] = [f"9{number}".encode()]


@pytest.mark.parametrize("account", [None, "stranger"])
def test_it_stays_where_somebody_could_not_be_looked_for_and_where_nothing_is_cleared(account: str | None) -> None:
    of = left_behind()
    if account is None:
        of.mapping = replace(of.mapping, stale="report")
    else:
        of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{sipAccount}"), "mail")))
        lines = [replace(agent, sip_account="7") for agent in of.tenant.agents]
        of.tenant = Tenant([*lines, Agent(9, account)])
        hold_numbers(of, "cid", "dan")
    found = as_planned(of)
    for explained_ in (found["ann"], found["bob"]):
        assert any(each.kind == "reassigned" for each in explained_.problems)


def test_it_stays_where_this_very_agent_may_be_somebody_else() -> None:
    """Whoever is explained lacks a value of a rule, and so may have the user whose value it waits for."""
    of = left_behind()
    of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{sipAccount}"), "mail")))
    of.tenant = Tenant([Agent(0, "ann", "7"), Agent(1, "zoe")])
    hold_numbers(of, "cid", "dan")
    found = as_planned(of)
    assert any(each.kind == "reassigned" for each in found["ann"].problems)


@pytest.mark.parametrize("double", [True, False])
def test_an_agent_that_has_a_user_keeps_nothing_from_coming_free_and_two_of_one_account_do(*, double: bool) -> None:
    """An agent that lacks the value of a rule may have a user. Of two records of one account one is somebody else."""
    others = [Agent(9, "dup", None), Agent(10, "dup", None)] if double else [Agent(9, "eve")]
    of = left_behind()
    of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{sipAccount}"), "mail")))
    of.store.put("id-eve", f"uid=eve,{BASE}", {"objectClass": ["inetOrgPerson"], "uid": ["eve"], "cn": ["eve"]})
    for name, box in (("ann", "7"), ("eve", "8"), ("cid", "9")):
        of.store.entries[f"id-{name}"].values["mail"] = [box.encode()]
    of.tenant = Tenant([*(replace(agent, sip_account="7") for agent in of.tenant.agents[:1]), *others])
    found = as_planned(of)["ann"]
    if double:
        assert any(each.kind == "reassigned" for each in found.problems)
    else:
        assert found.change is not None
        assert found.change.after == {"id-cid"}


def test_a_sample_of_users_tells_whether_an_attribute_is_hidden_as_in_the_plan() -> None:
    """The first of those that have an account; one whose user holds nothing there shows that some do not hide it."""
    without, count = 25, 30
    of = world(*(f"u{n}" for n in range(count)), users=[f"u{n}" for n in range(without, count)])
    of.mapping = replace(of.mapping, attributes=of.mapping.attributes[:2])
    of.tenant = Tenant([*(Agent(1000 + n) for n in range(3 * PROBES)), *of.tenant.agents])
    last = f"u{count - 1}"
    of.store.hidden, of.store.mute = frozenset({"cecworkno"}), {f"id-{last}"}
    (told,) = (each for each in one(of, last).problems if each.attribute == "cecWorkNo")
    with of.context() as context:
        assert told in make_plan(context).plan.problems
    assert told.users == (f"uid={last},{BASE}",)


def test_an_ambiguous_agent_is_told_as_the_plan_has_it() -> None:
    of = world("ann", users=["anna", "anne", "annx"])
    of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{accountCode}@x"), "mail")))
    for name in ("anna", "anne"):
        of.store.entries[f"id-{name}"].values["mail"] = [b"ann@x"]
    found = as_planned(of)["ann"]
    assert (found.verdict, [each.near for each in found.problems]) == ("ambiguous", [()])


def test_an_agent_who_was_looked_for_whole_and_has_no_user_keeps_nothing_from_coming_free() -> None:
    of = left_behind()
    of.tenant = Tenant([*of.tenant.agents, Agent(9, "stranger"), Agent(10)])
    found = as_planned(of)
    assert found["ann"].change is not None
    assert found["ann"].change.after == {"id-cid"}
    assert found["stranger"].verdict == "unmatched"


def test_of_an_agent_whose_user_is_in_step_there_is_nothing_to_change() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    with of.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    of.tenant = Tenant([Agent(0, "ann"), Agent(7, "bob")])
    found = as_planned(of)
    assert (found["ann"].verdict, found["ann"].change, found["ann"].problems) == ("matched", None, ())
    outcomes = {each.name: each.outcome for each in found["ann"].attributes}
    assert outcomes["cecWorkNo"] == "same"
    assert found["bob"].change is not None
    (set_,) = [each for each in found["bob"].attributes if each.name == "cecWorkNo"]
    assert (set_.outcome, set_.change and set_.change.new) == ("set", ("7",))


class Blind(MemoryDirectory):
    """Finds nobody by one attribute."""

    def __init__(self, store: MemoryStore, view: View, attribute: str, *, comparable: bool = True) -> None:
        self._attribute, self._comparable = attribute, comparable
        super().__init__(store, view, base=BASE, filter=FILTER)

    def info(self, name: str) -> AttributeInfo:
        found = super().info(name)
        return found if self._comparable or name != self._attribute else replace(found, comparable=False)

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        return super().find([key for key in keys if key[0] != self._attribute])


def test_where_look_ups_cannot_be_trusted_everybody_is_read_for_an_explanation_too() -> None:
    of = world("ann", users=["ann", "bob"])
    mail = MatchRule(Template.parse("{accountCode}@example.org"), "mail")
    of.mapping = replace(of.mapping, match=(*of.mapping.match, mail))
    of.store.entries["id-bob"].values["mail"] = [b"ann@example.org"]
    of.connect = lambda view: Blind(of.store, view, "uid")
    found = as_planned(of)["ann"]
    assert found.user is not None
    assert (found.user.id, found.why) == ("id-ann", "rule 1 found the user; no other agent claims it")


class Loose(MemoryDirectory):
    """Compares as servers may that prepare values as RFC 4518 says."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        asked = list(keys)
        found = {user.id: user for user in super().find(asked)}
        for user in self.scan():
            held = ((value, each) for name, value in asked for each in user.values.get(name, ()))
            if any(are_alike(Equality.CASE_IGNORE, [value], [each]) for value, each in held):
                found[user.id] = user
        yield from found.values()


def test_what_only_the_directory_takes_for_the_same_matches_in_an_explanation_too() -> None:
    """Whoever looks for something alike is looked for by each of its rules before it counts as a rival."""
    of = world("strasse", "Stra\u00dfe", users=["stra\u00dfe", "other"])
    number = MatchRule(Template.parse("{workNo}"), "employeeNumber")
    of.mapping = replace(of.mapping, match=(number, *of.mapping.match))
    of.connect = lambda view: Loose(of.store, view, base=BASE, filter=FILTER)
    assert {each.verdict for each in as_planned(of).values()} == {"contested"}
    of.store.entries["id-other"].values["employeenumber"] = [b"1"]
    found = as_planned(of)
    assert {name: each.user and each.user.id for name, each in found.items()} == {
        "strasse": "id-stra\u00dfe", "Stra\u00dfe": "id-other",
    }  # fmt: skip


def test_users_who_change_seats_are_explained_as_planned() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    with of.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    of.tenant = Tenant([Agent(1, "ann"), Agent(0, "bob")])
    found = as_planned(of)
    assert {name: each.change and set(each.change.after) for name, each in found.items()} == {
        "ann": {"id-bob"}, "bob": {"id-ann"},
    }  # fmt: skip


class Noting(MemoryDirectory):
    """Notes what users are looked up by."""

    def __init__(self, store: MemoryStore, view: View, asked: list[list[Key]]) -> None:
        super().__init__(store, view, base=BASE, filter=FILTER)
        self.noted = asked

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        self.noted.append(list(keys))
        return super().find(self.noted[-1])


@pytest.mark.parametrize(("left", "name"), [(False, "ann"), (False, "1"), (True, "ann"), (True, "user:id-cid")])
def test_each_key_is_looked_up_once_to_decide_and_once_to_tell(left: bool, name: str) -> None:
    """No more is looked up than decides; no look-up is without a key, and nobody is looked up who was found."""
    of = left_behind() if left else world("ann", users=["ann", "bob"])
    of.tenant = Tenant([*of.tenant.agents, Agent(1)])
    asked: list[list[Key]] = []
    of.connect = lambda view: Noting(of.store, view, asked)
    explained(of, name)
    assert all(asked)
    keys = Counter(key for some in asked for key in some)
    assert all(count <= 2 for count in keys.values())
    assert (ID, "id-ann") not in keys


def test_a_user_is_found_by_an_attribute_that_nobody_can_search_by() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    of.mapping = replace(of.mapping, match=(MatchRule(Template.parse("{accountCode}"), "facsimileTelephoneNumber"),))
    of.store.entries["id-bob"].values["facsimiletelephonenumber"] = [b"ann"]
    of.connect = lambda view: Blind(of.store, view, "facsimileTelephoneNumber", comparable=False)
    found = one(of, "ann")
    assert found.verdict == "matched"
    assert found.user is not None
    assert found.user.id == "id-bob"
    assert [(each.outcome, each.found) for each in found.rules] == [("found", (f"uid=bob,{BASE}",))]
    assert one(of, "bob").verdict == "unmatched"


def test_a_user_stands_for_the_agents_that_look_for_it() -> None:
    of = world("ann", "bob", "cid", users=["ann", "bob", "dan"])
    mail = MatchRule(Template.parse("{accountCode}@example.org"), "mail")
    of.mapping = replace(of.mapping, match=(*of.mapping.match, mail))
    of.store.entries["id-ann"].values["mail"] = [b"cid@example.org"]
    assert [each.agent and each.agent.account_code for each in explained(of, "user:id-ann")] == ["ann", "cid"]
    assert [each.agent and each.agent.account_code for each in explained(of, f"user:uid=bob,{BASE}")] == ["bob"]
    dan = one(of, "user:id-dan")
    assert (dan.agent, dan.verdict, dan.why) == (None, "untouched", "no agent looks for uid 'dan'; it shows no mail")
    with pytest.raises(UsageError, match="there is no user 'id-eve' within base and filter"):
        explained(of, "user:id-eve")


def test_a_chain_of_users_who_wait_for_each_other_is_followed_to_its_end() -> None:
    """Ann waits for bob, who waits for cid, who waits for dan, whom nobody moves."""
    seats = {"bob": "0", "cid": "1", "dan": "2"}
    of = seated(world("ann", "bob", "cid", users=["ann", "bob", "cid", "dan"]), **seats)
    found = as_planned(of)
    assert all(any(each.kind == "reassigned" for each in found[name].problems) for name in ("ann", "bob", "cid"))
    of.tenant = Tenant([*of.tenant.agents, Agent(7, "dan")])
    found = as_planned(of)
    after = {name: set(each.change.after) for name, each in found.items() if each.change is not None}
    assert after == {"ann": {"id-bob"}, "bob": {"id-cid"}, "cid": {"id-dan"}, "dan": set()}


def test_who_else_is_to_get_a_value_is_told_whoever_is_explained() -> None:
    of = world("ann", "bob", "cid", users=["ann", "bob", "cid"])
    of.tenant = Tenant([Agent(0, "ann", "70"), Agent(1, "bob", "71"), Agent(2, "cid", "70"), Agent(3, None, "70")])
    found = as_planned(of)
    for name, both in (("ann", True), ("bob", False), ("cid", True)):
        shared = [each.users for each in found[name].problems if each.kind == "shared"]
        assert shared == ([(f"uid=ann,{BASE}", f"uid=cid,{BASE}")] if both else [])


def test_two_agents_of_one_user_are_both_told_so_by_whatever_rule_each_finds_it() -> None:
    of = world("ann", "bob", "cid", users=["ann", "cid"])
    mail = MatchRule(Template.parse("{accountCode}@example.org"), "mail")
    of.mapping = replace(of.mapping, match=(*of.mapping.match, mail))
    of.store.entries["id-ann"].values["mail"] = [b"bob@example.org"]
    assert {name: each.verdict for name, each in as_planned(of).items()} == {
        "ann": "contested", "bob": "contested", "cid": "matched",
    }  # fmt: skip


def test_a_line_for_all_whose_group_is_held_back_is_told_of_these_alone() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    ann = Agent(0, "ann", "70", Secret("word"))
    of.tenant = Tenant([ann, Agent(1, "bob", "71", UNKNOWN_SECRET)], [], unknown_secrets=1)
    for written in (False, True):
        told = {name: [each.kind for each in one(of, name).problems] for name in ("ann", "bob")}
        assert told == {"ann": [], "bob": ["together"]}, written
        with of.context() as context:
            apply_run(context, lambda plan, outcomes: None)


def test_why_an_agent_matches_is_told_in_a_sentence() -> None:
    of = world("ann", "bob", users=["ann", "carl"])
    of.pins = (AgentPin("bob", user="id-carl"),)
    assert one(of, "ann").why == "rule 1 found the user; no other agent claims it"
    assert one(of, "bob").why == "a pin found the user; no other agent claims it"
    of.tenant = Tenant([*of.tenant.agents, Agent(9)])
    assert one(of, "9").why == "the seat has no account: no look-up"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Anb", "; did you mean 'Ann' or 'agentb'?"),
        ("ANN ", "; did you mean 'Ann'?"),
        ("bob", "; did you mean 'bob@one.example' or 'bob@two.example'?"),
        ("bob@three.example", "; did you mean 'bob@one.example' or 'bob@two.example'?"),
        ("01001", "; did you mean '1001'?"),
        ("agent", "; did you mean 'agentg' or 'agentf' or 'agente' or 'agentd' or 'agentc'?"),
        ("somebody-else", ""),
    ],
)
def test_of_an_agent_that_there_is_not_those_of_nearly_that_name_are_named(name: str, meant: str) -> None:
    of = world()
    agents = [Agent(1001, "Ann"), Agent(2, "bob@one.example"), Agent(3, "bob@two.example"), Agent(4)]
    of.tenant = Tenant([*agents, *(Agent(70 + number, f"agent{each}") for number, each in enumerate("fdbgeca"))])
    with pytest.raises(UsageError) as fault:
        explained(of, name)
    assert str(fault.value).endswith(
        f"no agent with accountCode or workNo {name!r}, and base and filter have no user of that name{meant}"
    )
