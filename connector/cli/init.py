"""`init`: ask a directory and write a job that fits it."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from connector.cli.advice import Exit
from connector.cli.init_dialogue import KEPT, Dialogue, is_reference
from connector.cli.logs import configure
from connector.cli.running import say_text
from connector.errors import (
    ConnectorError,
    DeniedError,
    FileError,
    NoTlsError,
    OutputError,
    UnreachableError,
    UntrustedError,
    UsageError,
)
from connector.init.drafts import job_text
from connector.init.fit import fit, meet, read
from connector.model.templates import AGENT_FIELDS, TENANT_FIELDS
from connector.reports.visible import visible

if TYPE_CHECKING:
    from connector.init.drafts import Chosen
    from connector.init.fit import Fit, Server
    from connector.init.match_search import Found

_LISTED = 40
"""So many attributes that were searched in vain are named; those in use come first."""
_path = click.Path(path_type=Path)

_KEYS: Final = re.compile(
    r"^(?P<part>source|directory)\.(?P<name>[a-z_]+)(\[\d+\])?(?=: )", re.MULTILINE
)
"""A key of the job that the answers make, where a fault is told."""
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


def _secret_option(
    name: str, whose: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        name,
        metavar=KEPT,
        callback=_check_reference,
        help=f"Place of {whose}: env:NAME or file:PATH.",
    )


@click.command("init")
@click.option(
    "--source",
    metavar="URL|FILE",
    help="https:// address of a CEC tenant, or a JSON file of agents.",
)
@_secret_option("--app-key", "the tenant's app key")
@_secret_option("--app-secret", "the tenant's app secret")
@click.option(
    "--source-ca-file",
    type=_path,
    metavar="FILE",
    help="PEM file of the authorities to trust for the tenant.",
)
@click.option(
    "--directory",
    multiple=True,
    metavar="URL|FILE",
    help="ldaps://, ldap:// or ldapi:// address (repeatable), https:// of a SCIM server, or an LDIF file.",
)
@click.option("--bind-dn", metavar="DN", help="The bind DN.")
@_secret_option("--password", "its password")
@_secret_option("--token", "the SCIM server's bearer token")
@click.option(
    "--ca-file",
    type=_path,
    metavar="FILE",
    help="PEM file of the authorities to trust for the directory.",
)
@click.option("--start-tls", is_flag=True, help="Use StartTLS on ldap:// connections.")
@click.option(
    "--allow-plaintext",
    is_flag=True,
    help="Allow http:// and ldap:// without TLS: secrets travel in clear.",
)
@click.option(
    "--base", multiple=True, metavar="DN", help="Base DN of the users (repeatable)."
)
@click.option(
    "--filter",
    "filter_",
    metavar="FILTER",
    help="Filter of the users. Default: by the kind of server.",
)
@click.option(
    "--job",
    type=_path,
    default="job.yaml",
    show_default=True,
    help="Job file to write.",
)
@click.option(
    "--mapping",
    type=_path,
    help="Mapping file to write. Default: mapping.yaml beside the job.",
)
@click.option("--force", is_flag=True, help="Replace these files if they exist.")
def init_command(job: Path, mapping: Path | None, *, force: bool, **given: Any) -> int:
    """Write a job and a mapping file that fit a tenant and a directory.

    At a terminal the command asks for missing options. It writes nothing to the directory.
    A secret is given by its place: env:NAME for an environment variable, file:PATH for a
    file.
    """
    flags = {name: given.pop(name) for name in ("start_tls", "allow_plaintext")}
    said = {
        f"--{name.rstrip('_').replace('_', '-')}": _list_texts(value)
        for name, value in given.items()
    }
    files = {
        "--job": _list_texts(str(job) != "job.yaml" and job),
        "--mapping": _list_texts(mapping),
    }
    dialogue = Dialogue({**said, **files}, job, **flags)
    mapping = mapping or job.parent / "mapping.yaml"
    for path in (job, mapping):
        if not force and os.path.lexists(path):
            click.echo(
                f"To replace the files, run:\n  {visible(dialogue.command())} --force",
                err=True,
            )
            raise UsageError(
                "the file exists. Name another by --job and --mapping, or add --force",
                where=str(path),
            )
    configure(None)
    try:
        fitted, server = _fit_job(dialogue, job, mapping)
    except FileError as fault:
        _show_command(dialogue, "Your answers, as a command line")
        if not fault.where.startswith(f"{job}:"):
            raise
        # there is no such file yet, so that its lines and its keys say nothing
        raise UsageError(_KEYS.sub(_name_option, fault.what), where="init") from None
    except ConnectorError:
        _show_command(dialogue, "Your answers, as a command line")
        raise
    _write_file(mapping, fitted.text)
    _write_file(job, job_text(fitted.answers, os.path.relpath(mapping, job.parent)))
    for line in _tell_outcome(fitted, server, job, mapping):
        say_text(line)
    _show_command(dialogue, "The same without questions")
    return Exit.DONE


def _fit_job(dialogue: Dialogue, job: Path, mapping: Path) -> tuple[Fit, Server]:
    """Look at the directory and the tenant, and ask again for what keeps that from working."""
    login = ("--token",) if dialogue.answers().scim else ("--bind-dn", "--password")
    server = dialogue.patiently(
        lambda answers: meet(answers, job),
        {
            NoTlsError: ("--directory",),
            UntrustedError: ("--ca-file",),
            DeniedError: login,
            UnreachableError: ("--directory",),
        },
    )
    if dialogue.answers().ldap:
        dialogue.ask("--base", " ".join(server.contexts[:1]) or None)
    tenant = dialogue.patiently(
        lambda answers: read(answers, job),
        {
            NoTlsError: ("--source",),
            UntrustedError: ("--source-ca-file",),
            DeniedError: ("--app-key", "--app-secret"),
            UnreachableError: ("--source",),
        },
    )
    within = ("--base", "--filter") if dialogue.answers().ldap else ("--filter",)
    fitted = dialogue.patiently(
        lambda answers: fit(answers, job, server, mapping, tenant),
        {UsageError: within, UntrustedError: ("--ca-file",), DeniedError: login},
    )
    return fitted, server


def _name_option(key: re.Match[str]) -> str:
    name = key["name"].replace("_", "-")
    if name in ("url", "urls", "path"):
        return f"--{key['part']}"
    return (
        f"--source-{name}"
        if key["part"] == "source" and name == "ca-file"
        else f"--{name}"
    )


def _list_texts(value: object) -> list[str]:
    several = value if isinstance(value, tuple) else (value,)
    return [str(each) for each in several if each]


def _show_command(dialogue: Dialogue, what: str) -> None:
    """The answers of somebody at a terminal, so that they need not be given twice."""
    if dialogue.asked:
        click.echo(f"{what}:\n  {visible(dialogue.command())}", err=True)


def _write_file(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise OutputError(
            f"it cannot be written: {fault.strerror}", where=str(path)
        ) from None


# ---------------------------------------------------------------- telling


def _tell_outcome(
    fitted: Fit, server: Server, job: Path, mapping: Path
) -> Iterator[str]:
    answers, chosen = fitted.answers, fitted.chosen
    yield f"directory  {visible(server.kind)}: {visible(', '.join(answers.directories))}"
    yield f"base       {visible(' or '.join(answers.base)) or '(all of it)'}"
    yield f"filter     {visible(answers.filter) or '(none)'}"
    yield f"mapping    {chosen.name}"
    for misfit in fitted.misfits:
        yield f"           not {visible(misfit)}"
    yield from _tell_fields(chosen)
    yield f"agents     {fitted.agents:,}; tried: {chosen.agents:,} of those with an account"
    for record in fitted.invalid[:_MOST]:
        yield f"           record {record.record} is invalid: {visible(record.why)}"
    if len(fitted.invalid) > _MOST:
        yield f"           … and {len(fitted.invalid) - _MOST:,} more invalid records"
    yield "\nMatch rules, and how many of these agents each matches alone"
    order = {
        (rule.agent.text, rule.directory): place
        for place, rule in enumerate(chosen.rules, start=1)
    }
    telling = [each for each in chosen.tried if each.matched or each.several]
    for each in sorted(telling, key=lambda each: -each.matched):
        place = order.get((each.rule.agent.text, each.rule.directory))
        note = (
            f"   rule {place}"
            if place
            else f"   not proposed: {each.barred}"
            if each.barred
            else ""
        )
        several = f" ({each.several:,} ambiguous or contested)" if each.several else ""
        yield f"  {each.matched:>5,}  {each.rule.agent.text} in {each.rule.directory}{several}{note}"
    yield from _tell_unmatched(fitted.found)
    if answers.ldap and fitted.found.others.indexed is None:
        yield "The server does not show this account which attributes have an index."
    if chosen.rules:
        yield f"With the rules of the mapping, {fitted.found.together:,} of {chosen.agents:,} agents match."
    else:
        yield "No rule matches an agent. The mapping has its ready rules: change them by hand."
    yield f"\nWritten: {visible(str(mapping))} and {visible(str(job))}. Check them, then run:"
    for command_ in ("check", "plan"):
        yield f"  {shlex.join(['cec-connector', command_, str(job)])}"


def _tell_fields(chosen: Chosen) -> Iterator[str]:
    """Each field of an agent with the attributes that take it, and what others keep there, each attribute once."""
    rest = {
        name: f"           without {name}: {visible(why)}"
        for name, why in chosen.taken.items()
    }
    rest |= {
        name: f"           with {name}: {visible(why)}"
        for name, why in chosen.stays.items()
    }
    for number, field in enumerate((*AGENT_FIELDS, *TENANT_FIELDS)):
        places = [rule.name for rule in chosen.written if field in rule.fields]
        left_out = [
            rule.name
            for rule in chosen.ready.attributes
            if field in rule.fields and rule.name in chosen.taken
        ]
        why = chosen.unplaced.get(field, f"{chosen.name} has no attribute for it")
        said = ", ".join(places) or (
            "not written" if left_out else f"not written: {visible(why)}"
        )
        yield f"{'' if number else 'fields':<10} {field}: {said}"
        yield from (rest.pop(name) for name in (*places, *left_out) if name in rest)
    yield from rest.values()


def _tell_unmatched(found: Found) -> Iterator[str]:
    """The attributes without a match, first those with an index, and those that could not be searched."""
    told = found.others.indexed is not None
    slow = [name for name in found.none if found.others.slow(name)]
    quick = [name for name in found.none if name not in slow]
    untried = " that were not searched: no time was left, there are too many, or the server refused"
    listed = (
        ("none", quick, " with an equality index" if told else ""),
        ("none", slow, " without an equality index"),
        ("?", found.untried, untried),
    )
    for what, names, which in listed:
        if names:
            more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
            line = f"  {what:>5}  in {len(names)} attributes{which}: {', '.join([*names[:_LISTED], *more])}"
            yield textwrap.fill(line, 120, subsequent_indent=" " * 9)
