"""Reports: a plan, and what became of it, for a reader. Pure: text out, and nothing in but the plan.

A report never holds a secret, and is made piece by piece, never as one string. `find_renderer`
finds the format that the suffix of a file's name asks for; the terminal's own is
`connector.reports.text`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    from connector.model import Outcome, Plan

SUFFIXES: Final = {
    ".json": "document",
    ".csv": "csv",
    ".md": "markdown",
    ".html": "html",
    ".ldif": "ldif",
}
"""The formats of report files: suffix, and the module here that renders it."""
_WITH_COMMAND: Final = frozenset({"markdown", "html"})
"""Formats that tell their reader how to apply a plan."""
Renderer: TypeAlias = "Callable[[Plan, Sequence[Outcome] | None], Iterator[str]]"
"""A report's format: the plan in, its text out, piece by piece. Without outcomes the plan
has not been applied."""


def find_renderer(suffix: str, command: str | None = "") -> Renderer:
    """The renderer for a file's suffix (with its dot, in either case). Raises UsageError for an unknown one.

    `command` is the command line that applies the plan. None: there is none.
    """
    name = SUFFIXES.get(suffix.lower())
    if name is None:
        from connector.errors import UsageError  # noqa: PLC0415  # --help imports this package, and errors loads msgspec: 15 ms

        known = ", ".join(SUFFIXES)
        raise UsageError(
            f"no report format has the suffix {suffix!r}: name the file with one of {known}"
        )
    module = import_module(f"connector.reports.{name}")
    if name in _WITH_COMMAND:
        return partial(module.render, command=command)
    return cast("Renderer", module.render)
