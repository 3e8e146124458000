"""A file of the API's own JSON shape as a source, such as an answer that was saved before."""

from __future__ import annotations

import os
from pathlib import Path

from connector.errors import (
    FileError,
    MalformedError,
    MalformedFileError,
    SourceTruncatedError,
)
from connector.model import Tenant
from connector.settings.textfile import open_regular
from connector.sources.accounts import join_accounts, split_accounts
from connector.sources.records import decode_tenant


class FileSource:
    """Reads the agents from a file of at most `max_bytes` octets; their passwords only if those are wanted."""

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        *,
        passwords: bool = True,
        fields: frozenset[str] | None = None,
    ) -> None:
        """`fields` of the account list are kept; None: the file's `accounts` are not read."""
        self._path = path
        self._max_bytes = max_bytes
        self._passwords = passwords
        self._fields = fields

    def read(self) -> Tenant:
        """The tenant, whole. Raises FileError, SourceTruncatedError or MalformedFileError."""
        where = str(self._path)
        body = b""
        try:
            with open_regular(self._path) as file:
                # a read reserves all that it asks for, so that a bound would cost a
                # gigabyte for every small file
                is_longer = os.fstat(file.fileno()).st_size > self._max_bytes
                if not is_longer:
                    body = file.read()
        except OSError as error:
            raise FileError(
                f"cannot be read: {error.strerror or type(error).__name__}", where=where
            ) from None
        if is_longer:
            what = f"longer than source.max_bytes ({self._max_bytes})"
            raise SourceTruncatedError(what, where=where)
        try:
            if self._fields is None:
                return decode_tenant(body, where, passwords=self._passwords)
            body, records = split_accounts(body, where, self._fields)
            tenant = decode_tenant(body, where, passwords=self._passwords)
            return join_accounts(tenant, records, "a file")
        except MalformedError as fault:
            raise MalformedFileError(fault.what, where=fault.where) from None
