"""Where a directory holds account codes: by which attributes, and in which spelling, sampled agents find their users.

The usual attributes are tried with all sampled agents. Every other one that may hold
account codes is asked for a few agents first, by equality, so that a large directory is not
searched long in vain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from time import monotonic
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.port import Reader
from connector.errors import IncompleteRead, UnreachableError
from connector.init.attributes import MOST, USERS, Further, further
from connector.init.rules import (
    ATTRIBUTES,
    SCIM_ATTRIBUTES,
    Sample,
    Tried,
    best,
    candidates,
    keys,
)
from connector.model import Description, Key, Tenant, User, View
from connector.reconcile.mapping import MatchRule
from connector.run.adapters import reader_of
from connector.settings import job as jobs

_PROBES: Final = 20
"""So many agents are looked for in each attribute beyond the usual ones."""
_SHARE: Final = 4
"""One in so many agents has to have a user by another than the usual attributes."""
_SECONDS: Final = 30.0
"""So long the attributes beyond the usual ones are searched."""


class Found(Struct, frozen=True):
    """The rules tried, each by itself; those to take; how many agents these find together; where nobody is found.

    `none`: the attributes in which no rule finds anybody. `untried`: attributes that the server did not let us search,
    or for which no time was left. `others`: what was asked beyond the usual attributes.
    """

    tried: list[Tried]
    rules: list[MatchRule]
    together: int
    none: tuple[str, ...]
    untried: tuple[str, ...]
    description: Description
    others: Further


def search(job: jobs.LoadedJob, sampled: Tenant) -> Found:
    """Look for the sampled agents. Raises one of the kinds of IncompleteRead."""
    usual = SCIM_ATTRIBUTES if job.job.directory.type == "scim" else ATTRIBUTES
    with closing(reader_of(job, View(usual))) as reader:
        description = reader.describe()
        known = [name for name in usual if description.attributes[name].known]
        looks = list(islice(reader.scan(), USERS))
        others = further(reader, looks, description, usual)
    with closing(
        reader_of(job, View((*usual, *(info.name for info in others.infos))))
    ) as reader:
        description = reader.describe()
        if not description.types:
            description = replace(
                description, types={info.name.lower(): info for info in others.schema}
            )
        if others.infos:
            looks = list(islice(reader.scan(), USERS))
        names = others.ordered(looks, description)
        hits, untried = _probed(reader, sampled, others, names, looks)
        rules = [*candidates(known, sampled.agents, looks, description), *hits]
        by_name = {
            name: [rule for rule in rules if rule.directory == name]
            for name in (*known, *names)
        }
        asked = (
            [rules] if others.at_once else [some for some in by_name.values() if some]
        )
        users, failed = _looked_up(reader, asked, sampled, or_all=others.or_all)
    if asked and failed.keys() >= {rule.directory for rule in rules}:
        raise next(filter(None, failed.values()))
    sample = Sample(sampled, list(users.values()), description)
    each = [
        _tried(rule, sample, usual) for rule in rules if rule.directory not in failed
    ]
    each.sort(key=lambda one: others.slow(one.rule.directory))
    taken = best(each, sample)
    there = {one.rule.directory for one in each if one.matched or one.several}
    untried = (*(name for name in failed if name not in untried), *untried)
    none = tuple(
        name for name in (*known, *names) if name not in there and name not in untried
    )
    return Found(
        each,
        taken,
        sample.try_(taken)[0] if taken else 0,
        none,
        untried,
        description,
        others,
    )


def _tried(rule: MatchRule, sample: Sample, usual: Sequence[str]) -> Tried:
    """A rule by itself. By chance a few codes are somebody's room or telephone, so that a few matches prove nothing."""
    matched, several = sample.try_([rule])
    few = rule.directory not in usual and matched < len(sample.tenant.agents) / _SHARE
    barred = (
        "a seat can be reassigned"
        if "workNo" in rule.agent.fields
        else "too few to be no chance"
        if few
        else ""
    )
    return Tried(rule, matched, several, barred)


def _probed(
    reader: Reader,
    sampled: Tenant,
    others: Further,
    names: Sequence[str],
    looks: Sequence[User],
) -> tuple[list[MatchRule], tuple[str, ...]]:
    """The rules onto these attributes that find one of a few agents, and the attributes that were not tried."""
    few = replace(
        sampled, agents=sampled.agents[:: max(1, -(-len(sampled.agents) // _PROBES))]
    )
    description = reader.describe()
    each = [
        list(candidates([name], few.agents, looks, description))
        for name in names[:MOST]
    ]
    rules = [rule for some in each for rule in some]
    asked = [rules] if others.at_once and rules else each
    users, untried = _looked_up(
        reader, asked, few, monotonic() + _SECONDS, or_all=others.or_all
    )
    sample = Sample(few, list(users.values()), description)
    hits = [rule for rule in rules if users and any(sample.try_([rule]))]
    there = {rule.directory for rule in hits}
    return hits, tuple(
        name
        for name in names
        if name not in there and (name in untried or name in names[MOST:])
    )


def _looked_up(
    reader: Reader,
    asked: Iterable[Sequence[MatchRule]],
    tenant: Tenant,
    ends: float = math.inf,
    *,
    or_all: bool,
) -> tuple[dict[str, User], dict[str, IncompleteRead | None]]:
    """The users by these rules, some rules at a time, and the attributes that were not searched, with the reason.

    None: no time was left. A server may refuse an attribute without an index, or have a
    fault with one alone.
    `or_all`: once somebody is shown who was not asked for, everybody is, and nothing more has to be asked.
    """
    users: dict[str, User] = {}
    untried: dict[str, IncompleteRead | None] = {}
    everybody = False
    for rules in asked:
        if everybody:
            break
        wanted = (
            {(name, value.lower()) for name, value in keys(rules, tenant)}
            if or_all
            else set()
        )
        names = dict.fromkeys(rule.directory for rule in rules)
        try:
            for user in reader.find(keys(rules, tenant)) if monotonic() < ends else ():
                users[user.id] = user
                everybody = everybody or (or_all and wanted.isdisjoint(_lower(user)))
                if monotonic() >= ends:
                    break
        except UnreachableError:
            raise
        except IncompleteRead as fault:
            everybody = False
            untried |= dict.fromkeys(names, fault)
        if monotonic() >= ends:
            everybody = False
            untried |= dict.fromkeys(names)
    return users, untried


def _lower(user: User) -> set[Key]:
    return {
        (name, value.lower())
        for name, some in user.values.items()
        for value in some
        if isinstance(value, str)
    }
