"""Names that somebody may have meant by one that is not known."""

import difflib
from collections.abc import Iterable
from typing import Final

_NEAR: Final = 0.75
"""Names that are less alike than this are two names, and no slip of the pen."""


def suggest_name(name: str, known: Iterable[str]) -> str:
    """The nearest name, as the end of a sentence; nothing where none is near."""
    names = {each.lower(): each for each in known}
    near = difflib.get_close_matches(
        name.lower(),
        names,
        n=1,
        cutoff=_NEAR,
    )
    return f" (did you mean {names[near[0]]}?)" if near else ""
