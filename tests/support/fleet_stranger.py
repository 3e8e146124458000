"""A worker whose workflows go another way than ours: nobody else can repeat the histories that it leaves.

    python -m tests.support.fleet_stranger ADDRESS NAMESPACE

As a worker that is very late can leave them, or one of another release. It works until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from connector.fleet.workflows import Tick
from tests.support.side_process import working

SECONDS = 2
"""After each of which somebody has to go on with its histories."""


@workflow.defn(name="Job")
class StrangeJob:
    @workflow.run
    async def run(self, begin: dict[str, Any]) -> None:
        while True:
            await workflow.sleep(SECONDS)


def stranger(address: str, namespace: str) -> AbstractContextManager[None]:
    """Such a process."""
    return working("tests.support.fleet_stranger", address, namespace)


async def main(address: str, namespace: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    await Worker(client, task_queue="cec-connector", workflows=[Tick, StrangeJob]).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
