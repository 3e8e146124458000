"""The fields of an agent, and the attributes of a schema whose name, syntax and class suit them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct

from connector.init.classes import list_allowed, list_classes
from connector.model import AttributeInfo, Description, DirectorySchema, Syntax
from connector.model.mapping import MatchRule
from connector.model.templates import Template
from connector.settings.attribute_names import fault_of_name, why_not_written

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {"credential", "hash", "key", "pass", "password", "pin", "pwd", "secret", "token"}
)
_SIP: Final = re.compile("sip|voip|softphone", re.IGNORECASE)
_AGENT: Final = re.compile("cec|agent|call.?cent|contact.?cent", re.IGNORECASE)
_VENDOR: Final = re.compile("ms-?[A-Z]|msRTC")
"""Attributes of Microsoft's products, such as msRTCSIP-Line of Skype for Business: their
owners are known."""
_TEXTS: Final = frozenset({Syntax.TEXT, Syntax.IA5, Syntax.PRINTABLE})
_NUMBERS: Final = frozenset({Syntax.NUMERIC, Syntax.INTEGER})
_MANY: Final = 40
"""A class with more attributes is not one for telephony."""


def split_words(name: str) -> list[str]:
    """Split the name of an attribute into words, in lower case: `acme`, `sip`, `user`."""
    return [word.lower() for word in _WORD.findall(name)]


def is_secret(name: str) -> bool:
    """Tell whether an attribute sounds as if it held secrets."""
    has_word = not _SECRET_WORDS.isdisjoint(split_words(name))
    return has_word or name.lower().endswith(("password", "secret", "pwd", "passwd"))


class AgentField(Struct, frozen=True):
    """A value to be placed."""

    template: str
    about: re.Pattern[str]
    """What the name of an attribute for it says."""
    named: str
    """Words of such a name, the likelier one first."""
    syntaxes: frozenset[Syntax] = _TEXTS
    unique: bool = False
    alone: tuple[str, ...] = ()
    """Words that are enough beside another place, in its class."""

    @property
    def is_secret(self) -> bool:
        return Template.parse(self.template).secret

    @property
    def is_sip(self) -> bool:
        """Whether it is of the SIP identity."""
        fields = Template.parse(self.template).fields
        return any(name.startswith("sip") for name in fields)

    def rank_name(self, name: str) -> int | None:
        """Tell how well a name suits, 0 the best; None where it does not."""
        schema, _, name = name.rpartition(":")
        if not self.about.search(name):
            # of SCIM: what a schema is about, its attributes are
            about = self.about.search(schema)
            if about is None:
                return None
            name = f"{about[0]}-{name}"
        rest = self.about.sub(
            "",
            name,
            count=1,
        )
        words = split_words(rest)
        for rank, word in enumerate(self.named.split()):
            if word in words or rest.lower().endswith(word):
                return rank
        return None

    def rank_alone(self, name: str) -> int:
        """Rank an attribute beside another place, after all words where it does not suit.

        Only whole words count: a help desk is no desk.
        """
        words = split_words(name)
        words += ["".join(pair) for pair in pairwise(words)]
        for rank, word in enumerate(self.alone):
            if word in words:
                return rank
        return len(self.alone)


_SECRETS: Final = frozenset({Syntax.OCTETS, *_TEXTS})
FIELDS: Final = (
    AgentField("{sipPwd}", _SIP, "secret password passwd pwd credential", _SECRETS),
    AgentField(
        "{sipServicePort}",
        _SIP,
        "port",
        _TEXTS | _NUMBERS,
    ),
    AgentField("{sipServiceIp}", _SIP, "registrar server host proxy domain realm"),
    AgentField(
        "sip:{sipAccount}@{sipServiceIp|host}", _SIP, "uri url aor address contact"
    ),
    AgentField(
        "{sipAccount}",
        _SIP,
        "user username account number extension login line",
        _TEXTS | _NUMBERS,
        unique=True,
    ),
    AgentField(
        "{workNo}",
        _AGENT,
        "workno seat station position",
        _TEXTS | _NUMBERS,
        unique=True,
        alone=("workno", "seat", "desk", "workplace", "workstation"),
    ),
    AgentField("{accountCode}", _AGENT, "account login code user"),
)
"""In the order in which they claim an attribute: a name that says several things is of the
first."""
NEEDED: Final = frozenset({"{sipAccount}", "sip:{sipAccount}@{sipServiceIp|host}"})
"""One of these is written, or nothing of a SIP identity."""


def named_for(
    description: Description, rules: Iterable[MatchRule]
) -> Iterator[tuple[AgentField, AttributeInfo, int]]:
    """Yield every attribute whose name and syntax suit a field, with its rank.

    Those that users are matched by are left out.
    """
    for info in _list_mappable(description.schema.types.values(), rules):
        for field in FIELDS:
            rank = field.rank_name(info.name)
            if rank is None:
                continue
            if info.syntax in field.syntaxes:
                yield field, info, rank
            break


def unused_beside(
    places: Iterable[AttributeInfo],
    description: Description,
    rules: Iterable[MatchRule],
) -> list[AttributeInfo]:
    """List the other attributes of the classes of these places, for whoever finds them unused."""
    placed = {info.name: info for info in places}
    siblings: list[AttributeInfo] = []
    for info in placed.values():
        siblings += _list_siblings(info, description.schema)
    found = []
    for other in _list_mappable(siblings, rules):
        if other.name not in placed and not is_secret(other.name):
            found.append(other)
    return sorted(found, key=lambda info: info.name.lower())


def _list_siblings(info: AttributeInfo, schema: DirectorySchema) -> list[AttributeInfo]:
    """List the attributes of the smallest class that allows this one.

    Of a class with many attributes, as users' own may be, only those whose name begins with
    the same word.
    """
    names = sorted(list_classes(info, schema))
    allowed = [list_allowed(schema, [name]) for name in names]
    smallest = min(
        allowed,
        key=len,
        default={},
    )
    siblings = list(smallest.values())
    if len(siblings) <= _MANY:
        return siblings
    first = split_words(info.name)[:1]
    return [other for other in siblings if split_words(other.name)[:1] == first]


def _list_mappable(
    infos: Iterable[AttributeInfo], rules: Iterable[MatchRule]
) -> list[AttributeInfo]:
    """List those that a mapping may write, each once; users are not matched by what it writes."""
    matching = {rule.directory.lower() for rule in rules}
    found = {}
    for info in infos:
        definition = info.definition
        is_fixed = definition.operational or definition.constructed
        if is_fixed or definition.obsolete or not info.writable:
            continue
        names = {info.name.lower(), *definition.aliases}
        is_reserved = _VENDOR.match(info.name) or why_not_written(info.name)
        if (
            matching.isdisjoint(names)
            and not is_reserved
            and not fault_of_name(info.name)
        ):
            found[info.name] = info
    return list(found.values())
