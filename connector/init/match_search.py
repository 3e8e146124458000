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
from connector.init.classes import list_allowed
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
from connector.model import (
    AttributeInfo,
    Description,
    Key,
    Syntax,
    Tenant,
    User,
    View,
)
from connector.model.mapping import MatchRule
from connector.planning.schema_checks import classes_of
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
    none: list[str]
    """The attributes in which no rule finds anybody."""
    untried: list[str]
    """Attributes that the server did not let us search, or for which no time was left."""
    sample: RuleSample
    """What the rules were tried on."""
    others: FurtherAttributes
    """What was asked beyond the usual attributes."""

    @property
    def agents(self) -> int:
        """How many agents the rules were tried on."""
        return len(self.sample.tenant.agents)


class RuleSearch(Struct):
    """Looks sampled agents up in a directory whose first users have been read."""

    reader: Reader
    description: Description
    others: FurtherAttributes
    untried: dict[str, IncompleteRead | None] = {}
    """The attributes that were not searched, with the reason; None: no time was left."""

    def find_users(
        self,
        rules: Sequence[MatchRule],
        tenant: Tenant,
        ends: float = math.inf,
    ) -> RuleSample:
        """Look users up by these rules, those of one attribute at a time, or all at once.

        A server may refuse an attribute without an index, or have a fault with one alone. Once
        somebody is shown who was not asked for, everybody may be, and nothing more has to be
        asked.
        """
        users: dict[str, User] = {}
        groups: dict[str, list[MatchRule]] = {}
        for rule in rules:
            name = "" if self.others.at_once else rule.directory
            groups.setdefault(name, []).append(rule)
        for group in groups.values():
            names = [rule.directory for rule in group]
            keys = list(list_keys(group, tenant))
            wanted = {(name, value.lower()) for name, value in keys}
            has_everybody = False
            try:
                for user in self.reader.find(keys) if monotonic() < ends else ():
                    users[user.id] = user
                    is_asked_for = _holds_one(user, wanted)
                    has_everybody |= self.others.or_all and not is_asked_for
                    if monotonic() >= ends:
                        break
            except UnreachableError:
                raise
            except IncompleteRead as fault:
                self.untried.update(dict.fromkeys(names, fault))
                continue
            if monotonic() >= ends:
                self.untried.update(dict.fromkeys(names))
            elif has_everybody:
                break
        return RuleSample(
            tenant,
            list(users.values()),
            self.description,
        )

    def probe_attributes(
        self,
        sampled: Tenant,
        names: Sequence[str],
        users: Sequence[User],
    ) -> list[MatchRule]:
        """Find the rules onto these attributes that find one of a few agents."""
        step = max(1, math.ceil(len(sampled.agents) / _PROBES))
        few = replace(sampled, agents=sampled.agents[::step])
        tried = names[:MOST]
        rules = list(list_candidates(tried, few, users, self.description))
        sample = self.find_users(
            rules,
            few,
            monotonic() + _SECONDS,
        )
        self.untried.update(dict.fromkeys(names[MOST:]))
        hits = []
        for rule in rules:
            if sample.users and any(sample.try_rules([rule])):
                hits.append(rule)
                self.untried.pop(rule.directory, None)
        return hits


def search_rules(job: jobs.LoadedJob, sampled: Tenant) -> FoundRules:
    """Look for the sampled agents. Raises one of the kinds of IncompleteRead."""
    usual = SCIM_ATTRIBUTES if job.job.directory.type == "scim" else ATTRIBUTES
    with closing(reader_of(job, View(usual))) as reader:
        others = list_further_attributes(reader, frozenset(usual))
    view = View((*usual, *(info.name for info in others.infos)))
    with closing(reader_of(job, view)) as reader:
        description = reader.describe()
        if not description.schema.types:
            types = {info.name.lower(): info for info in others.schema}
            schema = replace(description.schema, types=types)
            description = replace(description, schema=schema)
        known = [
            name for name in usual if description.attributes[name].definition.known
        ]
        users = list(islice(reader.scan(), USERS))
        names = others.order_names(users, description)
        search = RuleSearch(reader, description, others)
        hits = search.probe_attributes(sampled, names, users)
        candidates = list_candidates(known, sampled, users, description)
        rules = [*candidates, *hits]
        sample = search.find_users(rules, sampled)
    untried = search.untried
    faults = [untried.get(rule.directory) for rule in rules]
    if rules and all(faults):
        raise next(filter(None, faults))
    tried = []
    for rule in rules:
        if rule.directory not in untried:
            tried.append(_try_rule(rule, sample, usual))
    tried.sort(key=lambda each: others.is_slow(each.rule.directory))
    taken = choose_rules(tried, sample)
    settled = {each.rule.directory for each in tried if each.matched or each.several}
    settled |= untried.keys()
    asked = [*known, *names]
    return FoundRules(
        tried,
        taken,
        sample.try_rules(taken)[0] if taken else 0,
        [name for name in asked if name not in settled],
        [name for name in asked if name in untried],
        sample,
        others,
    )


def _try_rule(rule: MatchRule, sample: RuleSample, usual: Sequence[str]) -> TriedRule:
    """Try a rule by itself.

    By chance a few codes are somebody's room or telephone, so that a few matches prove nothing.
    """
    matched, several = sample.try_rules([rule])
    barred = ""
    if "workNo" in rule.agent.fields:
        barred = "a seat can be reassigned"
    elif rule.directory not in usual and matched < len(sample.tenant.agents) / _SHARE:
        barred = "too few to be no chance"
    return TriedRule(rule, matched, several, barred)


def _holds_one(user: User, wanted: Collection[Key]) -> bool:
    """Tell whether a user holds one of the wanted values, in any case."""
    held: set[Key] = set()
    for name, values in user.values.items():
        held |= {(name, str(value).lower()) for value in values}
    return not held.isdisjoint(wanted)


# ---------------------------------------------------------------- the attributes


def list_further_attributes(reader: Reader, known: frozenset[str]) -> FurtherAttributes:
    """List attributes beside the known ones that may hold account codes.

    They are what an LDAP server's schema and indexes name, what a file's first entries hold, or
    what a SCIM server's schemas have.
    """
    if isinstance(reader, LdifReader):
        held = reader.list_held(USERS)
        strange = [info for info in held if not info.definition.known]
        return FurtherAttributes(
            _list_fitting(held, known),
            strange,
            at_once=True,
        )
    if isinstance(reader, ScimReader):
        shown = _list_fitting(reader.list_known_attributes(shown_texts=True), known)
        return FurtherAttributes(
            shown,
            reader.list_known_attributes(),
            or_all=True,
        )
    schema = reader.describe().schema
    classes: set[str] = set()
    for user in islice(reader.scan(), USERS):
        classes |= classes_of(user)
    allowed = list_allowed(schema, classes)
    infos = [allowed[name] for name in sorted(allowed)]
    indexed = reader.list_indexed() if isinstance(reader, LdapReader) else None
    names = None
    if indexed is not None:
        infos += indexed
        names = frozenset[str]().union(*(info.definition.aliases for info in indexed))
    return FurtherAttributes(
        _list_fitting(infos, known),
        schema.types.values(),
        names,
    )


def _list_fitting(
    infos: Iterable[AttributeInfo], usual: frozenset[str]
) -> list[AttributeInfo]:
    """List those that somebody may be looked up by, each once; what holds secrets is not even read."""
    known = {name.lower() for name in usual}
    found: dict[str, AttributeInfo] = {}
    for info in infos:
        name = info.name
        definition = info.definition
        is_special = definition.constructed or definition.operational
        is_usual = not known.isdisjoint({name.lower(), *definition.aliases})
        if is_special or info.syntax not in _TEXTS or is_usual or is_secret(name):
            continue
        if not fault_of_name(name) and not why_not_matched(name):
            found[name] = info
    return list(found.values())
