"""The fields of an agent, and the attributes of a schema whose name, syntax and class suit them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

from msgspec import Struct

from connector.init.words import is_secret, words
from connector.model import AttributeInfo, ClassInfo, Description, Syntax
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import MatchRule
from connector.settings.attribute_names import fault_of_name, why_not_written

_SIP: Final = re.compile("sip|voip|softphone", re.IGNORECASE)
_AGENT: Final = re.compile("cec|agent|call.?cent|contact.?cent", re.IGNORECASE)
_VENDOR: Final = re.compile("ms-?[A-Z]|msRTC")
"""Attributes of Microsoft's products, such as msRTCSIP-Line of Skype for Business: their
owners are known."""
_TEXTS: Final = frozenset({Syntax.TEXT, Syntax.IA5, Syntax.PRINTABLE})
_NUMBERS: Final = frozenset({Syntax.NUMERIC, Syntax.INTEGER})


_MANY: Final = 40
"""A class with more attributes is not one for telephony."""


class Field(Struct, frozen=True):
    """A value to be placed. `about` and `named`: what the name of an attribute for it says; the likelier word first.

    `alone`: words that are enough beside another place, in its class.
    """

    template: str
    about: re.Pattern[str]
    named: str
    syntaxes: frozenset[Syntax] = _TEXTS
    unique: bool = False
    alone: tuple[str, ...] = ()

    @property
    def secret(self) -> bool:
        return Template.parse(self.template).secret

    @property
    def sip(self) -> bool:
        """Whether it is of the SIP identity."""
        return any(
            name.startswith("sip") for name in Template.parse(self.template).fields
        )

    def rank(self, name: str) -> int | None:
        """How well a name suits, 0 the best; None where it does not."""
        schema, _, name = name.rpartition(":")
        if not self.about.search(name):
            # of SCIM: what a schema is about, its attributes are
            about = self.about.search(schema)
            if about is None:
                return None
            name = f"{about[0]}-{name}"
        rest = self.about.sub("", name, count=1)
        parts = words(rest)
        fits = (
            word in parts or rest.lower().endswith(word) for word in self.named.split()
        )
        return next((place for place, fit in enumerate(fits) if fit), None)

    def rank_alone(self, name: str) -> int:
        """The same of an attribute beside another place, after all words where it does not suit.

        Only whole words count: a help desk is no desk.
        """
        parts = words(name)
        there = {*parts, *map("".join, pairwise(parts))}
        return next(
            (place for place, word in enumerate(self.alone) if word in there),
            len(self.alone),
        )


_SECRET: Final = frozenset({Syntax.OCTETS, *_TEXTS})
FIELDS: Final = (
    Field("{sipPwd}", _SIP, "secret password passwd pwd credential", _SECRET),
    Field("{sipServicePort}", _SIP, "port", _TEXTS | _NUMBERS),
    Field("{sipServiceIp}", _SIP, "registrar server host proxy domain realm"),
    Field("sip:{sipAccount}@{sipServiceIp|host}", _SIP, "uri url aor address contact"),
    Field(
        "{sipAccount}",
        _SIP,
        "user username account number extension login line",
        _TEXTS | _NUMBERS,
        unique=True,
    ),
    Field(
        "{workNo}",
        _AGENT,
        "workno seat station position",
        _TEXTS | _NUMBERS,
        unique=True,
        alone=("workno", "seat", "desk", "workplace", "workstation"),
    ),
    Field("{accountCode}", _AGENT, "account login code user"),
)
"""In the order in which they claim an attribute: a name that says several things is of the
first."""
NEEDED: Final = frozenset({"{sipAccount}", "sip:{sipAccount}@{sipServiceIp|host}"})
"""One of these is written, or nothing of a SIP identity."""


def named_for(
    description: Description, rules: Iterable[MatchRule]
) -> Iterator[tuple[Field, AttributeInfo, int]]:
    """Every attribute of the schema whose name and syntax suit a field, but for those that users are matched by."""
    for info in {info.name: info for info in description.types.values()}.values():
        if not _mappable(info, rules):
            continue
        suiting = ((field, field.rank(info.name)) for field in FIELDS)
        field, rank = next(
            (each for each in suiting if each[1] is not None), (None, None)
        )
        if field is not None and rank is not None and info.syntax in field.syntaxes:
            yield field, info, rank


def unused_beside(
    places: Iterable[AttributeInfo],
    description: Description,
    rules: Iterable[MatchRule],
) -> list[AttributeInfo]:
    """The other attributes of the classes that these places are of, for whoever finds them unused.

    Of a class with many attributes, as users' own may be, only those whose name begins with
    the same word.
    """
    rules, there = list(rules), {info.name: info for info in places}
    found: dict[str, AttributeInfo] = {}
    for info in there.values():
        allowing = [
            item
            for name in info.classes
            if (item := description.classes.get(name)) and not item.anything
        ]
        for item in sorted(allowing, key=lambda item: (len(_names(item)), item.name))[
            :1
        ]:
            others = [
                other
                for name in sorted(_names(item))
                if (other := description.types.get(name))
            ]
            if len(others) > _MANY:
                others = [
                    other
                    for other in others
                    if words(other.name)[:1] == words(info.name)[:1]
                ]
            found |= {other.name: other for other in others}
    fit = (
        info
        for name, info in found.items()
        if name not in there and _mappable(info, rules) and not is_secret(name)
    )
    return sorted(fit, key=lambda info: info.name.lower())


def _names(item: ClassInfo) -> frozenset[str]:
    return item.must | item.may


def _mappable(info: AttributeInfo, rules: Iterable[MatchRule]) -> bool:
    """Whether a mapping may write it; users are not matched by what it writes."""
    matching = frozenset(rule.directory.lower() for rule in rules)
    unfit = (
        info.operational
        or info.obsolete
        or info.constructed
        or not info.writable
        or _VENDOR.match(info.name)
    )
    named = why_not_written(info.name) or fault_of_name(info.name)
    return (
        not unfit
        and not named
        and matching.isdisjoint({info.name.lower(), *info.aliases})
    )
