"""A run of a job as its state tells it: its record, and a report of what it wrote. No server is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.context import SecretAttributes
from connector.apply.job_state import list_runs, open_job_state
from connector.errors import UsageError
from connector.model import (
    APPROVED,
    AttributeChange,
    Outcome,
    Plan,
    Result,
    Summary,
)
from connector.model.digests import UNKEYED, digest_of_change, digest_of_plan
from connector.planning.kinds import add_overview
from connector.planning.order import join_parts
from connector.settings.job import LoadedJob
from connector.state.history import RunRecord
from connector.state.journal_rows import JournalStep, Sealer
from connector.state.store import State

Report = tuple[Plan, tuple[Outcome, ...]]
_NOT_KNOWN = "not known: the run is under way, or was interrupted"


def read_past_run(path: Path, run: str) -> Report:
    """A report of a run of the job in `path`, by what `find_run` takes; problems are not kept.

    Values of attributes that are secret by now are left out. Raises FileError, StateError; UsageError also of a
    run that did not begin to write.
    """
    (record,), _ = list_runs(path, run)
    if not record.was_begun:
        why = "; ".join(record.why.splitlines())
        raise UsageError(
            f"this run wrote nothing, so it has no report. It was {record.result}: {why}",
            where=record.id,
        )
    with open_job_state(path) as (_, state):
        directory, steps = state.read_steps_of_run(record.id, record.job, Sealer(None))
        secrets = SecretAttributes(tuple(state.secret_attributes(directory)))
    return _make_report(record, steps, secrets)


class PastRun(Struct, frozen=True):
    """A run or attempt, and its report."""

    record: RunRecord
    plan: Plan | None = None
    """None: it was an attempt, which has none."""
    outcomes: tuple[Outcome, ...] | None = None
    is_whole: bool = False
    """Whether the report is the one of the run, with its problems."""


def read_past_runs(
    path: Path, count: int, is_wanted: Callable[[RunRecord], bool]
) -> Iterator[PastRun]:
    """The last runs of the job in `path` that have ended, so many, and as many attempts, without those not wanted.

    Raises FileError, StateError.
    """
    with open_job_state(path) as (job, state):
        records = [
            record
            for record in state.history.list_runs(job.name)
            if record.kind != "release" and not record.is_under_way
        ]
        runs = [record for record in records if record.was_begun]
        attempts = [record for record in records if not record.was_begun]
        for record in filter(is_wanted, attempts[:count]):
            yield PastRun(record)
        for record in filter(is_wanted, runs[:count]):
            yield _read_run(job, state, record)


def _read_run(job: LoadedJob, state: State, record: RunRecord) -> PastRun:
    directory, steps = state.read_steps_of_run(record.id, job.name, Sealer(None))
    secrets = SecretAttributes(tuple(state.secret_attributes(directory)))
    kept = state.documents.find_report(job.name, record.id)
    if kept is not None and not _shows_secrets(kept[0], secrets):
        return PastRun(record, *kept, is_whole=True)
    return PastRun(record, *_make_report(record, steps, secrets))


def _shows_secrets(plan: Plan, secrets: SecretAttributes) -> bool:
    """Whether a plan has values of attributes that are secret by now."""
    changes = (each for change in plan.changes for each in change.attributes)
    return any(_hide_values(each, secrets) is not each for each in changes)


def _make_report(
    record: RunRecord, steps: Sequence[JournalStep], secrets: SecretAttributes
) -> Report:
    changes = []
    for change in join_parts(step.change for step in steps):
        attributes = [_hide_values(each, secrets) for each in change.attributes]
        shown = replace(change, attributes=tuple(attributes))
        changes.append(replace(shown, digest=digest_of_change(shown)))
    plan = Plan(
        record.id,
        "",
        record.job,
        record.started,
        Summary(**record.summary),
        tuple(changes),
        about=(*_list_times(record), *list_facts(record)),
        approvals=record.approvals,
    )
    plan = add_overview(replace(plan, digest=digest_of_plan(plan)))
    # of a user whose change was written in parts, the first that was not written counts
    last = sorted(steps, key=lambda step: step.outcome is not Result.WRITTEN)
    outcomes = {step.user.id: _make_outcome(step) for step in last}
    return plan, tuple(outcomes.values())


def _list_times(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "begun", record.started
    if record.ended:
        yield "ended", record.ended
    if record.by:
        yield "by", record.by


def list_facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """What is known of a run or an attempt beside its times and counts, each with its name."""
    facts = {
        "server": record.server,
        "applied": record.plan or record.digest,
        APPROVED: "; ".join(map(str, record.approvals)),
        "takes back": record.undoes and f"run {record.undoes}",
    }
    return tuple((place, what) for place, what in facts.items() if what)


def _hide_values(each: AttributeChange, secrets: SecretAttributes) -> AttributeChange:
    if each.secret or not secrets.find_same(each.name, whole=True):
        return each
    fingerprint = UNKEYED if each.sets else ""
    return AttributeChange(each.name, (), (), secret=True, fingerprint=fingerprint)


def _make_outcome(step: JournalStep) -> Outcome:
    if step.outcome is None:
        return Outcome(step.user, Result.FAILED, _NOT_KNOWN, unknown=True)
    return Outcome(step.user, step.outcome, step.why, lost=step.lost)
