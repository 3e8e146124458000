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
    Stage(tmp_path, acl).play_until(30, "many")


@pytest.mark.postgresql
def test_killed_anywhere_it_is_made_good_with_a_database_too(tmp_path: Path, postgresql: Postgres) -> None:
    names = (f"crash_{number}" for number in count())
    Stage(tmp_path, "seen", lambda: postgresql.create(next(names))).play_until(30, "database")


@pytest.mark.parametrize(("part", "acl"), [*enumerate(ACLS)])
def test_killed_at_each_step_of_the_journal_it_is_made_good(tmp_path: Path, part: int, acl: str) -> None:
    """Each step is in one of three worlds; `make crash-steps` has it in all."""
    Stage(tmp_path, acl).play_each_step(reviewed=acl != "seen", part=part, parts=len(ACLS))
