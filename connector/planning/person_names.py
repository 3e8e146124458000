"""The names of people beside the DNs of a plan: read once it is drawn, for the users that a report names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec.structs import replace

from connector.errors import ConnectorError
from connector.matching.lookup import Lookup
from connector.model import (
    EXAMPLES,
    ID,
    LISTED,
    NAME,
    Equality,
    Plan,
    Problem,
    Secret,
    User,
    UserRef,
    equality,
)
from connector.model.dn import split_rdns
from connector.model.folding import text_of
from connector.planning.brief import NAMES_SECONDS, PlanBrief
from connector.planning.kinds import NAMED, find_concerned


def add_people(
    directory: Lookup,
    plan: Plan,
    brief: PlanBrief,
    known: Iterable[UserRef] = (),
    away: Collection[str] = (),
) -> Plan:
    """The plan with the names of its people, by the users' names in the plan. `known`: as in `find_people`.

    `away`: names in the plan that are no more those of the users that are meant, so that nobody is named by them.

    Where they cannot be read, the plan stays as it is; if the job asks for them, it says so.
    """
    users = list(_list_changed(plan, everybody=brief.show.everybody))
    named = list_named(plan.problems)
    people, fault = find_people(directory, users, named, brief, known)
    about = plan.about
    if fault and brief.show.asked:
        about += (("names", f"not shown: {fault}"),)
    people = {name: said for name, said in people.items() if name not in away}
    return replace(plan, about=about, notes=replace(plan.notes, people=people))


def find_people(
    directory: Lookup,
    users: Iterable[UserRef],
    names: Iterable[str],
    brief: PlanBrief,
    known: Iterable[UserRef] = (),
) -> tuple[dict[str, str], str]:
    """By their names, the names of these people, and why some could not be read; `known`: users whose ids are at hand.

    It is the first value that each shows of the job's attributes. Who is known by a
    userName alone has to be searched for: that is done only where the job asks.
    """
    asked = brief.show.asked
    show = [name for name in brief.show.attributes if not _is_mapped(name, brief)]
    ids = {user.id: user.name for user in users if user.identified}
    others = {*names} - {*ids.values()}
    for user in known if others else ():
        if user.identified and user.name in others:
            ids[user.id] = user.name
    keys = [(ID, id_) for id_ in ids]
    if asked or brief.description.naming.names is Equality.DN:
        keys += [(NAME, name) for name in sorted(others - {*ids.values()})]
    people: dict[str, str] = {}
    fault = ""
    try:
        seconds = None if asked else NAMES_SECONDS
        for found in directory.find_named(keys, seconds) if keys and show else ():
            name, said = ids.get(found.id, found.name), _choose_name(found, show)
            if said and not _is_in(said, name, brief):
                people[name] = said
    except ConnectorError as error:
        fault = str(error)
    return dict(sorted(people.items())), fault


def list_named(problems: Iterable[Problem]) -> Iterator[str]:
    """The users that these problems name."""
    for problem in problems:
        yield from problem.users
        yield from (near.user for near in problem.near)


def _list_changed(plan: Plan, *, everybody: bool) -> Iterator[UserRef]:
    """Users of changes: all, or those that a terminal names where there are many."""
    if everybody or len(plan.changes) <= LISTED:
        yield from (change.user for change in plan.changes)
        return
    for kind in plan.notes.kinds:
        yield from (change.user for change in kind.changes[:EXAMPLES])
    yield from (look.user for look in plan.notes.worth_a_look)
    refused = {
        name
        for refusal in plan.refusals
        for name in find_concerned(plan, refusal)[:NAMED]
    }
    for change in plan.changes:
        if change.user.name in refused:
            yield change.user


def _is_mapped(name: str, brief: PlanBrief) -> bool:
    """Whether the mapping writes this attribute under another of its names."""
    infos = (
        brief.description.attributes.get(rule.name) for rule in brief.mapping.attributes
    )
    return any(
        name.lower() in info.definition.aliases for info in infos if info is not None
    )


def _choose_name(user: User, show: Iterable[str]) -> str:
    """The first value of the first of these attributes that has one; none: empty."""
    for name in show:
        for value in user.values.get(name, ()):
            if value and not isinstance(value, Secret):
                return text_of(value)
    return ""


def _is_in(
    said: str,
    name: str,
    brief: PlanBrief,
) -> bool:
    """Whether the name of a user is, or begins with, that of the person, as in `cn=Anna Example,…`."""
    if brief.description.naming.names is not Equality.DN:
        return said == name
    if said.isascii() and name.isascii() and "\\" not in name:
        # as nearly always: whatever is alike has these letters in a row
        letters, others = ("".join(text.lower().split()) for text in (said, name))
        if letters not in others:
            return False
    return is_named(name, said)


def is_named(name: str, value: str) -> bool:
    """Whether the first RDN of a DN has this value, however it is spelt."""
    try:
        first = next(iter(split_rdns(name)), frozenset())
    except ValueError:
        return False
    key = equality.likeness_key(Equality.CASE_IGNORE, value)
    return any(key == own for _, own in first)
