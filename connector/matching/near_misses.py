"""Near misses: whom an unmatched agent almost matches. They are hints for a reader, and never a match.

What is asked for is bounded, whatever the size of tenant and directory: the first `AGENTS`
unmatched agents, in the order in which a report lists them, and `KEYS` spellings for all of
them together, so many each. The fewer there are, the more is tried for each.

Spellings are whole values, so that a directory can be asked for them by equality, which its indexes answer whatever
its size. Substring filters would find more, and cost a walk through the directory wherever there is no index for them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Final

from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.matching.lookup import Lookup
from connector.matching.matches import Matches
from connector.matching.roster import AgentRoster
from connector.model import Description, Equality, Key, NearMiss, User, equality

AGENTS: Final = 200
KEYS: Final = 10_000
MOST_KEYS: Final = 600
"""Spellings for one agent, however few there are: nearly all for two rules and values of
eight letters."""
MOST_NAMES: Final = 5
DOMAINS: Final = 3
"""How many domains are tried: those that most values have."""
SAMPLE: Final = 200
"""So many users show which domains the directory's values have."""

_WORDS: Final = frozenset(
    {
        Equality.CASE_IGNORE,
        Equality.CASE_EXACT,
        Equality.CASE_ALONE,
    }
)
_NUMBERS: Final = frozenset(
    {
        Equality.NUMERIC,
        Equality.TELEPHONE,
        Equality.INTEGER,
    }
)
_NUMBER: Final = re.compile(r"\+?[0-9][0-9 -]*")
Spelling = tuple[str, str]
"""(how it differs, the other value)."""

CASE, SPACES, ZEROS, DOMAIN = "case", "spaces", "leading zeros", "domain"
WIDTH: Final = 8
"""Numbers are padded with zeros up to so many digits."""
LONGEST: Final = 64
"""Characters of a value into which a space is put; a longer one is no account."""
_DIGITS: Final = re.compile(r"[0-9]+")
_WORD: Final = re.compile(r"[^\W\d_]+")


def near_misses(
    directory: Lookup,
    matches: Matches,
    roster: AgentRoster,
    description: Description,
) -> tuple[Matches, str]:
    """The matches with the users that the unmatched almost match, and what was left out. A hint: it ends no run."""
    if not any(problem.rule is None for problem in matches.unmatched.values()):
        return matches, ""
    missed = []
    try:
        users = directory.scan()
        near = NearMisses(
            matches,
            roster,
            description,
            islice(users, SAMPLE),
        )
        # a scan that nobody reads to its end is let go of before the next question
        del users
        for found in directory.find_near(
            near.list_wanted_keys(),
            len(near),
            near.left_out,
        ):
            if isinstance(found, str):
                missed.append(found)
            else:
                near.add_user(found)
    except IncompleteRead as fault:
        return matches, f"the search failed: {fault}"
    if near.left_out:
        missed.append(
            f"searched for the first {AGENTS} unmatched agents; {near.left_out} more are left out"
        )
    return near.add_hints(matches), "; ".join(missed)


_Hit = tuple[int, int, str]
"""How near a spelling is (the nearer the less), whose it is, and how it differs."""


class NearMisses:
    """Whom to look for, and who was found. `sample`: some users, who show what values of the directory look like."""

    def __init__(
        self,
        matches: Matches,
        roster: AgentRoster,
        description: Description,
        sample: Iterable[User],
    ) -> None:
        self._claimed = matches.claimed
        # no pin's
        unmatched = [
            number
            for number, problem in matches.unmatched.items()
            if problem.rule is None
        ]
        agents = roster.agents
        chosen = sorted(
            unmatched,
            key=lambda each: (agents[each].work_no, agents[each].account_code),
        )[:AGENTS]
        self.left_out = len(unmatched) - len(chosen)
        self._rule_of = description.equality
        self._wanted: dict[str, dict[Hashable, tuple[str, list[_Hit]]]] = {}
        self._found: dict[int, dict[str, tuple[int, NearMiss]]] = {}
        domains = _count_domains(sample)
        share = min(MOST_KEYS, KEYS // max(1, len(chosen)))
        for number in chosen:
            self._look_for(
                number,
                roster.list_tried_keys(agents[number]),
                domains,
                share,
            )

    def _look_for(
        self,
        number: int,
        tried: Iterable[Key],
        domains: Mapping[str, Sequence[str]],
        share: int,
    ) -> None:
        """Let the rules take turns, so that a long value of one does not take the share of the others."""
        turns = [
            _list_other_keys(
                attribute,
                value,
                self._rule_of(attribute),
                domains.get(attribute, ()),
            )
            for attribute, value in tried
        ]
        seen: set[tuple[str, Hashable]] = set()
        for rank, turn in enumerate(zip_longest(*turns)):
            for spelt in filter(None, turn):
                attribute, key, how, text = spelt
                if len(seen) == share:
                    return
                if (attribute, key) not in seen:
                    seen.add((attribute, key))
                    _, hits = self._wanted.setdefault(attribute, {}).setdefault(
                        key, (text, [])
                    )
                    hits.append((rank, number, how))

    def list_wanted_keys(self) -> Iterator[Key]:
        """What to look users up by, one attribute after the other, so that a directory can ask for many at once."""
        return (
            (attribute, text)
            for attribute, keys in self._wanted.items()
            for text, _ in keys.values()
        )

    def __len__(self) -> int:
        return sum(map(len, self._wanted.values()))

    def add_user(self, user: User) -> None:
        """Take a user in, if it holds one of the keys and nobody claims it."""
        if user.id in self._claimed:
            return
        for attribute, wanted in self._wanted.items():
            key_of = equality.keys_of(self._rule_of(attribute))
            for held in user.values.get(attribute, ()):
                if isinstance(held, str):
                    _, hits = wanted.get(key_of(held), ("", ()))
                    for rank, agent, how in hits:
                        near = (
                            rank,
                            NearMiss(
                                user.name,
                                attribute,
                                held,
                                how,
                            ),
                        )
                        known = self._found.setdefault(agent, {})
                        known[user.id] = min(near, known.get(user.id, near))

    def add_hints(self, matches: Matches) -> Matches:
        lines = dict(matches.unmatched)
        for number, known in self._found.items():
            nearest = [near for _, near in sorted(known.values())][:MOST_NAMES]
            lines[number] = replace(lines[number], near=tuple(nearest))
        return replace(matches, unmatched=lines)


def _count_domains(sample: Iterable[User]) -> dict[str, list[str]]:
    """What stands after the `@` in a sample of users, by attribute: the commonest first."""
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for user in sample:
        for attribute, values in user.values.items():
            texts = [held for held in values if isinstance(held, str) and "@" in held]
            counted[attribute].update(text.rpartition("@")[2].lower() for text in texts)
    domains = {}
    for attribute, counts in counted.items():
        commonest = sorted(counts, key=lambda domain: (-counts[domain], domain))
        domains[attribute] = commonest[:DOMAINS]
    return domains


def _list_other_keys(
    attribute: str,
    value: str,
    rule: Equality,
    domains: Sequence[str],
) -> Iterator[tuple[str, Hashable, str, str]]:
    """Other values of an attribute, each with its key: those that its rule does not take for the same."""
    same = equality.equality_key(rule, value)
    possible: Iterable[Spelling] = (
        list_spellings(value, domains) if rule in _WORDS | _NUMBERS else ()
    )
    for how, text in possible:
        key = equality.equality_key(rule, text)
        if key != same and text and (rule in _WORDS or _NUMBER.fullmatch(text)):
            yield attribute, key, how, text


# ---------------------------------------------------------------- other spellings


def list_spellings(
    value: str,
    domains: Iterable[str],
) -> Iterator[Spelling]:
    """Other cases, spaces, zeros and domains, the likeliest first; some come more than once.

    `domains`: what stands after the `@` of other values of the attribute.
    """
    local, at, domain = value.rpartition("@") if "@" in value else (value, "", "")
    tails = [
        ("", at + domain),
        *[
            (DOMAIN, "@" + other)
            for other in domains
            if other.lower() != domain.lower()
        ],
    ]
    tails += [(DOMAIN, "")] if at else []
    for how, form in _list_forms(local):
        for other, tail in tails:
            if how or other:
                yield " and ".join(filter(None, (how, other))), form + tail
    if len(local) <= LONGEST:
        for place in range(1, len(local)):
            yield SPACES, f"{local[:place]} {local[place:]}{at}{domain}"


def _list_forms(text: str) -> Iterator[Spelling]:
    yield "", text
    for other in (text.lower(), text.upper(), text.title()):
        yield CASE, other
    for word in islice(_WORD.finditer(text), 3):
        yield (
            CASE,
            text[: word.start()] + word.group().capitalize() + text[word.end() :],
        )
    yield SPACES, "".join(text.split())
    for number in islice(_DIGITS.finditer(text), 2):
        bare = number.group().lstrip("0") or "0"
        for width in range(len(bare), WIDTH + 1):
            yield (
                ZEROS,
                text[: number.start()] + bare.rjust(width, "0") + text[number.end() :],
            )
