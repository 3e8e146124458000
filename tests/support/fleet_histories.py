"""Histories of workflows as the engine kept them, and repeating them with the workflows of today.

    python -m tests.support.fleet_histories           # record them anew, with real servers
    python -m tests.support.fleet_histories FILE...   # repeat these

What a release recorded stays, so that its open workflows go on under the next one. Only what is new is recorded: under
another name.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.support.fleet_world import FleetWorld
from tests.support.postgres import Postgres
from tests.support.slapd import Slapd
from tests.support.temporal import Temporal
from tests.support.warm import PROJECT

FOLDER: Final = PROJECT / "tests" / "histories"


def record() -> None:
    """Runs that apply at once, that wait and are approved, rejected or superseded, with their ticks."""
    with tempfile.TemporaryDirectory(prefix="cec-fleet.") as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(Slapd.start(folder / "slapd"))
        world = FleetWorld(
            folder / "jobs",
            stack.enter_context(Temporal.start(folder / "temporal")),
            stack.enter_context(Postgres.start()),
        )
        stack.callback(world.close)
        for job, more in (("applied", {}), ("approved", {"limits": {"update": 1}}), ("rejected", {"mode": "dry-run"})):
            world.add(job, server, **more)
        worker = world.work()
        for job, state in (
            ("applied", "in step"),
            ("approved", "waiting for approval"),
            ("rejected", "waiting for approval"),
        ):
            world.tick(job)
            world.settle(job, state)
        world.tick("rejected", 2)
        for job, word, state in (("approved", "approve", "in step"), ("rejected", "reject", "rejected")):
            world.fleet(word, f"{job}.yaml", world.status()[job]["digest"])
            world.settle(job, state)
        assert worker.stop() == 0
        FOLDER.mkdir(exist_ok=True)
        for listed in world.temporal.json("workflow", "list", "--namespace", world.namespace):
            id_, run = listed["execution"]["workflowId"], listed["execution"]["runId"]
            history = re.sub(rf"\d+@{re.escape(socket.gethostname())}", "worker", world.history(id_, run))
            kind = listed["type"]["name"].lower()
            path = FOLDER / f"{kind}-{id_.rpartition('/')[2]}-{len(json.loads(history)['events'])}.json"
            path.write_text(history, encoding="utf-8")


async def _repeat(paths: list[Path]) -> None:
    from temporalio.client import WorkflowHistory  # noqa: PLC0415  # of the process that repeats alone
    from temporalio.worker import Replayer  # noqa: PLC0415

    from connector.fleet.workflows import Job, Tick  # noqa: PLC0415

    for path in paths:
        history = WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))
        await Replayer(workflows=[Job, Tick]).replay_workflow(history)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        record()
        sys.exit()
    code = 0
    try:
        asyncio.run(_repeat([Path(name) for name in sys.argv[1:]]))
    except Exception as fault:  # noqa: BLE001  # whatever it was, the process ends without the interpreter's own end
        sys.stderr.write(f"{type(fault).__name__}: {fault}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)  # the SDK may crash while the interpreter ends (temporalio/sdk-python#300)
