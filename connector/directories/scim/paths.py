"""Attribute paths (RFC 7644 §3.10) as values, and what a resource holds there.

`userName`, `name.familyName`, `emails[type eq "work"].value`, `urn:…:User:workNo`. Names compare ignoring case, as
those of JSON members here do (RFC 7643 §2.1). Of a filter in a path there is what can also
be *written*: values that elements have to have, joined by `and`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from connector.errors import FileError

CORE: Final = "urn:ietf:params:scim:schemas:core:2.0:User"  # RFC 7643 §4.1
# RFC 7643 §4.3
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
VALUE: Final = "value"  # RFC 7643 §2.4: the sub-attribute that says what an element is

Json = Any
Resource = dict[str, Any]

_PATH: Final = re.compile(
    r"""(?:(?P<schema>urn:[^\[\]"]+):)?"""
    r"(?P<attribute>[A-Za-z$][A-Za-z0-9_$-]*)"
    r"(?:\[(?P<tests>.*)\])?"
    r"(?:\.(?P<sub>[A-Za-z$][A-Za-z0-9_$-]*))?",
    re.IGNORECASE,
)
_TEST: Final = re.compile(
    r"""\s*([A-Za-z$][A-Za-z0-9_$-]*)\s+eq\s+("(?:[^"\\]|\\.)*"|true|false|-?[0-9]+)\s*""",
    re.IGNORECASE,
)
_AND: Final = re.compile(r"and\s+", re.IGNORECASE)


class Path(Struct, frozen=True):
    """Where in a resource values are.

    `schema` is the URN of an extension, empty for the core; `tests`: (sub-attribute, value) that an element has to have
    to be meant; `sub`: the sub-attribute meant, empty for none.
    """

    attribute: str
    schema: str = ""
    tests: tuple[tuple[str, Json], ...] = ()
    sub: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises FileError, without a place, for what is no path or cannot be written."""
        found = _PATH.fullmatch(text)
        if found is None:
            raise FileError(f"{text!r} is no attribute path (RFC 7644 §3.10)")
        schema = found["schema"] or ""
        tests = () if found["tests"] is None else tuple(_tests(found["tests"], text))
        return cls(
            found["attribute"],
            "" if schema.lower() == CORE.lower() else schema,
            tests,
            found["sub"] or "",
        )

    @property
    def whole(self) -> str:
        return f"{self.schema}:{self.attribute}" if self.schema else self.attribute

    def __str__(self) -> str:
        tests = " and ".join(f"{sub} eq {encoded(value)}" for sub, value in self.tests)
        return f"{self.whole}{f'[{tests}]' if tests else ''}{f'.{self.sub}' if self.sub else ''}"

    def held(self, resource: Mapping[str, Json]) -> Json:
        if not self.schema:
            return member(resource, self.attribute)
        extension = member(resource, self.schema)
        return (
            member(extension, self.attribute) if isinstance(extension, dict) else None
        )

    def meant(self, element: Json) -> bool:
        """Whether the path means this element of the attribute."""
        if not self.tests:
            return True
        return isinstance(element, dict) and all(
            _same(member(element, sub), value) for sub, value in self.tests
        )

    def values(self, resource: Mapping[str, Json]) -> Iterator[str]:
        """The values there, as text; what is empty or null is no value (RFC 7643 §2.5)."""
        held = self.held(resource)
        if held is None:
            return
        for element in held if isinstance(held, list) else (held,):
            if self.tests and not self.meant(element):
                continue
            value = (
                member(element, self.sub or VALUE)
                if isinstance(element, dict)
                else None
                if self.sub
                else element
            )
            text = text_of(value)
            if text:
                yield text


def member(held: Mapping[str, Json], name: str) -> Json:
    """A member by its name, whatever the case; None where there is none."""
    found = held.get(name)
    if found is not None:
        return found
    wanted = name.lower()
    return next((value for key, value in held.items() if key.lower() == wanted), None)


def inner(held: Json, *names: str) -> Json:
    """A member of a member; None where there is none."""
    for name in names:
        held = member(held, name) if isinstance(held, dict) else None
    return held


def key_of(held: Mapping[str, Json], name: str) -> str:
    """How a member of this name is spelt here; as asked where there is none."""
    wanted = name.lower()
    return (
        name
        if name in held
        else next((key for key in held if key.lower() == wanted), name)
    )


def text_of(value: Json) -> str:
    """A JSON value as the model has it; what is no single value has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else repr(value)
    return ""


def something(value: Json) -> bool:
    """Whether a JSON value is any value; what is empty or null is none (RFC 7643 §2.5)."""
    return value not in (None, "", [], {})


def encoded(value: Json) -> str:
    """A JSON value as text, as filters have it (RFC 7644 §3.4.2.2)."""
    return msgspec.json.encode(value).decode()


def _tests(text: str, path: str) -> Iterator[tuple[str, Json]]:
    rest = text
    while found := _TEST.match(rest):
        yield (
            found[1],
            msgspec.json.decode(found[2].lower() if found[2][0] != '"' else found[2]),
        )
        rest = rest[found.end() :]
        if not rest:
            return
        joined = _AND.match(rest)
        rest = rest[joined.end() :] if joined else ""
    raise FileError(
        f'{path}: in brackets there can be only sub eq "value", several joined by and'
    )


def _same(held: Json, wanted: Json) -> bool:
    if isinstance(held, str) and isinstance(wanted, str):
        return held.lower() == wanted.lower()
    return type(held) is type(wanted) and bool(held == wanted)
