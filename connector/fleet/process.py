"""The process of one step, of which the engine hears as long as it lives."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace
from temporalio import activity

from connector.runtime.log import log
from connector.serve.scheduled_job import GRACE
from connector.serve.worker_process import command_line
from connector.serve.worker_protocol import Result, RunRequest, nothing_told

_BEAT: Final = 5.0
"""Seconds between two signs of life of a step."""


class Ran(NamedTuple):
    """What a run came to. `stopped`: it was told to, since this worker stops. `late`: it took too long."""

    result: Result
    stopped: bool
    late: bool


async def run(request: RunRequest, options: Sequence[str], limit: float) -> Ran:
    """Run it. `options` are those of the program. After `limit` seconds it is ended, and has failed.

    Raises CancelledError where the engine has given it up, once it has ended.
    """
    process = await asyncio.create_subprocess_exec(
        *command_line(options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    talk = asyncio.create_task(
        process.communicate(msgspec.json.encode(request, enc_hook=str))
    )
    late = stopped = given_up = False
    until = time.monotonic() + limit
    while not talk.done():
        activity.heartbeat()
        try:
            await asyncio.wait({talk}, timeout=_BEAT)
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            given_up = details is not None and not details.worker_shutdown
            stopped = True
            log.info(
                "run told to stop",
                job=request.job.stem,
                why="given up" if given_up else "handed over",
            )
            _tell(process, signal.SIGTERM)
            until = time.monotonic() + GRACE
        if time.monotonic() >= until and not talk.done():
            _tell(process, signal.SIGKILL if late or stopped else signal.SIGTERM)
            late, until = late or not stopped, time.monotonic() + GRACE
    said, _ = talk.result()
    if given_up:
        raise asyncio.CancelledError
    return Ran(
        _result(request, said, process.returncode or 0, limit if late else None),
        stopped,
        late,
    )


def _tell(process: asyncio.subprocess.Process, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(sign)


def _result(request: RunRequest, said: bytes, code: int, limit: float | None) -> Result:
    """What a process said at its end; of one that did not, or that took longer than `limit`, that it failed."""
    try:
        result = msgspec.json.decode(
            said, type=Result, dec_hook=lambda kind, value: kind(value)
        )
    except msgspec.DecodeError:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        result = Result(
            nothing_told(
                request, 1, f"the process of the run ended by {how} without a result"
            )
        )
    if limit is not None and result.summary is not None:
        why = f"the run took longer than max_run_time ({limit:.0f} s) and was ended"
        summary = replace(result.summary, exit_code=1, fault=why, cause=why)
        result = replace(result, summary=summary, stopped=False)
    return result
