"""What the tests of LDIF files share: a directory over a file, a change of a number, and what became of changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connector.directories.ldif.adapter import LdifDirectory
from connector.model import AttributeChange, Change, Outcome, Result, UserRef, View
from connector.settings.ldap import LdifDirectory as Settings

VIEW = View(("uid", "description", "employeeNumber", "userPassword"), frozenset({"userPassword"}))
ANNA = UserRef("uid=anna,dc=example", "uid=anna,dc=example")


def directory(path: Path, view: View = VIEW, *, base: str = "", where: str = "(uid=*)") -> LdifDirectory:
    return LdifDirectory(Settings(type="ldif", path=path, base=[base], filter=where), view)


def number(new: str, *, old: tuple[str, ...] = (), user: UserRef = ANNA) -> Change:
    return Change(user, None, 1, (AttributeChange("employeeNumber", old, (new,)),))


def results(outcomes: Iterator[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]
