"""Standard output: whatever it takes, text from outside can only be read there."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper

import click
import pytest

from connector.cli.terminal import guard_output


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "US-ASCII"])
def test_no_encoding_lets_a_terminal_obey_text_from_outside(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    octets = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(octets, encoding, line_buffering=True))
    guard_output()
    click.echo("a\x1b[31m\u202eb\x9bc", color=True)
    assert octets.getvalue() == b"a<U+001B>[31m<U+202E>b<U+009B>c\n"
