"""What people say to a plan before it is written: a signature, or an answer at the terminal."""

from __future__ import annotations

import os
import select
import shlex
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from connector.apply.approval import Signed
from connector.cli.output import command_line, say
from connector.errors import DeclinedError, FileError, UnapprovedError, UsageError
from connector.model import APPROVAL_NAMESPACE, ON_HOLD, Ending, Plan
from connector.planfile import load_octets
from connector.reports.wording import count
from connector.runtime.stopping import Stop
from connector.settings.textfile import read_octets

SECONDS: Final = 300.0
"""How long an answer is waited for."""
_MOST: Final = 1 << 20
"""Octets of a signature that are read. One of this size is refused later."""


def signed_plan(
    saved: Path | None, signatures: Sequence[Path]
) -> tuple[Plan | None, Signed | None]:
    """The plan in a file, and what people have signed of it: the same octets.

    Raises FileError, UsageError.
    """
    if saved is None:
        if signatures:
            raise UsageError(
                "signs a saved plan. Name it with --plan", where="--approval"
            )
        return None, None
    plan, octets = load_octets(saved)
    return plan, signed(octets, signatures)


def signed(octets: bytes, signatures: Sequence[Path]) -> Signed:
    """These octets with their signatures. Raises FileError."""
    return Signed(octets, [(str(path), _read_signature(path)) for path in signatures])


def _read_signature(path: Path) -> bytes:
    try:
        return read_octets(path, _MOST)
    except OSError as fault:
        why = f"the signature cannot be read: {fault.strerror}"
        raise FileError(why, where=str(path)) from fault


@contextmanager
def said_how(file: Path | str, save: Sequence[str]) -> Iterator[None]:
    """Say how the `file` is signed, where that lacks; `save`: the command that writes one."""
    try:
        yield
    except UnapprovedError as fault:
        if save:
            fault.add_note(command_line(*save))
        fault.add_note(sign_command(file))
        raise


def sign_command(file: Path | str) -> str:
    """The command line that signs a file."""
    return shlex.join(
        ["ssh-keygen", "-Y", "sign", "-f", "KEY", "-n", APPROVAL_NAMESPACE, str(file)]
    )


def asks(*, yes: bool) -> bool:
    """Whether there is somebody to ask: input and output are terminals."""
    return not yes and bool(sys.stdin) and sys.stdin.isatty() and sys.stdout.isatty()


def ask_about_plan(plan: Plan, accept: str | None, stop: Stop | None = None) -> None:
    """Ask whether a plan that was shown is to be written.

    Nobody is asked about a plan without changes, or one that will be refused. `stop` learns
    that none is written yet. Raises DeclinedError where the answer is anything but yes.
    """
    is_refused = not plan.is_permitted(accept) or ON_HOLD in dict(plan.about)
    if is_refused or not plan.changes:
        return
    changes = len(plan.changes)
    if stop is not None:
        stop.standing = lambda: Ending.unsent(changes)
    confirm(f"Apply {count(changes, 'change')}?")


def confirm(question: str) -> None:
    """Ask at the terminal. Raises DeclinedError where the answer is anything but yes."""
    terminal = sys.stdin.fileno()
    with suppress(termios.error):
        # what was typed before the question answers nothing
        termios.tcflush(terminal, termios.TCIFLUSH)
    say([f"{question} [y/N] "])
    answer: bytes | None = None
    try:
        is_answered, _, _ = select.select([terminal], [], [], SECONDS)
        answer = os.read(terminal, 1024) if is_answered else None
    finally:
        if answer is None:
            say(["\n"])
    if answer is None:
        raise DeclinedError(f"no answer within {SECONDS / 60:g} minutes")
    if answer.strip().lower() not in {b"y", b"yes"}:
        raise DeclinedError("not applied, since the answer was not yes")
