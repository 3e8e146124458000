"""`state`: what a job leaves behind, and its name in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec.structs import asdict

from connector.apply import state_care
from connector.apply.approval import describe_job
from connector.apply.composition import open_run
from connector.apply.context import PlanContext
from connector.apply.state_care import find_move, rename_in_state
from connector.cli.advice import Exit
from connector.cli.approvals import ask_to_confirm
from connector.cli.observers import make_observers
from connector.cli.options import (
    FILE,
    flag_option,
    job_argument,
    json_option,
    text_option,
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
from connector.errors import DeclinedError, OnHoldError, RefusedError, UsageError

if TYPE_CHECKING:
    from connector.apply.state_care import JobMove
    from connector.state.care import StateContents
    from connector.state.forgetting import Person
    from connector.state.pruning import OldContents

_LEAST_DAYS = 2
"""A server of a directory may lag by a day."""
_MEANINGS: Final = (
    ("owned", "Values that this job wrote stay in the directory: {}."),
    (
        "owned",
        "Once forgotten they count as somebody else's: when the agent leaves, no plan names or clears them.",
    ),
    (
        "owned",
        "To have them cleared first, remove the agent from the source and apply with `stale: clear`.",
    ),
    (
        "",
        "If an agent still matches the user, the next plan or apply that changes the user records it again.",
    ),
    ("rivals", "Other jobs of this directory may then write over these values: {}."),
    (
        "rivals",
        "To hand the user over in order, remove the agent from the source and apply. Then forget the user.",
    ),
    (
        "plans",
        "Saved plans that may name the user are withdrawn: {}. Make and review new ones.",
    ),
    (
        "documents",
        "Plans and reports of a fleet's runs that name the user are deleted: {}.",
    ),
    (
        "excluded",
        "The exclude list names the user ({}). Its id stays, or a renamed user would be written.",
    ),
    ("others", "Other jobs wrote to the user too: {}. Forget it in each of them."),
    ("", "Not changed: audit, logs, reports, plan files, and backups of the state."),
)
"""What forgetting a person means, by what is known of that person; without a name, always."""


@click.group("state")
def state_command() -> None:
    """Manage the state of a job."""


@state_command.command("show", short_help="Show what the state holds of a job.")
@job_argument
@json_option
def show_state(job: Path, *, as_json: bool) -> None:
    """Show what the state holds of JOB: runs, writes, plans, ownership, and since when."""
    found = state_care.read_contents(job)
    if as_json:
        document = asdict(found) if found else {}
        say_document(document | document.pop("counts", {}) or None)
    elif found is None:
        say_text("This job has no state yet. Its first apply makes one.")
    else:
        say_lines(f"{name:<10}{text}" for name, text in _describe_contents(found))


def _describe_contents(found: StateContents) -> Iterator[tuple[str, str]]:
    octets, free = f"{found.octets / 1e6:,.1f} MB", f"{found.free / 1e6:,.1f} MB"
    size = f"{octets}, of which {free} are free for later runs"
    yield "state", f"{found.state}, format {found.format}, {size}"
    yield "job", found.job
    for directory in found.directories:
        yield "writes to", directory
    counts = {name: f"{count:,}" for name, count in found.counts.items()}
    runs = counts["runs"]
    if found.oldest:
        runs += f", the oldest of {found.oldest}, the newest of {found.newest}"
    if found.pruned:
        runs += f"; those until {found.pruned} were pruned"
    yield "runs", runs
    lines = {
        "attempts": "{attempts} that wrote nothing",
        "journal": "{writes} writes, {open_writes} of them with unknown outcome",
        "plans": "{saved_plans} saved for review; digests of {earlier_plans} to compare with",
        "documents": "{documents} plans and reports of a fleet's runs",
        "ownership": "values of {users} users",
        "users": "{stale} stale, {lapsed} gone, {refused} refused, {excluded} excluded",
    }
    for name, line in lines.items():
        yield name, line.format_map(counts)
    yield "on hold", f"since {found.held}" if found.held else "no"


@state_command.command("check", short_help="Check that the state can be read.")
@job_argument
def check_state(job: Path) -> int:
    """Check the state of JOB: SQLite's own check, references, every row, and the key. Exit code 1 if one is wrong."""
    found = state_care.find_faults(job)
    if not found:
        say_text("The state is sound.")
        return Exit.DONE
    say_lines(f"{fault}." for fault in found)
    say_text(
        "\nThe state or its key is damaged. Restore both from a backup, then rerun."
    )
    return Exit.FAILED


@state_command.command("backup", short_help="Copy a SQLite state to a new file.")
@job_argument
@click.argument("file", type=FILE)
def back_up_state(job: Path, file: Path) -> None:
    """Copy the state of JOB to FILE, while runs go on. FILE must not exist. The key is not in the copy.

    A state in PostgreSQL is copied by pg_dump.
    """
    key = state_care.back_up(job, file)
    say_line(f"Copied the state to {file}.")
    if key:
        say_line(f"The key is not in it. Keep a copy of {key} elsewhere.")


def _check_age(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    # at most five digits, for the calendar begins in the year 1
    found = re.fullmatch(r"([0-9]{1,5})d", value)
    if found is None or int(found[1]) < _LEAST_DAYS:
        raise click.BadParameter(
            f"must be a number of days, at least {_LEAST_DAYS}d, as in 400d"
        )
    return timedelta(days=int(found[1]))


@state_command.command("prune", short_help="Take old runs out of the state.")
@job_argument
@text_option(
    "--older",
    "AGE",
    "Runs that ended so long ago, as in 400d.",
    callback=_check_age,
    required=True,
)
@flag_option("--dry-run", "Only list what would be taken out.")
@yes_option
def prune_state(job: Path, older: timedelta, *, dry_run: bool, yes: bool) -> None:
    """Take runs of JOB, their journals and plans out of the state. What the job owns, and holds, stay.

    Runs that can no longer be undone then are named. At a terminal, it asks first.
    """
    old = state_care.find_old_runs(job, older)
    say_lines(_describe_old_runs(old))
    if not (old.runs or old.attempts or old.plans or old.audit_lines):
        return
    if dry_run:
        words = ("state", "prune", job, "--older", f"{older.days}d")
        say_command("\nNothing was taken out. To do so,", *words)
        return
    ask_to_confirm("Take them out?", yes=yes)
    say_text(f"\nTook out {state_care.prune_runs(job, old):,} runs.")


def _describe_old_runs(old: OldContents) -> Iterator[str]:
    counts = f"{len(old.runs):,} runs, {old.attempts:,} attempts, {old.plans:,} unused saved plans"
    if old.audit_lines:
        counts += f", {old.audit_lines:,} records of the audit"
    yield f"Older than {old.before}: {counts}."
    undoable = [run for run in old.runs if run.wrote]
    if undoable:
        yield f"These {len(undoable):,} can no longer be undone once they are taken out:"
    for run in undoable:
        yield f"  {run.id}  {run.started}  {run.kind}: {run.wrote:,} writes"
    for run, why in old.stay:
        yield f"Run {run.id} of {run.started} and later ones stay: {why}."


@state_command.command("forget", short_help="Take a person out of the state.")
@job_argument
@click.argument("user")
@flag_option("--dry-run", "Only say what that would mean.")
@yes_option
def forget_person(job: Path, user: str, *, dry_run: bool, yes: bool) -> None:
    """Take USER (an id, DN, uid, account or seat) out of what the state holds of JOB: ids, names and values.

    The directory and the audit are not changed. At a terminal, it asks first.
    """
    person = state_care.find_person(job, user)
    say_lines(_describe_person(person))
    if dry_run:
        words = ("state", "forget", job, user)
        say_command("\nNothing was taken out. To do so,", *words)
        return
    agreed = ask_to_confirm("Forget this user?", yes=yes) or yes
    gone = state_care.take_person_out(job, person, agreed=agreed)
    say_text(
        f"\nForgot the user: {gone.writes:,} writes. Withdrew {len(gone.plans):,} saved plans."
    )


def _describe_person(person: Person) -> Iterator[str]:
    yield f"user {', '.join((*person.names, f'id {person.id}'))}"
    yield f"{person.writes:,} writes in {person.runs:,} runs are known. Once forgotten, no undo takes them back."
    for field, line in _MEANINGS:
        values = ", ".join(getattr(person, field)) if field else ""
        if values or not field:
            yield line.format(values)


@state_command.command(
    name="forget-secret", short_help="Show an attribute again that held secrets."
)
@job_argument
@click.argument("attribute")
@flag_option("--dry-run", "Only say what would be shown again.")
@yes_option
def forget_secret(job: Path, attribute: str, *, dry_run: bool, yes: bool) -> None:
    """Take ATTRIBUTE for secret no longer, though jobs of this state wrote secrets into it.

    The directory is asked what it is, and not changed. At a terminal, it asks first;
    elsewhere it needs --yes.
    """
    with open_run(PlanContext, job, make_observers) as context:
        description = context.reader.describe()
        known = context.secret_attributes(description)
        names = known.find_same(attribute)
        if not names:
            secret = ", ".join(known.names) or "none"
            raise UsageError(
                f"no job of this state wrote secrets into it. Secret here: {secret}",
                where=attribute,
            )
        identity = description.identity
        say_line(f"Secret so far: {', '.join(names)} of every user of {identity}.")
        say_text(
            "After this, plans, reports, logs and the audit show all values of it, passwords that are left too.\n"
            "A job that writes secrets into it makes it secret again."
        )
        if dry_run:
            return
        if not (ask_to_confirm("Show its values again?", yes=yes) or yes):
            raise DeclinedError(
                "nobody can be asked here. To show its values again, add --yes",
                where=attribute,
            )
        with context.state.lease(identity, context.job):
            context.state.forget_secrets(identity, names)
    say_text("")
    say_line(f"{attribute} is not secret any more.")


@state_command.command("rename", short_help="Rename a job in the state.")
@job_argument
@click.argument("new")
def rename_job(job: Path, new: str) -> None:
    """Rename JOB to NEW in the state: its runs, ownership and schedule. A job on hold is refused.

    JOB is the job file under its old name; NEW is its new name or path. Rename the file
    before or after.
    """
    try:
        old, name, users = rename_in_state(job, new)
    except OnHoldError as fault:
        fault.add_note(command_line("release", job))
        raise
    say_line(f"Renamed {old} to {name}. It owns values of {users} users.")


@state_command.command("move", short_help="Accept that a job was moved or changed.")
@job_argument
@text_option("--accept", "DIGEST", "Accept what was shown, by its digest.")
def move_job(job: Path, *, accept: str | None) -> None:
    """Show which tenant and directory JOB had in the state, which it has now, and which users would lose values.

    With --accept, what the state knows of JOB goes to what it is now. The directory is not changed.
    """
    with open_run(PlanContext, job, make_observers) as context:
        found = find_move(context)
        say_lines(_describe_move(found))
        if accept == found.digest:
            context.state.move_job(context.job, found.before.directory, found.now)
        elif accept is not None:
            raise RefusedError(
                "the digest is of something else: what is shown has changed",
                where="--accept",
            )
        context.observer.end_run(None, Exit.DONE)
    if accept is None:
        words = ("state", "move", job, "--accept", found.digest)
        say_command("\nNothing was changed. If this is the same job,", *words)
    else:
        say_text("\nAccepted. Look at the next plan before you apply it.")


def _describe_move(found: JobMove) -> Iterator[str]:
    yield f"applied before: {describe_job(found.before)}"
    yield f"this file now:  {describe_job(found.now)}"
    yield (
        "users with values of this job whom no agent claims, so that `stale: clear` "
        f"clears them: {len(found.losing):,}"
    )
    for name, _ in found.losing:
        yield f"  {name}"
