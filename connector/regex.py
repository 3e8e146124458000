"""Regular expressions that are compiled when they are first used: a run uses few of those that it loads."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Lazy:
    """What stands for a pattern; of each method that was used it keeps the compiled pattern's own."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith(
            "_"
        ):  # asked for by copies and pickles, before there is a pattern
            raise AttributeError(name)
        found = getattr(re.compile(self.pattern, self._flags), name)
        setattr(self, name, found)
        return found


def regex(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The same as `re.compile`, later. Not for functions of `re` that take a pattern: call its methods."""
    return cast("re.Pattern[AnyStr]", _Lazy(pattern, flags))
