"""Attribute paths (RFC 7644 §3.10) as values, and what a resource holds there.

`userName`, `name.familyName`, `emails[type eq "work"].value`, `urn:…:User:workNo`. Names compare
ignoring case, as members of JSON do here (RFC 7643 §2.1). Of a filter in a path only that is
understood which can also be *written*: values that elements have to have, joined by `and`.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, Self

import msgspec
from msgspec import Struct

from connector.errors import FileError

CORE: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
"""The URN of users (RFC 7643 §4.1); paths leave it out."""
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
"""The URN of the enterprise extension (RFC 7643 §4.3)."""
VALUE: Final = "value"
"""The sub-attribute that says what an element is (RFC 7643 §2.4)."""

Json = Any
Resource = dict[str, Any]

_NAME: Final = r"[A-Za-z$][A-Za-z0-9_$-]*"
_PATH: Final = re.compile(
    r"""(?:(?P<schema>urn:[^\[\]"]+):)?"""
    rf"(?P<attribute>{_NAME})(?:\[(?P<tests>.*)\])?(?:\.(?P<sub>{_NAME}))?",
    re.IGNORECASE,
)
_TEST: Final = re.compile(
    rf"""\s*({_NAME})\s+eq\s+("(?:[^"\\]|\\.)*"|true|false|-?[0-9]+)\s*""",
    re.IGNORECASE,
)
_AND: Final = re.compile(r"and\s+", re.IGNORECASE)


class Path(Struct, frozen=True):
    """Where in a resource values are."""

    attribute: str
    """The attribute's name."""
    schema: str = ""
    """The URN of an extension; empty for the core."""
    tests: tuple[tuple[str, Json], ...] = ()
    """Sub-attributes and the values that an element has to have there to be meant."""
    sub: str = ""
    """The sub-attribute that is meant; empty for none."""

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """Raises FileError, without a place, for what is no path or cannot be written."""
        found = _PATH.fullmatch(text)
        if found is None:
            raise FileError(f"{text!r} is no attribute path (RFC 7644 §3.10)")
        schema = found["schema"] or ""
        if schema.lower() == CORE.lower():
            schema = ""
        tests = (
            () if found["tests"] is None else tuple(_parse_tests(found["tests"], text))
        )
        return cls(
            found["attribute"],
            schema,
            tests,
            found["sub"] or "",
        )

    @property
    def whole_attribute(self) -> Self:
        """The path of the attribute with all its elements and sub-attributes."""
        return type(self)(self.attribute, self.schema)

    def __str__(self) -> str:
        text = f"{self.schema}:{self.attribute}" if self.schema else self.attribute
        if self.tests:
            tests = (f"{sub} eq {encode_literal(value)}" for sub, value in self.tests)
            text += f"[{' and '.join(tests)}]"
        return f"{text}.{self.sub}" if self.sub else text

    def read_attribute(self, resource: Resource) -> Json:
        """The whole attribute as JSON; None where it is not there."""
        if self.schema:
            return find_member(resource, self.schema, self.attribute)
        return find_member(resource, self.attribute)

    def selects_element(self, element: Json) -> bool:
        """Whether the path means this element of the attribute."""
        if not self.tests:
            return True
        return isinstance(element, dict) and all(
            _are_same(find_member(element, sub), value) for sub, value in self.tests
        )

    def find_values(self, resource: Resource) -> Iterator[str]:
        """The values there, as text; what is empty or null is no value (RFC 7643 §2.5)."""
        held = self.read_attribute(resource)
        for element in held if isinstance(held, list) else (held,):
            if not self.selects_element(element):
                continue
            value = element
            if isinstance(element, dict):
                value = find_member(element, self.sub or VALUE)
            elif self.sub:
                continue
            text = to_text(value)
            if text:
                yield text


USER_NAME: Final = Path("userName")


def read_id(resource: Resource) -> str:
    """The resource's id (RFC 7643 §3.1); some servers make it a number."""
    return to_text(find_member(resource, "id"))


def read_name(resource: Resource) -> str:
    """The resource's userName; its id where it has none."""
    return next(USER_NAME.find_values(resource), read_id(resource))


def spell_member(held: Resource, name: str) -> str:
    """How a member of this name is spelt here; as asked where there is none."""
    if name in held:
        return name
    wanted = name.lower()
    return next((key for key in held if key.lower() == wanted), name)


def find_member(held: Json, *names: str) -> Json:
    """A member, or a member of a member, whatever the case of names; None where there is none."""
    for name in names:
        if not isinstance(held, dict):
            return None
        held = held.get(spell_member(held, name))
    return held


def to_text(value: Json) -> str:
    """A JSON value as the model has it; empty for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else repr(value)
    return ""


def has_content(value: Json) -> bool:
    """Whether a JSON value is any value; what is empty or null is none (RFC 7643 §2.5)."""
    return value not in (None, "", [], {})


def encode_literal(value: Json) -> str:
    """A JSON value as text, as filters have it (RFC 7644 §3.4.2.2)."""
    return msgspec.json.encode(value).decode()


def _parse_tests(text: str, path: str) -> Iterator[tuple[str, Json]]:
    rest = text
    while found := _TEST.match(rest):
        sub, literal = found.groups()
        is_string = literal.startswith('"')
        yield sub, msgspec.json.decode(literal if is_string else literal.lower())
        rest = rest[found.end() :]
        if not rest:
            return
        joined = _AND.match(rest)
        rest = rest[joined.end() :] if joined else ""
    raise FileError(
        f'{path}: in brackets there can be only sub eq "value", several joined by and'
    )


def _are_same(held: Json, wanted: Json) -> bool:
    if isinstance(held, str) and isinstance(wanted, str):
        return held.lower() == wanted.lower()
    return type(held) is type(wanted) and bool(held == wanted)
