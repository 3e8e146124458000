"""`check`: everything that can be found out about a job without planning or writing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import click
from msgspec.structs import replace

from connector.apply.approval import require_same_job
from connector.apply.composition import RunOpening, open_run
from connector.apply.context import PlanContext
from connector.apply.job_state import open_job_state, try_state
from connector.apply.planning import make_plan
from connector.apply.to_arrange import (
    find_missing_rights,
    list_access_rules,
    tell_compare_rights,
    tell_indexes,
)
from connector.cli.advice import Exit
from connector.cli.observers import make_observers
from connector.cli.options import flag_option, job_argument
from connector.cli.output import (
    print_pieces,
    say_command,
    say_line,
    say_lines,
    say_text,
)
from connector.errors import LimitError
from connector.matching.people import find_lost_pins, find_strangers
from connector.matching.roster import AgentRoster
from connector.matching.user_names import NameRules
from connector.model import Change, Description, Key, Tenant, User
from connector.model.mapping import Mapping
from connector.net.secret_stores import open_to_others
from connector.observers.observer import Observer
from connector.planning.brief import describe_accounts
from connector.planning.check_drafts import find_other_jobs
from connector.planning.compare_user import UserComparer
from connector.planning.forms import find_foreign_values
from connector.planning.schema_checks import ClassSurvey
from connector.reports.visible import make_visible
from connector.reports.wording import describe_attribute, nobody_matches
from connector.runtime.clock import read_clock
from connector.settings.job import load_job
from connector.sources.port import OnceSource, Source

_INVALID: Final = 3
"""So many invalid records are told; a plan lists all."""
_PLACES: Final = {"source": "read from", "directory": "directory at"}
"""Other words for what has a line of its own here."""


@click.command("check")
@job_argument
@flag_option(
    "--acl", "Print the rights that the mapping needs, as a file for this server."
)
@flag_option(
    "--source",
    "Check the source alone: shapes and counts of its answers, never values.",
    "source_alone",
)
def check_command(job: Path, *, acl: bool, source_alone: bool) -> int:
    """Check JOB, its files, source and directory; write nothing."""
    opening = RunOpening(remember=False)
    with open_run(PlanContext, job, make_observers, opening) as context:
        if acl:  # for an account that may not be able to read anything yet
            print_pieces(list_access_rules(context), fitted=False)
            return Exit.DONE
        say_line(f"job        {context.job}: the job and mapping files are valid")
        for path, why, mode in open_to_others(load_job(job)):
            say_line(f"  note: {path}: {why}; run `chmod {mode}` on it")
        source = OnceSource(context.source)
        tenant = source.read()
        say_lines(_describe_source(tenant))
        if source_alone:
            say_text("Nothing was written. The directory was not asked.")
            return Exit.DONE
        description = context.reader.describe()
        for place, what in context.describe_sources(description):
            if place != "state":  # a check opens no state
                say_line(f"  {_PLACES.get(place, place)}: {what}")
        nobody, differ, survey = _check_directory(context, tenant, description)
        _tell_missing(context, job, [differ.make_trial(user) for user in survey.spread])
        say_lines(_describe_listed(context, tenant, description))
        _tell_remembered(context, job, description)
        if nobody:
            say_line(nobody)
        else:
            _tell_foreign_values(job, source, context.rules.mapping)
        try_state(job)
        say_text(
            "Nothing was written. To check each change against the schema, run `cec-connector plan`."
        )
    return Exit.FAILED if nobody else Exit.DONE


def _describe_source(tenant: Tenant) -> Iterator[str]:
    unassigned = sum(
        agent.account_code is None and number not in tenant.others
        for number, agent in enumerate(tenant.agents)
    )
    line = f"source     {tenant.size} agents, {unassigned} of them without an account"
    if tenant.invalid:
        line += f", {len(tenant.invalid)} invalid records"
    if tenant.other_jobs_count:
        line += f"; {tenant.other_jobs_count} more are not this job's"
    yield line
    if tenant.accounts is not None:
        yield f"  accounts: {describe_accounts(tenant.accounts)} ({tenant.accounts.shape})"
    for each in tenant.invalid[:_INVALID]:
        yield f"  record {each.record} is invalid: {each.why}"


def _check_directory(
    context: PlanContext, tenant: Tenant, description: Description
) -> tuple[str, UserComparer, ClassSurvey]:
    """Say what the directory's users and attributes can hold. Returns why nobody matches, if so."""
    differ = UserComparer(tenant, context.rules.mapping, description)
    survey = ClassSurvey(differ.attributes, differ.schema_checks)
    nobody, cut = _survey_users(context, tenant, description, survey)
    or_more = " or more" if cut else ""
    say_line(
        f"directory  {survey.user_count} users{or_more} within base and filter ({description.identity})"
    )
    described = context.reader.describe()  # once more: reading may have told more
    for info in described.attributes.values():
        say_line(f"  {info.name}: {describe_attribute(info)}")
    notes = [*cut, *(problem.why for problem in differ.problems), *differ.cautions]
    for name, found in survey.count_barred().items():
        for why, count in found.items():
            notes.append(f"{count:,} of the users cannot take {name}: {why}")
    notes += described.cautions
    notes += tell_compare_rights(context, survey.spread)
    notes += tell_indexes(context)
    approvers = context.rules.approvers
    if approvers and (short := approvers.explain_shortage(read_clock())):
        notes.append(f"approvers: {short}")
    names = [rule.directory for rule in context.rules.mapping.match]
    _tell_notes(notes, [*names, *differ.attributes])
    return nobody, differ, survey


def _survey_users(
    context: PlanContext, tenant: Tenant, description: Description, survey: ClassSurvey
) -> tuple[str, list[str]]:
    """Read all users into the survey. Returns that nobody matches, if so, and notes on what a limit left unread."""
    roster = AgentRoster(tenant, context.rules.mapping, context.rules.pins, description)
    matching: list[User] = []

    def note_users() -> Iterator[User]:
        for user in context.reader.scan():
            if not matching and roster.find_seekers(user):
                matching.append(user)
            yield user

    cut = []
    try:
        survey.count_users(note_users())
    except LimitError as fault:
        cut = list(_describe_cut(context.rules.mapping, description, fault))
        matching += islice(
            context.reader.find(roster.list_keys(lambda _agent, _rule: False)), 1
        )
    empty = survey.user_count == 0 and not cut
    if matching or not (empty or len(roster)):
        return "", cut
    why = nobody_matches(dict(context.describe_sources(description)), empty=empty)
    return f"Nobody matches: {why}.", cut


def _describe_cut(
    mapping: Mapping, description: Description, fault: LimitError
) -> Iterator[str]:
    """What a plan does where the server's limit cuts a scan short. Raises the fault where no look-ups can be made."""
    infos = (description.attributes[rule.directory] for rule in mapping.match)
    if not all(info.comparable for info in infos):
        raise fault
    yield f"a plan looks the agents up, since not all users can be read: {fault.what}"
    if mapping.adopting:
        names = " and ".join(mapping.adopting)
        yield f"`adopt: true` of {names} has to see every user who holds a value; if the limit cuts that, plans fail"


def _tell_notes(notes: Iterable[str], names: Collection[str]) -> None:
    """Say each note; what holds for several of the names, once."""
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    name_pattern = re.compile(rf"(?<![\w;-])(?:{known})(?![\w;-])")
    alike = defaultdict[str, list[str]](list)
    for note in dict.fromkeys(notes):
        names_one = len(set(name_pattern.findall(note))) == 1
        alike[name_pattern.sub("\0", note) if names_one else note].append(note)
    for first, *others in alike.values():
        more = ", ".join(name_pattern.findall(note)[0] for note in others)
        also = f". The same holds for {more}" if more else ""
        say_line(f"  note: {first}{also}")


def _tell_remembered(context: PlanContext, job: Path, description: Description) -> None:
    """What the state knows of other jobs, and that the job is on hold. Raises OtherJobError."""
    with open_job_state(job) as (loaded, state):
        memory = state.memory(description.identity, loaded.name)
        mapping = context.rules.mapping
        others = find_other_jobs(memory, mapping, description, lambda _user: True)
        for place, what in others.told.items():
            say_line(f"{place}: {what}")
        if held := state.read_hold(loaded.name):
            since, why = held
            said = (
                f"on hold    since {since}: {make_visible(why)}; applies are refused."
            )
            say_command(f"{said} To allow them,", "release", job)
        require_same_job(replace(context, state=state))


def _describe_listed(
    context: PlanContext, tenant: Tenant, description: Description
) -> Iterator[str]:
    """Which lines of the pins and of the exclude list name nobody."""
    naming = NameRules(description)
    pins, exclude = context.rules.pins, context.rules.exclude
    spared = _find_named(context, exclude.list_keys(naming))
    keys = {key for pin in pins for key in naming.list_keys(pin.user)}
    pinned = _find_named(context, sorted(keys))
    strangers = find_strangers(pins, exclude, tenant, spared, naming)
    for problem in [*strangers, *find_lost_pins(pins, pinned, naming)]:
        who = [str(problem.agent)] if problem.agent else []
        yield f"  {problem.kind}: {problem.why}: {', '.join([*who, *problem.users])}"


def _find_named(context: PlanContext, keys: Collection[Key]) -> list[User]:
    return list(context.reader.find(keys)) if keys else []


def _tell_missing(context: PlanContext, job: Path, changes: Sequence[Change]) -> None:
    """Name the attributes that the account may not write, as far as the server tells."""
    lacking = list(find_missing_rights(context, changes))
    for names, denied, asked in lacking:
        users = f"{denied:,} of {asked:,} users asked"
        say_line(f"  rights: the account may not write {', '.join(names)} of {users}")
    if lacking:
        say_command("  To print the rights to grant,", "check", job, "--acl")


def _tell_foreign_values(job: Path, source: Source, mapping: Mapping) -> None:
    """Count the users whose values an apply would replace although this job did not write them."""
    opening = RunOpening(everybody=True, mapping=mapping, source=source)
    with open_run(PlanContext, job, lambda _: Observer(), opening) as context:
        try:
            planned = make_plan(context)
        except LimitError as fault:
            say_line(f"in use     not counted: {fault.what}")
            return
        found = find_foreign_values(planned.plan, context.make_brief(), planned.denied)
    for name in found.users:
        say_line(f"in use     {name}: {found.describe_attribute(name)}")
    if found.users:
        say_text(
            "           An apply replaces these values. To keep them, narrow `owns`, or remove these attributes."
        )
