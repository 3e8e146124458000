"""The command line. Commands are imported when they are called for, so that `--help` costs click alone."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import click

from connector import __version__
from connector.cli.options import path_option
from connector.cli.terminal import count_columns, guard_output

_NARROWEST, _WIDEST = 30, 80
"""Columns that help takes at least, and at most."""
COMMANDS = {
    "init": "Write a job and a mapping file that fit a tenant and a directory.",
    "demo": "Run plan, apply and an empty second plan on sample data.",
    "check": "Check a job's files, source and directory; write nothing.",
    "plan": "Show the changes that apply would write (a dry run).",
    "apply": "Plan and write to the directory; with --plan, no more than a reviewed plan.",
    "show": "Show a saved plan or a report again, in any format.",
    "diff": "Compare two saved plans or reports.",
    "explain": "Show step by step how one agent or user is matched and planned.",
    "serve": "Run jobs on their schedules, with health and metrics over HTTP.",
    "coverage": "Show in which jobs of a tenant each agent is found.",
    "runs": "List the runs of a job, newest first.",
    "undo": "Show the changes that undo a run; with --apply, write them.",
    "release": "Allow applies again for a job on hold.",
    "fleet": "Run many jobs on Temporal, a durable engine (extra `fleet`).",
    "audit": "Manage the audit of a job.",
    "state": "Manage the state of a job.",
    "schema": "Print the JSON Schema of the job, mapping or fleet file.",
}

_MODULES = {
    "diff": "show",
    "explain": "plan",
    "release": "apply",
    "runs": "runs",
    "undo": "apply",
}
"""Modules of commands that are not called as these are."""
_UNLISTED = "worker"
"""What `serve` starts, with nothing in it for people."""


class LazyGroup(click.Group):
    """The commands above; help needs none of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name != _UNLISTED:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"connector.cli.{name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done · 1 failed · 2 changes pending · 3 refused · 4 in part · "
    "64 usage · 75 another run · 78 invalid file. The code of a message begins with it: CEC-0304 ends with 3. "
    "All codes: docs/messages.md.",
)
@click.version_option(__version__, message="%(version)s")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Log at this level, also on a terminal. Default: no log on a terminal, info elsewhere.",
)
@path_option(
    "--log-file",
    "FILE",
    "Append the log to this file, as JSON, in place of standard error.",
)
@click.pass_context
def cli(ctx: click.Context, log_level: str | None, log_file: Path | None) -> None:
    """Sync the agents of a CEC tenant into a corporate directory, by reviewed plans."""
    ctx.obj = log_level
    if log_file is not None:
        from connector.cli.observers import log_to_file

        log_to_file(log_file)


class HelpFormatter(click.HelpFormatter):
    """Help; where it is narrow, a long term has a line of its own."""

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        if self.width <= 2 * col_max:
            col_max = self.width // 4
        super().write_dl(list(rows), col_max, col_spacing)


click.Context.formatter_class = HelpFormatter


def main() -> None:
    """Run the command line, and end the process with one of the documented exit codes."""
    # unless told otherwise, pydantic looks through all that is installed for plugins; of
    # those there are none here
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    guard_output()
    # either may have been closed by whoever started us, so that nobody will read it
    sys.stdout = sys.stdout or StringIO()
    sys.stderr = sys.stderr or StringIO()
    is_interrupted = False
    try:
        width = min(count_columns(sys.stdout) or _WIDEST, _WIDEST) - 2
        # a command that returns nothing has done what was asked for
        code = cli.main(standalone_mode=False, terminal_width=max(width, _NARROWEST))
    except (KeyboardInterrupt, click.Abort) as stopped:
        # loading the next line takes a while, and a second one would end it in a traceback
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from connector.cli.signals import ignore_signals, run_briefly, tell_stopped

        ignore_signals()
        code, account, is_interrupted = 1, str(stopped), True
        if not run_briefly(
            lambda: tell_stopped(account), _flush_output, sys.stderr.flush
        ):
            os._exit(code)  # an output that nobody reads would hold the end up
    except Exception as fault:  # noqa: BLE001  # the one boundary: every fault becomes advice and an exit code there
        from connector.cli.advice import report_fault

        code = report_fault(fault)
    _flush_output()
    if (signals := sys.modules.get("connector.cli.signals")) is not None:
        signals.ignore_signals()
    engine = sys.modules.get("connector.fleet.client")
    if is_interrupted or (engine is not None and engine.begun.is_set()):
        sys.stderr.flush()
        os._exit(code or 0)  # threads may wait for a server, for minutes
    sys.exit(code)


def _flush_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # whoever read it has gone, or its disk is full; what was to be said of that has been said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
