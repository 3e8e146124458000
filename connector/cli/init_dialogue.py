"""What `init` is told: by options, and at a terminal by answers, which it keeps and can ask for once more."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from msgspec.structs import replace

from connector.cli.output import command_line
from connector.cli.terminal import wrap_text
from connector.errors import ConnectorError, UsageError
from connector.init.drafts import JobAnswers, SecretReference
from connector.reports.visible import make_visible

T = TypeVar("T")
KEPT: Final = "env:NAME|file:PATH"
QUESTIONS: Final = {
    "--source": "address of the CEC tenant (https://), or a JSON file of agents",
    "--directory": "address of the directory (ldaps://, or https:// of a SCIM server), or an LDIF file",
    "--app-key": f"place of the app key ({KEPT})",
    "--app-secret": f"place of the app secret ({KEPT})",
    "--source-ca-file": "PEM file of the authorities to trust for the tenant",
    "--bind-dn": "the bind DN",
    "--password": f"place of its password ({KEPT})",
    "--token": f"place of the bearer token ({KEPT})",
    "--ca-file": "PEM file of the authorities to trust for the directory",
    "--base": "base DN of the users",
    "--filter": "filter of the users",
}
_PLACES: Final = frozenset({"--app-key", "--app-secret", "--password", "--token"})
_FILES: Final = frozenset({"--source-ca-file", "--ca-file"})
_SCHEMES: Final = {
    "--source": ("https://",),
    "--directory": ("https://", "ldaps://", "ldap://", "ldapi://"),
}
"""What addresses begin with; `http://` where that is allowed."""
_CLEAR: Final = {"http": "https://", "ldap": "ldaps:// or --start-tls"}
"""What is better than addresses that send secrets in clear."""
_DIRECTORIES: Final = "must be ldaps://, ldap:// or ldapi:// addresses, one https:// address (SCIM), or one LDIF file"
_SEVERAL: Final = " and "
"""Between the values of an option that was given several times, where it is asked for once more."""
Remedies = Mapping[type[ConnectorError], Sequence[str]]
"""By kind of fault the options to ask for once more; the first that fits."""


def is_reference(value: str) -> bool:
    """Whether it says where a secret is kept."""
    return re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", value) is not None


class InitDialogue:
    """The options that were given, and answers in their place.

    `asked`: whether somebody at a terminal gave any of them.
    """

    def __init__(
        self,
        given: dict[str, object],
        job: Path,
    ) -> None:
        self._start_tls = bool(given.pop("start_tls"))
        self._in_clear = set(_SCHEMES if given.pop("allow_plaintext") else ())
        self._said: dict[str, list[str]] = {}
        for name, value in given.items():
            values = value if isinstance(value, tuple) else (value,)
            said = [str(each) for each in values if each]
            if said:
                self._said[f"--{name.rstrip('_').replace('_', '-')}"] = said
        self._job = job
        self.asked = False

    def retry_step(self, step: Callable[[JobAnswers], T], remedies: Remedies) -> T:
        """Do it with the answers; if it fails, and somebody is there, ask for what may be wrong and do it again."""
        while True:
            try:
                return step(self.collect_answers())
            except tuple(remedies) as fault:
                if not _is_terminal():
                    raise
                click.echo(wrap_text(str(fault), sys.stderr), err=True)
                kind = next(kind for kind in remedies if isinstance(fault, kind))
                for option in remedies[kind]:
                    self.ask_option(option, again=True)

    def ask_option(
        self, option: str, default: str | None = None, *, again: bool = False
    ) -> str:
        """What was said, or what somebody answers; without a terminal a usage error that names the option."""
        before = self._said.get(option, [])
        if before and not again:
            return before[0]
        if not _is_terminal():
            likely = f" (the directory has {default})" if default else ""
            raise UsageError(
                f"{option} is missing: {QUESTIONS[option]}{likely}. Add it, or run the command in a terminal",
                where="init",
            )
        if before:
            default = _SEVERAL.join(before)
        elif option == "--filter":
            default = ""
        said = self._prompt_until_usable(option, default)
        if not before or said != default:
            self._said[option] = [said]
        self.asked = True
        return said

    def _prompt_until_usable(self, option: str, default: str | None) -> str:
        """Ask until the answer can be used."""
        question = QUESTIONS[option]
        question = wrap_text(question[0].upper() + question[1:], sys.stderr)
        while True:
            said: str = click.prompt(question, default=default, err=True)
            why = _explain_wrong(option, said)
            if why:
                click.echo(wrap_text(why, sys.stderr), err=True)
            elif self._allows_address(option, said):
                return said

    def collect_answers(self) -> JobAnswers:
        """All of it; what is missing is asked."""
        for option in ("--source", "--directory"):
            self.ask_option(option)
            if not all(
                self._allows_address(option, said) for said in self._said[option]
            ):
                self.ask_option(option, again=True)
        answers = JobAnswers(
            source=self._said["--source"][0],
            directories=tuple(self._said["--directory"]),
            source_ca=self._find_file("--source-ca-file"),
            ca_file=self._find_file("--ca-file"),
            start_tls=self._start_tls,
            allow_plaintext=bool(self._in_clear),
            base=tuple(self._said.get("--base", ())),
            filter="".join(self._said.get("--filter", ())),
        )
        first, *others = answers.directories
        is_file = not (answers.is_ldap or answers.is_scim)
        if (not answers.is_ldap and others) or (is_file and "://" in first):
            raise UsageError(_DIRECTORIES, where="--directory")
        more: dict[str, Any] = {}
        if answers.is_cec:
            more["app_key"] = self._ask_place("--app-key")
            more["app_secret"] = self._ask_place("--app-secret")
        else:
            more["source"] = self._relative_path(answers.source)
        if is_file:
            more["directories"] = (self._relative_path(first),)
        elif answers.is_scim:
            more["token"] = self._ask_place("--token")
        elif not answers.is_local:
            more["bind_dn"] = self.ask_option("--bind-dn")
            more["password"] = self._ask_place("--password")
        return replace(answers, **more)

    def make_command_line(self) -> str:
        """The command line that needs no answers."""
        words: list[str] = []
        for option, values in self._said.items():
            for value in filter(None, values):
                words += [option, value]
        words += ["--start-tls"] if self._start_tls else []
        words += ["--allow-plaintext"] if self._in_clear else []
        return command_line("init", *words)

    def _allows_address(self, option: str, address: str) -> bool:
        """Whether secrets may be sent there: not in clear, unless somebody at a terminal says so.

        Raises UsageError without a terminal.
        """
        scheme, is_address, _ = address.lower().partition("://")
        if not is_address or scheme not in _CLEAR or option in self._in_clear:
            return True
        if scheme == "ldap" and self._start_tls:
            return True
        what = f"{scheme}:// sends secrets in clear"
        if not _is_terminal():
            raise UsageError(
                f"{what}; use {_CLEAR[scheme]}, or add --allow-plaintext", where=option
            )
        self.asked = True
        if scheme == "ldap":
            self._start_tls = _confirm("Begin TLS on it (StartTLS)?", default=True)
            if self._start_tls:
                return True
        if _confirm(f"{what}. Use it all the same?"):
            self._in_clear.add(option)
        return option in self._in_clear

    def _ask_place(self, option: str) -> SecretReference:
        kind, _, place = self.ask_option(option).partition(":")
        return {kind: place if kind == "env" else self._relative_path(place)}

    def _find_file(self, option: str) -> str | None:
        said = self._said.get(option)
        return self._relative_path(said[0]) if said else None

    def _relative_path(self, path: str) -> str:
        """A path as the job file is to name it: from its own folder."""
        return (
            path
            if Path(path).is_absolute()
            else os.path.relpath(path, self._job.parent)
        )


def _confirm(question: str, *, default: bool = False) -> bool:
    return click.confirm(question, default=default, err=True)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _explain_wrong(option: str, said: str) -> str:
    """Why an answer cannot be used; it may be the secret itself, and is repeated only where it is a file's name."""
    path = said
    if option in _PLACES:
        kind, _, path = said.partition(":")
        if not is_reference(said):
            why = "Enter env:NAME or file:PATH, not the secret itself."
            if Path(said).is_file():
                why += f" Did you mean file:{make_visible(said)}?"
            return why
        if kind == "env":
            unset = f"The environment variable {path} is not set. Enter another place, or stop and set it."
            return "" if os.environ.get(path) else unset
    elif option not in _FILES and option not in _SCHEMES:
        return ""
    elif "://" in said:
        schemes = _SCHEMES.get(option, ())
        is_known = said.lower().startswith(("http://", *schemes))
        return "" if is_known else f"Addresses begin with {', '.join(schemes)}."
    if Path(path).is_file():
        return ""
    return f"There is no file {path}. Enter another path."
