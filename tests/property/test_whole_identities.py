"""Attributes that belong together, case by case: what holds a group back, what does not, and what falls with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from connector.apply.approval import Review
from connector.apply.sync import FinishedRun, apply_run, apply_undo, dry_run
from connector.explain.explainer import explain_name
from connector.model import Agent, Change, Description, Objection, Outcome, Plan, Result, Secret, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.reports import document
from connector.state.store import State
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.mortal import DeathError, Fate, Mortal, MortalDatabase
from tests.support.worlds import BASE, FILTER, World

NUMBER, ADDRESS, REGISTRAR, PASSWORD = (
    "SIPIdentityUserName", "SIPIdentitySIPURI", "SIPIdentityRegistrarAddress", "SIPIdentityPassword",
)  # fmt: skip
SEAT = AttributeRule("cecWorkNo", Template.parse("{workNo}"))
RULES = {
    NUMBER: AttributeRule(NUMBER, Template.parse("{sipAccount}"), owns="*", unique=True),
    ADDRESS: AttributeRule(ADDRESS, Template.parse("sip:{sipAccount}@{sipServiceIp}"), owns="sip:*"),
    REGISTRAR: AttributeRule(REGISTRAR, Template.parse("{sipServiceIp}"), owns="*"),
    PASSWORD: AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True),
}
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
CLASSES = ("cecAgent", "SIPIdentity")
HOST = "192.0.2.1"
WITH_NUMBER = f"held back with {NUMBER}"


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def identity(line: str, word: str = "old", host: str = HOST) -> dict[str, list[Any]]:
    return {NUMBER: [line], ADDRESS: [f"sip:{line}@{host}"], REGISTRAR: [host], PASSWORD: [word.encode()]}


def person(seat: int, **values: Any) -> dict[str, list[Any]]:
    bare: dict[str, list[Any]] = {"objectClass": ["inetOrgPerson", *CLASSES]}
    return {**bare, "cecWorkNo": [str(seat)], **values}


def world(*people: dict[str, list[Any]], rules: Iterable[AttributeRule] = RULES.values(), **options: Any) -> World:
    entries = {f"id-{n}": (f"uid=u{n},{BASE}", {"uid": [f"u{n}"], **values}) for n, values in enumerate(people)}
    store = MemoryStore(entries, **options)
    state = State(MortalDatabase(Fate()))  # one that says it is kept, as saved plans want
    return World(Tenant([]), store, Mapping(LOOKS, (SEAT, *rules), CLASSES), state=state)


def tenant(of: World, *lines: str | None, word: str | None = "new", host: str | None = HOST) -> World:
    """Agents of the first users, each on its own seat, on these lines."""
    secret = Secret(word) if word else None
    of.tenant = Tenant([Agent(n, f"u{n}", line, secret) for n, line in enumerate(lines)], [], host)
    return of


def plan(of: World) -> Plan:
    with of.context() as context:
        return dry_run(context, quiet).plan


def apply(of: World, reviewed: Plan | None = None) -> FinishedRun:
    with of.context() as context:
        return apply_run(context, quiet, review=Review(reviewed))


def undo(of: World, run: FinishedRun) -> Plan:
    with of.back(run.plan.id) as context:
        plan = apply_undo(context, quiet).plan
    of.state.release_job(of.job)
    return plan


def put(of: World, number: int, **values: Sequence[Any]) -> None:
    """Somebody else sets attributes of a user."""
    name, now = of.store.snapshot()[f"id-{number}"]
    of.store.put(f"id-{number}", name, {**now, **values})


def held(of: World, number: int) -> dict[str, Any]:
    """What a user holds of the identity, as single values."""
    values = of.store.snapshot()[f"id-{number}"][1]
    return {name: values[name][0] if len(values[name]) == 1 else values[name] for name in RULES if name in values}


def planned(of: Plan) -> dict[str, list[str]]:
    return {change.user.id: [each.name for each in change.attributes] for change in of.changes}


def lines(of: Plan, *kinds: str) -> list[tuple[str, str | None, str]]:
    """Problems by kind, attribute and reason."""
    told = [problem for problem in of.problems if problem.kind in (kinds or ("together",))]
    return [(problem.kind, problem.attribute, problem.why) for problem in told]


def together(*names: str, holder: str = NUMBER, without: str = "") -> list[tuple[str, None, str]]:
    """The line that these are held back, with whom, and what it lacks."""
    why = f", which is kept without {without} and does not go with the new values" if without else ""
    return [("together", None, f"{', '.join(names)}: held back with {holder}{why}")]


# ---------------------------------------------------------------- what holds a group back


def test_of_a_shared_number_nobody_gets_the_password_and_all_else_is_written() -> None:
    of = tenant(world(person(7), person(8)), "1", "1")
    found = plan(of)
    assert planned(found) == {"id-0": ["cecWorkNo"], "id-1": ["cecWorkNo"]}
    assert lines(found, "shared", "together")[1:] == 2 * together(ADDRESS, REGISTRAR, PASSWORD)
    assert [problem.users for problem in found.problems if problem.kind == "together"] == [
        (f"uid=u0,{BASE}",), (f"uid=u1,{BASE}",)
    ]  # fmt: skip


def test_a_group_of_which_some_attributes_are_in_step_gets_the_rest() -> None:
    of = tenant(world(person(0, **identity("1"))), "1")
    assert planned(plan(of)) == {"id-0": [PASSWORD]}
    put(of, 0, **{ADDRESS: [], PASSWORD: [b"new"]})
    assert planned(plan(of)) == {"id-0": [ADDRESS]}
    apply(of)
    assert held(of, 0) == {NUMBER: "1", ADDRESS: "sip:1@192.0.2.1", REGISTRAR: HOST, PASSWORD: b"new"}


@pytest.mark.parametrize("name", [NUMBER, ADDRESS])
def test_a_value_that_is_not_ours_to_set_holds_its_group(name: str) -> None:
    rules = {**RULES, name: replace(RULES[name], owns="sip:*@example.org" if name == ADDRESS else "2*")}
    of = tenant(world(person(0, **identity("2")), rules=rules.values()), "1")
    found = plan(of)
    assert planned(found) == {}
    others = [each for each in RULES if each not in (name, REGISTRAR)]  # the registrar's address is in step
    assert lines(found) == together(*others, holder=name)
    assert found.summary.unchanged == 0


BOTH = (
    Template.parse("sip:{sipAccount}@{sipServiceIp}"),
    Template.parse("sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"),
)


@pytest.mark.parametrize("with_port", [True, False])
def test_a_new_number_replaces_every_address_of_the_old_one_where_the_tenant_has_no_port(with_port: bool) -> None:
    rules = {**RULES, ADDRESS: replace(RULES[ADDRESS], value=BOTH[0], more=BOTH[1:])}
    of = tenant(world(person(0, **identity("1")), person(1), rules=rules.values()), "1", "2")
    if with_port:
        of.tenant = replace(of.tenant, sip_service_port="5060")
    apply(of)
    tenant(of, "9", "1")
    apply(of)
    assert [held(of, n)[ADDRESS] for n in (0, 1)] == [f"sip:9@{HOST}", f"sip:1@{HOST}"]
    assert [held(of, n)[NUMBER] for n in (0, 1)] == ["9", "1"]
    found = plan(of)
    assert (found.changes, lines(found)) == ((), [])
    of.tenant = replace(of.tenant, sip_service_port="5060")
    apply(of)
    tenant(of, "9", "1", host="192.0.2.2")
    apply(of)
    assert held(of, 0)[ADDRESS] == "sip:9@192.0.2.2"


def test_an_address_of_nobody_knows_which_host_stays_in_a_list_and_holds_the_whole_group() -> None:
    more = (Template.parse("sip:{accountCode}@{sipServiceIp}"),)
    rules = (replace(RULES[ADDRESS], more=more), RULES[REGISTRAR])
    of = tenant(world(person(0, **identity("1")), rules=rules), None, host="192.0.2.2")
    found = plan(of)
    assert planned(found) == {}
    assert lines(found) == together(ADDRESS, REGISTRAR, holder=ADDRESS, without="sipAccount")


def test_an_address_of_the_same_number_stays_in_a_list_beside_what_is_new() -> None:
    rules = {**RULES, ADDRESS: replace(RULES[ADDRESS], value=BOTH[0], more=BOTH[1:])}
    of = tenant(world(person(0, **{**identity("1"), ADDRESS: [f"sip:1@{HOST}:5060"]}), rules=rules.values()), "1")
    apply(of)
    assert held(of, 0)[ADDRESS] == (f"sip:1@{HOST}:5060", f"sip:1@{HOST}")
    assert held(of, 0)[PASSWORD] == b"new"


def test_an_address_that_was_there_is_not_ours_for_staying_in_a_list() -> None:
    """The address with a port is somebody else's, and is as our pattern says: it stays when its user is cleared."""
    rules = {**RULES, ADDRESS: replace(RULES[ADDRESS], value=BOTH[0], more=BOTH[1:])}
    of = tenant(world(person(0, **{**identity("1"), ADDRESS: [f"sip:1@{HOST}:5060"]}), rules=rules.values()), "1")
    of.mapping = replace(of.mapping, stale="clear")
    apply(of)
    of.tenant = Tenant([Agent(9, "else")], [], HOST, "5060")
    apply(of)
    assert held(of, 0)[ADDRESS] == f"sip:1@{HOST}:5060"


def test_each_value_of_a_list_is_held_by_one_user_at_a_time() -> None:
    rules = {**RULES, ADDRESS: replace(RULES[ADDRESS], value=BOTH[0], more=BOTH[1:], unique=True)}
    theirs = {**identity("9"), ADDRESS: [f"sip:1@{HOST}:5060"]}
    of = tenant(world(person(0), person(1, **theirs), rules=rules.values()), "1")
    of.tenant = replace(of.tenant, sip_service_port="5060")
    told = lines(plan(of), "reassigned")
    assert [name for _, name, _ in told] == [ADDRESS]
    with of.context() as context:
        (explained,) = explain_name(context, "u0").explanations
    assert {each.name: each.outcome for each in explained.attributes}[ADDRESS] == "refused"


class Closed(MemoryDirectory):
    """One that says beforehand what its account may not write to whom."""

    closed: tuple[tuple[str, str], ...] = ()

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        for change in changes:
            for each in change.attributes:
                if (change.user.id, each.name) in self.closed:
                    yield Objection(change.user.id, each.name, "rights", "may not be written")


def closed(of: World, *pairs: tuple[str, str]) -> World:
    def connect(view: View) -> Closed:
        directory = Closed(of.store, view, base=BASE, filter=FILTER)
        directory.closed = pairs
        return directory

    of.connect = connect
    return of


def test_what_the_directory_objects_to_holds_its_group_and_of_leavers_alone() -> None:
    of = tenant(world(person(0, **identity("1")), person(1)), "1", "2")
    apply(of)
    closed(of, ("id-0", PASSWORD), ("id-1", PASSWORD))
    of.mapping = replace(of.mapping, stale="clear")
    tenant(of, "3", word="newer")
    found = plan(of)
    assert planned(found) == {"id-1": [NUMBER, ADDRESS, REGISTRAR]}
    assert lines(found) == together(NUMBER, ADDRESS, holder=PASSWORD)


def test_an_attribute_that_nobody_may_read_holds_everybodys_group_and_is_told_once() -> None:
    of = tenant(world(person(0), person(1), person(2), hidden=[REGISTRAR], compares=False), "1", "2", "3")
    found = plan(of)
    assert planned(found) == {}
    told = lines(found, "unreadable", "together")
    assert told[:1] == together(NUMBER, ADDRESS, PASSWORD, holder=REGISTRAR)
    assert [kind for kind, _, _ in told] == ["together", "unreadable"]
    with of.context() as context:
        (explained,) = explain_name(context, "u1").explanations
    assert {each.name: each.why for each in explained.attributes if each.name == NUMBER} == {
        NUMBER: f"held back with {REGISTRAR}"
    }


def test_a_number_that_a_held_group_keeps_holds_whoever_waits_for_it_and_so_on() -> None:
    """The first user's address is not ours to set; each of the others wants the number of the one before."""
    people = [person(n, **identity(str(n + 1))) for n in range(4)]
    of = tenant(world(*people), "9", "1", "2", "3")
    assert list(planned(plan(of))) == ["id-0", "id-1", "id-2", "id-3"]
    closed(of, ("id-0", ADDRESS))
    found = plan(of)
    assert planned(found) == {}
    assert [name for _, name, _ in lines(found, "reassigned")] == [NUMBER] * 3
    assert lines(found) == together(NUMBER, PASSWORD, holder=ADDRESS) + 3 * together(ADDRESS, PASSWORD)


def test_an_address_that_is_unique_too_falls_with_the_number_and_holds_others() -> None:
    """The number is free, its address is not: a third user keeps that, for its own number is taken."""
    rules = {**RULES, ADDRESS: replace(RULES[ADDRESS], unique=True)}
    people = [
        person(0),
        person(1, **{**identity("5"), ADDRESS: ["sip:1@192.0.2.1"]}),
        person(2, **identity("6")),
    ]
    of = tenant(world(*people, rules=rules.values()), "1", "6")
    found = plan(of)
    assert planned(found) == {}
    assert sorted(str(name) for _, name, _ in lines(found, "reassigned")) == [ADDRESS, NUMBER]
    of.tenant.agents.append(Agent(2, "u2", "7", Secret("new")))
    assert sorted(planned(plan(of))) == ["id-0", "id-1", "id-2"]


def test_an_attribute_without_its_object_class_holds_its_group() -> None:
    """The class requires an attribute that is set with it and that another user holds."""
    rules = (
        AttributeRule("uidNumber", Template.parse("{workNo}"), unique=True),
        AttributeRule("homeDirectory", Template.parse("/home/{sipAccount}")),
        AttributeRule("loginShell", Template.parse("/bin/{sipAccount}")),
        AttributeRule("mobile", Template.parse("{sipAccount}"), owns="*"),
    )
    plain = {"objectClass": ["inetOrgPerson"], "cn": ["x"], "gidNumber": ["1"]}
    posix = {"objectClass": ["inetOrgPerson", "posixAccount"], "uidNumber": ["0"], "homeDirectory": ["/"]}
    of = tenant(world(plain, {**plain, **posix}, rules=()), "1")
    of.mapping = Mapping(LOOKS, rules, ("posixAccount",))
    found = plan(of)
    assert planned(found) == {}
    assert lines(found) == together("loginShell", "mobile", holder="homeDirectory")
    assert [name for _, name, _ in lines(found, "schema")] == ["homeDirectory"]


# ---------------------------------------------------------------- values that stay


def test_a_new_number_is_not_set_beside_the_password_of_the_old_one() -> None:
    of = tenant(world(person(0, **identity("1"))), "2", word=None)
    found = plan(of)
    assert planned(found) == {}
    assert lines(found) == together(NUMBER, ADDRESS, holder=PASSWORD, without="sipPwd")
    assert planned(plan(tenant(of, "1", word=None, host="192.0.2.2"))) == {"id-0": [ADDRESS, REGISTRAR]}
    put(of, 0, **{PASSWORD: []})
    assert planned(plan(tenant(of, "2", word=None))) == {"id-0": [NUMBER, ADDRESS]}


def test_a_first_value_beside_those_of_the_same_number_is_set_whatever_password_stays() -> None:
    of = tenant(world(person(0, **{**identity("1"), ADDRESS: []})), "1", word=None)
    assert planned(plan(of)) == {"id-0": [ADDRESS]}
    put(of, 0, **{NUMBER: []})
    assert planned(plan(of)) == {}, "it may be anybody's password"


def test_a_new_password_is_not_set_beside_a_number_of_which_the_agent_says_nothing() -> None:
    of = tenant(world(person(0, **identity("1"))), None)
    assert planned(plan(of)) == {}
    assert lines(plan(of)) == together(PASSWORD, without="sipAccount")
    put(of, 0, **{NUMBER: [], ADDRESS: []})
    assert planned(plan(of)) == {"id-0": [PASSWORD]}


def test_a_new_registrar_is_not_set_beside_an_address_that_stays_at_the_old_one() -> None:
    of = tenant(world(person(0, **identity("1"))), None, word=None, host="192.0.2.2")
    assert lines(plan(of)) == together(REGISTRAR, holder=ADDRESS, without="sipAccount")
    put(of, 0, **{ADDRESS: []})
    assert planned(plan(of)) == {"id-0": [REGISTRAR]}


def test_without_a_host_an_address_of_another_number_holds_the_number_and_one_of_the_same_does_not() -> None:
    of = tenant(world(person(0, **identity("1")), person(1, **{**identity("2"), NUMBER: []})), "9", "2", host=None)
    found = plan(of)
    assert planned(found) == {"id-1": [NUMBER, PASSWORD]}
    assert lines(found) == together(NUMBER, PASSWORD, holder=ADDRESS, without="sipServiceIp")


def test_what_the_mapping_clears_is_no_value_that_stays() -> None:
    rules = {**RULES, PASSWORD: replace(RULES[PASSWORD], when_absent="clear")}
    of = tenant(world(person(0, **identity("1")), rules=rules.values()), "2", word=None)
    apply(of)
    assert held(of, 0) == {NUMBER: "2", ADDRESS: "sip:2@192.0.2.1", REGISTRAR: HOST}


@pytest.mark.parametrize(
    ("there", "compares", "wrote", "written"),
    [
        (True, True, False, False), (False, True, False, True),
        (True, False, True, False), (True, False, False, True), (False, False, False, True),
    ],
)  # fmt: skip
def test_a_password_that_stays_unseen_is_asked_for_and_where_nobody_tells_ours_counts(
    there: bool, compares: bool, wrote: bool, written: bool
) -> None:
    values = identity("1")
    of = world(person(0, **(values if there else {**values, PASSWORD: []})), hidden=[PASSWORD], compares=compares)
    if wrote:
        apply(tenant(of, "1", word="new"))
    assert bool(planned(plan(tenant(of, "2", word=None)))) is written


@pytest.mark.parametrize("there", [True, False])
def test_an_address_that_stays_unseen_holds_its_group_if_it_is_there(there: bool) -> None:
    values = identity("1")
    of = world(person(0, **(values if there else {**values, ADDRESS: []})), hidden=[ADDRESS])
    assert bool(planned(plan(tenant(of, "2", host=None)))) is not there


# ---------------------------------------------------------------- secrets that nobody sees


def test_a_password_that_is_there_unseen_is_not_said_to_be_held_back() -> None:
    of = tenant(world(person(0, **identity("1", "new")), person(1), hidden=[PASSWORD]), "9", "9")
    assert lines(plan(of)) == [*together(ADDRESS), *together(ADDRESS, REGISTRAR, PASSWORD)]


class Whole(MemoryDirectory):
    """A directory whose users are written whole, so that what is not seen is lost unless it is said again."""

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, writing=replace(described.writing, replaces=True))


def test_where_users_are_written_whole_a_password_that_is_held_back_holds_all_that_would_cost_it() -> None:
    people = [person(7, **identity("1")), person(8, **identity("2", "new"))]
    of = world(*people, hidden=[PASSWORD], compares=False)
    of.connect = lambda view: Whole(of.store, view, base=BASE, filter=FILTER)
    apply(tenant(of, "1", "2"))
    for number in (7, 8):
        put(of, number - 7, cecWorkNo=[str(number)])
    tenant(of, "9", "9")
    of.tenant.agents[0] = replace(of.tenant.agents[0], sip_pwd=Secret("another"))
    found = plan(of)
    assert planned(found) == {"id-1": ["cecWorkNo", PASSWORD]}, "that one is only said again"
    assert lines(found)[:1] == together("cecWorkNo", ADDRESS, PASSWORD)
    apply(of)
    assert held(of, 0)[PASSWORD] == b"new"


# ---------------------------------------------------------------- groups of one's own


def test_groups_of_ones_own_and_attributes_that_stand_alone() -> None:
    rules = {
        **RULES,
        PASSWORD: replace(RULES[PASSWORD], together=""),
        "mobile": AttributeRule("mobile", Template.parse("{workNo}"), owns="x*", together="seat"),
    }
    of = tenant(world(person(7), person(8), rules=rules.values()), "1", "1")
    seat = replace(SEAT, together="seat")
    of.mapping = replace(of.mapping, attributes=(seat, *of.mapping.attributes[1:]))
    found = plan(of)
    assert planned(found) == {"id-0": [PASSWORD], "id-1": [PASSWORD]}
    assert lines(found) == 2 * [*together(ADDRESS, REGISTRAR), *together("cecWorkNo", holder="mobile")]


def test_one_agents_explanation_says_what_holds_an_attribute_back() -> None:
    of = tenant(world(person(0), person(1)), "1", "1")
    with of.context() as context:
        (explained,) = explain_name(context, "u0").explanations
    told = {each.name: (each.outcome, each.why) for each in explained.attributes}
    assert told[PASSWORD] == ("refused", WITH_NUMBER)


# ---------------------------------------------------------------- reviewed plans


def saved(of: World) -> Plan:
    """A plan as a reviewer has it."""
    with of.context() as context:
        drawn = dry_run(context, quiet, save=True).plan
    return document.parse_plan("".join(document.render(drawn)).encode())


@pytest.mark.parametrize("then", [{NUMBER: ["2"]}, {ADDRESS: ["sip:9@example.org"]}])
def test_of_a_reviewed_identity_nothing_is_written_if_a_part_of_it_has_become_another(then: dict[str, Any]) -> None:
    of = tenant(world(person(0, **identity("1"))), "2")
    reviewed = saved(of)
    put(of, 0, **then)
    before = held(of, 0)
    (outcome,) = apply(of, reviewed).outcomes or ()
    assert (outcome.result, held(of, 0)) == (Result.CONFLICT, before)


def test_a_group_that_is_held_back_by_now_is_not_written_though_it_was_reviewed() -> None:
    of = tenant(world(person(7), person(1)), "1")
    reviewed = saved(of)
    put(of, 1, **{NUMBER: ["1"]})
    (outcome,) = apply(of, reviewed).outcomes or ()
    assert (outcome.result, held(of, 0)) == (Result.CONFLICT, {})


# ---------------------------------------------------------------- in parts


def test_whoever_lets_go_of_a_number_gets_all_of_the_new_identity_or_nothing_of_it() -> None:
    """Two users swap their numbers, so that one lets go of its own first; the run dies, wherever it may."""
    found = []
    for death in range(1, 30):
        mortal = Mortal(tenant(world(*(person(n, **identity(str(n))) for n in range(2))), "1", "0"))
        with suppress(DeathError):
            mortal.apply(last=death)
        for user, line in (("id-0", "1"), ("id-1", "0")):
            now = mortal.world.store.snapshot()[user][1]
            old, new = identity(str(1 - int(line))), identity(line, "new")
            let_go = {name: values for name, values in old.items() if name != NUMBER}
            found.append([old, new, let_go].index({name: list(now[name]) for name in RULES if name in now}))
        mortal.apply()
        assert [held(mortal.world, number)[NUMBER] for number in range(2)] == ["1", "0"]
    assert set(found) == {0, 1, 2}


# ---------------------------------------------------------------- taking a run back

LATER = "a later run wrote it; kept"


def test_an_identity_of_which_the_password_was_changed_by_hand_stays_whole_and_the_seat_goes_back() -> None:
    of = tenant(world(person(7)), "1")
    run = apply(of)
    put(of, 0, **{PASSWORD: [b"by hand"]})
    back = undo(of, run)
    assert planned(back) == {"id-0": ["cecWorkNo"]}
    assert lines(back) == together(NUMBER, ADDRESS, REGISTRAR, holder=PASSWORD)
    assert held(of, 0) == {NUMBER: "1", ADDRESS: "sip:1@192.0.2.1", REGISTRAR: HOST, PASSWORD: b"by hand"}


def test_an_identity_whose_password_cannot_be_seen_stays_whole_with_its_object_class() -> None:
    of = tenant(world({"objectClass": ["inetOrgPerson"]}, hidden=[PASSWORD]), "1")
    run = apply(of)
    after = held(of, 0)
    assert planned(undo(of, run)) == {"id-0": ["cecWorkNo", "objectClass"]}
    assert held(of, 0) == after
    assert of.store.snapshot()["id-0"][1]["objectClass"] == ("inetOrgPerson", "SIPIdentity")


def test_a_number_does_not_go_back_beside_a_password_that_a_later_run_wrote_until_that_is_taken_back_too() -> None:
    of = tenant(world(person(0, **identity("1"))), "2", word="old")
    first = apply(of)
    second = apply(tenant(of, "2", word="newer"))
    after = held(of, 0)
    back = undo(of, first)
    assert planned(back) == {}
    assert lines(back, "undo") == [("undo", PASSWORD, LATER)]
    assert held(of, 0) == after
    undo(of, second)
    undo(of, first)
    assert held(of, 0) == {name: values[0] for name, values in identity("1").items()}


def test_a_password_that_was_put_back_and_set_again_is_a_later_runs() -> None:
    of = tenant(world(person(0, **identity("1"))), "2", word="old")
    first = apply(of)
    second = apply(tenant(of, "2", word="newer"))
    undo(of, second)
    apply(of)
    assert planned(undo(of, first)) == {}


def test_a_password_that_a_killed_run_may_have_written_counts_as_a_later_one() -> None:
    values = {**identity("1"), PASSWORD: []}
    mortal = Mortal(tenant(world(person(0, **values), hidden=[PASSWORD], compares=False), "2", word=None))
    first = mortal.apply()
    tenant(mortal.world, "2", word="newer")
    death = 0
    while PASSWORD not in held(mortal.world, 0):
        death += 1
        with suppress(DeathError):
            mortal.apply(last=death)
    assert [why for _, name, why in lines(mortal.undo(first.plan.id).plan, "undo") if name == PASSWORD] == [LATER]
    assert held(mortal.world, 0)[NUMBER] == "2"


def test_an_address_that_can_no_longer_be_seen_is_not_taken_for_one_that_is_gone() -> None:
    of = tenant(world(person(0), compares=False), "1")
    run = apply(of)
    after = held(of, 0)
    of.store.hidden = frozenset({of.store.schema.attribute_key(ADDRESS)})
    assert lines(undo(of, run)) == together(NUMBER, REGISTRAR, PASSWORD, holder=ADDRESS)
    assert held(of, 0) == after


def test_a_leaver_gets_the_whole_identity_back_or_nothing_of_it() -> None:
    of = tenant(world(person(0), person(1)), "3", "4")
    apply(of)
    before = [held(of, number) for number in range(2)]
    of.mapping = replace(of.mapping, stale="clear")
    run = apply(tenant(of, "3"))
    assert held(of, 1) == {}
    undo(of, run)
    assert [held(of, number) for number in range(2)] == before
    run = apply(of)
    put(of, 1, **{ADDRESS: ["sip:99@example.org"]})
    assert lines(undo(of, run)) == together(NUMBER, REGISTRAR, PASSWORD, holder=ADDRESS)
    assert held(of, 1) == {ADDRESS: "sip:99@example.org"}
