"""What httpx loads with this program: its client, and not its command line."""

from __future__ import annotations

import subprocess
import sys


def test_httpx_comes_without_what_its_command_line_draws_with() -> None:
    code = "import connector.net.http, sys; print(sorted({'rich', 'pygments', 'httpx'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['httpx']\n"
