"""A worker that ends each tick at once: `python -m tests.support.tick_worker ADDRESS NAMESPACE QUEUE`.

It runs until it is killed, and goes on when the server comes back.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.support.side_process import working


@workflow.defn(name="Tick")
class Tick:
    """Ends at once."""

    @workflow.run
    async def run(self, told: dict[str, Any]) -> None:
        pass


def ticking(address: str, namespace: str, queue: str = "cec-connector") -> AbstractContextManager[None]:
    """Such a process."""
    return working("tests.support.tick_worker", address, namespace, queue)


async def main(address: str, namespace: str, queue: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    await Worker(client, task_queue=queue, workflows=[Tick], workflow_runner=UnsandboxedWorkflowRunner()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
