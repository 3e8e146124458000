"""Which object classes a plan adds: those that what it sets needs, and that the user has under no name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.directories.common.schema import Schema
from connector.model import Agent, Change, Objection, Outcome, Plan, Problem, Result, Tenant
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.examples import examples
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World, worlds

law = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], max_examples=examples(40))

NUMBERS = {"cecAgent": "2.25.306097007297846553469420626465364982418.2.1", "SIPIdentity": "0.0.8.350.1.1.6.2.1"}
"""How a server may store the names of these classes."""
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
NUMBER = AttributeRule("employeeNumber", Template.parse("{workNo}"))
SEAT = AttributeRule("cecWorkNo", Template.parse("{workNo}"))
LINE = AttributeRule("SIPIdentityUserName", Template.parse("{sipAccount}"), owns="*", when_absent="clear")
BOTH = ("cecAgent", "SIPIdentity")


def quiet(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    """Nobody looks on."""


def plan(world: World) -> Plan:
    with world.context() as context:
        return dry_run(context, quiet).plan


def apply(world: World) -> FinishedRun:
    with world.context() as context:
        return apply_run(context, quiet)


def one(classes: Sequence[str], mapping: Mapping, *, schema: Schema | None = None, **held: Sequence[str]) -> World:
    """A world of one user, with these classes, and its agent."""
    entry = (f"uid=u0,{BASE}", {"objectClass": classes, "uid": ["u0"], **held})
    return World(Tenant([Agent(7, "u0", "70")]), MemoryStore({"id-0": entry}, schema), mapping)


def sets(drawn: Plan) -> dict[str, tuple[object, ...]]:
    """What is set of each attribute of the one user."""
    return {each.name: each.new for change in drawn.changes for each in change.attributes}


@pytest.mark.parametrize(
    ("classes", "added"),
    [
        (["inetOrgPerson"], BOTH),
        (["inetOrgPerson", "cecAgent"], ("SIPIdentity",)),
        (["inetOrgPerson", "CECAGENT", "sipidentity"], ()),
        (["inetOrgPerson", NUMBERS["cecAgent"]], ("SIPIdentity",)),
        (["inetOrgPerson", NUMBERS["SIPIdentity"]], ("cecAgent",)),
        (["inetOrgPerson", *NUMBERS.values()], ()),
        (["inetOrgPerson", "extensibleObject"], ()),
    ],
)
def test_a_class_is_added_only_where_none_of_the_user_s_allows_the_attribute(
    classes: list[str], added: tuple[str, ...]
) -> None:
    world = one(classes, Mapping(LOOKS, (NUMBER, SEAT, LINE), BOTH))
    assert sets(plan(world)).get("objectClass", ()) == added
    assert [outcome.result for outcome in apply(world).outcomes or ()] == [Result.WRITTEN]
    assert world.store.snapshot()["id-0"][1]["objectClass"] == (*classes, *added)
    assert plan(world).changes == ()


def test_a_class_that_allows_anything_is_not_added_for_what_is_allowed_anyway() -> None:
    world = one(["inetOrgPerson"], Mapping(LOOKS, (NUMBER,), ("extensibleObject",)))
    assert sets(plan(world)) == {"employeeNumber": ("7",)}


def test_nothing_is_added_for_what_is_taken_away() -> None:
    """The user holds a number that no class of its own allows, as an entry in a file may."""
    world = one(["inetOrgPerson"], Mapping(LOOKS, (NUMBER, LINE), BOTH), SIPIdentityUserName=["old"])
    world.tenant = Tenant([Agent(7, "u0")])
    assert sets(plan(world)) == {"employeeNumber": ("7",), "SIPIdentityUserName": ()}


def test_without_any_schema_each_class_of_the_mapping_is_added_that_the_user_lacks() -> None:
    types = ("( 1.1.1 NAME 'uid' EQUALITY caseIgnoreMatch )", "( 1.1.2 NAME 'seat' SINGLE-VALUE )",
             "( 1.1.3 NAME 'objectClass' EQUALITY objectIdentifierMatch )")  # fmt: skip
    mapping = Mapping(LOOKS, (AttributeRule("seat", Template.parse("{workNo}")),), ("first", "second"))
    world = one(["inetOrgPerson", "Second"], mapping, schema=Schema(types))
    assert sets(plan(world)) == {"objectClass": ("first",), "seat": ("7",)}


def test_a_class_that_is_there_by_its_number_is_not_added_for_an_attribute_that_no_schema_knows() -> None:
    mapping = Mapping(LOOKS, (AttributeRule("x-extra", Template.parse("{workNo}")),), BOTH)
    world = one(["inetOrgPerson", NUMBERS["cecAgent"]], mapping)
    assert sets(plan(world)) == {"objectClass": ("SIPIdentity",), "x-extra": ("7",)}


class Objecting(MemoryDirectory):
    """The account may not add object classes."""

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        for change in changes:
            if any(each.name == "objectClass" for each in change.attributes):
                yield Objection(change.user.id, "objectClass", "rights", "no right to add a class")


@pytest.mark.parametrize(
    ("classes", "left", "fallen"),
    [
        (["inetOrgPerson"], {"employeeNumber"}, {"cecWorkNo", "SIPIdentityUserName"}),
        (["inetOrgPerson", "SIPIdentity"], {"employeeNumber", "SIPIdentityUserName"}, {"cecWorkNo"}),
        (["inetOrgPerson", NUMBERS["cecAgent"]], {"employeeNumber", "cecWorkNo"}, {"SIPIdentityUserName"}),
        (["inetOrgPerson", *BOTH], {"employeeNumber", "cecWorkNo", "SIPIdentityUserName"}, set()),
    ],
)
def test_where_no_class_may_be_added_only_what_needs_one_falls(
    classes: list[str], left: set[str], fallen: set[str]
) -> None:
    world = one(classes, Mapping(LOOKS, (NUMBER, SEAT, LINE), BOTH))
    world.connect = lambda view: Objecting(world.store, view, base=BASE, filter=FILTER)
    drawn = plan(world)
    assert sets(drawn).keys() == left
    assert {problem.attribute for problem in drawn.problems if problem.kind == "rights"} == fallen
    assert whose(drawn.problems) == ["u0 (workNo 7)"] * len(fallen)


def whose(problems: Iterable[Problem]) -> list[str]:
    """The agents for whom something may not be written."""
    return [str(problem.agent) for problem in problems if problem.kind == "rights"]


TYPES = tuple(
    f"( 1.1.{number} NAME '{name}' EQUALITY {rule} SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )"
    for number, (name, rule) in enumerate(
        {
            "objectClass": "objectIdentifierMatch", "uid": "caseIgnoreMatch", "mail": "caseIgnoreMatch",
            "badge": "caseIgnoreMatch", "desk": "caseIgnoreMatch",
        }.items()
    )
)  # fmt: skip
KINDS = (
    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
    "( 1.2.1 NAME 'inetOrgPerson' SUP top STRUCTURAL MAY ( uid $ mail ) )",
    "( 1.2.2 NAME 'guest' SUP top AUXILIARY MUST badge MAY desk )",
)
GUESTS = Mapping(
    LOOKS,
    (
        AttributeRule("mail", Template.parse("{accountCode}@example.org")),
        AttributeRule("badge", Template.parse("{workNo}"), unique=True),
        AttributeRule("desk", Template.parse("{sipAccount}")),
    ),
    ("guest",),
)


def test_a_class_comes_with_what_it_requires() -> None:
    world = one(["inetOrgPerson"], GUESTS, schema=Schema(TYPES, KINDS))
    drawn = plan(world)
    assert sets(drawn) == {"objectClass": ("guest",), "mail": ("u0@example.org",), "badge": ("7",), "desk": ("70",)}
    assert drawn.problems == ()


def test_where_what_a_class_requires_is_left_out_all_that_needs_the_class_is_and_nothing_else() -> None:
    """The badge is another one's, who keeps it; a guest without one there cannot be."""
    world = one(["inetOrgPerson"], GUESTS, schema=Schema(TYPES, KINDS))
    world.store.put("id-1", f"uid=u1,{BASE}", {"objectClass": ["inetOrgPerson", "guest"], "badge": ["7"]})
    drawn = plan(world)
    assert sets(drawn) == {"mail": ("u0@example.org",)}
    why = "its object class requires another attribute that this plan cannot set"
    assert [(problem.kind, problem.attribute) for problem in drawn.problems] == [
        ("reassigned", "badge"), ("schema", "desk"),
    ]  # fmt: skip
    assert drawn.problems[1].why == why
    apply(world)
    assert plan(world).changes == ()


def test_who_waits_for_a_value_that_falls_with_an_object_class_does_not_get_it() -> None:
    """U0 cannot be a guest, so it gets no desk, keeps its mail, which goes with the desk, and u2 does not get that."""
    rules = (
        AttributeRule("mail", Template.parse("{sipAccount}"), unique=True, together="office"),
        AttributeRule("badge", Template.parse("{workNo}"), unique=True),
        AttributeRule("desk", Template.parse("{workNo}"), together="office"),
    )
    world = one(["inetOrgPerson"], replace(GUESTS, attributes=rules), schema=Schema(TYPES, KINDS), mail=["old"])
    guest = {"objectClass": ["inetOrgPerson", "guest"]}
    world.store.put("id-1", f"uid=u1,{BASE}", {**guest, "badge": ["7"]})
    world.store.put("id-2", f"uid=u2,{BASE}", {**guest, "uid": ["u2"], "badge": ["9"], "desk": ["9"]})
    world.tenant = Tenant([Agent(7, "u0", "new"), Agent(9, "u2", "old")])
    drawn = plan(world)
    assert drawn.changes == ()
    assert [(problem.kind, problem.users[0][4:6]) for problem in drawn.problems] == [
        ("reassigned", "u0"), ("reassigned", "u2"), ("schema", "u0"), ("together", "u0"),
    ]  # fmt: skip


def test_where_the_user_has_what_a_class_requires_the_class_comes_without_it() -> None:
    world = one(["inetOrgPerson"], GUESTS, schema=Schema(TYPES, KINDS), badge=["7"])
    assert sets(plan(world)) == {"objectClass": ("guest",), "mail": ("u0@example.org",), "desk": ("70",)}


def test_a_class_may_require_what_the_user_must_have_anyway_and_does_not_show() -> None:
    kinds = (KINDS[0], "( 1.2.1 NAME 'inetOrgPerson' SUP top STRUCTURAL MUST badge MAY ( uid $ mail ) )", KINDS[2])
    mapping = replace(GUESTS, attributes=GUESTS.attributes[2:])
    world = one(["inetOrgPerson"], mapping, schema=Schema(TYPES, kinds), badge=["7"])
    world.store.hidden = frozenset({"badge"})
    assert sets(plan(world)) == {"objectClass": ("guest",), "desk": ("70",)}
    world = one(["inetOrgPerson"], mapping, schema=Schema(TYPES, KINDS))
    assert sets(plan(world)) == {}


@law
@given(worlds(), st.data())
def test_no_class_is_added_that_is_there_under_another_name(world: World, data: st.DataObject) -> None:
    for id_, (name, held) in world.store.snapshot().items():
        spellings = [(str(one), str(one).upper(), NUMBERS.get(str(one), str(one))) for one in held["objectClass"]]
        classes = [data.draw(st.sampled_from(some)) for some in spellings]
        world.store.put(id_, name, {**held, "objectClass": classes})
    before = world.store.snapshot()
    apply(world)
    known = world.store.schema.classes
    for id_, (_, held) in world.store.snapshot().items():
        was = before[id_][1]["objectClass"]
        assert held["objectClass"][: len(was)] == was
        names = [known[str(one).lower()].name for one in held["objectClass"] if str(one).lower() in known]
        assert len(set(names)) == len(names)
    assert plan(world).changes == ()
