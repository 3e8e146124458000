"""Whether an LDIF file is another than it was."""

from __future__ import annotations

from pathlib import Path

from connector.directories.ldif.file_replacement import identify_file
from connector.directories.port import FeedAnswer
from connector.errors import UnreachableError


class LdifFeed:
    """A file, looked at again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask_since(self, mark: str) -> FeedAnswer:
        """Whether the file is another. Raises UnreachableError."""
        try:
            status = self._path.stat()
        except OSError as fault:
            what = f"the file cannot be looked at: {fault.strerror}"
            raise UnreachableError(what, where=str(self._path)) from None
        now = " ".join(map(str, identify_file(status)))
        return FeedAnswer(now, has_moved=bool(mark) and mark != now)

    def close(self) -> None:
        """Nothing is open."""
