"""`init`: ask a directory and write a job that fits it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.cli.advice import Exit
from connector.errors import FileError, OutputError, UsageError

if TYPE_CHECKING:
    from connector.init.drafts import Answers, Reference
    from connector.init.fit import Fit, Server

_KEPT = "env:NAME|file:PATH"
_path = click.Path(path_type=Path)


def _is_reference(value: str) -> bool:
    return re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", value) is not None


def _reference(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Never repeats the value: somebody may have written the secret itself."""
    if value is None or _is_reference(value):
        return value
    raise click.BadParameter("give the place of the secret, env:NAME or file:PATH, not the secret itself")


def _secret_option(name: str, whose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, metavar=_KEPT, callback=_reference, help=f"Place of {whose}: env:NAME or file:PATH.")


@click.command
@click.option("--source", metavar="URL|FILE", help="https:// address of a CEC tenant, or a JSON file of agents.")
@_secret_option("--app-key", "the tenant's app key")
@_secret_option("--app-secret", "the tenant's app secret")
@click.option(
    "--source-ca-file", type=_path, metavar="FILE", help="PEM file of the authorities to trust for the tenant."
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
@click.option("--ca-file", type=_path, metavar="FILE", help="PEM file of the authorities to trust for the directory.")
@click.option("--start-tls", is_flag=True, help="Use StartTLS on ldap:// connections.")
@click.option("--base", metavar="DN", help="Base DN of the users.")
@click.option("--filter", "filter_", metavar="FILTER", help="Filter of the users. Default: by the kind of server.")
@click.option("--job", type=_path, default="job.yaml", show_default=True, help="Job file to write.")
@click.option("--mapping", type=_path, help="Mapping file to write. Default: mapping.yaml beside the job.")
@click.option("--force", is_flag=True, help="Replace these files if they exist.")
def command(job: Path, mapping: Path | None, *, force: bool, **given: Any) -> int:
    """Write a job and a mapping file that fit a tenant and a directory.

    At a terminal the command asks for missing options. It writes nothing to the directory. A secret is given by its
    place: env:NAME for an environment variable, file:PATH for a file.
    """
    from msgspec.structs import replace

    from connector.init.drafts import job_text
    from connector.init.fit import fit, meet

    mapping = mapping or job.parent / "mapping.yaml"
    for path in (job, mapping):
        if not force and os.path.lexists(path):
            raise UsageError("the file exists. Name another, or replace it with --force", where=str(path))
    try:
        answers = _answers(given, job)
        server = meet(answers, job)
        if answers.ldap and not answers.base:
            likely = " ".join(server.contexts[:1]) or None
            answers = replace(answers, base=_ask("--base", "base DN of the users", None, default=likely))
        fitted = fit(answers, job, server, mapping)
    except FileError as fault:
        if not fault.where.startswith(f"{job}:"):
            raise
        raise UsageError(fault.what, where="init") from None  # there is no such file yet, so its lines say nothing
    _write(mapping, fitted.text)
    _write(job, job_text(fitted.answers, os.path.relpath(mapping, job.parent)))
    for line in _told(fitted, server, job, mapping):
        click.echo(line)
    return Exit.DONE


# ---------------------------------------------------------------- asking


def _ask(option: str, question: str, given: str | None, default: str | None = None) -> str:
    """What was given, or what somebody answers; without a terminal a usage error that names the option."""
    if given:
        return given
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        likely = f" (the directory has {default})" if default else ""
        raise UsageError(
            f"{option} is missing: {question}{likely}. Add it, or run the command in a terminal", where="init"
        )
    return str(click.prompt(question[0].upper() + question[1:], default=default, err=True))


def _ask_where(option: str, what: str, given: str | None, job: Path) -> Reference:
    """The same for the place of a secret."""
    from connector.init.drafts import Reference

    said = _ask(option, f"place of {what} ({_KEPT})", given)
    while not _is_reference(said):
        click.echo("Enter env:NAME or file:PATH, not the secret itself.", err=True)
        said = _ask(option, f"place of {what} ({_KEPT})", None)
    kind, _, place = said.partition(":")
    return Reference(kind, place if kind == "env" else _named(Path(place), job))


def _answers(given: dict[str, Any], job: Path) -> Answers:
    from connector.init.drafts import Answers

    source = _ask("--source", "https:// address of the CEC tenant, or a JSON file of agents", given["source"])
    directories = given["directory"] or (
        _ask("--directory", "ldaps:// or (SCIM) https:// address of the directory, or an LDIF file", None),
    )
    plain = Answers(source, tuple(directories))
    tenant, server, local = plain.cec, plain.ldap, plain.local
    if not server and (len(directories) > 1 or ("://" in directories[0] and not plain.scim)):
        what = "must be ldaps://, ldap:// or ldapi:// addresses, one https:// address (SCIM), or one LDIF file"
        raise UsageError(what, where="--directory")
    bound = server and not local
    ca_files = [given[name] and _named(given[name], job) for name in ("source_ca_file", "ca_file")]
    return Answers(
        source=source if tenant else _named(Path(source), job),
        directories=plain.directories if server or plain.scim else (_named(Path(directories[0]), job),),
        app_key=_ask_where("--app-key", "the app key", given["app_key"], job) if tenant else None,
        app_secret=_ask_where("--app-secret", "the app secret", given["app_secret"], job) if tenant else None,
        source_ca=ca_files[0],
        bind_dn=_ask("--bind-dn", "the bind DN", given["bind_dn"]) if bound else None,
        password=_ask_where("--password", "its password", given["password"], job) if bound else None,
        token=_ask_where("--token", "the bearer token", given["token"], job) if plain.scim else None,
        ca_file=ca_files[1],
        start_tls=given["start_tls"],
        base=given["base"] or "",
        filter=given["filter_"] or "",
    )


def _named(path: Path, job: Path) -> str:
    """A path as the job file is to name it: from its own folder."""
    return str(path) if path.is_absolute() else os.path.relpath(path, job.parent)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise OutputError(f"it cannot be written: {fault.strerror}", where=str(path)) from None


# ---------------------------------------------------------------- telling


def _told(fitted: Fit, server: Server, job: Path, mapping: Path) -> Iterator[str]:
    from connector.reports.visible import visible

    answers, chosen = fitted.answers, fitted.chosen
    yield f"directory  {visible(server.kind)}: {visible(', '.join(answers.directories))}"
    yield f"base       {visible(answers.base) or '(all of it)'}"
    yield f"filter     {visible(answers.filter) or '(none)'}"
    yield f"mapping    {chosen.name}"
    for misfit in fitted.misfits:
        yield f"           not {visible(misfit)}"
    for name, why in chosen.taken.items():
        yield f"           without {name}: {visible(why)}"
    yield f"agents     {fitted.agents:,}; tried: {chosen.agents:,} with an account"
    yield "\nMatch rules, and how many of these agents each matches alone"
    order = {(rule.agent.text, rule.directory): place for place, rule in enumerate(chosen.rules, start=1)}
    telling = [each for each in chosen.tried if each.matched or each.several]
    for each in sorted(telling, key=lambda each: -each.matched):
        place = order.get((each.rule.agent.text, each.rule.directory))
        note = f"   rule {place}" if place else "   not proposed: a seat can be reassigned"
        note = note if place or not each.proposed else ""
        several = f" ({each.several:,} ambiguous or contested)" if each.several else ""
        yield f"  {each.matched:>5,}  {each.rule.agent.text} in {each.rule.directory}{several}{note}"
    yield f"  {'none':>5}  by each of {len(chosen.tried) - len(telling)} other rules"
    if chosen.rules:
        yield f"With the rules of the mapping, {fitted.together:,} of {chosen.agents:,} agents match."
    else:
        yield "No rule matches an agent. The mapping has its ready rules: change them by hand."
    yield f"\nWritten: {visible(str(mapping))} and {visible(str(job))}. Check them, then run:"
    for command_ in ("check", "plan"):
        yield f"  {shlex.join(['cec-connector', command_, str(job)])}"
