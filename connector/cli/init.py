"""`init`: ask a directory and write a job that fits it."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from connector.cli.init_dialogue import KEPT, InitDialogue, Remedies, is_reference
from connector.cli.observers import configure_log
from connector.cli.options import Decorator, flag_option, path_option, text_option
from connector.cli.output import command_line, say_line, say_lines, say_text
from connector.cli.terminal import count_columns
from connector.errors import (
    CertificateDateError,
    ConnectorError,
    DeniedError,
    FileError,
    HostNameError,
    NoTlsError,
    UnreachableError,
    UntrustedError,
    UsageError,
)
from connector.init.drafts import job_text
from connector.init.field_table import list_fields
from connector.init.fit import fit_job, meet_directory, read_tenant
from connector.planfile import write_out
from connector.planning.brief import describe_accounts
from connector.reports.visible import make_visible

if TYPE_CHECKING:
    from connector.init.drafts import ChosenMapping
    from connector.init.fit import FittingJob, MetServer
    from connector.init.match_search import FoundRules

_LISTED = 40
"""So many attributes that were searched in vain are named; those in use come first."""
_KEYS: Final = re.compile(
    r"^(source|directory)\.([a-z_]+)(\[\d+\])?(?=: )", re.MULTILINE
)
"""A key of the job that the answers make, where a fault is told."""
_MODE: Final = 0o644
"""Both files hold no secrets."""
_MOST: Final = 3
"""So many invalid records are told."""


def _check_reference(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> str | None:
    """Never repeats the value: somebody may have written the secret itself."""
    if value is None or is_reference(value):
        return value
    raise click.BadParameter(
        "give the place of the secret, env:NAME or file:PATH, not the secret itself"
    )


def _secret_option(name: str, whose: str) -> Decorator[Any]:
    return text_option(
        name,
        KEPT,
        f"Place of {whose}: env:NAME or file:PATH.",
        callback=_check_reference,
    )


def _authorities_option(name: str, whose: str) -> Decorator[Any]:
    return path_option(
        name, "FILE", f"PEM file of the authorities to trust for {whose}."
    )


@click.command("init")
@text_option(
    "--source",
    "URL|FILE",
    "https:// address of a CEC tenant, or a JSON file of agents.",
)
@_secret_option("--app-key", "the tenant's app key")
@_secret_option("--app-secret", "the tenant's app secret")
@_authorities_option("--source-ca-file", "the tenant")
@text_option(
    "--directory",
    "URL|FILE",
    "ldaps://, ldap:// or ldapi:// address (repeatable), https:// of a SCIM server, or an LDIF file.",
    multiple=True,
)
@text_option("--bind-dn", "DN", "The bind DN.")
@_secret_option("--password", "its password")
@_secret_option("--token", "the SCIM server's bearer token")
@_authorities_option("--ca-file", "the directory")
@flag_option("--start-tls", "Use StartTLS on ldap:// connections.")
@flag_option(
    "--allow-plaintext",
    "Allow http:// and ldap:// without TLS: secrets travel in clear.",
)
@text_option("--base", "DN", "Base DN of the users (repeatable).", multiple=True)
@text_option(
    "--filter",
    "FILTER",
    "Filter of the users. Default: by the kind of server.",
    "filter_",
)
@path_option(
    "--job", "FILE", "Job file to write.", default="job.yaml", show_default=True
)
@path_option(
    "--mapping", "FILE", "Mapping file to write. Default: mapping.yaml beside the job."
)
@flag_option("--force", "Replace these files if they exist.")
def init_command(job: Path, mapping: Path | None, *, force: bool, **given: Any) -> None:
    """Write a job and a mapping file that fit a tenant and a directory.

    At a terminal the command asks for missing options. It writes nothing to the directory.
    A secret is given by its place: env:NAME for an environment variable, file:PATH for a
    file.
    """
    given["job"] = job if str(job) != "job.yaml" else None
    given["mapping"] = mapping
    dialogue = InitDialogue(given, job)
    mapping = mapping or job.parent / "mapping.yaml"
    for path in (job, mapping):
        if not force and os.path.lexists(path):
            again = f"{make_visible(dialogue.make_command_line())} --force"
            click.echo(f"To replace the files, run:\n  {again}", err=True)
            raise UsageError(
                "the file exists. Name another by --job and --mapping, or add --force",
                where=str(path),
            )
    configure_log()
    try:
        fitted, server = _fit_job(dialogue, job, mapping)
    except ConnectorError as fault:
        _show_command(dialogue, "Your answers, as a command line")
        if not isinstance(fault, FileError) or not fault.where.startswith(f"{job}:"):
            raise
        # there is no such file yet, so that its lines and its keys say nothing
        raise UsageError(_KEYS.sub(_name_option, fault.what), where="init") from None
    say_lines(_describe_fit(fitted, server))
    say_text("")
    write_out(mapping, [fitted.text], _MODE)
    path_to_mapping = os.path.relpath(mapping, job.parent)
    write_out(job, [job_text(fitted.answers, path_to_mapping)], _MODE)
    say_line(f"Written: {mapping} and {job}. Check them, then run:")
    for name in ("check", "plan"):
        say_line(f"  {command_line(name, job)}")
    _show_command(dialogue, "The same without questions")


def _fit_job(
    dialogue: InitDialogue, job: Path, mapping: Path
) -> tuple[FittingJob, MetServer]:
    """Look at the directory and the tenant, and ask again for what keeps that from working."""
    is_scim = dialogue.collect_answers().is_scim
    login = ("--token",) if is_scim else ("--bind-dn", "--password")
    server = dialogue.retry_step(
        lambda answers: meet_directory(answers, job),
        _find_remedies("--directory", "--ca-file", *login),
    )
    within = ["--filter"]
    if dialogue.collect_answers().is_ldap:
        dialogue.ask_option("--base", " ".join(server.contexts[:1]) or None)
        within = ["--base", "--filter"]
    tenant = dialogue.retry_step(
        lambda answers: read_tenant(answers, job),
        _find_remedies("--source", "--source-ca-file", "--app-key", "--app-secret"),
    )
    fitted = dialogue.retry_step(
        lambda answers: fit_job(answers, job, server, mapping, tenant),
        {UsageError: within, UntrustedError: ("--ca-file",), DeniedError: login},
    )
    return fitted, server


def _find_remedies(address: str, authorities: str, *login: str) -> Remedies:
    """The options to ask for once more where a server cannot be read."""
    return {
        NoTlsError: (address,),
        UnreachableError: (address,),
        HostNameError: (address,),
        CertificateDateError: (address,),
        UntrustedError: (authorities,),
        DeniedError: login,
    }


def _name_option(key: re.Match[str]) -> str:
    """Name the option, or the question, that gave this key its value."""
    part, name = key[1], key[2].replace("_", "-")
    if name in ("url", "urls", "path"):
        return f"--{part}"
    return f"--source-{name}" if (part, name) == ("source", "ca-file") else f"--{name}"


def _show_command(dialogue: InitDialogue, what: str) -> None:
    """The answers of somebody at a terminal, so that they need not be given twice."""
    if dialogue.asked:
        click.echo(f"{what}:\n  {make_visible(dialogue.make_command_line())}", err=True)


# ---------------------------------------------------------------- telling


def _describe_fit(fitted: FittingJob, server: MetServer) -> Iterator[str]:
    answers, chosen = fitted.answers, fitted.chosen
    yield f"directory  {server.kind}: {', '.join(answers.directories)}"
    yield f"base       {' or '.join(answers.base) or '(all of it)'}"
    yield f"filter     {answers.filter or '(none)'}"
    yield f"mapping    {chosen.name}"
    for misfit in chosen.misfits:
        yield f"           not {misfit}"
    yield f"agents     {fitted.tenant.size:,}; tried: {chosen.found.agents:,} of those with an account"
    if fitted.tenant.accounts is not None:
        yield f"accounts   {describe_accounts(fitted.tenant.accounts)}"
    for note in fitted.tenant.notes:
        yield f"           {note}"
    for record in fitted.tenant.invalid[:_MOST]:
        yield f"           record {record.record} is invalid: {record.why}"
    if len(fitted.tenant.invalid) > _MOST:
        yield f"           … and {len(fitted.tenant.invalid) - _MOST:,} more invalid records"
    yield ""
    yield from list_fields(chosen, count_columns(sys.stdout))
    yield ""
    yield "Match rules, and how many of these agents each matches alone"
    yield from _describe_rules(chosen)
    yield from _describe_unmatched(chosen.found)
    if answers.is_ldap and chosen.found.others.indexed is None:
        yield "The server does not show this account which attributes have an index."
    if chosen.found.rules:
        yield f"With the rules of the mapping, {chosen.found.together:,} of {chosen.found.agents:,} agents match."
    else:
        yield "No rule matches an agent. The mapping has its ready rules: change them by hand."


def _describe_rules(chosen: ChosenMapping) -> Iterator[str]:
    """The rules that match anybody, the best first."""
    places = {rule: place for place, rule in enumerate(chosen.found.rules, start=1)}
    for each in sorted(chosen.found.tried, key=lambda each: -each.matched):
        agent, name = each.rule.agent.text, each.rule.directory
        line = f"  {each.matched:>5,}  {agent} in {name}"
        if each.several:
            line += f" ({each.several:,} ambiguous or contested)"
        if each.rule in places:
            line += f"   rule {places[each.rule]}"
        elif each.barred:
            line += f"   not proposed: {each.barred}"
        if each.matched or each.several:
            yield line


def _describe_unmatched(found: FoundRules) -> Iterator[str]:
    """The attributes without a match, first those with an index, and those that could not be searched."""
    slow = [name for name in found.none if found.others.is_slow(name)]
    quick = [name for name in found.none if name not in slow]
    indexed = "" if found.others.indexed is None else " with an equality index"
    untried = " that were not searched: no time was left, there are too many, or the server refused"
    listed = (
        ("none", quick, indexed),
        ("none", slow, " without an equality index"),
        ("?", found.untried, untried),
    )
    for what, names, which in listed:
        if names:
            shown = ", ".join(names[:_LISTED])
            if len(names) > _LISTED:
                shown += f", and {len(names) - _LISTED} more"
            yield from textwrap.wrap(
                f"  {what:>5}  in {len(names)} attributes{which}: {shown}",
                120,
                subsequent_indent=" " * 9,
            )
