"""A directory that is held for writing, and the account of what is done meanwhile, from its begin to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector.apply.context import ApplyContext, ApplyUndoContext
from connector.apply.result import Run
from connector.model import Description


@contextmanager
def holding(
    context: ApplyContext | ApplyUndoContext,
) -> Iterator[tuple[Description, Callable[[Run], Run]]]:
    """Hold the context's directory: what it is, and whom to give the run that ends well.

    Observers are told of the begin after the lease was taken, and of the end before it is
    let go: the audit is a chain, to which one run at a time may add. Raises BusyError,
    OutputError, StateError.
    """
    ended: list[Run] = []

    def end(run: Run) -> Run:
        ended.append(run)
        return run

    description = context.directory.describe()
    with context.state.lease(description.identity, context.job):
        try:
            context.observer.opens(
                description.identity, context.fingerprint, context.state.audit
            )
            yield description, end
        except BaseException as fault:
            context.observer.closes(None, None, fault)
            raise
        for run in ended:
            context.observer.closes(run.plan, None if run.refused else run.ending)
