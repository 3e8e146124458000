"""Places for an agent's fields in a schema that no ready mapping knows: by name, syntax, class, and what is empty."""

from __future__ import annotations

from collections import Counter
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping as AbstractMapping,
    Sequence,
    Set as AbstractSet,
)
from contextlib import closing
from itertools import islice, takewhile
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.init.attributes import USERS, allowed
from connector.init.fields import FIELDS, NEEDED, Field, named_for, unused_beside
from connector.init.place import FEW, Place, Places
from connector.init.rules import Sample, keys
from connector.model import (
    OBJECT_CLASS,
    Agent,
    AttributeInfo,
    ClassInfo,
    Description,
    Held,
    Secret,
    Tenant,
    User,
    View,
)
from connector.reconcile import equality
from connector.reconcile.checks.schema_checks import SchemaChecks, Survey, classes_of
from connector.reconcile.diff import patterns
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import Mapping, MatchRule
from connector.run.adapters import reader_of
from connector.settings import job as jobs

_HIDDEN: Final = "this account cannot see which values it holds"
_IN_A_FILE: Final = "a file shows a password to everybody who can open it"


class Agents(Struct, frozen=True):
    """The tenant's agents and their users."""

    tenant: Tenant
    by_user: AbstractMapping[str, Agent]
    """The agent of each matched user, by the user's id."""
    claimed: AbstractSet[str]
    """The ids of all users that an agent claims, or may claim."""


def places(
    job: jobs.LoadedJob,
    tenant: Tenant,
    sampled: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
    *,
    ready: AbstractSet[str] = frozenset(),
) -> Places:
    """Where the fields may go, but for the attributes that users are matched by.

    It reads the first users, and those that the rules find for the sampled agents. `ready`:
    attributes that give way where agents' values are kept in those of another class.
    """
    file = job.job.directory.type == "ldif"
    named = list(named_for(description, rules))
    beside = unused_beside(
        (info for field, info, _ in named if field.sip), description, rules
    )
    names = [info.name for field, info, _ in named if not (file and field.secret)]
    secrets = frozenset(info.name for field, info, _ in named if field.secret)
    wanted = {name.lower() for name in names}
    adding = [
        item.spelling
        for item in _auxiliary(description)
        if not wanted.isdisjoint(_allows(description, item))
    ]
    looked = dict.fromkeys(
        [*names, *(info.name for info in beside), *(rule.directory for rule in rules)]
    )
    view = View(tuple(looked), secrets, tuple(adding))
    with closing(reader_of(job, view)) as reader:
        users = {user.id: user for user in islice(reader.scan(), USERS)}
        users |= {user.id: user for user in reader.find(keys(rules, sampled))}
        described = replace(reader.describe(), types=description.types)
        return placed(
            list(users.values()), tenant, described, rules, ready=ready, file=file
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
    """The same from users that have been read. `file`: it shows everything, and no schema but its users' classes."""
    named = list(named_for(description, rules))
    names = tuple(info.name for _, info, _ in named)
    classes = _classes(names, description, users)
    survey = Survey(
        names, SchemaChecks([item.spelling for item in classes], description)
    )
    survey.take(users)
    barred = survey.barred()
    agents = _match(users, tenant, description, rules)
    found: dict[str, list[Place]] = {}
    closed: dict[str, dict[str, tuple[int, str]]] = {}
    for field, info, rank in named:
        why = barred[info.name]
        if 2 * why.total() <= survey.users:
            place = _place(
                field, description.attributes.get(info.name, info), rank, users, agents
            )
            hidden = (
                _IN_A_FILE
                if file and field.secret
                else ""
                if field.secret or info.readable is True
                else _HIDDEN
            )
            place = replace(place, barred=hidden)
            found.setdefault(field.template, []).append(place)
        else:
            closed.setdefault(field.template, {})[info.name] = (
                why.total(),
                why.most_common(1)[0][0],
            )
    found = _ranked(found, description, ready)
    _settle(found, len(users), agents.claimed)
    sip = (several[0].info for several in found.values() if several[0].field.sip)
    beside = (
        info.name
        for info in unused_beside(sip, description, rules)
        if info.name not in names
    )
    unused = _beside(
        found, [description.attributes[name] for name in beside], users, agents
    )
    names = tuple(some[0].info.name for some in found.values() if some[0].free)
    taken = set(map(str.lower, names)) - _everywhere(description, users)
    if file:
        return Places(found, _shown_with(names, users), len(users), closed, unused)
    used = tuple(
        item.spelling
        for item in classes
        if not taken.isdisjoint(_allows(description, item))
    )
    return Places(found, used, len(users), closed, unused)


def _ranked(
    found: dict[str, list[Place]], description: Description, ready: AbstractSet[str]
) -> dict[str, list[Place]]:
    """The places of each field, the best first: in the classes that are in use, of few other values, well named.

    Where classes are in use, `ready` attributes of others are left out.
    """
    every = (place for several in found.values() for place in several)
    kin = frozenset[str]().union(
        *(_of(place.info, description) for place in every if place.in_use)
    )

    def fits(place: Place) -> bool:
        return (
            not kin
            or place.info.name not in ready
            or bool(kin & _of(place.info, description))
        )

    def order(place: Place) -> tuple[object, ...]:
        strange = kin.isdisjoint(_of(place.info, description))
        return (
            bool(place.barred),
            strange,
            len(place.holders),
            -place.used,
            place.rank,
            place.info.name.lower(),
        )

    ranked = {
        text: sorted(filter(fits, several), key=order)
        for text, several in found.items()
    }
    return {text: several for text, several in ranked.items() if several}


def _of(info: AttributeInfo, description: Description) -> frozenset[str]:
    """The classes that allow an attribute, but for those that allow any."""
    allowing = (description.classes.get(name) for name in info.classes)
    return frozenset(item.name for item in allowing if item and not item.anything)


def siblings(names: AbstractSet[str], description: Description) -> frozenset[str]:
    """These attributes, and those that no other class than theirs allows."""
    written = (description.types.get(name.lower()) for name in names)
    classes = frozenset[str]().union(
        *(_of(info, description) for info in written if info)
    )
    infos = {info.name: _of(info, description) for info in description.types.values()}
    return frozenset(names) | {
        name for name, allowing in infos.items() if allowing and allowing <= classes
    }


def _place(
    field: Field, info: AttributeInfo, rank: int, users: Sequence[User], agents: Agents
) -> Place:
    """With `owns` narrowed to what is made for this tenant where that leaves others' values to them."""
    template = Template.parse(field.template)
    is_made = _makes(template, info, agents)
    whole = None if info.single else patterns.of(template)
    holders = _holders(info, whole, users, is_made)
    # what is made for one agent alone
    whose = not field.template.startswith("{sipService")
    used = (
        sum(
            any(is_made(user, value) for value in user.values.get(info.name, ()))
            for user in users
        )
        if whose
        else 0
    )
    if field.sip and 0 < 2 * len(holders) <= len(users):
        for narrow in narrow_patterns(template, agents.tenant):
            if not _holders(info, narrow, users, is_made):
                return Place(field, info, rank, holders, used, narrow, stays=True)
    return Place(field, info, rank, holders, used, whole)


def narrow_patterns(template: Template, tenant: Tenant) -> Iterator[str]:
    """Patterns of what is made for this tenant: with its own address, and then with what all values begin with."""
    within = template.within(tenant)
    pattern = patterns.of(within)
    if pattern != patterns.ALL:
        yield pattern
    begin, star, end = pattern.partition(patterns.ALL)
    made = {
        value
        for value in map(within.bind(tenant), tenant.agents)
        if isinstance(value, str)
    }
    ends = zip(min(made), max(made), strict=False) if len(made) > 1 else ()
    start = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], ends))
    if (
        star
        and start.startswith(begin)
        and start != begin
        and not {"*", "\n"} & set(start)
    ):
        yield f"{start}*{end}"


def _match(
    users: Sequence[User],
    tenant: Tenant,
    description: Description,
    rules: Sequence[MatchRule],
) -> Agents:
    """Whom the rules match; without a rule, an agent may claim anybody."""
    if not rules:
        return Agents(tenant, {}, {user.id for user in users})
    verdicts = Sample(tenant, users, description).verdicts(Mapping(tuple(rules), ()))
    return Agents(
        tenant,
        {claim.id: tenant.agents[claim.agent] for claim in verdicts.matched},
        verdicts.claimed(),
    )


def _settle(
    found: dict[str, list[Place]], users: int, claimed: AbstractSet[str]
) -> None:
    """Settle who keeps another value: a few users whom no agent matches, and whoever gets nothing of the SIP identity.

    All of that group is written for a user, or none, so that a user whose only value of one
    attribute is not ours keeps those of the others. A phone with an old number and a new
    password does not ring: where the place of the number or of the address is not free,
    nothing of the group is mapped.
    """
    group = [several for several in found.values() if several[0].field.sip]
    keeping = [
        several[0] for several in group if several[0].stays and several[0].info.single
    ]
    kept = frozenset[str]().union(*(place.holders for place in keeping))
    for several in found.values():
        place = several[0]
        few = FEW * len(place.holders) <= users and claimed.isdisjoint(place.holders)
        if place.owns != patterns.ALL and (
            few or (place.field.sip and place.holders <= kept)
        ):
            several[0] = replace(place, stays=True)
    needed = [found[text][0] for text in NEEDED & found.keys()]
    if not needed or not all(place.free for place in needed):
        named = ", ".join(sorted(place.info.name for place in needed if not place.free))
        why = (
            f"without {named} no phone rings"
            if named
            else "no attribute holds a number"
        )
        for several in group:
            several[:] = [
                replace(place, barred=place.barred or why) for place in several
            ]


def _classes(
    names: Sequence[str], description: Description, users: Sequence[User]
) -> list[ClassInfo]:
    """Auxiliary classes that allow what the classes of some users do not, each the one that allows most of the rest.

    Of classes that allow as much, it is the one that most users have.
    """
    left = {name.lower() for name in names} - _everywhere(description, users)
    had = Counter(name for user in users for name in classes_of(user))
    known = list(_auxiliary(description))
    chosen: list[ClassInfo] = []
    while left:
        counts = {item.name: len(left & _allows(description, item)) for item in known}
        known.sort(
            key=lambda item: (
                -counts[item.name],
                -had[item.name],
                len(item.must),
                item.name,
            )
        )
        if not known or not counts[known[0].name]:
            break
        left -= _allows(description, known[0])
        chosen.append(known[0])
    return chosen


def _auxiliary(description: Description) -> Iterable[ClassInfo]:
    """The classes that a user can be given, each once."""
    unique = {item.name: item for item in description.classes.values()}
    return (
        item
        for item in unique.values()
        if item.kind == "auxiliary" and not item.obsolete
    )


def _shown_with(attributes: Iterable[str], users: Sequence[User]) -> tuple[str, ...]:
    """The classes that come with these attributes: without them, other users are of the same classes."""
    spelling = {
        str(value).lower(): str(value)
        for user in users
        for value in user.values.get(OBJECT_CLASS, ())
    }
    shapes = {holds: set[frozenset[str]]() for holds in (True, False)}
    for user in users:
        shapes[any(name in user.values for name in attributes)].add(classes_of(user))
    every = (
        frozenset[str].intersection(*shapes[True]) if shapes[True] else frozenset[str]()
    )
    added = [
        every - bare for bare in shapes[False] if bare < every and every in shapes[True]
    ]
    return tuple(
        sorted(
            spelling[name]
            for name in min(
                added, key=lambda some: (len(some), sorted(some)), default=()
            )
        )
    )


def _everywhere(description: Description, users: Iterable[User]) -> set[str]:
    """The attributes that the classes of every user allow, by the schema's own names in lower case."""
    examples = {classes_of(user): user for user in users}
    shares = [
        {name.lower() for name in allowed(description, [user])}
        for shown, user in examples.items()
        if shown
    ]
    return set.intersection(*shares) if shares else set()


def _allows(description: Description, item: ClassInfo) -> frozenset[str]:
    """The attributes that a class allows, by the schema's own names in lower case."""
    infos = (description.types.get(each) for each in item.must | item.may)
    return frozenset(info.name.lower() for info in infos if info)


def _beside(
    found: dict[str, list[Place]],
    left: list[AttributeInfo],
    users: Sequence[User],
    agents: Agents,
) -> dict[str, list[Place]]:
    """Those left beside the places of the SIP identity, for fields without a place.

    The one that holds most agents' own values becomes the field's place, whatever its name;
    else the one that is unused and has the likeliest name alone; else one of a likely name
    that users hold other values of, which is a comment.
    """
    unused: dict[str, list[Place]] = {}
    for field in FIELDS:
        if field.sip or field.template in found:
            continue
        fitting = [
            info
            for info in left
            if info.syntax in field.syntaxes and info.readable is not False
        ]
        several = [
            _place(field, info, field.rank_alone(info.name), users, agents)
            for info in fitting
        ]
        several.sort(
            key=lambda place: (len(place.holders), place.rank, place.info.name.lower())
        )
        in_use = [place for place in several if 2 * place.used > len(agents.by_user)]
        free = [place for place in several if not place.holders and not place.used]
        likeliest = [
            place for place in free if place.rank == free[0].rank < len(field.alone)
        ]
        conflicting = [
            place
            for place in several
            if place.holders and place.rank < len(field.alone)
        ]
        best = in_use[:1] or (
            likeliest
            if len(likeliest) == 1
            else conflicting[:1]
            if not likeliest
            else []
        )
        if best:
            found[field.template] = best
            left.remove(best[0].info)
        elif free:
            unused[field.template] = free
    return unused


def _holders(
    info: AttributeInfo,
    owns: str | None,
    users: Sequence[User],
    is_made: Callable[[User, Held], bool],
) -> frozenset[str]:
    """Who holds a value that would count as ours and is not made for the user's agent."""
    strangers = set()
    for user in users:
        covered = patterns.ours(owns, user.values.get(info.name, ()))
        if not all(is_made(user, value) for value in covered):
            strangers.add(user.id)
    return frozenset(strangers)


def _makes(
    template: Template, info: AttributeInfo, agents: Agents
) -> Callable[[User, Held], bool]:
    """A test whether a value is what is made for a user's agent; without an agent, for any. A secret never is."""
    render, key = template.bind(agents.tenant), equality.keys_of(info.equality)
    made_for_any = {
        key(value)
        for value in map(render, agents.tenant.agents)
        if isinstance(value, str)
    }

    def is_made(user: User, value: Held) -> bool:
        if isinstance(value, Secret):
            return False
        agent = agents.by_user.get(user.id)
        wanted = render(agent) if agent else None
        return (
            key(value) == key(wanted)
            if isinstance(wanted, str)
            else key(value) in made_for_any
        )

    return is_made
