"""`check`: everything that can be found out about a job without planning or writing."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec.structs import replace

from connector.apply.composition import plan_context, trial_context
from connector.apply.job_state import hold_on, opened, other_jobs, try_state
from connector.apply.permission import same_job
from connector.apply.planning import make_plan
from connector.apply.to_arrange import (
    access_rules,
    compare_notes,
    index_notes,
    missing_rights,
)
from connector.cli.observers import observers
from connector.cli.running import job_argument, say_text
from connector.errors import LimitError
from connector.matching.people import nowhere, strangers
from connector.matching.roster import Roster
from connector.matching.user_names import Naming
from connector.net.secret_stores import open_to_others
from connector.observers.observer import Observer
from connector.planning.checks.schema_checks import Survey
from connector.planning.compare.differences import Differ
from connector.planning.overview.foreign_values import find_foreign_values
from connector.reports.schema import attribute
from connector.reports.visible import visible
from connector.reports.wording import nobody_matches
from connector.runtime.clock import now
from connector.settings.job import load
from connector.sources.port import OnceSource

if TYPE_CHECKING:
    from connector.apply.context import PlanContext
    from connector.model import Change, Description, Tenant, User
    from connector.model.mapping import Mapping
    from connector.planning.checks.schema_checks import Survey
    from connector.sources.port import Source


_INVALID: Final = 3
"""So many invalid records are told; a plan lists all."""
_PLACES: Final = {"source": "read from", "directory": "directory at"}
"""Other words for what has a line of its own here."""


@click.command("check")
@job_argument
@click.option(
    "--acl",
    is_flag=True,
    help="Print the rights that the mapping needs, as a file for this server.",
)
@click.pass_obj
def check_command(log_level: str | None, job: Path, *, acl: bool) -> int:
    """Check JOB, its files, source and directory; write nothing."""
    if acl:
        return _tell_rights(job, log_level)
    with plan_context(
        job, lambda begun: observers(begun, log_level), remember=False
    ) as context:
        _tell_job(context.job, job)
        source = OnceSource(context.source)
        tenant = source.read()
        _tell_source(tenant)
        description = context.reader.describe()
        differ = Differ(tenant, context.mapping, description)
        for place, what in context.about(description):
            if place != "state":  # a check opens no state
                say_text(f"  {_PLACES.get(place, place)}: {visible(what)}")
        survey = Survey(differ.attributes, differ.schema_checks)
        nobody, cut = _survey_users(context, tenant, description, survey)
        or_more = " or more" if cut else ""
        say_text(
            f"directory  {survey.users} users{or_more} within base and filter ({visible(description.identity)})"
        )
        described = context.reader.describe()  # once more: reading may have told more
        for info in described.attributes.values():
            say_text(f"  {visible(info.name)}: {attribute(info)}")
        barred = (
            f"{count:,} of the users cannot take {name}: {why}"
            for name, found in survey.barred().items()
            for why, count in found.items()
        )
        problems = (problem.why for problem in differ.problems)
        short = (
            context.approvers.explain_shortage(now().time) if context.approvers else ""
        )
        approvers = [f"approvers: {short}"] if short else []
        notes = (
            *cut, *problems, *differ.cautions, *barred, *described.cautions, *compare_notes(context, survey.spread),
            *index_notes(context), *approvers,
        )  # fmt: skip
        _tell_notes(
            notes,
            [*(rule.directory for rule in context.mapping.match), *differ.attributes],
        )
        _tell_missing(context, job, [differ.trial(user) for user in survey.spread])
        _tell_listed(context, tenant, description)
        _tell_remembered(context, job, description)
        if nobody:
            say_text(visible(nobody))
        else:
            _tell_foreign_values(job, source, context.mapping)
        try_state(job)
        say_text(
            "Nothing was written. To check each change against the schema, run `cec-connector plan`."
        )
    return int(bool(nobody))


def _tell_job(name: str, job: Path) -> None:
    say_text(f"job        {visible(name)}: the job and mapping files are valid")
    found = open_to_others(load(job))
    _tell_notes(
        (f"{path}: {why}; run `chmod {mode}` on it" for path, why, mode in found),
        [str(path) for path, *_ in found],
    )


def _survey_users(
    context: PlanContext, tenant: Tenant, description: Description, survey: Survey
) -> tuple[str, list[str]]:
    """Read all users into the survey. Returns that nobody matches, if so, and notes on what a limit left unread."""
    roster = Roster(tenant, context.mapping, context.pins, description)
    matching: list[User] = []

    def note_users() -> Iterator[User]:
        for user in context.reader.scan():
            if not matching and roster.seekers(user):
                matching.append(user)
            yield user

    cut = []
    try:
        survey.take(note_users())
    except LimitError as fault:
        cut = _tell_cut(context.mapping, description, fault)
        matching += islice(
            context.reader.find(roster.keys(lambda _agent, _rule: False)), 1
        )
    empty = survey.users == 0 and not cut
    if matching or not (empty or len(roster)):
        return "", cut
    return (
        f"Nobody matches: {nobody_matches(dict(context.about(description)), empty=empty)}.",
        cut,
    )


def _tell_cut(
    mapping: Mapping, description: Description, fault: LimitError
) -> list[str]:
    """What a plan does where the server's limit cuts a scan short. Raises the fault where no look-ups can be made."""
    if not all(
        description.attributes[rule.directory].comparable for rule in mapping.match
    ):
        raise fault
    adopting = " and ".join(mapping.adopting)
    told = [
        f"a plan looks the agents up, since not all users can be read: {fault.what}"
    ]
    refused = f"`adopt: true` of {adopting} has to see every user who holds a value; if the limit cuts that, plans fail"
    return [*told, refused] if adopting else told


def _tell_notes(notes: Iterable[str], names: Collection[str]) -> None:
    """Say each note; what holds for several of the names, once."""
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    each = (
        re.compile(rf"(?<![\w;-])(?:{known})(?![\w;-])")
        if known
        else re.compile("(?!)")
    )
    alike: dict[str, tuple[str, list[str]]] = {}
    for note in dict.fromkeys(notes):
        found = set(each.findall(note))
        if len(found) == 1:
            alike.setdefault(each.sub("\0", note), (note, []))[1].extend(found)
        else:
            alike[note] = (note, [])
    for note, about in alike.values():
        more = f". The same holds for {', '.join(about[1:])}" if len(about) > 1 else ""
        say_text(f"  note: {visible(note + more)}")


def _tell_source(tenant: Tenant) -> None:
    own = (
        agent
        for number, agent in enumerate(tenant.agents)
        if number not in tenant.others
    )
    unassigned = sum(agent.account_code is None for agent in own)
    invalid = f", {len(tenant.invalid)} invalid records" if tenant.invalid else ""
    invalid += f"; {tenant.beside} more are not this job's" if tenant.beside else ""
    say_text(
        f"source     {tenant.size} agents, {unassigned} of them without an account{invalid}"
    )
    for each in tenant.invalid[:_INVALID]:
        say_text(f"  record {each.record} is invalid: {visible(each.why)}")


def _tell_rights(job: Path, log_level: str | None) -> int:
    """Print what the job's account needs, which may not be able to read anything yet."""
    with plan_context(
        job, lambda begun: observers(begun, log_level), remember=False
    ) as context:
        for rule in access_rules(context):
            click.echo(rule, nl=False)  # as the server is to get it, however wide
    return 0


def _tell_remembered(context: PlanContext, job: Path, description: Description) -> None:
    """What the state knows of other jobs, and that the job is on hold. Raises OtherJobError."""
    others = other_jobs(job, context.mapping, description)
    for place, what in others.told if others else ():
        say_text(f"{visible(place)}: {visible(what)}")
    if held := hold_on(job):
        since, why = held
        release = shlex.join(["cec-connector", "release", str(job)])
        say_text(
            f"on hold    since {since}: {visible(why)}; applies are refused. To allow them, run:\n    {release}"
        )
    with opened(job) as (_, state):
        if state:
            same_job(replace(context, state=state))


def _tell_listed(
    context: PlanContext, tenant: Tenant, description: Description
) -> None:
    """Say which lines of the pins and of the exclude list name nobody."""
    naming = Naming(description)
    listed = context.exclude.keys(naming)
    spared = list(context.reader.find(listed)) if listed else []
    pinned = sorted({key for pin in context.pins for key in naming.keys(pin.user)})
    found = list(context.reader.find(pinned)) if pinned else []
    problems = chain(
        strangers(context.pins, context.exclude, tenant, spared, naming),
        nowhere(context.pins, found, naming),
    )
    for problem in problems:
        who = ", ".join(
            [*([str(problem.agent)] if problem.agent else []), *problem.users]
        )
        say_text(f"  {problem.kind}: {visible(problem.why)}: {visible(who)}")


def _tell_missing(context: PlanContext, job: Path, changes: Sequence[Change]) -> None:
    """Name the attributes that the account may not write, as far as the server tells."""
    lacking = list(missing_rights(context, changes))
    for names, denied, asked in lacking:
        users = (
            f"any of {asked:,} users asked"
            if denied == asked
            else f"{denied:,} of {asked:,} users asked"
        )
        say_text(
            f"  rights: the account may not write {', '.join(map(visible, names))} of {users}"
        )
    if lacking:
        say_text(
            f"    To print the rights to grant, run: {shlex.join(['cec-connector', 'check', str(job), '--acl'])}"
        )


def _tell_foreign_values(job: Path, source: Source, mapping: Mapping) -> None:
    """Count the users whose values an apply would replace although this job did not write them."""
    with (
        tempfile.TemporaryDirectory(prefix="cec-connector-") as spare,
        trial_context(
            job, lambda _: Observer(), mapping, Path(spare), source
        ) as context,
    ):
        try:
            planned = make_plan(context)
        except LimitError as fault:
            say_text(f"in use     not counted: {visible(fault.what)}")
            return
        found = find_foreign_values(planned.plan, context.brief(), planned.denied)
    for name in found.users:
        say_text(f"in use     {visible(name)}: {found.tell(name)}")
    if found.users:
        say_text(
            "           An apply replaces these values. To keep them, narrow `owns`, or remove these attributes."
        )
