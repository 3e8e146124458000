"""What `plan --snapshot` and `plan --from` do beside a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from connector.cli.observers import observers
from connector.cli.running import Shower
from connector.run.composition import Begun, MakeObserver, accept, plan_context
from connector.run.context import PlanContext
from connector.run.job_state import files_of
from connector.run.result import Run
from connector.run.snapshot.folder import drawn_again, taken
from connector.run.snapshot.tape import NAME
from connector.settings.textfile import elsewhere, given


@contextmanager
def recorded(job: Path, make_observer: MakeObserver, snapshot: Path) -> Iterator[PlanContext]:
    """The context of a dry run, of which all is written down. Raises FileError, StateError, UsageError, OutputError."""
    accepted = accept(job)
    with (
        given(accepted.texts),
        plan_context(job, make_observer, everybody=True) as context,
        taken(snapshot, accepted) as recorder,
    ):
        yield replace(context, recorder=recorder)


def drawn_from(snapshot: Path, job: Path, show: Shower, log_level: str | None) -> Run:
    """The plan of a snapshot, drawn and shown again; nobody else is told of it. Raises FileError, UsageError."""
    with elsewhere():
        accepted = accept(job)
    show.keep_off({Path(file).resolve() for file in (*files_of(accepted.job), snapshot / NAME)})
    plan = drawn_again(snapshot, accepted)
    observers(Begun(accepted.job, plan.id), log_level).planned(plan)
    show(plan, None)
    return Run(plan, refused=bool(plan.refusals))
