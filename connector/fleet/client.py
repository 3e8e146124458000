"""A connection to Temporal, and what the fleet's commands ask it, and tell it.

No message repeats what the other side says: only kinds and names that are known here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
)
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from connector.errors import (
    CertificateDateError,
    ConnectorError,
    FileError,
    HostNameError,
    NoWorkerError,
    OpenRunError,
    TemporalDeniedError,
    TemporalUnreachableError,
    UntrustedError,
    UsageError,
)
from connector.fleet.values import PREFIX, Begin, StepResult, Verdict
from connector.fleet.workflows import BEGIN_ANEW, Job
from connector.model import text_of
from connector.net.secret_stores import fetch_secret
from connector.net.tls import open_tls_context
from connector.settings.fleet import LoadedFleet, Tls
from connector.settings.textfile import read_octets

A = TypeVar("A")
T = TypeVar("T")
SECONDS: Final = 10.0
"""Seconds that a connection may take, and each call over it."""
CALL: Final = timedelta(seconds=SECONDS)
begun: Final = threading.Event()
"""Set as soon as the SDK has threads of its own. Then a process ends by `os._exit`: Python's
own end may crash it (https://github.com/temporalio/sdk-python/issues/300)."""
_UNTRUSTED_WORDS: Final = {
    "UnknownIssuer": UntrustedError,
    "NotValidForName": HostNameError,
    "Expired": CertificateDateError,
    "NotValidYet": CertificateDateError,
    "InvalidCertificate": UntrustedError,
}
_DENIED_WORDS: Final = ("Unauthenticated", "PermissionDenied")
_UNREACHABLE_WORDS: Final = {
    "InvalidContentType": "no TLS is spoken there",
    "dns error": "the host name is not known",
    "Connection refused": "nothing listens there (connection refused)",
}
"""What the SDK says of a connection that failed, by kinds of faults."""
_NO_CONNECTION: Final = (
    "no connection, or the other side cuts it. "
    "It may want `tls`, or a client certificate (`cert_file`)"
)
_DENIED: Final = {
    RPCStatusCode.UNAUTHENTICATED: "log-in refused",
    RPCStatusCode.PERMISSION_DENIED: "no permission",
}
_PATIENCE: Final = timedelta(seconds=15)
"""How long a worker has to answer."""
AT_ONCE: Final = 16
"""Requests that are under way at a time."""
_LOOK: Final = 1.0
"""Seconds between two looks at a run that is waited for."""
_UNANSWERED: Final = (
    RPCStatusCode.CANCELLED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.FAILED_PRECONDITION,
)
"""What a query comes to without a worker: none answers in time, or the workflow has no task yet."""


def ask_engine(fleet: LoadedFleet, work: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, do this, and hand back what it came to. Raises what `connect_engine` and `translated_faults` do."""

    async def connect_and_work() -> T:
        with translated_faults(fleet):
            return await work(await connect_engine(fleet))

    return asyncio.run(connect_and_work())


async def connect_engine(fleet: LoadedFleet) -> Client:
    """A client of the fleet's namespace, which is there.

    Raises TemporalUnreachableError, TemporalDeniedError, UntrustedError; FileError where a
    file or a secret cannot be read, or there is no such namespace.
    """
    settings = fleet.settings
    key = settings.api_key and fetch_secret(
        settings.api_key, "the API key", fleet.where("api_key")
    )
    tls = _read_tls(settings.tls) if settings.tls else False
    begun.set()
    with translated_faults(fleet):
        try:
            client = await asyncio.wait_for(
                Client.connect(
                    settings.address,
                    namespace=settings.namespace,
                    tls=tls,
                    api_key=text_of(key) if key else None,
                    runtime=_make_runtime(),
                ),
                SECONDS,
            )
        except RuntimeError as fault:
            raise translate_fault(str(fault), settings.address) from None
        try:
            await require_answer(client)
        except RPCError as fault:
            if fault.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise FileError(
                f"namespace: {settings.address} has none of the name {settings.namespace}",
                where=fleet.where("namespace"),
            ) from None
    return client


async def require_answer(client: Client) -> None:
    """See that Temporal answers, and has the namespace. Raises RPCError."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    await client.workflow_service.describe_namespace(request, timeout=CALL)


@cache
def _make_runtime() -> Runtime:
    """The SDK's own threads, which otherwise write their log to standard output."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


def _read_tls(tls: Tls) -> TLSConfig:
    """What the SDK is given, once Python has found it good: of a wrong file the SDK says only that nothing connects."""
    open_tls_context(tls.ca_file, tls.cert_file, tls.key_file)
    return TLSConfig(
        server_root_ca_cert=_read_file(tls.ca_file),
        domain=tls.server_name,
        client_cert=_read_file(tls.cert_file),
        client_private_key=_read_file(tls.key_file),
    )


def _read_file(path: Path | None) -> bytes | None:
    return read_octets(path) if path else None


def translate_fault(said: str, address: str) -> ConnectorError:
    """What a failed connection is here. The SDK tells kinds of it by words alone."""
    for word, kind in _UNTRUSTED_WORDS.items():
        if word in said:
            why = f"its certificate is not trusted ({word})"
            return kind(why, where=address)
    if any(word in said for word in _DENIED_WORDS):
        return TemporalDeniedError("Temporal refuses the log-in", where=address)
    found = [why for word, why in _UNREACHABLE_WORDS.items() if word in said]
    why = found[0] if found else _NO_CONNECTION
    return TemporalUnreachableError(why, where=address)


@contextmanager
def translated_faults(fleet: LoadedFleet) -> Iterator[None]:
    """Faults of Temporal, as errors of this program. Raises TemporalUnreachableError, TemporalDeniedError."""
    address = fleet.settings.address
    try:
        yield
    except TimeoutError:
        why = f"no answer within {SECONDS:g} seconds"
        raise TemporalUnreachableError(why, where=address) from None
    except RPCError as fault:
        status = fault.status
        if status in _DENIED:
            why = f"Temporal refuses this: {_DENIED[status]}"
            raise TemporalDeniedError(why, where=address) from None
        why = f"Temporal cannot do this now ({status.name})"
        raise TemporalUnreachableError(why, where=address) from None


async def do_each(of: Sequence[A], work: Callable[[A], Awaitable[T]]) -> list[T]:
    """Do this for each, some requests at a time; what it came to, in order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def do_one(each: A) -> T:
        async with room:
            return await work(each)

    return await asyncio.gather(*map(do_one, of))


# ------------------------------------------------------------ workers


async def require_worker(client: Client, task_queue: str) -> None:
    """Raises NoWorkerError where no worker of the fleet has asked for work within five minutes."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    found = await client.workflow_service.describe_task_queue(request, timeout=CALL)
    if not found.pollers:
        raise _no_worker()


def _no_worker() -> NoWorkerError:
    why = "no worker of this fleet answers. Start one with `cec-connector fleet worker FOLDER`"
    return NoWorkerError(why, where="fleet")


@contextmanager
def _worker_answers() -> Iterator[None]:
    """Raises NoWorkerError where nobody is there to answer a query."""
    try:
        yield
    except RPCError as fault:
        if fault.status in _UNANSWERED:
            raise _no_worker() from None
        raise


# ------------------------------------------------------------ runs


async def judge_plan(client: Client, job: str, verdict: Verdict) -> None:
    """Tell the run of a job what somebody says to its plan.

    Raises UsageError where it waits with another plan, or with none.
    """
    handle = client.get_workflow_handle_for(Job.run, PREFIX + job)
    try:
        with _worker_answers():
            await handle.execute_update(Job.judge_plan, verdict, rpc_timeout=_PATIENCE)
    except (WorkflowUpdateFailedError, RPCError) as fault:
        if isinstance(fault, RPCError) and fault.status is not RPCStatusCode.NOT_FOUND:
            raise
        why = (
            "the run of this job waits for no approval of this plan. See `fleet status`"
        )
        raise UsageError(why, where=job) from None


async def begin_run(client: Client, task_queue: str, job: str) -> None:
    """Begin a run that belongs to no tick. Raises OpenRunError while a run of that job is open."""
    try:
        await client.start_workflow(
            Job.run,
            Begin(job),
            id=PREFIX + job,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            retry_policy=BEGIN_ANEW,
        )
    except WorkflowAlreadyStartedError:
        why = (
            "a run of this job is open in the fleet. See `fleet status`. If no worker takes it,"
            f" compare `task_queue` in the fleet file with the workflow {PREFIX}{job} in Temporal"
        )
        raise OpenRunError(why, where=job) from None


async def read_waiting_digest(client: Client, job: str) -> str:
    """The digest of the plan with which the open run of a job waits for somebody; empty where it does not.

    Raises NoWorkerError where no worker takes the run.
    """
    handle = client.get_workflow_handle_for(Job.run, PREFIX + job)
    return await _read_waiting_digest(handle)


async def renew_plan(client: Client, job: str, tick: str) -> None:
    """Let the open run of a job make the plan anew that waits. Somebody may approve it first: then nothing is."""
    handle = client.get_workflow_handle_for(Job.run, PREFIX + job)
    await handle.signal(Job.note_tick, tick, rpc_timeout=CALL)


async def wait_for_run(client: Client, job: str) -> tuple[StepResult | None, str]:
    """What the open run of a job comes to, or None and the digest of its plan that waits.

    One that was ended by hand has failed. Raises NoWorkerError where no worker takes it.
    """
    # of whichever attempt is the last one
    handle = client.get_workflow_handle_for(Job.run, PREFIX + job)
    result = asyncio.create_task(handle.result())
    try:
        while True:
            done, _ = await asyncio.wait({result}, timeout=_LOOK)
            if done:
                return await result, ""
            if waits := await _read_waiting_digest(handle):
                return None, waits
    except WorkflowFailureError:  # somebody has cancelled or terminated it
        return StepResult(1), ""
    except NoWorkerError as fault:
        what = f"the run has begun, and waits: {fault.what}"
        raise NoWorkerError(what, where=job) from None
    finally:
        result.cancel()


async def _read_waiting_digest(handle: WorkflowHandle[Job, StepResult]) -> str:
    """The digest of the plan of an open run that waits; empty where none does."""
    try:
        with _worker_answers():
            _, waits = await handle.query(
                Job.describe_work,
                reject_condition=QueryRejectCondition.NOT_OPEN,
                rpc_timeout=_PATIENCE,
            )
    except (WorkflowQueryRejectedError, WorkflowQueryFailedError):
        return ""  # it has ended, or begins anew
    except RPCError as fault:
        if fault.status is RPCStatusCode.NOT_FOUND:
            return ""
        raise
    return waits
