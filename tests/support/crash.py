"""`make crash`: kills the program on real servers, as often as is asked for, and holds what is left to law 5.

`make crash-steps` kills it at each step of the journal: on OpenLDAP under each access rule, on each SCIM server.

The seed decides what is killed, and where. A step of the journal is the same at every attempt; a moment of the wire, or
in time, is as near as the machine lets it come.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from itertools import cycle
from pathlib import Path

from tests.support.crash_scenarios import ACLS, Stage
from tests.support.crash_scim import ScimStage
from tests.support.scim_servers import KINDS

ROUND = 100
"""So many kills are made on a server of one kind before the next kind's turn."""


def main() -> None:
    """Kill until it is enough; the first scenario that ends unlike an undisturbed one is told, and ends this."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--steps", action="store_true", help="at each step of the journal, and nowhere else")
    asked = parser.parse_args()
    if asked.steps:
        at_each_step()
        return
    say(f"make crash CRASH_KILLS={asked.kills} CRASH_SEED={asked.seed}")
    kills = 0
    with tempfile.TemporaryDirectory(prefix="cec-connector-crash-") as folder:
        for number, acl in enumerate(cycle(ACLS)):
            stage = Stage(Path(folder) / str(number), acl)
            stage.play_until(min(ROUND, asked.kills - kills), f"{asked.seed}/{number}")
            kills += stage.kills
            say(f"{kills} kills; the last {stage.kills} with passwords {acl}; all were settled")
            if kills >= asked.kills:
                return


def at_each_step() -> None:
    """Kill at each step, in runs of reviewed plans and in others."""
    with tempfile.TemporaryDirectory(prefix="cec-connector-crash-") as folder:
        for reviewed in (False, True):
            home = Path(folder) / ("reviewed" if reviewed else "other")
            stages = [*(Stage(home / acl, acl) for acl in ACLS), *(ScimStage(home / kind, kind) for kind in KINDS)]
            for stage, name in zip(stages, (*ACLS, *KINDS), strict=True):
                stage.play_each_step(reviewed=reviewed)
                say(f"{name}: {stage.kills} kills, every other scenario with a reviewed plan; all were settled")


def say(line: str) -> None:
    """For whoever watches, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
