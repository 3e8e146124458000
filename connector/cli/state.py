"""`state`: what a job leaves behind, and its name in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import json, to_builtins

from connector.apply import state_care
from connector.apply.composition import plan_context
from connector.apply.job_state import rename
from connector.apply.moving import find_move
from connector.apply.permission import side
from connector.apply.state_care import back_up, contents, faults
from connector.cli.advice import Exit
from connector.cli.approvals import asks, confirm
from connector.cli.observers import observers
from connector.cli.running import job_argument, say, say_text, yes_option
from connector.errors import DeclinedError, OnHoldError, RefusedError, UsageError
from connector.reports.visible import visible

if TYPE_CHECKING:
    from connector.state.care import Contents, Old
    from connector.state.forgetting import Person

_LEAST, _DIGITS = 2, 5
"""Days, for a server of a directory may lag by one; and digits of them, for the calendar
begins in the year 1."""


@click.group("state")
def state_command() -> None:
    """Manage the state of a job."""


@state_command.command("show", short_help="Show what the state holds of a job.")
@job_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_state(job: Path, *, as_json: bool) -> int:
    """Show what the state holds of JOB: runs, writes, plans, ownership, and since when."""
    found = contents(job)
    if as_json:
        shown = _merge_parts(to_builtins(found)) if found else None
        click.echo(json.format(json.encode(shown), indent=1).decode())
    elif found is None:
        say_text("This job has no state yet. Its first apply makes one.")
    else:
        say(f"{name:<10}{visible(text)}\n" for name, text in _tell_contents(found))
    return 0


def _merge_parts(found: dict[str, Any]) -> dict[str, Any]:
    """What the state holds of a job, without its parts inside each other."""
    extent, counts = found.pop("extent"), found.pop("counts")
    return {"job": found.pop("job"), **extent, **found, **counts}


def _tell_contents(found: Contents) -> Iterator[tuple[str, str]]:
    extent, counts = found.extent, found.counts
    free = (
        f", of which {_format_size(extent.free)} are free for later runs"
        if extent.free
        else ""
    )
    yield (
        "state",
        f"{extent.state}, format {extent.format}, {_format_size(extent.octets)}{free}",
    )
    yield "job", found.job
    for directory in found.directories:
        yield "writes to", directory
    since = (
        f", the oldest of {found.oldest}, the newest of {found.newest}"
        if found.oldest
        else ""
    )
    pruned = f"; those until {found.pruned} were pruned" if found.pruned else ""
    yield "runs", f"{counts['runs']:,}{since}{pruned}"
    yield "attempts", f"{counts['attempts']:,} that wrote nothing"
    open_writes = f"{counts['open_writes']:,} of them with unknown outcome"
    yield "journal", f"{counts['writes']:,} writes, {open_writes}"
    earlier = f"digests of {counts['earlier_plans']:,} to compare with"
    yield "plans", f"{counts['saved_plans']:,} saved for review; {earlier}"
    if counts["documents"]:
        kept = f"{counts['documents']:,} plans and reports of a fleet's runs"
        yield "documents", kept
    yield "ownership", f"values of {counts['users']:,} users"
    notes = {
        "stale": "stale", "lapsed": "gone", "refused": "refused", "excluded": "excluded",
    }  # fmt: skip
    users = (f"{counts[name]:,} {what}" for name, what in notes.items())
    yield "users", ", ".join(users)
    yield "on hold", f"since {found.held}" if found.held else "no"


def _format_size(octets: int) -> str:
    return f"{octets / 1e6:,.1f} MB"


@state_command.command("check", short_help="Check that the state can be read.")
@job_argument
def check_state(job: Path) -> int:
    """Check the state of JOB: SQLite's own check, references, every row, and the key. Exit code 1 if one is wrong."""
    found = faults(job)
    if not found:
        say_text("The state is sound.")
        return Exit.DONE
    say(f"{visible(fault)}.\n" for fault in found)
    say_text(
        "\nThe state or its key is damaged. Restore both from a backup, then rerun."
    )
    return Exit.FAILED


@state_command.command("backup", short_help="Copy a SQLite state to a new file.")
@job_argument
@click.argument("file", type=click.Path(path_type=Path))
def back_up_state(job: Path, file: Path) -> int:
    """Copy the state of JOB to FILE, while runs go on. FILE must not exist. The key is not in the copy.

    A state in PostgreSQL is copied by pg_dump.
    """
    key = back_up(job, file)
    say_text(f"Copied the state to {visible(str(file))}.")
    if key:
        say_text(f"The key is not in it. Keep a copy of {visible(str(key))} elsewhere.")
    return Exit.DONE


def _check_age(ctx: click.Context, param: click.Parameter, value: str) -> timedelta:
    days = value.removesuffix("d")
    if not (
        value.endswith("d")
        and days.isdecimal()
        and days.isascii()
        and len(days) <= _DIGITS
        and int(days) >= _LEAST
    ):
        raise click.BadParameter(
            f"must be a number of days, at least {_LEAST}d, as in 400d"
        )
    return timedelta(days=int(days))


@state_command.command("prune", short_help="Take old runs out of the state.")
@job_argument
@click.option(
    "--older",
    callback=_check_age,
    required=True,
    metavar="AGE",
    help="Runs that ended so long ago, as in 400d.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be taken out.")
@yes_option
def prune_state(job: Path, older: timedelta, *, dry_run: bool, yes: bool) -> int:
    """Take runs of JOB, their journals and plans out of the state. What the job owns, and holds, stay.

    Runs that can no longer be undone then are named. At a terminal, it asks first.
    """
    old = state_care.old_runs(job, older)
    say(f"{visible(line)}\n" for line in _tell_old_runs(old))
    anything = bool(old.runs or old.attempts or old.plans or old.audit_lines)
    if anything and dry_run:
        again = shlex.join(
            ["cec-connector", "state", "prune", str(job), "--older", f"{older.days}d"]
        )
        say([f"\nNothing was taken out. To do so, run:\n    {visible(again)}\n"])
    elif anything:
        if asks(yes=yes):
            confirm("Take them out?")
        say_text(f"\nTook out {state_care.prune(job, old):,} runs.")
    return Exit.DONE


def _tell_old_runs(old: Old) -> Iterator[str]:
    counts = f"{len(old.runs):,} runs, {old.attempts:,} attempts, {old.plans:,} unused saved plans"
    if old.audit_lines:
        counts += f", {old.audit_lines:,} records of the audit"
    yield f"Older than {old.before}: {counts}."
    undoable = [run for run in old.runs if run.wrote]
    if undoable:
        yield f"These {len(undoable):,} can no longer be undone once they are taken out:"
    yield from (
        f"  {run.id}  {run.started}  {run.kind}: {run.wrote:,} writes"
        for run in undoable
    )
    for run, why in old.stay:
        yield f"Run {run.id} of {run.started} and later ones stay: {why}."


@state_command.command("forget", short_help="Take a person out of the state.")
@job_argument
@click.argument("user")
@click.option("--dry-run", is_flag=True, help="Only say what that would mean.")
@yes_option
def forget_person(job: Path, user: str, *, dry_run: bool, yes: bool) -> int:
    """Take USER (an id, or a name such as a DN) out of what the state holds of JOB: ids, names and values.

    The directory and the audit are not changed. At a terminal, it asks first.
    """
    person = state_care.person(job, user)
    say(f"{visible(line)}\n" for line in _tell_person(person))
    if dry_run:
        again = shlex.join(["cec-connector", "state", "forget", str(job), user])
        say([f"\nNothing was taken out. To do so, run:\n    {visible(again)}\n"])
        return Exit.DONE
    if asked := asks(yes=yes):
        confirm("Forget this user?")
    gone = state_care.forget(job, person, agreed=asked or yes)
    say_text(
        f"\nForgot the user: {gone.writes:,} writes. Withdrew {len(gone.plans):,} saved plans."
    )
    return Exit.DONE


def _tell_person(person: Person) -> Iterator[str]:
    yield (
        f"user {', '.join(person.names)}, id {person.id}"
        if person.names
        else f"user {person.id}"
    )
    yield f"{person.writes:,} writes in {person.runs:,} runs are known. Once forgotten, no undo takes them back."
    if person.owned:
        yield f"Values that this job wrote stay in the directory: {', '.join(person.owned)}."
        yield "Once forgotten they count as somebody else's: when the agent leaves, no plan names or clears them."
        yield "To have them cleared first, remove the agent from the source and apply with `stale: clear`."
    yield "If an agent still matches the user, the next plan or apply that changes the user records it again."
    if person.rivals:
        yield f"Other jobs of this directory may then write over these values: {', '.join(person.rivals)}."
        yield "To hand the user over in order, remove the agent from the source and apply. Then forget the user."
    if person.plans:
        yield f"Saved plans that may name the user are withdrawn: {', '.join(person.plans)}. Make and review new ones."
    if person.documents:
        yield f"Plans and reports of a fleet's runs that name the user are deleted: {', '.join(person.documents)}."
    if person.excluded:
        entries = ", ".join(person.excluded)
        yield f"The exclude list names the user ({entries}). Its id stays, or a renamed user would be written."
    if person.others:
        yield f"Other jobs wrote to the user too: {', '.join(person.others)}. Forget it in each of them."
    yield "Not changed: audit, logs, reports, plan files, and backups of the state."


@state_command.command(
    name="forget-secret", short_help="Show an attribute again that held secrets."
)
@job_argument
@click.argument("attribute")
@click.option("--dry-run", is_flag=True, help="Only say what would be shown again.")
@yes_option
@click.pass_obj
def forget_secret(
    log_level: str | None, job: Path, attribute: str, *, dry_run: bool, yes: bool
) -> int:
    """Take ATTRIBUTE for secret no longer, though jobs of this state wrote secrets into it.

    The directory is asked what it is, and not changed. At a terminal, it asks first;
    elsewhere it needs --yes.
    """
    with plan_context(job, lambda begun: observers(begun, log_level)) as context:
        description = context.reader.describe()
        known = context.secret_attributes(description)
        names = known.named(attribute)
        if not names:
            secret = ", ".join(known.names) or "none"
            raise UsageError(
                f"no job of this state wrote secrets into it. Secret here: {secret}",
                where=attribute,
            )
        identity = description.identity
        say_text(
            f"Secret so far: {visible(', '.join(names))} of every user of {visible(identity)}."
        )
        say_text(
            "After this, plans, reports, logs and the audit show all values of it, passwords that are left too."
        )
        say_text("A job that writes secrets into it makes it secret again.")
        if dry_run:
            return Exit.DONE
        if asks(yes=yes):
            confirm("Show its values again?")
        elif not yes:
            raise DeclinedError(
                "nobody can be asked here. To show its values again, add --yes",
                where=attribute,
            )
        with context.state.lease(identity, context.job):
            context.state.forget_secrets(identity, names)
    say_text(f"\n{visible(attribute)} is not secret any more.")
    return Exit.DONE


@state_command.command("rename", short_help="Rename a job in the state.")
@job_argument
@click.argument("new")
def rename_job(job: Path, new: str) -> int:
    """Rename JOB to NEW in the state: its runs, ownership and schedule. A job on hold is refused.

    JOB is the job file under its old name; NEW is its new name or path. Rename the file
    before or after.
    """
    try:
        old, name, users = rename(job, new)
    except OnHoldError as fault:
        fault.add_note(shlex.join(["cec-connector", "release", str(job)]))
        raise
    say_text(
        f"Renamed {visible(old)} to {visible(name)}. It owns values of {users} users."
    )
    return 0


@state_command.command("move", short_help="Accept that a job was moved or changed.")
@job_argument
@click.option(
    "--accept", metavar="DIGEST", help="Accept what was shown, by its digest."
)
@click.pass_obj
def move_job(log_level: str | None, job: Path, *, accept: str | None) -> int:
    """Show which tenant and directory JOB had in the state, which it has now, and which users would lose values.

    With --accept, what the state knows of JOB goes to what it is now. The directory is not changed.
    """
    with plan_context(job, lambda begun: observers(begun, log_level)) as context:
        found = find_move(context)
        sides = (
            f"applied before: {side(found.before)}",
            f"this file now:  {side(found.now)}",
        )
        what = "users with values of this job whom no agent claims, so that `stale: clear` clears them"
        users = (f"  {name}" for name, _ in found.losing)
        say(
            f"{visible(line)}\n"
            for line in (*sides, f"{what}: {len(found.losing):,}", *users)
        )
        if accept == found.digest:
            context.state.move(context.job, found.before.directory, found.now)
        elif accept is not None:
            raise RefusedError(
                "the digest is of something else: what is shown has changed",
                where="--accept",
            )
        context.observer.finished(None, Exit.DONE)
    if accept is None:
        again = shlex.join(
            ["cec-connector", "state", "move", str(job), "--accept", found.digest]
        )
        say(
            [
                f"\nNothing was changed. If this is the same job, run:\n    {visible(again)}\n"
            ]
        )
    else:
        say_text("\nAccepted. Look at the next plan before you apply it.")
    return Exit.DONE
