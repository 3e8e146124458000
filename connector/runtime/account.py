"""The account of the operating system that runs this program."""

from __future__ import annotations

import os
import pwd


def name_account() -> str:
    """The account by its name, or by its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
