"""What a workflow is told of a job's files, and what a step asks of the process of its run."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from urllib.parse import urlsplit

from connector.fleet.values import About, StepRequest, StepResult
from connector.observers.run_summary import RunSummary
from connector.run.composition import Accepted
from connector.serve.accounts import Account
from connector.serve.schedule import BELIEVED
from connector.serve.worker_protocol import FleetRun, Result, RunRequest
from connector.settings.job import LoadedJob

_DAY = 86400


def about(job: LoadedJob) -> About:
    """What a workflow has to know of a job."""
    serve = job.job.serve
    account = Account.of(job.job)
    return About(
        apply=serve is not None and serve.mode == "apply",
        source=_source(job),
        server=_server(job),
        account=_hash(f"{_server(job)} {account.who} {account.kept}"),
        seconds=serve.max_run_time if serve is not None else _DAY,
    )


def request(accepted: Accepted, step: StepRequest) -> RunRequest:
    """The request to the process of a run."""
    now = datetime.now(UTC)
    job = accepted.job
    signatures = [
        (name, base64.b64decode(octets)) for name, octets in step.signatures.items()
    ]
    return RunRequest(
        job=job.path.absolute(),
        texts=accepted.texts,
        tick=datetime.fromisoformat(step.tick) if step.tick else now,
        believed=now + BELIEVED,
        kind="apply" if step.step == "apply" or about(job).apply else "plan",
        fleet=FleetRun(
            step.step, step.plan, accept=step.accept, signatures=signatures, manual=not step.tick,
            seconds=about(job).seconds,
        ),
    )  # fmt: skip


def result(
    summary: RunSummary, told: Result, *, stopped: bool, late: bool
) -> StepResult:
    """The numbers and ids of a run; no word that could name somebody. `late`: it took too long."""
    return StepResult(
        code=summary.exit_code,
        run=summary.run,
        plan=told.plan,
        digest=summary.digest,
        changes=summary.changes,
        refused=bool(summary.refusals),
        approval=told.approval,
        stopped=stopped and told.stopped and not told.spent,
        final=told.refused or late,
        denied=told.refused,
        counts=summary.counts,
        outcomes=summary.outcomes,
    )


def _source(job: LoadedJob) -> str:
    """The host of the job's CEC tenant, as a hash; empty for a file."""
    source = job.job.source
    return _hash(urlsplit(source.url).netloc) if source.type == "cec" else ""


def _server(job: LoadedJob) -> str:
    """The server that the job writes to, as a hash: by the first of its addresses."""
    directory = job.job.directory
    if directory.type == "ldap":
        return _hash(urlsplit(min(directory.urls)).netloc)
    return _hash(
        urlsplit(directory.url).netloc
        if directory.type == "scim"
        else str(directory.path)
    )


def _hash(name: str) -> str:
    return hashlib.sha256(name.lower().encode()).hexdigest()[:16]
