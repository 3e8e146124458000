"""What people say to a plan before it is written: a signature, or an answer at the terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from connector.apply.approval import SignedFile
from connector.cli.output import command_line, print_pieces
from connector.errors import DeclinedError, FileError, UnapprovedError, UsageError
from connector.model import ON_HOLD, Plan, RunEnding
from connector.planfile import load_octets
from connector.reports.wording import count_noun, make_sign_command
from connector.runtime.stopping import StopRequest
from connector.settings.textfile import read_octets

SECONDS: Final = 300.0
"""How long an answer is waited for."""
_MOST: Final = 1 << 20
"""Octets of a signature that are read. One of this size is refused later."""


def load_signed_plan(
    saved: Path | None, signatures: Sequence[Path]
) -> tuple[Plan | None, SignedFile | None]:
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
    return plan, attach_signatures(octets, signatures)


def attach_signatures(octets: bytes, signatures: Sequence[Path]) -> SignedFile:
    """These octets with their signatures. Raises FileError."""
    read = []
    for path in signatures:
        try:
            read.append((str(path), read_octets(path, _MOST)))
        except OSError as fault:
            why = f"the signature cannot be read: {fault.strerror}"
            raise FileError(why, where=str(path)) from fault
    return SignedFile(octets, read)


@contextmanager
def explain_signing(file: Path | str, save: Sequence[str]) -> Iterator[None]:
    """Say how the `file` is signed, where that lacks; `save`: the command that writes one."""
    try:
        yield
    except UnapprovedError as fault:
        if save:
            fault.add_note(command_line(*save))
        fault.add_note(make_sign_command(file))
        raise


def can_ask(*, yes: bool) -> bool:
    """Whether there is somebody to ask: input and output are terminals."""
    return not yes and bool(sys.stdin) and sys.stdin.isatty() and sys.stdout.isatty()


def ask_about_plan(
    plan: Plan, accept: str | None, stop: StopRequest | None = None
) -> None:
    """Ask whether a plan that was shown is to be written.

    Nobody is asked about a plan without changes, or one that will be refused. `stop` learns
    that none is written yet. Raises DeclinedError where the answer is anything but yes.
    """
    changes = len(plan.changes)
    is_refused = not plan.is_permitted(accept) or ON_HOLD in dict(plan.about)
    if is_refused or not changes:
        return
    if stop is not None:
        stop.standing = lambda: RunEnding.unsent(changes)
    ask_to_confirm(f"Apply {count_noun(changes, 'change')}?")


def ask_to_confirm(question: str, *, yes: bool = False) -> bool:
    """Ask at the terminal; whether there was somebody to ask.

    Raises DeclinedError where the answer is anything but yes.
    """
    if not can_ask(yes=yes):
        return False
    terminal = sys.stdin.fileno()
    with suppress(termios.error):
        # what was typed before the question answers nothing
        termios.tcflush(terminal, termios.TCIFLUSH)
    print_pieces([f"{question} [y/N] "])
    answer: bytes | None = None
    try:
        is_answered, _, _ = select.select([terminal], [], [], SECONDS)
        answer = os.read(terminal, 1024) if is_answered else None
    finally:
        if answer is None:
            print_pieces(["\n"])
    if answer is None:
        raise DeclinedError(f"no answer within {SECONDS / 60:g} minutes")
    if answer.strip().lower() not in {b"y", b"yes"}:
        raise DeclinedError("not applied, since the answer was not yes")
    return True
