"""Law 5 on a real OpenLDAP: the program is killed anywhere and run again, and it is as if nothing had happened.

After each scenario the directory's entries are those of an undisturbed one, and the server's own log of writes agrees
with the journal, write by write. `make crash` does so for as long as one likes.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from tests.support.crash_scenarios import ACLS, Stage
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.slapd, pytest.mark.slow]


@pytest.mark.parametrize("acl", ACLS)
def test_killed_anywhere_it_is_made_good(tmp_path: Path, acl: str) -> None:
    Stage(tmp_path, acl).play_until(14, "a few")


@pytest.mark.postgresql
@pytest.mark.parametrize("kills", [5, 60])
def test_killed_anywhere_it_is_made_good_with_a_database_too(tmp_path: Path, postgresql: Postgres, kills: int) -> None:
    names = (f"crash{kills}_{number}" for number in count())
    Stage(tmp_path, "seen", lambda: postgresql.create(next(names))).play_until(kills, "database")


@pytest.mark.parametrize("acl", ACLS)
def test_killed_anywhere_it_is_made_good_more_often(tmp_path: Path, acl: str) -> None:
    Stage(tmp_path, acl).play_until(40, "many")


@pytest.mark.parametrize(("acl", "reviewed"), [*zip(ACLS, (False, True, True), strict=True)])
def test_killed_at_each_step_of_the_journal_it_is_made_good(tmp_path: Path, acl: str, *, reviewed: bool) -> None:
    Stage(tmp_path, acl).play_each_step(reviewed=reviewed)
