"""Places for an agent's fields in a schema that no ready mapping knows: by name, syntax, class, and what is empty."""

from __future__ import annotations

from collections.abc import Sequence, Set as AbstractSet
from contextlib import closing
from itertools import chain, islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.adapters import reader_of
from connector.init.classes import (
    choose_classes,
    list_auxiliary,
    list_classes,
    list_common_classes,
    list_everywhere,
    spell_classes,
)
from connector.init.fields import FIELDS, NEEDED, AgentField, named_for, unused_beside
from connector.init.foreign_values import MadeValues, MatchedAgents, narrow_patterns
from connector.init.match_search import USERS, FoundRules
from connector.init.place import FEW, ClosedAttributes, FieldPlace, FieldPlaces
from connector.init.rules import RuleSample, list_keys
from connector.model import (
    AttributeInfo,
    ClassInfo,
    Description,
    Tenant,
    User,
    View,
    patterns,
)
from connector.model.mapping import MatchRule
from connector.model.templates import Template
from connector.planning.schema_checks import ClassSurvey, SchemaChecks
from connector.settings import job as jobs

_HIDDEN: Final = "this account cannot see which values it holds"
_IN_A_FILE: Final = "a file shows a password to everybody who can open it"

PlacesByField = dict[str, list[FieldPlace]]


class SeenDirectory(Struct, frozen=True):
    """What was seen of a directory."""

    users: Sequence[User]
    description: Description
    rules: Sequence[MatchRule]
    """How users are matched."""
    agents: MatchedAgents
    in_file: bool
    """It shows everything, and no schema but its users' classes."""


def find_places(
    job: jobs.LoadedJob,
    tenant: Tenant,
    found: FoundRules,
    ready: AbstractSet[str],
) -> FieldPlaces:
    """Find where the fields may go, but for the attributes that users are matched by.

    It reads the first users, and those that the rules find for the sampled agents. `ready`:
    attributes that give way where agents' values are kept in those of another class.
    """
    description, rules = found.sample.description, found.rules
    in_file = job.job.directory.type == "ldif"
    sip = []
    secrets = set()
    names = []
    for field, info, _ in named_for(description, rules):
        if field.is_sip:
            sip.append(info)
        if field.is_secret:
            secrets.add(info.name)
        if not in_file or not field.is_secret:
            names.append(info.name)
    wanted = {name.lower() for name in names}
    schema = description.schema
    classes = spell_classes(
        list_auxiliary(schema),
        wanted,
        schema,
    )
    names += [info.name for info in unused_beside(sip, description, rules)]
    names += [rule.directory for rule in rules]
    view = View(
        tuple(dict.fromkeys(names)),
        frozenset(secrets),
        tuple(classes),
    )
    with closing(reader_of(job, view)) as reader:
        users = {user.id: user for user in islice(reader.scan(), USERS)}
        for user in reader.find(list_keys(rules, found.sample.tenant)):
            users[user.id] = user
        described = reader.describe()
        schema = replace(described.schema, types=schema.types)
        described = replace(described, schema=schema)
    return place_fields(
        list(users.values()),
        tenant,
        described,
        rules,
        ready=ready,
        file=in_file,
    )


def place_fields(
    users: Sequence[User],
    tenant: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
    *,
    ready: AbstractSet[str] = frozenset(),
    file: bool = False,
) -> FieldPlaces:
    """Find the places from users that have been read.

    `file`: it shows everything, and no schema but its users' classes.
    """
    agents = _match_users(users, tenant, description, rules)
    seen = SeenDirectory(
        users,
        description,
        rules,
        agents,
        file,
    )
    named = list(named_for(description, rules))
    names = [info.name for _, info, _ in named]
    classes = choose_classes(names, users, description.schema)
    spellings = [item.spelling for item in classes]
    survey = ClassSurvey(tuple(names), SchemaChecks(spellings, description))
    survey.count_users(users)
    barred = survey.count_barred()
    found: PlacesByField = {}
    closed: dict[str, ClosedAttributes] = {}
    for field, info, rank in named:
        why = barred[info.name]
        count = why.total()
        if 2 * count > survey.user_count:
            commonest = why.most_common(1)[0][0]
            those = closed.setdefault(field.template, {})
            those[info.name] = (count, commonest)
        else:
            place = _make_place(field, info, rank, seen)
            found.setdefault(field.template, []).append(place)
    found = _rank_places(found, description, ready)
    _settle_holders(
        found,
        len(users),
        agents.claimed,
    )
    unused = _place_beside(found, names, seen)
    mapped = [best.name for best, *_ in found.values() if best.is_free]
    return FieldPlaces(
        found,
        tuple(_list_needed_classes(mapped, classes, seen)),
        len(users),
        closed,
        unused,
        microsoft=description.reading.hides,
    )


def _list_needed_classes(
    mapped: Sequence[str],
    classes: Sequence[ClassInfo],
    seen: SeenDirectory,
) -> list[str]:
    """List the auxiliary classes that users need for the mapped attributes."""
    if seen.in_file:
        return list_common_classes(mapped, seen.users)
    lacking = {name.lower() for name in mapped}
    lacking -= list_everywhere(seen.users, seen.description.schema)
    return spell_classes(classes, lacking, seen.description.schema)


def _match_users(
    users: Sequence[User],
    tenant: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
) -> MatchedAgents:
    """Find whom the rules match; without a rule, an agent may claim anybody."""
    if not rules:
        return MatchedAgents(
            tenant,
            {},
            {user.id for user in users},
        )
    sample = RuleSample(tenant, users, description)
    matches = sample.match_users(rules)
    by_user = {match.id: tenant.agents[match.agent] for match in matches.matched}
    return MatchedAgents(tenant, by_user, matches.claimed)


# ---------------------------------------------------------------- one place


def _make_place(
    field: AgentField,
    info: AttributeInfo,
    rank: int,
    seen: SeenDirectory,
) -> FieldPlace:
    """Make a place, with `owns` narrowed where that leaves others' values to them."""
    described = seen.description.attributes.get(info.name, info)
    template = Template.parse(field.template)
    made = MadeValues(template, described, seen.agents)
    whole = None if described.single else patterns.pattern_of(template)
    holders = made.find_holders(whole, seen.users)
    used = 0
    if not field.template.startswith("{sipService"):  # those are made for all agents
        used = made.count_users(seen.users)
    barred = ""
    if field.is_secret:
        barred = _IN_A_FILE if seen.in_file else ""
    elif info.readable is not True:
        barred = _HIDDEN
    place = FieldPlace(
        field,
        described,
        rank,
        holders,
        used,
        whole,
        barred=barred,
    )
    if field.is_sip and 0 < 2 * len(holders) <= len(seen.users):
        for narrow in narrow_patterns(template, seen.agents.tenant):
            if not made.find_holders(narrow, seen.users):
                return replace(
                    place,
                    owns=narrow,
                    stays=True,
                )
    return place


def _rank_places(
    found: PlacesByField,
    description: Description,
    ready: AbstractSet[str],
) -> PlacesByField:
    """Put the places of each field in order, the best first.

    First are those in the classes that are in use, of few other values, well named. Where
    classes are in use, `ready` attributes of others are left out.
    """
    used = [place for place in chain.from_iterable(found.values()) if place.in_use]
    in_use: set[str] = set()
    for place in used:
        in_use |= list_classes(place.info, description.schema)

    def is_strange(place: FieldPlace) -> bool:
        return in_use.isdisjoint(list_classes(place.info, description.schema))

    def order(place: FieldPlace) -> tuple[object, ...]:
        return (
            bool(place.barred),
            is_strange(place),
            len(place.holders),
            -place.used,
            place.rank,
            place.name.lower(),
        )

    left_out = ready if in_use else frozenset()
    ranked = {}
    for template, several in found.items():
        fitting = []
        for place in several:
            if place.name not in left_out or not is_strange(place):
                fitting.append(place)
        if fitting:
            ranked[template] = sorted(fitting, key=order)
    return ranked


def _settle_holders(
    found: PlacesByField,
    users: int,
    claimed: AbstractSet[str],
) -> None:
    """Settle who keeps another value.

    That is a few users whom no agent matches, and whoever gets nothing of the SIP identity. All
    of that group is written for a user, or none, so that a user whose only value of one
    attribute is not ours keeps those of the others. A phone with an old number and a new
    password does not ring: where the place of the number or of the address is not free,
    nothing of the group is mapped.
    """
    group = [several for several in found.values() if several[0].field.is_sip]
    kept: set[str] = set()
    for best, *_ in group:
        if best.stays and best.info.single:
            kept |= best.holders
    for several in found.values():
        place = several[0]
        if place.owns == patterns.ALL:
            continue
        is_few = FEW * len(place.holders) <= users
        is_nobodys = claimed.isdisjoint(place.holders)
        gets_nothing = place.field.is_sip and place.holders <= kept
        if gets_nothing or (is_few and is_nobodys):
            several[0] = replace(place, stays=True)
    why = _tell_incomplete(found)
    for several in group:
        for index, place in enumerate(several):
            if why and not place.barred:
                several[index] = replace(place, barred=why)


def _tell_incomplete(found: PlacesByField) -> str:
    """Tell why nothing of a SIP identity can be mapped; empty where it can."""
    needed = [found[template][0] for template in NEEDED & found.keys()]
    if not needed:
        return "no attribute holds a number"
    taken = [place.name for place in needed if not place.is_free]
    return f"without {', '.join(sorted(taken))} no phone rings" if taken else ""


def _place_beside(
    found: PlacesByField,
    names: Sequence[str],
    seen: SeenDirectory,
) -> PlacesByField:
    """Place fields in attributes beside the places of the SIP identity, other than these names.

    The one that holds most agents' own values becomes the field's place, whatever its name;
    else the one that is unused and has the likeliest name alone; else one of a likely name
    that users hold other values of, which is a comment. Returned are those that are unused.
    """
    sip = [best.info for best, *_ in found.values() if best.field.is_sip]
    left = []
    for info in unused_beside(sip, seen.description, seen.rules):
        described = seen.description.attributes[info.name]
        if info.name not in names and described.readable is not False:
            left.append(info)
    unused: PlacesByField = {}
    for field in FIELDS:
        if field.is_sip or field.template in found:
            continue
        several = _list_beside(field, left, seen)
        chosen = _choose_beside(
            field,
            several,
            len(seen.agents.by_user),
        )
        free = [place for place in several if place.is_unused]
        if chosen is not None:
            found[field.template] = [chosen]
            left = [info for info in left if info.name != chosen.name]
        elif free:
            unused[field.template] = free
    return unused


def _list_beside(
    field: AgentField,
    infos: Sequence[AttributeInfo],
    seen: SeenDirectory,
) -> list[FieldPlace]:
    """List places for a field, first those of few other values, then by name."""
    several = []
    for info in infos:
        if info.syntax in field.syntaxes:
            rank = field.rank_alone(info.name)
            several.append(_make_place(field, info, rank, seen))
    return sorted(several, key=lambda each: (len(each.holders), each.rank, each.name))


def _choose_beside(
    field: AgentField, several: Sequence[FieldPlace], agents: int
) -> FieldPlace | None:
    for place in several:
        if 2 * place.used > agents:
            return place
    named = [place for place in several if place.rank < len(field.alone)]
    free = [place for place in named if place.is_unused]
    if not free:
        return next((place for place in named if place.holders), None)
    is_likeliest = len(free) == 1 or free[0].rank < free[1].rank
    return free[0] if is_likeliest else None
