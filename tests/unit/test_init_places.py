"""Laws of places for an agent's fields, whatever schemas and users hold; the order in which attributes are asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from connector.init.fields import FIELDS, is_secret
from connector.init.match_search import FurtherAttributes
from connector.init.place import FieldPlaces, write_skeleton
from connector.init.places import place_fields
from connector.model import (
    Agent,
    AttributeDefinition,
    AttributeInfo,
    Description,
    DirectorySchema,
    Secret,
    Syntax,
    Tenant,
    User,
    patterns,
)
from connector.model.mapping import MatchRule
from connector.model.templates import Template
from connector.settings import mapping_file
from connector.settings.textfile import parse_yaml

AGENTS = [Agent(1000 + number, f"c{number}", str(7000 + number)) for number in range(4)]
TENANT = Tenant(AGENTS, sip_service_ip="192.0.2.10", sip_service_port="5060")
WORDS = ("Sip", "Voip", "Agent", "Phone", "User", "Uri", "Secret", "Port", "Login", "Registrar", "Seat", "Room")
OURS = ("7000", "7001", "sip:7002@192.0.2.10", "192.0.2.10", "5060", "1003", "c2")
VALUES = st.sampled_from([*OURS, "sip:desk@example.net", "x", "7000 7001", "cellar"])
URN = "urn:acme:softphone:2.0:User"

name = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(lambda some: "acme" + "".join(some))
info = st.builds(
    AttributeInfo,
    name | name.map(lambda each: f"{URN}:{each}"),
    syntax=st.sampled_from([Syntax.TEXT, Syntax.IA5, Syntax.INTEGER, Syntax.OCTETS, Syntax.DN]),
    single=st.booleans(),
    writable=st.sampled_from([True, True, False]),
    readable=st.sampled_from([True, True, None]),
    definition=st.builds(
        AttributeDefinition,
        operational=st.sampled_from([False, False, True]),
        obsolete=st.sampled_from([False, False, True]),
    ),
)
schemas = st.lists(info, max_size=8, unique_by=lambda each: each.name.lower())


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[AttributeInfo], list[User], frozenset[str]]:
    """A schema, users who hold some of it, and what they are matched by."""
    schema = draw(schemas)
    names = [each.name for each in schema]
    held = st.dictionaries(st.sampled_from(names), st.lists(VALUES, min_size=1, max_size=2).map(tuple), max_size=4)
    values = draw(st.lists(held if names else st.just({}), max_size=6))
    users = [User(str(number), f"uid={number}", dict(each)) for number, each in enumerate(values)]
    return schema, users, frozenset(draw(st.sets(st.sampled_from(names)) if names else st.just(set())))


def found(
    schema: Sequence[AttributeInfo], users: Sequence[User], matching: frozenset[str], *, file: bool
) -> FieldPlaces:
    """The places; secrets are read as such, as a reader does."""
    secrets = {
        each.name for each in schema for field in FIELDS if field.is_secret and field.rank_name(each.name) is not None
    }
    read = [
        User(
            user.id,
            user.name,
            {
                key: tuple(Secret(str(each)) for each in some) if key in secrets else some
                for key, some in user.values.items()
            },
        )
        for user in users
    ]
    attributes = {each.name: each for each in schema}
    description = Description(
        "test", "test", attributes, schema=DirectorySchema(types={each.name.lower(): each for each in schema})
    )
    rules = [MatchRule(Template.parse("{accountCode}"), each) for each in sorted(matching)]
    return place_fields(read, TENANT, description, rules, file=file)


@pytest.mark.slow
@given(worlds(), st.booleans())
def test_what_is_proposed_holds_no_values_of_others_but_those_that_stay(
    world: tuple[list[AttributeInfo], list[User], frozenset[str]], file: bool
) -> None:
    schema, users, matching = world
    places = found(schema, users, matching, file=file)
    for template, several in places.found.items():
        render = Template.parse(template).bind(TENANT)
        made = {value for value in map(render, AGENTS) if isinstance(value, str)}
        free = [place for place in several if place.is_free]
        assert free == several[: len(free)], "what is free comes first"
        for place in free:
            assert place.field.is_secret or place.info.readable is True
            assert not (place.field.is_secret and file)
            if place.stays:
                continue
            held = [user.values.get(place.info.name, ()) for user in users]
            assert not (place.field.is_secret and any(held))
            assert place.field.is_secret or all(set(patterns.owned_values(place.owns, some)) <= made for some in held)


@pytest.mark.slow
@given(worlds(), st.booleans())
def test_a_place_can_be_written_and_is_one_field_s(
    world: tuple[list[AttributeInfo], list[User], frozenset[str]], file: bool
) -> None:
    schema, users, matching = world
    places = found(schema, users, matching, file=file)
    infos = [place.info for several in places.found.values() for place in several]
    assert len({each.name for each in infos}) == len(infos)
    for each in infos:
        assert each.writable
        assert not {each.definition.operational, each.definition.obsolete, each.name in matching} & {True}
        assert each.syntax is not Syntax.DN


@pytest.mark.slow
@given(worlds(), st.booleans())
def test_what_is_written_is_a_mapping_of_exactly_the_free_places(
    world: tuple[list[AttributeInfo], list[User], frozenset[str]], file: bool
) -> None:
    """And none is left out without a word; without any, there is nothing that a mapping could be of."""
    schema, users, matching = world
    places = found(schema, users, matching, file=file)
    best = {several[0].info.name for several in places.found.values() if several[0].is_free}
    text = write_skeleton(places, ["ready: no"], "uid")
    for several in places.found.values():
        assert all(f"  {place.info.name}: " in text or f"  # {place.info.name}: " in text for place in several)
    assert places.are_enough() <= bool(best)
    if best:
        mapping = mapping_file.make_mapping(parse_yaml(text, Path("mapping.yaml")))
        assert {rule.name for rule in mapping.attributes} == best


def test_a_place_that_shows_nothing_is_passed_over_for_one_that_does() -> None:
    hidden = AttributeInfo("acmeSipUser", readable=None)
    for schema in ([hidden], [hidden, AttributeInfo("acmeSipLogin")]):
        (several,) = found(schema, [], frozenset(), file=False).found.values()
        assert [place.is_free for place in several] == [True, False][-len(schema) :]
        assert several[-1].info is hidden
        assert several[-1].barred == "this account cannot see which values it holds"


# ---------------------------------------------------------------- files


def person(number: int, *classes: str, **values: str) -> User:
    held = {key: (value,) for key, value in values.items()}
    return User(str(number), f"uid={number}", {"objectClass": ("top", "person", *classes), **held})


def test_the_class_that_comes_with_attributes_of_a_file_is_added() -> None:
    sip = [AttributeInfo("acmeSipUser", definition=AttributeDefinition(known=False))]
    plain, with_ = person(1), person(2, "AcmeSip", acmeSipUser="7001")
    assert found(sip, [plain, with_], frozenset(), file=True).classes == ("AcmeSip",)
    assert found(sip, [with_], frozenset(), file=True).classes == (), "nobody lacks it"
    other = User("3", "uid=3", {"objectClass": ("top", "account")})
    assert found(sip, [other, with_], frozenset(), file=True).classes == (), "it may be structural"
    taken = person(4, "AcmeSip", acmeSipUser="700 is somebody else's")
    assert found(sip, [plain, with_, taken], frozenset(), file=True).classes == (), "nothing is written there"


# ---------------------------------------------------------------- the order in which attributes are asked


@pytest.mark.slow
@given(st.sets(name, min_size=1, max_size=8), st.data())
def test_indexed_attributes_are_asked_first_and_then_those_in_use(names: set[str], data: st.DataObject) -> None:
    infos = [AttributeInfo(each) for each in sorted(names)]
    indexed = data.draw(st.none() | st.frozensets(st.sampled_from(sorted(names))))
    used = data.draw(st.frozensets(st.sampled_from(sorted(names))))
    told = None if indexed is None else frozenset(each.lower() for each in indexed)
    further = FurtherAttributes(infos, infos, told)
    looks = [User("1", "uid=1", dict.fromkeys(used, ("x",)))]
    ordered = further.order_names(looks, Description("test", "test", {each.name: each for each in infos}))
    assert sorted(ordered) == sorted(names)
    slow = [further.is_slow(each) for each in ordered]
    assert slow == sorted(slow)
    assert slow == [indexed is not None and each not in indexed for each in ordered]
    for group in (True, False):
        unused = [each not in used for each in ordered if further.is_slow(each) is group]
        assert unused == sorted(unused)


def test_names_of_secrets() -> None:
    assert all(map(is_secret, ("acmeSipSecret", "userPassword", "apiToken", "door-pin", "pwd")))
    assert not any(map(is_secret, ("acmeStaffCode", "keyboard", "spinner", "compass")))
