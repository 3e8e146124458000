"""How options are declared, and those that commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]
FILE: Final = click.Path(path_type=Path)


def text_option(
    name: str, metavar: str, meaning: str, /, *others: str, **attributes: Any
) -> Decorator[Any]:
    """An option whose value is a text; `others`: the name of its parameter, if it differs."""
    return click.option(name, *others, metavar=metavar, help=meaning, **attributes)


def path_option(
    name: str, metavar: str, meaning: str, /, *others: str, **attributes: Any
) -> Decorator[Any]:
    """An option whose value is a file or folder; `others`: the name of its parameter, if it differs."""
    return text_option(name, metavar, meaning, *others, type=FILE, **attributes)


def flag_option(name: str, meaning: str, /, *others: str) -> Decorator[Any]:
    """An option without a value; `others`: the name of its parameter, if it differs."""
    return click.option(name, *others, is_flag=True, help=meaning)


job_argument = click.argument("job", type=FILE)
only_option = text_option(
    "--only",
    "AGENT",
    "Limit the run to this agent: account:CODE, seat:WORKNO, user:NAME, or a bare code or number; repeatable.",
    multiple=True,
)
report_option = path_option(
    "--report",
    "FILE",
    "Also write the report to this file; format by suffix: .json .csv .md .html .ldif; repeatable.",
    "reports",
    multiple=True,
)
approval_option = path_option(
    "--approval",
    "FILE",
    "SSH signature of the plan, by one of the job's approvers; repeatable.",
    "signatures",
    multiple=True,
)
json_report_option = flag_option(
    "--json",
    "Print JSON in place of the text report, as `--report -` does.",
    "as_json",
)
json_option = flag_option("--json", "Print JSON.", "as_json")
whole_option = flag_option(
    "--all", "List all changes and problems, not kinds and first ones.", "whole"
)
yes_option = flag_option(
    "--yes", "Do not ask before writing. Only a terminal is asked."
)


def _check_digest(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> str | None:
    if value is not None and re.fullmatch(r"sha256:[0-9a-f]{64}", value) is None:
        raise click.BadParameter(
            "must be `sha256:` and 64 hexadecimal digits. Copy the digest from the refused plan"
        )
    return value


accept_option = text_option(
    "--accept",
    "DIGEST",
    "Apply the plan that has this digest, also if it is refused; no other is written.",
    callback=_check_digest,
)
