"""Law 5 in Active Directory: the program is killed anywhere and run again, and it is as if nothing had happened.

After each scenario the users are those of an undisturbed one, and the domain controller has written each attribute as
often as the journal says.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.crash_samba import SambaStage

pytestmark = [pytest.mark.samba, pytest.mark.slow]


@pytest.mark.parametrize("passwords", ["readable", "confidential"])
def test_killed_anywhere_it_is_made_good(tmp_path: Path, passwords: str) -> None:
    SambaStage(tmp_path, passwords).play_until(10, "a few")


def test_killed_at_steps_of_the_journal_it_is_made_good(tmp_path: Path) -> None:
    SambaStage(tmp_path, "confidential").play_each_step(reviewed=False, part=0, parts=13)
