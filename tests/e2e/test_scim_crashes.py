"""Law 5 on real SCIM servers: the program is killed anywhere and run again, and it is as if nothing had happened.

After each scenario the users are those of an undisturbed one, and the server's log of requests agrees with the journal.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.crash_scim import ScimStage
from tests.support.scim_servers import EACH_KIND, KINDS, Kind

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", EACH_KIND)
def test_killed_anywhere_it_is_made_good(tmp_path: Path, kind: Kind) -> None:
    ScimStage(tmp_path, kind).play_until(30, "many")


@pytest.mark.parametrize(("part", "kind"), [*zip((0, 3), KINDS, strict=True)])
def test_killed_at_steps_of_the_journal_it_is_made_good(tmp_path: Path, part: int, kind: Kind) -> None:
    """At a third of them, on one server or the other; `make crash-steps` has each on both."""
    ScimStage(tmp_path, kind).play_each_step(reviewed=False, part=part, parts=6)
