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
_TEST: Final = rf"""({_NAME})\s+eq\s+("(?:[^"\\]|\\.)*"|true|false|-?[0-9]+)"""
_TESTS: Final = re.compile(
    rf"\s*{_TEST}(?:\s+and\s+{_TEST})*\s*",
    re.IGNORECASE,
)


class AttributePath(Struct, frozen=True):
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

    def read_element(self, element: Json) -> str:
        """What one element of the attribute says here; empty where the path means another one."""
        if isinstance(element, dict):
            is_meant = all(
                _are_same(find_member(element, sub), value) for sub, value in self.tests
            )
            return to_text(find_member(element, self.sub or VALUE)) if is_meant else ""
        return "" if self.tests or self.sub else to_text(element)

    def find_values(self, resource: Resource) -> Iterator[str]:
        """The values there, as text; what is empty or null is no value (RFC 7643 §2.5)."""
        elements = list_elements(self.read_attribute(resource))
        return filter(None, map(self.read_element, elements))


USER_NAME: Final = AttributePath("userName")


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


def list_elements(held: Json) -> list[Json]:
    """What an attribute holds, be it one value or several."""
    if isinstance(held, list):
        return held
    return [] if held is None else [held]


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
    if not _TESTS.fullmatch(text):
        raise FileError(
            f'{path}: in brackets there can be only sub eq "value", several joined by and'
        )
    for sub, literal in re.findall(_TEST, text, re.IGNORECASE):
        is_string = literal.startswith('"')
        yield sub, msgspec.json.decode(literal if is_string else literal.lower())


def _are_same(held: Json, wanted: Json) -> bool:
    if isinstance(held, str) and isinstance(wanted, str):
        return held.lower() == wanted.lower()
    return type(held) is type(wanted) and bool(held == wanted)
