"""What `init` is told: by options, and at a terminal by answers, which it keeps and can ask for once more."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from connector.cli.terminal import fit
from connector.errors import ConnectorError, UsageError
from connector.init.drafts import Answers, Reference
from connector.reports.visible import visible

if TYPE_CHECKING:
    from connector.init.drafts import Answers, Reference

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
_SCHEMES: Final = {"--source": "https", "--directory": "https ldaps ldap ldapi"}
"""What addresses begin with; `http` where that is allowed."""
_DIRECTORIES: Final = "must be ldaps://, ldap:// or ldapi:// addresses, one https:// address (SCIM), or one LDIF file"
_SEVERAL: Final = " and "
"""Between the values of an option that was given several times, where it is asked for once more."""
Remedies = Mapping[type[ConnectorError], Sequence[str]]
"""By kind of fault the options to ask for once more; the first that fits."""


def is_reference(value: str) -> bool:
    """Whether it says where a secret is kept."""
    return re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", value) is not None


class Dialogue:
    """Options by name, with their values; `asked`: whether somebody at a terminal gave any of them."""

    def __init__(
        self,
        said: Mapping[str, Sequence[str]],
        job: Path,
        *,
        start_tls: bool,
        allow_plaintext: bool,
    ) -> None:
        self._said = {option: list(values) for option, values in said.items() if values}
        self._job = job
        self._start_tls = start_tls
        self._in_clear = set(_SCHEMES if allow_plaintext else ())
        self.asked = False

    def patiently(self, step: Callable[[Answers], T], remedies: Remedies) -> T:
        """Do it with the answers; if it fails, and somebody is there, ask for what may be wrong and do it again."""
        while True:
            try:
                return step(self.answers())
            except tuple(remedies) as fault:
                if not _is_terminal():
                    raise
                click.echo(fit(str(fault), sys.stderr), err=True)
                for option in next(
                    options
                    for kind, options in remedies.items()
                    if isinstance(fault, kind)
                ):
                    self.ask(option, again=True)

    def ask(
        self, option: str, default: str | None = None, *, again: bool = False
    ) -> str:
        """What was said, or what somebody answers; without a terminal a usage error that names the option."""
        before = self._said.get(option, [])
        if before and not again:
            return before[0]
        if not _is_terminal():
            likely = f" (the directory has {default})" if default else ""
            why = f"{option} is missing: {QUESTIONS[option]}{likely}. Add it, or run the command in a terminal"
            raise UsageError(why, where="init")
        question, default = (
            QUESTIONS[option],
            _SEVERAL.join(before) or ("" if option == "--filter" else default),
        )
        question = fit(question[0].upper() + question[1:], sys.stderr)
        said = click.prompt(question, default=default, err=True)
        while (why := _explain_wrong(option, said)) or not self._allows_address(
            option, said
        ):
            if why:
                click.echo(fit(why, sys.stderr), err=True)
            said = click.prompt(question, default=default, err=True)
        self._said[option] = before if before and said == default else [said]
        self.asked = True
        return str(said)

    def answers(self) -> Answers:
        """All of it; what is missing is asked."""
        for option in ("--source", "--directory"):
            self.ask(option)
            if not all(
                self._allows_address(option, said) for said in self._said[option]
            ):
                self.ask(option, again=True)
        source, directories = (
            self._said["--source"][0],
            tuple(self._said["--directory"]),
        )
        plain = Answers(source=source, directories=directories)
        if not plain.ldap and (
            len(directories) > 1 or ("://" in directories[0] and not plain.scim)
        ):
            raise UsageError(_DIRECTORIES, where="--directory")
        bound = plain.ldap and not plain.local
        return Answers(
            source=source if plain.cec else self._relative_path(source),
            directories=directories
            if plain.ldap or plain.scim
            else (self._relative_path(directories[0]),),
            app_key=self._ask_place("--app-key") if plain.cec else None,
            app_secret=self._ask_place("--app-secret") if plain.cec else None,
            source_ca=self._find_file("--source-ca-file"),
            bind_dn=self.ask("--bind-dn") if bound else None,
            password=self._ask_place("--password") if bound else None,
            token=self._ask_place("--token") if plain.scim else None,
            ca_file=self._find_file("--ca-file"),
            start_tls=self._start_tls,
            allow_plaintext=bool(self._in_clear),
            base=tuple(self._said.get("--base", [])),
            filter=next(iter(self._said.get("--filter", [])), ""),
        )

    def command(self) -> str:
        """The command line that needs no answers."""
        words = [
            word
            for option, values in self._said.items()
            for value in values
            if value
            for word in (option, value)
        ]
        words += ["--start-tls"] if self._start_tls else []
        words += ["--allow-plaintext"] if self._in_clear else []
        return shlex.join(["cec-connector", "init", *words])

    def _allows_address(self, option: str, address: str) -> bool:
        """Whether secrets are not sent there in clear, or may be: somebody at a terminal is asked."""
        scheme, there, _ = address.lower().partition("://")
        clear = (
            there
            and scheme in ("http", "ldap")
            and not (scheme == "ldap" and self._start_tls)
        )
        if not clear or option in self._in_clear:
            return True
        if not _is_terminal():
            better = "https://" if scheme == "http" else "ldaps:// or --start-tls"
            why = f"{scheme}:// sends secrets in clear; use {better}, or add --allow-plaintext"
            raise UsageError(why, where=option)
        self.asked = True
        if scheme == "ldap" and click.confirm(
            "Begin TLS on it (StartTLS)?", default=True, err=True
        ):
            self._start_tls = True
            return True
        if click.confirm(
            f"{scheme}:// sends secrets in clear. Use it all the same?", err=True
        ):
            self._in_clear.add(option)
        return option in self._in_clear

    def _ask_place(self, option: str) -> Reference:
        kind, _, place = self.ask(option).partition(":")
        return Reference(kind, place if kind == "env" else self._relative_path(place))

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


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _explain_wrong(option: str, said: str) -> str:
    """Why an answer cannot be used; it may be the secret itself, and is repeated only where it is a file's name."""
    if option in _PLACES and not is_reference(said):
        meant = f" Did you mean file:{visible(said)}?" if Path(said).is_file() else ""
        return f"Enter env:NAME or file:PATH, not the secret itself.{meant}"
    kind, _, place = said.partition(":")
    if option in _PLACES and kind == "env" and not os.environ.get(place):
        return f"The environment variable {place} is not set. Enter another place, or stop and set it."
    scheme, address, _ = said.lower().partition("://")
    if (
        option in _SCHEMES
        and address
        and scheme not in ("http", *_SCHEMES[option].split())
    ):
        return f"Addresses begin with {', '.join(f'{each}://' for each in _SCHEMES[option].split())}."
    named = option in _FILES or (option in _SCHEMES and not address)
    path = place if option in _PLACES and kind == "file" else said if named else ""
    return (
        f"There is no file {path}. Enter another path."
        if path and not Path(path).is_file()
        else ""
    )
