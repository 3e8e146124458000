"""Attribute paths (RFC 7644 §3.10) as values, what a resource holds there, and filters.

`userName`, `name.familyName`, `emails[type eq "work"].value`, `urn:…:User:workNo`. Names compare
ignoring case, as members of JSON do here (RFC 7643 §2.1). Of a filter in a path only that is
understood which can also be *written*: values that elements have to have, joined by `and`.

And filters (RFC 7644 §3.4.2.2), read from the job and held against resources here. The job's filter
is the program's own business: servers ignore filters, or silently find nobody by an extension's
attributes (both measured), and a user outside the job's filter must not exist for a run. So it is
never sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from operator import contains, eq, ge, gt, le, lt, ne
from typing import Any, Final, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

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


# ---------------------------------------------------------------- filters

Test = Callable[[Resource], bool]
Rule = Callable[[Json, Json], bool]
"""Whether a value that is held compares so with the wanted one."""

SCHEMAS: Final = "schemas"
MAX_DEPTH: Final = 64
"""So many parentheses: far beyond any filter that is written by hand, far below any stack."""

_TOKEN: Final = re.compile(r""""(?:[^"\\]|\\.)*"|[()\[\]"]|[^\s()\[\]"]+""")
_END: Final = ""
_EQUAL: Final[dict[str, Rule]] = {"eq": eq, "ne": ne}
_ORDERED: Final[dict[str, Rule]] = {"gt": gt, "ge": ge, "lt": lt, "le": le}
_TEXTUAL: Final[dict[str, Rule]] = {
    "co": contains,
    "sw": str.startswith,
    "ew": str.endswith,
}
_RULES: Final = _EQUAL | _ORDERED | _TEXTUAL


class FilterComparison(Struct, frozen=True):
    """One comparison of a filter."""

    path: AttributePath
    """From the user, or from the element whose sub-attributes are compared."""
    whole: AttributePath
    """From the user."""
    operator: str
    wanted: Json
    """None for `pr` and for null."""
    negated: bool
    """Whether it stands below a `not`."""

    def matches_resource(self, resource: Resource, *, exact: bool) -> bool:
        """Whether it is true; `exact`: case tells texts apart. One value that is is enough.

        `null` is held by whoever has no value (RFC 7643 §2.5).
        """
        values = list(self.path.find_values(resource))
        if self.wanted is None:
            return bool(values) is (self.operator != "eq")
        if not values:
            return self.operator == "ne"
        return any(self._compare_value(each, exact=exact) for each in values)

    def _compare_value(self, held: str, *, exact: bool) -> bool:
        rule = _RULES[self.operator]
        if isinstance(self.wanted, int | float) and not isinstance(self.wanted, bool):
            try:
                return rule(float(held), self.wanted)
            except ValueError:
                return self.operator == "ne"
        wanted = to_text(self.wanted)
        if exact:
            return rule(held, wanted)
        return rule(held.lower(), wanted.lower())

    def is_changed_by(self, written: AttributePath) -> bool:
        """Whether any value that is written or cleared there may change what is compared.

        To write into an element may add the element. To write an attribute of an extension adds
        its URN to `schemas` (RFC 7643 §3), no other that may be wanted there.
        """
        attribute = str(self.whole.whole_attribute).lower()
        if attribute == SCHEMAS and self.operator == "eq":
            return written.schema.lower() == str(self.wanted).lower()
        is_there = attribute == str(written.whole_attribute).lower()
        subs = {self.whole.sub.lower(), written.sub.lower()} - {""}
        is_part = len(subs) < 2 or bool(written.tests)
        return self.operator == "pr" and is_there and is_part


class UserFilter:
    """A filter as a test of resources. Raises FileError for what is none."""

    def __init__(
        self,
        text: str,
        is_exact: Callable[[AttributePath], bool] = lambda _: False,
    ) -> None:
        """`is_exact`: whether case tells texts of an attribute apart."""
        self._comparisons: list[FilterComparison] = []
        self._is_exact = is_exact
        self._negated = False
        self.matches_user: Test = lambda _: True
        if not text.strip():
            return
        if text.count("(") > MAX_DEPTH:
            raise FileError(f"the filter has more than {MAX_DEPTH} parentheses")
        self._tokens: list[str] = [_END, *reversed(_TOKEN.findall(text))]
        self.matches_user = self._read_tests("")
        if self._tokens[-1] != _END:
            raise FileError(f"the filter should end before: {self._tokens[-1]}")

    @property
    def paths(self) -> list[AttributePath]:
        """Every attribute that it looks at."""
        return [each.whole for each in self._comparisons]

    def find_affected(self, names: Iterable[str]) -> dict[str, bool]:
        """Of these attributes, those by which a write may change a match, as `Scope.filtered`."""
        found: dict[str, bool] = {}
        for name in names:
            path = AttributePath.parse_text(name)
            for each in self._comparisons:
                if each.is_changed_by(path):
                    found[name] = found.get(name, False) or each.negated
        return found

    # ------------------------------------------------------------ reading; tokens are in reverse

    def _take_token(self) -> str:
        token = self._tokens.pop()
        if token == _END:
            raise FileError("the filter ends too early")
        return token

    def _take_if(self, word: str) -> bool:
        if self._tokens[-1].lower() != word:
            return False
        self._tokens.pop()
        return True

    def _read_tests(self, within: str) -> Test:
        """Alternatives; `within`: the attribute whose elements are looked at."""
        alternatives = [[self._read_one(within)]]
        while True:
            if self._take_if("and"):
                alternatives[-1].append(self._read_one(within))
            elif self._take_if("or"):
                alternatives.append([self._read_one(within)])
            else:
                break
        return lambda held: any(
            all(test(held) for test in tests) for tests in alternatives
        )

    def _read_closed(self, within: str, mark: str) -> Test:
        test = self._read_tests(within)
        if not self._take_if(mark):
            raise FileError(f"the filter lacks a {mark}")
        return test

    def _read_one(self, within: str) -> Test:
        """One comparison, or what stands in parentheses."""
        if self._take_if("("):
            return self._read_closed(within, ")")
        if self._take_if("not"):
            return self._read_not(within)
        name = self._take_token()
        path = AttributePath.parse_text(name)
        if within:
            return self._read_comparison(path, f"{within}.{name}")
        if self._take_if("["):
            test = self._read_closed(name, "]")
            return lambda user: any(
                test(each)
                for each in list_elements(path.read_attribute(user))
                if isinstance(each, dict)
            )
        return self._read_comparison(path, name)

    def _read_not(self, within: str) -> Test:
        if not self._take_if("("):
            raise FileError("a ( is missing after not")
        self._negated = not self._negated
        test = self._read_closed(within, ")")
        self._negated = not self._negated
        return lambda held: not test(held)

    def _read_comparison(self, path: AttributePath, named: str) -> Test:
        operator = self._take_token().lower()
        wanted = None if operator == "pr" else _parse_literal(self._take_token())
        if operator != "pr" and not _can_compare(operator, wanted):
            raise FileError(
                f"the filter compares {named} by {operator!r}, which does not go with the value"
            )
        whole = AttributePath.parse_text(named)
        found = FilterComparison(
            path,
            whole,
            operator,
            wanted,
            self._negated,
        )
        self._comparisons.append(found)
        return lambda held: found.matches_resource(held, exact=self._is_exact(whole))


def _can_compare(operator: str, wanted: Json) -> bool:
    if operator in _TEXTUAL:
        return isinstance(wanted, str)
    if operator in _ORDERED:
        return not isinstance(wanted, bool | None)
    return operator in _EQUAL


def _parse_literal(word: str) -> Json:
    try:
        return msgspec.json.decode(word)
    except msgspec.DecodeError:
        raise FileError(
            f'the filter compares with {word}, which is no JSON value: put texts in "…"'
        ) from None


def equality_filter(path: AttributePath, value: Json) -> str:
    """A filter, for servers, that finds who holds the value at the path.

    Elements are told by what stands in brackets.
    """
    if not path.tests:
        return f"{path} eq {encode_literal(value)}"
    tests = replace(path, tests=(*path.tests, (path.sub or VALUE, value)), sub="")
    return str(tests)
