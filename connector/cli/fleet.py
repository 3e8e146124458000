"""`fleet`: many jobs on Temporal, a durable engine.

`connector.fleet` needs an extra, so each command imports what it asks of it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connector.apply.approval import WaitingPlan, check_approval, find_waiting
from connector.apply.job_state import require_shared
from connector.cli import fleet_texts
from connector.cli.advice import Exit
from connector.cli.approvals import (
    ask_to_confirm,
    attach_signatures,
    explain_signing,
)
from connector.cli.observers import configure_service
from connector.cli.options import (
    FILE,
    approval_option,
    flag_option,
    job_argument,
    json_option,
    path_option,
    report_option,
    whole_option,
    yes_option,
)
from connector.cli.output import (
    command_line,
    say_command,
    say_document,
    say_line,
    say_lines,
    say_text,
)
from connector.cli.running import PlanPrinter
from connector.cli.serve import ListenAddress, listen_option
from connector.errors import FileError, StateError, UsageError
from connector.planfile import write_out
from connector.reports.wording import count_noun, make_sign_command
from connector.runtime.log import log
from connector.serve.past_reports import keep_past_runs
from connector.serve.report_folder import ReportFolder
from connector.serve.web import WebServer
from connector.settings import job as jobs
from connector.settings.fleet import find_fleet

if TYPE_CHECKING:
    from temporalio.client import Client

    from connector.fleet.values import StepResult

folder_argument = click.argument("folder", type=FILE)
digest_argument = click.argument("digest")
fleet_option = path_option(
    "--fleet", "FILE", "Fleet file. Default: fleet.yaml beside the jobs.", "fleet_file"
)


@click.group("fleet")
def fleet_command() -> None:
    """Run many jobs on Temporal, a durable engine."""


# ---------------------------------------------------------------- schedules and workers


@fleet_command.command(
    "schedule", short_help="Make Temporal's schedules match a folder of job files."
)
@folder_argument
@fleet_option
@flag_option("--apply", "Make the changes. Without it they are only shown.", "applies")
@yes_option
def make_schedules(
    folder: Path, fleet_file: Path | None, *, applies: bool, yes: bool
) -> int:
    """Make Temporal's schedules match the job files in FOLDER: create, update, pause, delete.

    Without --apply it only shows the changes, and ends with 2 if there are any. With it, a
    terminal is asked first.
    """
    from connector.fleet.client import ask_engine
    from connector.fleet.jobs import read_jobs
    from connector.fleet.schedules import make_changes, plan_schedules

    fleet = find_fleet(folder, fleet_file)
    loaded = read_jobs(folder, fleet.path)
    queue = fleet.settings.task_queue
    planned = ask_engine(fleet, lambda client: plan_schedules(client, loaded, queue))
    say_lines(fleet_texts.describe_plan(planned))
    if not planned.changes:
        return Exit.DONE
    if not applies:
        words = ["fleet", "schedule", folder]
        words += [f"--fleet={fleet_file}"] if fleet_file else []
        say_command("\nNothing was changed. To make the changes,", *words, "--apply")
        return Exit.PENDING
    ask_to_confirm(f"Make {count_noun(len(planned.changes), 'change')}?", yes=yes)
    results = ask_engine(fleet, lambda client: make_changes(client, planned.changes))
    missed = [result for result in results if result.why]
    for each in missed:
        say_line(f"Not made: {each.change.verb} {each.change.job}: {each.why}.")
    made = len(results) - len(missed)
    say_text(f"Made {count_noun(made, 'change')} of {len(results):,}.")
    if missed:
        return Exit.IN_PART if made else Exit.FAILED
    return Exit.DONE


@fleet_command.command(
    "worker", short_help="Run the jobs in a folder as Temporal says."
)
@folder_argument
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Steps at a time.",
)
@click.option(
    "--finish",
    type=click.IntRange(0, 86400),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="Time for runs under way after SIGTERM, before another worker takes them over.",
)
@listen_option
@fleet_option
def run_worker(
    folder: Path,
    *,
    at_once: int,
    finish: int,
    listen: ListenAddress,
    fleet_file: Path | None,
) -> None:
    """Run the jobs in FOLDER as the fleet says, until SIGTERM. Any number of workers share the work."""
    from connector.fleet.client import connect_engine
    from connector.fleet.jobs import read_names
    from connector.fleet.worker import FleetWorker

    options = configure_service()
    fleet = find_fleet(folder, fleet_file)

    async def work() -> None:
        # without jobs it would take those of other workers, and fail them
        if not read_names(folder, fleet.path):
            raise UsageError("holds no job files", where=str(folder))
        client = await connect_engine(fleet)
        worker = FleetWorker(
            client, fleet, folder, options, at_once=at_once, finish=finish
        )
        with WebServer(*listen, worker) as web:
            log.info("working", address=web.address, folder=str(folder))
            await worker.run()

    asyncio.run(work())


@fleet_command.command("status", short_help="Show how the jobs in a folder stand.")
@folder_argument
@json_option
@fleet_option
def show_status(folder: Path, *, as_json: bool, fleet_file: Path | None) -> int:
    """Show how the jobs in FOLDER stand: failing and refused ones first, then those that wait for approval.

    The exit code is 1 while a job fails or applies have stopped, else 0.
    """
    from connector.fleet.client import ask_engine, require_worker
    from connector.fleet.jobs import open_limits, read_names

    fleet = find_fleet(folder, fleet_file)
    state = open_limits(fleet, folder).read_status()
    job_names = read_names(folder, fleet.path)
    queue = fleet.settings.task_queue
    ask_engine(fleet, lambda client: require_worker(client, queue))
    standings = fleet_texts.sort_standings(state, job_names)
    if as_json:
        say_document(fleet_texts.make_status_document(state, standings, job_names))
    else:
        say_lines(fleet_texts.describe_status(state, standings, job_names, folder))
    is_failing = any(standing.state == "failing" for standing in standings)
    return Exit.FAILED if state.braked or is_failing else Exit.DONE


@fleet_command.command("run", short_help="Run a job now, and wait for it.")
@job_argument
@flag_option("--no-wait", "End at once, with 0, and do not wait for the run.")
@fleet_option
def run_job(job: Path, *, no_wait: bool, fleet_file: Path | None) -> int:
    """Run JOB now, by the fleet, and wait for it.

    The exit code is that of the run: 2 or 3 while its plan waits for approval.
    """
    from connector.fleet.client import ask_engine, begin_run, wait_for_run
    from connector.fleet.schedules import require_ours

    loaded = jobs.load_job(job)
    require_shared(loaded)
    fleet = find_fleet(job.parent, fleet_file)
    queue = fleet.settings.task_queue

    async def run(client: Client) -> tuple[StepResult | None, str]:
        await require_ours(client, loaded, queue)
        await begin_run(client, queue, loaded.name)
        return (None, "") if no_wait else await wait_for_run(client, loaded.name)

    result, digest = ask_engine(fleet, run)
    if no_wait:
        say_text("The run has begun. See `fleet status`.")
        return Exit.DONE
    if result is not None:
        say_text(fleet_texts.describe_run(result))
        return result.code
    see = command_line("fleet", "plan", job)
    said = f"Its plan waits for approval. To see it, and to approve it, run:\n    {see}"
    say_text(f"{said}\n    {command_line('fleet', 'approve', job, digest)}")
    found = find_waiting(job)
    if found is None or found.plan.digest != digest:
        return Exit.PENDING
    return Exit.REFUSED if found.plan.refusals else Exit.PENDING


# ---------------------------------------------------------------- plans that wait


@fleet_command.command(
    "plan", short_help="Show the plan of a job that waits for approval."
)
@job_argument
@path_option("--save", "FILE", "Save the plan, for people to sign.")
@whole_option
@report_option
def show_plan(
    job: Path, save: Path | None, reports: tuple[Path, ...], *, whole: bool
) -> None:
    """Show the plan of JOB that waits for approval. It comes from the state; the engine is not asked."""
    found = find_waiting(job)
    if found is None:
        raise UsageError(
            "no plan of this job waits. See `fleet status`", where=str(job)
        )
    plan = found.plan
    words = list_approve_words(job, found, save)
    show = PlanPrinter(words, reports, whole=whole)
    if save is None:
        show(plan, None)
    else:
        show.write_reports(plan, None)
        write_out(save, [found.octets.decode()])
        how = (
            f" To sign it, run:\n    {make_sign_command(save)}" if found.needed else ""
        )
        say_text(f"Saved.{how}")
        say_command("To approve it,", *words)


def list_approve_words(
    job: Path, found: WaitingPlan, save: Path | None = None
) -> list[str]:
    """The command that approves a plan that waits; `save`: its file, which people sign."""
    words = ["fleet", "approve", str(job), found.plan.digest]
    if found.needed:
        words.append(f"--approval={save or 'PLAN.json'}.sig")
    return words


@fleet_command.command(
    "reports", short_help="Write the folder of reports of a fleet's jobs."
)
@folder_argument
@path_option("--to", "DIR", "Folder of the reports.", required=True)
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Runs of each job that keep their page.",
)
@fleet_option
def write_reports(folder: Path, *, to: Path, keep: int, fleet_file: Path | None) -> int:
    """Write the last runs of the jobs in FOLDER, and the plans that wait, to the folder DIR, with an index.

    They come from the states of the jobs; the engine is not asked. Pages that DIR has already
    stay. The exit code is 1 if a job could not be read.
    """
    from connector.fleet.jobs import path_of, read_names

    reports, count, has_failed = ReportFolder(to, keep), 0, False
    for name in read_names(folder, find_fleet(folder, fleet_file).path):
        path = path_of(folder, name)
        try:
            count += keep_past_runs(path, reports, _make_approve_command)
        except (FileError, StateError) as fault:
            has_failed = True
            say_line(f"Not written: {name}: {fault}.")
    reports.write_index()
    say_text(f"Wrote {count_noun(count, 'report')} to {to}.")
    return Exit.FAILED if has_failed else Exit.DONE


def _make_approve_command(job: Path, found: WaitingPlan) -> str:
    return command_line(*list_approve_words(job, found))


@fleet_command.command("approve", short_help="Let the plan of a job be applied.")
@job_argument
@digest_argument
@approval_option
@fleet_option
def approve_plan(
    job: Path, digest: str, signatures: tuple[Path, ...], fleet_file: Path | None
) -> None:
    """Let the waiting plan of JOB be applied. DIGEST is that of the plan, as `fleet status` and the plan show it.

    Where JOB has approvers, they sign what `fleet plan --save` writes.
    """
    with explain_signing(
        "plan.json", ("fleet", "plan", str(job), "--save", "plan.json")
    ):
        pairs = attach_signatures(b"", signatures).signatures
        check_approval(job, digest, pairs)
    # Temporal takes text only, and the files' names stay here
    encoded = {
        str(number): base64.b64encode(octets).decode()
        for number, (_, octets) in enumerate(pairs, 1)
    }
    stopped_since = send_verdict(
        job, digest, fleet_file, approved=True, signatures=encoded
    )
    say_text(fleet_texts.describe_approval(job, stopped_since))


@fleet_command.command("reject", short_help="End the run of a job whose plan waits.")
@job_argument
@digest_argument
@fleet_option
def reject_plan(job: Path, digest: str, fleet_file: Path | None) -> None:
    """End the run of JOB whose plan waits. The next tick plans anew. DIGEST is that of the plan."""
    send_verdict(job, digest, fleet_file, approved=False, signatures={})
    say_text("Rejected. Nothing of that plan is written.")


def send_verdict(
    job: Path,
    digest: str,
    fleet_file: Path | None,
    *,
    approved: bool,
    signatures: Mapping[str, str],
) -> float:
    """Tell the run of a job; since when applies have stopped, 0 if they have not or nobody can tell.

    Raises UsageError if the run does not wait with this plan.
    """
    from connector.fleet.client import ask_engine, judge_plan
    from connector.fleet.jobs import open_limits
    from connector.fleet.values import Verdict

    verdict = Verdict(digest, approved, dict(signatures))
    fleet = find_fleet(job.parent, fleet_file)
    limits = open_limits(fleet, job.parent)
    ask_engine(fleet, lambda client: judge_plan(client, job.stem, verdict))
    try:
        return limits.read_status().braked
    except StateError:  # the verdict was taken all the same
        return 0


@fleet_command.command(
    "resume", short_help="Let applies begin again after too many jobs turned bad."
)
@folder_argument
@fleet_option
def resume_applies(folder: Path, fleet_file: Path | None) -> None:
    """Let the applies of the jobs in FOLDER begin again after the brake stopped them."""
    from connector.fleet.jobs import open_limits

    had_stopped = open_limits(find_fleet(folder, fleet_file), folder).resume_applies()
    say_text("Applies begin again." if had_stopped else "Applies had not stopped.")
