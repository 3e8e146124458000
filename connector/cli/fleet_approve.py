"""`fleet approve` and `fleet reject`: what people say to a plan that waits."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

import click

from connector.cli.approvals import approval_option, said_how, signed
from connector.cli.fleet import fleet_option
from connector.cli.fleet_status import time_of
from connector.cli.running import job_argument, say_text

_digest_argument = click.argument("digest")


@click.command
@job_argument
@_digest_argument
@approval_option
@fleet_option
def command(
    job: Path, digest: str, signatures: tuple[Path, ...], named: Path | None
) -> int:
    """Let the waiting plan of JOB be applied. DIGEST is that of the plan, as `fleet status` and the plan show it.

    Where JOB has approvers, they sign what `fleet plan --save` writes.
    """
    from connector.run.waiting import check_approval

    with said_how("plan.json", ("fleet", "plan", str(job), "--save", "plan.json")):
        pairs = signed(b"", signatures).signatures
        check_approval(job, digest, pairs)
    sent = {
        str(number): base64.b64encode(octets).decode()
        for number, (_, octets) in enumerate(pairs, 1)
    }
    stopped = judge(job, digest, named, approved=True, signatures=sent)
    if stopped:
        folder = shlex.quote(str(job.parent))
        say_text(
            f"Approved. It is not applied yet: applies of the fleet have stopped since {time_of(stopped)}. To find "
            f"the cause, and then to let applies begin again, run:\n    cec-connector fleet status {folder}\n"
            f"    cec-connector fleet resume {folder}"
        )
    else:
        say_text("Approved. The fleet applies it as soon as its limits allow.")
    return 0


def judge(
    job: Path,
    digest: str,
    named: Path | None,
    *,
    approved: bool,
    signatures: dict[str, str],
) -> float:
    """Tell the run of a job; since when applies have stopped, 0 where they have not or nobody can tell.

    Raises UsageError where it does not wait with this plan.
    """
    from connector.errors import StateError
    from connector.fleet.client import ask, judge_plan
    from connector.fleet.jobs import open_limits
    from connector.fleet.values import Verdict
    from connector.settings.fleet import find

    fleet = find(job.parent, named)
    limits = open_limits(fleet, job.parent)
    verdict = Verdict(digest, approved, signatures)
    ask(fleet, lambda client: judge_plan(client, job.stem, verdict))
    try:
        return limits.read_status().braked
    except StateError:  # the verdict was taken all the same
        return 0


@click.command
@job_argument
@_digest_argument
@fleet_option
def reject(job: Path, digest: str, named: Path | None) -> int:
    """End the run of JOB whose plan waits. The next tick plans anew. DIGEST is that of the plan."""
    judge(job, digest, named, approved=False, signatures={})
    say_text("Rejected. Nothing of that plan is written.")
    return 0
