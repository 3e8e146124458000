"""Places for an agent's fields in a schema that no ready mapping knows: by name, syntax, class, and what is empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set as AbstractSet
from contextlib import closing
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.adapters import reader_of
from connector.init.fields import FIELDS, NEEDED, Field, named_for, unused_beside
from connector.init.foreign_values import Agents, MadeValues, narrow_patterns
from connector.init.match_search import USERS, allowed
from connector.init.place import FEW, ClosedAttributes, Place, Places
from connector.init.rules import Sample, keys
from connector.model import (
    OBJECT_CLASS,
    AttributeInfo,
    ClassInfo,
    Description,
    Tenant,
    User,
    View,
    patterns,
)
from connector.model.mapping import Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.schema_checks import SchemaChecks, Survey, classes_of
from connector.settings import job as jobs

_HIDDEN: Final = "this account cannot see which values it holds"
_IN_A_FILE: Final = "a file shows a password to everybody who can open it"

PlacesByField = dict[str, list[Place]]


class Seen(Struct, frozen=True):
    """What was seen of a directory."""

    users: Sequence[User]
    description: Description
    rules: Sequence[MatchRule]
    """How users are matched."""
    agents: Agents
    in_file: bool
    """It shows everything, and no schema but its users' classes."""


def places(
    job: jobs.LoadedJob,
    tenant: Tenant,
    sampled: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
    *,
    ready: AbstractSet[str] = frozenset(),
) -> Places:
    """Find where the fields may go, but for the attributes that users are matched by.

    It reads the first users, and those that the rules find for the sampled agents. `ready`:
    attributes that give way where agents' values are kept in those of another class.
    """
    in_file = job.job.directory.type == "ldif"
    named = list(named_for(description, rules))
    sip = [info for field, info, _ in named if field.sip]
    secrets = frozenset(info.name for field, info, _ in named if field.secret)
    names = [info.name for _, info, _ in named]
    if in_file:
        names = [name for name in names if name not in secrets]
    wanted = {name.lower() for name in names}
    classes = []
    for item in _list_auxiliary(description):
        if not wanted.isdisjoint(_list_allowed(description, item)):
            classes.append(item.spelling)
    names += [info.name for info in unused_beside(sip, description, rules)]
    names += [rule.directory for rule in rules]
    view = View(tuple(dict.fromkeys(names)), secrets, tuple(classes))
    with closing(reader_of(job, view)) as reader:
        users = {user.id: user for user in islice(reader.scan(), USERS)}
        users |= {user.id: user for user in reader.find(keys(rules, sampled))}
        described = replace(
            reader.describe(),
            schema=replace(reader.describe().schema, types=description.schema.types),
        )
    return placed(
        list(users.values()), tenant, described, rules, ready=ready, file=in_file
    )


def placed(
    users: Sequence[User],
    tenant: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
    *,
    ready: AbstractSet[str] = frozenset(),
    file: bool = False,
) -> Places:
    """Find the places from users that have been read.

    `file`: it shows everything, and no schema but its users' classes.
    """
    agents = _match_users(
        users,
        tenant,
        description,
        rules,
    )
    seen = Seen(
        users,
        description,
        rules,
        agents,
        file,
    )
    named = list(named_for(description, rules))
    names = [info.name for _, info, _ in named]
    classes = _choose_classes(names, seen)
    spellings = [item.spelling for item in classes]
    survey = Survey(tuple(names), SchemaChecks(spellings, description))
    survey.take(users)
    barred = survey.barred()
    found: PlacesByField = {}
    closed: dict[str, ClosedAttributes] = {}
    for field, info, rank in named:
        why = barred[info.name]
        count = why.total()
        if 2 * count > survey.users:
            commonest = why.most_common(1)[0][0]
            closed.setdefault(field.template, {})[info.name] = (count, commonest)
        else:
            place = _make_named_place(
                field,
                info,
                rank,
                seen,
            )
            found.setdefault(field.template, []).append(place)
    found = _rank_places(found, description, ready)
    _settle_holders(found, len(users), agents.claimed)
    unused = _place_beside(found, names, seen)
    mapped = [several[0].name for several in found.values() if several[0].free]
    if file:
        used = _find_common_classes(mapped, users)
    else:
        lacking = {name.lower() for name in mapped} - _list_everywhere(seen)
        used = []
        for item in classes:
            if not lacking.isdisjoint(_list_allowed(description, item)):
                used.append(item.spelling)
    return Places(
        found,
        tuple(used),
        len(users),
        closed,
        unused,
    )


def _match_users(
    users: Sequence[User],
    tenant: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
) -> Agents:
    """Find whom the rules match; without a rule, an agent may claim anybody."""
    if not rules:
        return Agents(tenant, {}, {user.id for user in users})
    matches = Sample(tenant, users, description).match(Mapping(tuple(rules), ()))
    by_user = {match.id: tenant.agents[match.agent] for match in matches.matched}
    return Agents(tenant, by_user, matches.claimed)


# ---------------------------------------------------------------- one place


def _make_named_place(
    field: Field, info: AttributeInfo, rank: int, seen: Seen
) -> Place:
    described = seen.description.attributes.get(info.name, info)
    place = _make_place(
        field,
        described,
        rank,
        seen,
    )
    if seen.in_file and field.secret:
        return replace(place, barred=_IN_A_FILE)
    if not field.secret and info.readable is not True:
        return replace(place, barred=_HIDDEN)
    return place


def _make_place(field: Field, info: AttributeInfo, rank: int, seen: Seen) -> Place:
    """Make a place, with `owns` narrowed where that leaves others' values to them."""
    template = Template.parse(field.template)
    made = MadeValues(template, info, seen.agents)
    whole = None if info.single else patterns.of(template)
    holders = made.find_holders(whole, seen.users)
    used = 0
    if not field.template.startswith("{sipService"):  # those are made for all agents
        used = made.count_users(seen.users)
    place = Place(
        field,
        info,
        rank,
        holders,
        used,
        whole,
    )
    if field.sip and 0 < 2 * len(holders) <= len(seen.users):
        for narrow in narrow_patterns(template, seen.agents.tenant):
            if not made.find_holders(narrow, seen.users):
                return replace(place, owns=narrow, stays=True)
    return place


def _rank_places(
    found: PlacesByField, description: Description, ready: AbstractSet[str]
) -> PlacesByField:
    """Put the places of each field in order, the best first.

    First are those in the classes that are in use, of few other values, well named. Where
    classes are in use, `ready` attributes of others are left out.
    """
    in_use: set[str] = set()
    for several in found.values():
        for place in several:
            if place.in_use:
                in_use |= _list_classes(place.info, description)

    def order(place: Place) -> tuple[object, ...]:
        return (
            bool(place.barred),
            in_use.isdisjoint(_list_classes(place.info, description)),
            len(place.holders),
            -place.used,
            place.rank,
            place.name.lower(),
        )

    ranked = {}
    for template, several in found.items():
        fitting = []
        for place in several:
            is_related = in_use & _list_classes(place.info, description)
            if is_related or not in_use or place.name not in ready:
                fitting.append(place)
        if fitting:
            ranked[template] = sorted(fitting, key=order)
    return ranked


def _settle_holders(
    found: PlacesByField, users: int, claimed: AbstractSet[str]
) -> None:
    """Settle who keeps another value.

    That is a few users whom no agent matches, and whoever gets nothing of the SIP identity. All
    of that group is written for a user, or none, so that a user whose only value of one
    attribute is not ours keeps those of the others. A phone with an old number and a new
    password does not ring: where the place of the number or of the address is not free,
    nothing of the group is mapped.
    """
    group = [several for several in found.values() if several[0].field.sip]
    kept: set[str] = set()
    for best, *_ in group:
        if best.stays and best.info.single:
            kept |= best.holders
    for several in found.values():
        place = several[0]
        is_few = FEW * len(place.holders) <= users
        if place.owns == patterns.ALL:
            continue
        if (is_few and claimed.isdisjoint(place.holders)) or (
            place.field.sip and place.holders <= kept
        ):
            several[0] = replace(place, stays=True)
    needed = [found[template][0] for template in NEEDED & found.keys()]
    taken = sorted(place.name for place in needed if not place.free)
    if needed and not taken:
        return
    why = "no attribute holds a number"
    if taken:
        why = f"without {', '.join(taken)} no phone rings"
    for several in group:
        several[:] = [replace(place, barred=place.barred or why) for place in several]


def _place_beside(
    found: PlacesByField, names: Sequence[str], seen: Seen
) -> PlacesByField:
    """Place fields in attributes beside the places of the SIP identity, other than these names.

    The one that holds most agents' own values becomes the field's place, whatever its name;
    else the one that is unused and has the likeliest name alone; else one of a likely name
    that users hold other values of, which is a comment. Returned are those that are unused.
    """
    best = [several[0] for several in found.values()]
    sip = [place.info for place in best if place.field.sip]
    left = []
    for info in unused_beside(sip, seen.description, seen.rules):
        if info.name not in names:
            left.append(seen.description.attributes[info.name])
    unused: PlacesByField = {}
    for field in FIELDS:
        if field.sip or field.template in found:
            continue
        several = _list_beside(field, left, seen)
        chosen = _choose_beside(field, several, len(seen.agents.by_user))
        free = [place for place in several if place.is_unused]
        if chosen is not None:
            found[field.template] = [chosen]
            left.remove(chosen.info)
        elif free:
            unused[field.template] = free
    return unused


def _list_beside(
    field: Field, infos: Sequence[AttributeInfo], seen: Seen
) -> list[Place]:
    several = []
    for info in infos:
        if info.syntax in field.syntaxes and info.readable is not False:
            several.append(
                _make_place(
                    field,
                    info,
                    field.rank_alone(info.name),
                    seen,
                )
            )
    several.sort(key=lambda place: (len(place.holders), place.rank, place.name.lower()))
    return several


def _choose_beside(field: Field, several: Sequence[Place], agents: int) -> Place | None:
    for place in several:
        if 2 * place.used > agents:
            return place
    likely = [place for place in several if place.rank < len(field.alone)]
    free = [place for place in likely if place.is_unused]
    likeliest = [place for place in free if place.rank == free[0].rank]
    if likeliest:
        return likeliest[0] if len(likeliest) == 1 else None
    return next((place for place in likely if place.holders), None)


# ---------------------------------------------------------------- classes


def siblings(names: AbstractSet[str], description: Description) -> frozenset[str]:
    """List these attributes, and those that no other class than theirs allows."""
    classes: set[str] = set()
    for name in names:
        info = description.schema.types.get(name.lower())
        if info:
            classes |= _list_classes(info, description)
    related = set(names)
    for info in description.schema.types.values():
        allowing = _list_classes(info, description)
        if allowing and allowing <= classes:
            related.add(info.name)
    return frozenset(related)


def _list_classes(info: AttributeInfo, description: Description) -> frozenset[str]:
    """List the classes that allow an attribute, but for those that allow any."""
    allowing = [
        description.schema.classes.get(name) for name in info.definition.classes
    ]
    return frozenset(item.name for item in allowing if item and not item.anything)


def _choose_classes(names: Sequence[str], seen: Seen) -> list[ClassInfo]:
    """Choose auxiliary classes that allow what the classes of some users do not.

    Each is the one that allows most of the rest. Of classes that allow as much, it is the one
    that most users have.
    """
    left = {name.lower() for name in names} - _list_everywhere(seen)
    had: Counter[str] = Counter()
    for user in seen.users:
        had.update(classes_of(user))
    allowed_by = {
        item.name: _list_allowed(seen.description, item)
        for item in _list_auxiliary(seen.description)
    }

    def order(item: ClassInfo) -> tuple[object, ...]:
        count = len(left & allowed_by[item.name])
        return -count, -had[item.name], len(item.must), item.name

    chosen: list[ClassInfo] = []
    while left:
        best = min(_list_auxiliary(seen.description), key=order, default=None)
        if best is None or left.isdisjoint(allowed_by[best.name]):
            break
        left -= allowed_by[best.name]
        chosen.append(best)
    return chosen


def _list_auxiliary(description: Description) -> list[ClassInfo]:
    """List the classes that a user can be given, each once."""
    classes = {item.name: item for item in description.schema.classes.values()}
    return [
        item
        for item in classes.values()
        if item.kind == "auxiliary" and not item.obsolete
    ]


def _find_common_classes(attributes: Iterable[str], users: Sequence[User]) -> list[str]:
    """Find the classes that come with these attributes.

    Without them, other users are of the same classes.
    """
    names = set(attributes)
    spelling: dict[str, str] = {}
    with_them: set[frozenset[str]] = set()
    without: set[frozenset[str]] = set()
    for user in users:
        for value in user.values.get(OBJECT_CLASS, ()):
            spelling[str(value).lower()] = str(value)
        shapes = without if names.isdisjoint(user.values) else with_them
        shapes.add(classes_of(user))
    if not with_them:
        return []
    common = frozenset[str].intersection(*with_them)
    if common not in with_them:
        return []
    added = [sorted(common - shape) for shape in without if shape < common]
    smallest = min(added, key=lambda some: (len(some), some), default=[])
    return sorted(spelling[name] for name in smallest)


def _list_everywhere(seen: Seen) -> set[str]:
    """List the attributes that the classes of every user allow, by own names in lower case."""
    examples = {classes_of(user): user for user in seen.users}
    shares = []
    for classes, user in examples.items():
        if classes:
            names = allowed(seen.description, [user])
            shares.append({name.lower() for name in names})
    return set.intersection(*shares) if shares else set()


def _list_allowed(description: Description, item: ClassInfo) -> frozenset[str]:
    """List the attributes that a class allows, by the schema's own names in lower case."""
    infos = [description.schema.types.get(name) for name in item.must | item.may]
    return frozenset(info.name.lower() for info in infos if info)
