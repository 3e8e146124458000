"""A worker that ends each tick at once: `python -m tests.support.tick_worker ADDRESS NAMESPACE QUEUE`.

It runs until it is killed, and goes on when the server comes back.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

PROJECT = Path(__file__).parents[2]


@workflow.defn(name="Tick")
class Tick:
    """Ends at once."""

    @workflow.run
    async def run(self, told: dict[str, Any]) -> None:
        pass


@contextmanager
def ticking(address: str, namespace: str, queue: str = "cec-connector") -> Iterator[None]:
    """Such a process."""
    command = [sys.executable, "-m", "tests.support.tick_worker", address, namespace, queue]
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


async def main(address: str, namespace: str, queue: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    await Worker(client, task_queue=queue, workflows=[Tick], workflow_runner=UnsandboxedWorkflowRunner()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
