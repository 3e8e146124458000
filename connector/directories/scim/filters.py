"""Filters of SCIM (RFC 7644 §3.4.2.2): read from the job, held against resources here, and written for servers.

The job's filter is the program's own business: servers ignore filters, or silently find
nothing by an extension's attributes (both measured), and a user outside the job's filter
must not exist for a run. So it is never sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from operator import contains, eq, ge, gt, le, lt
from typing import Final

import msgspec

from connector.directories.scim.paths import (
    VALUE,
    Json,
    Path,
    Resource,
    encoded,
    text_of,
)
from connector.errors import FileError

Test = Callable[[Resource], bool]
Exact = Callable[[Path], bool]
"""Whether values at a path are told apart by case."""
Rule = Callable[[Json, Json], bool]
"""Whether a value that is held compares so with the wanted one."""

EVERYBODY: Final = ""
SCHEMAS: Final = "schemas"
MAX_DEPTH: Final = 64
"""So many parentheses: far beyond any filter that is written by hand, far below any stack."""

_TOKEN: Final = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]"]+)""")
_ORDERED: Final[dict[str, Rule]] = {"gt": gt, "ge": ge, "lt": lt, "le": le}
_TEXTUAL: Final[dict[str, Rule]] = {
    "co": contains,
    "sw": str.startswith,
    "ew": str.endswith,
}


class Filter:
    """A filter as a test of resources. Raises FileError for what is none.

    `paths`: every attribute that it looks at.
    """

    def __init__(self, text: str) -> None:
        self.paths: list[Path] = []
        self._present: list[tuple[Path, Json, bool]] = []
        self._negated = False
        self._exact: Exact = lambda _: False
        if text.strip() == EVERYBODY:
            self.holds: Test = lambda _: True
            return
        if text.count("(") > MAX_DEPTH:
            raise FileError(f"the filter has more than {MAX_DEPTH} parentheses")
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self.holds = self._either("")
        if self._next:
            raise FileError(f"the filter should end before: {self._next}")

    def looks_at(self, names: Iterable[str]) -> dict[str, bool]:
        """Of these attributes, as of `Description.filtered`."""
        found: dict[str, bool] = {}
        for path, wanted, negated in self._present:
            for name in names:
                if _meet(path, wanted, Path.parse(name)):
                    found[name] = found.get(name, False) or negated
        return found

    def judge_by(self, exact: Exact) -> None:
        """From now on compare texts as the schema says; until then case is ignored."""
        self._exact = exact

    def _take(self) -> str:
        taken = self._next
        if not taken:
            raise FileError("the filter ends too early")
        self._next = next(self._tokens)
        return taken

    def _takes(self, word: str) -> bool:
        if self._next.lower() != word:
            return False
        self._take()
        return True

    def _closed(self, mark: str, test: Test) -> Test:
        if not self._takes(mark):
            raise FileError(f"the filter lacks a {mark}")
        return test

    def _either(self, within: str) -> Test:
        tests = [self._both(within)]
        while self._takes("or"):
            tests.append(self._both(within))
        return (
            tests[0]
            if len(tests) == 1
            else lambda held: any(test(held) for test in tests)
        )

    def _both(self, within: str) -> Test:
        tests = [self._one(within)]
        while self._takes("and"):
            tests.append(self._one(within))
        return (
            tests[0]
            if len(tests) == 1
            else lambda held: all(test(held) for test in tests)
        )

    def _one(self, within: str) -> Test:
        """One comparison, or what stands in parentheses; `within`: the attribute whose elements are looked at."""
        if self._takes("("):
            return self._closed(")", self._either(within))
        if self._takes("not"):
            if not self._takes("("):
                raise FileError("a ( is missing after not")
            self._negated = not self._negated
            test = self._closed(")", self._either(within))
            self._negated = not self._negated
            return lambda held: not test(held)
        name = self._take()
        if within:
            return self._compared(Path.parse(name), f"{within}.{name}")
        path = Path.parse(name)
        if self._takes("["):
            return self._element(path)
        return self._compared(path, name)

    def _element(self, path: Path) -> Test:
        """`attribute[…]`: an element of which all of it is true (RFC 7644 §3.4.2.2)."""
        test = self._closed("]", self._either(str(path)))

        def some(resource: Resource) -> bool:
            held = path.held(resource)
            elements = held if isinstance(held, list) else [held]
            return any(
                test(element) for element in elements if isinstance(element, dict)
            )

        return some

    def _compared(self, path: Path, named: str) -> Test:
        whole = Path.parse(named)
        self.paths.append(whole)
        operator = self._take().lower()
        if operator == "pr":
            self._present.append((whole, None, self._negated))
            return lambda held: next(path.values(held), None) is not None
        wanted = _value(self._take())
        if operator == "eq" and whole.whole.lower() == SCHEMAS:
            self._present.append((whole, wanted, self._negated))
        if operator in {"eq", "ne"}:
            rule: Rule = eq
        elif operator in _TEXTUAL and isinstance(wanted, str):
            rule = _TEXTUAL[operator]
        elif operator in _ORDERED and not isinstance(wanted, bool | None):
            rule = _ORDERED[operator]
        else:
            raise FileError(
                f"the filter compares {named} by {operator!r}, which does not go with the value"
            )
        some = self._some(path, whole, wanted, rule)
        if operator != "ne":
            return some
        if wanted is None:
            return lambda held: not some(held)
        return self._differs(path, whole, wanted)

    def _differs(self, path: Path, whole: Path, wanted: Json) -> Test:
        """Whether there is no value, or any that is not the wanted one (RFC 7644 §3.4.2.2: one match is enough)."""
        same = self._some(Path(VALUE), whole, wanted, eq)

        def differs(resource: Resource) -> bool:
            values = list(path.values(resource))
            return not values or any(not same({VALUE: value}) for value in values)

        return differs

    def _some(self, path: Path, whole: Path, wanted: Json, rule: Rule) -> Test:
        """Whether a value compares so. `null` is held by whoever has no value (RFC 7643 §2.5)."""
        if wanted is None:
            return lambda held: next(path.values(held), None) is None
        number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
        text = text_of(wanted)

        def some(resource: Resource) -> bool:
            exact = self._exact(whole)
            for value in path.values(resource):
                if number:
                    if (held := _number(value)) is not None and rule(held, wanted):
                        return True
                elif rule(value, text) if exact else rule(value.lower(), text.lower()):
                    return True
            return False

        return some


def _meet(filtered: Path, wanted: Json, written: Path) -> bool:
    """Whether a write may change what a filter looks at. To write into an element may add the element itself.

    To write an attribute of an extension adds its URN to `schemas` (RFC 7643 §3), no other
    that may be `wanted` there.
    """
    if filtered.whole.lower() == SCHEMAS:
        return bool(written.schema) and written.schema.lower() == str(wanted).lower()
    subs = {filtered.sub.lower(), written.sub.lower()}
    return filtered.whole.lower() == written.whole.lower() and (
        len(subs - {""}) < 2 or bool(written.tests)
    )


def _tokens(text: str) -> Iterator[str]:
    rest = text.strip()
    while rest:
        found = _TOKEN.match(rest)
        if found is None:
            raise FileError(f"the filter is invalid from here on: {rest}")
        yield found[1]
        rest = rest[found.end() :].strip()
    while True:
        yield ""


def _value(word: str) -> Json:
    try:
        return msgspec.json.decode(word)
    except msgspec.DecodeError:
        raise FileError(
            f'the filter compares with {word}, which is no JSON value: put texts in "…"'
        ) from None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# ---------------------------------------------------------------- for servers


def equal(path: Path, value: Json) -> str:
    """A filter that finds who holds the value at the path. Elements are told by what stands in brackets."""
    if not path.tests:
        return f"{path} eq {encoded(value)}"
    tests = [*path.tests, (path.sub or "value", value)]
    return f"{path.whole}[{' and '.join(f'{sub} eq {encoded(wanted)}' for sub, wanted in tests)}]"
