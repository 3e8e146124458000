"""What commands that need approval have in common: their option, and how a file is signed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from connector.errors import FileError, UnapprovedError, UsageError
from connector.model import APPROVAL_NAMESPACE, Plan
from connector.run.approval import Signed

_MOST: Final = 1 << 20
"""So many octets of a signature are read. That one of this size is none is found out later."""
approval_option = click.option(
    "--approval",
    "signatures",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="SSH signature of the plan, by one of the job's approvers; repeatable.",
)


def signed_plan(
    saved: Path | None, signatures: Sequence[Path]
) -> tuple[Plan | None, Signed | None]:
    """The plan in a file, and what people have signed of it: the same octets. Raises FileError, UsageError."""
    from connector.planfile import load_octets

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
    return Signed(octets, [(str(path), _read(path)) for path in signatures])


def _read(path: Path) -> bytes:
    from connector.settings.textfile import read_octets

    try:
        return read_octets(path, _MOST)
    except OSError as fault:
        raise FileError(
            f"the signature cannot be read: {fault.strerror}", where=str(path)
        ) from fault


@contextmanager
def said_how(file: Path | str, save: Sequence[str]) -> Iterator[None]:
    """Say how the `file` is signed, where that lacks; `save`: the command that writes one."""
    try:
        yield
    except UnapprovedError as fault:
        if save:
            fault.add_note(shlex.join(["cec-connector", *save]))
        fault.add_note(sign_command(file))
        raise


def sign_command(file: Path | str) -> str:
    """The command line that signs a file."""
    return shlex.join(
        ["ssh-keygen", "-Y", "sign", "-f", "KEY", "-n", APPROVAL_NAMESPACE, str(file)]
    )
