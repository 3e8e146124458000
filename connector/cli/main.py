"""The command line. Commands are imported when they are called for, so that `--help` costs click alone."""

from __future__ import annotations

import codecs
import gc
import importlib
import os
import sys
from collections.abc import Collection, Iterable, Mapping
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import click

from connector import __version__
from connector.reports.visible import visible_lines

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
    "what-if": "Compare the plans of a job with its mapping and with another.",
    "explain": "Show step by step how one agent or user is matched and planned.",
    "serve": "Run jobs on their schedules, with health and metrics over HTTP.",
    "runs": "List the runs of a job, newest first.",
    "undo": "Show the changes that undo a run; with --apply, write them.",
    "release": "Allow applies again for a job on hold.",
    "fleet": "Run many jobs on Temporal, a durable engine (extra `fleet`).",
    "audit": "Manage the audit of a job.",
    "state": "Manage the state of a job.",
    "schema": "Print the JSON Schema of the job, mapping or fleet file.",
}


class Commands(click.Group):
    """A group whose help needs no command's module.

    `listed`: its commands, each with what help says of it; `unlisted`: those that help does not name. Each is the
    `command` of a module of its name, after `prefix`.
    """

    def __init__(
        self,
        *args: Any,
        listed: Mapping[str, str],
        prefix: str,
        unlisted: Collection[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self._listed, self._prefix, self._unlisted = listed, prefix, unlisted

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._listed and cmd_name not in self._unlisted:
            return None
        gc.disable()
        command: click.Command = importlib.import_module(
            f"{self._prefix}{cmd_name.replace('-', '_')}"
        ).command
        # what has been imported stays: the collector need not walk through it ever
        # again
        gc.freeze()
        gc.enable()
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._listed.items()))


@click.command(
    cls=Commands,
    listed=COMMANDS,
    prefix="connector.cli.",
    unlisted={"worker"},  # what `serve` starts, with nothing in it for people
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done · 1 failed · 2 changes pending · 3 refused · 4 in part · "
    "64 usage · 75 another run · 78 invalid file.",
)
@click.version_option(__version__, message="%(version)s")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Log at this level, also on a terminal. Default: no log on a terminal, info elsewhere.",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append the log to this file, as JSON, in place of standard error.",
)
@click.pass_context
def cli(ctx: click.Context, log_level: str | None, log_file: Path | None) -> None:
    """Sync the agents of a CEC tenant into a corporate directory, by reviewed plans."""
    ctx.obj = log_level
    if log_file is not None:
        from connector.cli.logs import log_to_file

        log_to_file(log_file)


class Help(click.HelpFormatter):
    """Help in as many columns as the terminal has, 80 at most. Click itself takes 50 at least."""

    def __init__(
        self,
        indent_increment: int = 2,
        width: int | None = None,
        max_width: int | None = None,
    ) -> None:
        from connector.cli.terminal import columns

        there = min(columns(sys.stdout) or _WIDEST, max_width or _WIDEST)
        super().__init__(indent_increment, width or max(there - 2, _NARROWEST))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write terms with what they mean; where it is narrow a long term has a line of its own."""
        super().write_dl(
            list(rows),
            col_max if self.width > 2 * col_max else self.width // 4,
            col_spacing,
        )


click.Context.formatter_class = Help


class Visible(TextIOWrapper):
    """Text to a stream of octets; every character that would not show as itself is named, but for line breaks.

    `unread`: its reader has gone (`| head`); what is written from then on goes nowhere, and nobody is told of it.
    """

    unread = False

    def write(self, text: str, /) -> int:
        """How much of the text was taken, which is all of it."""
        try:
            super().write(visible_lines(text))
        except BrokenPipeError:
            self._let_go()
        return len(text)

    def paint(self, text: str, style: str) -> None:
        """Write text in a style (SGR of ECMA-48), of which text from outside knows nothing."""
        text, end = (text[:-1], "\n") if text.endswith("\n") else (text, "")
        try:
            super().write(f"\x1b[{style}m{visible_lines(text)}\x1b[0m{end}")
        except BrokenPipeError:
            self._let_go()

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._let_go()

    def _let_go(self) -> None:
        self.unread = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def guard() -> None:
    """Let standard output be one of these; a letter that a terminal cannot show gets its escape, not a failure."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, TextIOWrapper):
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        # where ASCII alone is said to be taken, click would write UTF-8 itself, past this stream
        encoding = "utf-8" if codecs.lookup(encoding).name == "ascii" else encoding
        sys.stdout = Visible(
            sys.stdout.detach(), encoding, "backslashreplace", line_buffering=lines
        )


def main() -> None:
    """Run the command line, and end the process with one of the documented exit codes."""
    # a run makes values by the hundred thousand, none of which refers back: looking for
    # cycles every 700 is for nothing
    gc.set_threshold(50_000, 20, 50)
    # unless told otherwise, pydantic looks through all that is installed for plugins; of
    # those there are none here
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    guard()
    # either may have been closed by whoever started us, so that nobody will read it
    sys.stdout = sys.stdout or StringIO()
    sys.stderr = sys.stderr or StringIO()
    interrupted = False
    try:
        code = cli.main(standalone_mode=False)
    except (KeyboardInterrupt, click.Abort) as stopped:
        from connector.cli.signals import at_once, ignore, tell_stopped

        ignore()
        code, account, interrupted = 1, str(stopped), True
        if not at_once(lambda: tell_stopped(account), _flush, sys.stderr.flush):
            os._exit(code)  # an output that nobody reads would hold the end up
    except Exception as fault:  # noqa: BLE001  # the one boundary: every fault becomes advice and an exit code there
        from connector.cli.advice import tell

        code = tell(fault)
    _flush()
    if (signals := sys.modules.get("connector.cli.signals")) is not None:
        signals.ignore()
    engine = sys.modules.get("connector.fleet.client")
    if interrupted or (engine is not None and engine.begun.is_set()):
        sys.stderr.flush()
        # threads may wait for a server, for minutes
        os._exit(code if isinstance(code, int) else 0)
    # Python looks for cycles once more before it ends; of a million values, for nothing
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # whoever read it has gone, or its disk is full; what was to be said of that has been said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
