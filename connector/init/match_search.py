"""Where a directory holds account codes: by which attributes, and in which spelling, sampled agents find their users.

The usual attributes are tried with all sampled agents. Every other one that may hold account
codes is asked for a few agents first, by equality, so that a large directory is not searched
long in vain.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from itertools import islice
from time import monotonic
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.adapters import reader_of
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldif.adapter import LdifReader
from connector.directories.port import Reader
from connector.directories.scim.adapter import ScimReader
from connector.errors import IncompleteRead, UnreachableError
from connector.init.classes import list_attributes
from connector.init.fields import is_secret, split_words
from connector.init.rules import (
    ATTRIBUTES,
    SCIM_ATTRIBUTES,
    RuleSample,
    TriedRule,
    choose_rules,
    list_candidates,
    list_keys,
)
from connector.model import AttributeInfo, Description, Syntax, Tenant, User, View
from connector.model.mapping import MatchRule
from connector.settings import job as jobs
from connector.settings.attribute_names import fault_of_name, why_not_matched

USERS: Final = 200
"""So many users show what the directory's values look like."""
MOST: Final = 200
"""So many attributes beyond the usual ones are asked at most."""
_PROBES: Final = 20
"""So many agents are looked for in each attribute beyond the usual ones."""
_SHARE: Final = 4
"""One in so many agents has to have a user by another than the usual attributes."""
_SECONDS: Final = 30.0
"""So long the attributes beyond the usual ones are searched."""
_TEXTS: Final = frozenset(
    {
        Syntax.TEXT,
        Syntax.IA5,
        Syntax.PRINTABLE,
        Syntax.NUMERIC,
        Syntax.INTEGER,
        Syntax.TELEPHONE,
    }
)
_LIKELY: Final = frozenset(
    {
        "account",
        "agent",
        "code",
        "employee",
        "id",
        "login",
        "number",
        "personnel",
        "staff",
        "user",
    }
)
"""Words in the name of an attribute that is asked first."""


class FurtherAttributes(Struct, frozen=True):
    """Attributes beyond the usual ones that may hold account codes."""

    infos: Sequence[AttributeInfo]
    schema: Collection[AttributeInfo]
    """All that users may hold; of a file, what they do hold and no schema known here has."""
    indexed: frozenset[str] | None = None
    """Those with an equality index, by all names in lower case; None where that is not shown."""
    at_once: bool = False
    """The directory is read whole for each question, so that all are asked in one."""
    or_all: bool = False
    """A look-up may be answered with everybody; those who were not asked for tell that it was."""

    def is_slow(self, name: str) -> bool:
        """Tell whether the directory says that it has no index for the attribute."""
        return self.indexed is not None and name.lower() not in self.indexed

    def order_names(self, users: Iterable[User], description: Description) -> list[str]:
        """List what may be asked for: first indexed attributes, then those in use, the likely ones first."""
        used = {name for user in users for name in user.values}

        def order(name: str) -> tuple[bool, bool, bool]:
            is_unlikely = _LIKELY.isdisjoint(split_words(name))
            return self.is_slow(name), name not in used, is_unlikely

        names = [info.name for info in self.infos]
        comparable = [name for name in names if description.attributes[name].comparable]
        return sorted(comparable, key=order)


class FoundRules(Struct, frozen=True):
    """What the search came to."""

    tried: list[TriedRule]
    """The rules tried, each by itself."""
    rules: list[MatchRule]
    """Those to take."""
    together: int
    """How many agents these find together."""
    none: tuple[str, ...]
    """The attributes in which no rule finds anybody."""
    untried: tuple[str, ...]
    """Attributes that the server did not let us search, or for which no time was left."""
    description: Description
    others: FurtherAttributes
    """What was asked beyond the usual attributes."""


class LookedUp(Struct, frozen=True):
    """Users that rules have found."""

    users: dict[str, User] = {}
    """By id."""
    untried: dict[str, IncompleteRead | None] = {}
    """The attributes that were not searched, with the reason; None: no time was left."""


def search_rules(job: jobs.LoadedJob, sampled: Tenant) -> FoundRules:
    """Look for the sampled agents. Raises one of the kinds of IncompleteRead."""
    usual = SCIM_ATTRIBUTES if job.job.directory.type == "scim" else ATTRIBUTES
    with closing(reader_of(job, View(usual))) as reader:
        description = reader.describe()
        known = []
        for name in usual:
            if description.attributes[name].definition.known:
                known.append(name)
        users = list(islice(reader.scan(), USERS))
        others = list_further_attributes(
            reader,
            users,
            description,
            usual,
        )
    view = View((*usual, *(info.name for info in others.infos)))
    with closing(reader_of(job, view)) as reader:
        description = reader.describe()
        if not description.schema.types:
            types = {info.name.lower(): info for info in others.schema}
            description = replace(
                description, schema=replace(description.schema, types=types)
            )
        if others.infos:
            users = list(islice(reader.scan(), USERS))
        names = others.order_names(users, description)
        hits, untried = _probe_attributes(
            reader,
            sampled,
            others,
            names,
            users,
        )
        rules = [
            *list_candidates(
                known,
                sampled.agents,
                users,
                description,
            ),
            *hits,
        ]
        groups = [rules]
        if not others.at_once:
            groups = _group_rules(rules, [*known, *names])
        looked_up = _look_up(
            reader,
            groups,
            sampled,
            or_all=others.or_all,
        )
    failed = looked_up.untried
    if groups and failed.keys() >= {rule.directory for rule in rules}:
        raise next(filter(None, failed.values()))
    sample = RuleSample(sampled, list(looked_up.users.values()), description)
    tried = []
    settled = {*failed, *untried}
    for rule in rules:
        if rule.directory not in failed:
            one = _try_rule(rule, sample, usual)
            tried.append(one)
            if one.matched or one.several:
                settled.add(rule.directory)
    tried.sort(key=lambda each: others.is_slow(each.rule.directory))
    taken = choose_rules(tried, sample)
    return FoundRules(
        tried,
        taken,
        sample.try_rules(taken)[0] if taken else 0,
        tuple(name for name in (*known, *names) if name not in settled),
        tuple(dict.fromkeys([*failed, *untried])),
        description,
        others,
    )


def _group_rules(
    rules: Sequence[MatchRule], names: Iterable[str]
) -> list[list[MatchRule]]:
    """Put the rules of one attribute together, in the order of these names."""
    by_name: dict[str, list[MatchRule]] = {}
    for name in names:
        by_name[name] = []
    for rule in rules:
        by_name[rule.directory].append(rule)
    return [group for group in by_name.values() if group]


def _try_rule(rule: MatchRule, sample: RuleSample, usual: Sequence[str]) -> TriedRule:
    """Try a rule by itself.

    By chance a few codes are somebody's room or telephone, so that a few matches prove nothing.
    """
    matched, several = sample.try_rules([rule])
    is_usual = rule.directory in usual
    barred = ""
    if "workNo" in rule.agent.fields:
        barred = "a seat can be reassigned"
    elif not is_usual and matched < len(sample.tenant.agents) / _SHARE:
        barred = "too few to be no chance"
    return TriedRule(
        rule,
        matched,
        several,
        barred,
    )


def _probe_attributes(
    reader: Reader,
    sampled: Tenant,
    others: FurtherAttributes,
    names: Sequence[str],
    users: Sequence[User],
) -> tuple[list[MatchRule], list[str]]:
    """Find the rules onto these attributes that find one of a few agents.

    The second list: the attributes that were not tried.
    """
    step = max(1, math.ceil(len(sampled.agents) / _PROBES))
    few = replace(sampled, agents=sampled.agents[::step])
    description = reader.describe()
    rules = list(
        list_candidates(
            names[:MOST],
            few.agents,
            users,
            description,
        )
    )
    groups = _group_rules(rules, names)
    if others.at_once and rules:
        groups = [rules]
    ends = monotonic() + _SECONDS
    looked_up = _look_up(
        reader,
        groups,
        few,
        ends,
        or_all=others.or_all,
    )
    sample = RuleSample(few, list(looked_up.users.values()), description)
    hits = []
    for rule in rules:
        if looked_up.users and any(sample.try_rules([rule])):
            hits.append(rule)
    untried = looked_up.untried.keys() | set(names[MOST:])
    untried -= {rule.directory for rule in hits}
    return hits, [name for name in names if name in untried]


def _look_up(
    reader: Reader,
    groups: Iterable[Sequence[MatchRule]],
    tenant: Tenant,
    ends: float = math.inf,
    *,
    or_all: bool,
) -> LookedUp:
    """Look users up by these rules, a group at a time.

    A server may refuse an attribute without an index, or have a fault with one alone.
    `or_all`: once somebody is shown who was not asked for, everybody is, and nothing more has
    to be asked.
    """
    looked_up = LookedUp({}, {})
    for rules in groups:
        names = dict.fromkeys(rule.directory for rule in rules)
        has_everybody = False
        wanted = set()
        for name, value in list_keys(rules, tenant):
            wanted.add((name, value.lower()))
        try:
            for user in (
                reader.find(list_keys(rules, tenant)) if monotonic() < ends else ()
            ):
                looked_up.users[user.id] = user
                has_everybody |= or_all and not _holds_one(user, wanted)
                if monotonic() >= ends:
                    break
        except UnreachableError:
            raise
        except IncompleteRead as fault:
            has_everybody = False
            looked_up.untried.update(dict.fromkeys(names, fault))
        if monotonic() >= ends:
            looked_up.untried.update(dict.fromkeys(names))
        elif has_everybody:
            break
    return looked_up


def _holds_one(user: User, wanted: Collection[tuple[str, str]]) -> bool:
    """Tell whether a user holds one of the wanted values, in any case."""
    for name, values in user.values.items():
        for value in values:
            if not isinstance(value, str):
                continue
            if (name, value.lower()) in wanted:
                return True
    return False


# ---------------------------------------------------------------- the attributes


def list_further_attributes(
    reader: Reader,
    users: Sequence[User],
    description: Description,
    usual: Iterable[str],
) -> FurtherAttributes:
    """List attributes that may hold account codes.

    They are what an LDAP server's schema and indexes name, what a file's first entries hold, or
    what a SCIM server's schemas have.
    """
    known = frozenset(usual)
    if isinstance(reader, LdifReader):
        held = reader.list_held(USERS)
        strange = [info for info in held if not info.definition.known]
        return FurtherAttributes(_list_fitting(held, known), strange, at_once=True)
    if isinstance(reader, ScimReader):
        shown = reader.list_known_attributes(shown_texts=True)
        return FurtherAttributes(
            _list_fitting(shown, known), reader.list_known_attributes(), or_all=True
        )
    asked = []
    for name in list_attributes(description.schema, users):
        asked.append(description.schema.types[name.lower()])
    schema = description.schema.types.values()
    indexed = reader.list_indexed() if isinstance(reader, LdapReader) else None
    if indexed is None:
        return FurtherAttributes(_list_fitting(asked, known), schema)
    asked += [info for info in indexed if not info.definition.operational]
    names: set[str] = set()
    for info in indexed:
        names |= info.definition.aliases
    return FurtherAttributes(_list_fitting(asked, known), schema, frozenset(names))


def _list_fitting(
    infos: Iterable[AttributeInfo], usual: frozenset[str]
) -> list[AttributeInfo]:
    """List those that somebody may be looked up by, each once; what holds secrets is not even read."""
    known = {name.lower() for name in usual}
    found: dict[str, AttributeInfo] = {}
    for info in infos:
        name = info.name
        is_text = info.syntax in _TEXTS and not info.definition.constructed
        is_usual = not known.isdisjoint({name.lower(), *info.definition.aliases})
        if not is_text or is_usual or is_secret(name):
            continue
        if not fault_of_name(name) and not why_not_matched(name):
            found[name] = info
    return list(found.values())
