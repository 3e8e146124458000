"""The family's error envelopes: a code and a text, under one of four pairs of names, in answers of any status.

The pairs and the success code "0" are those of the vendor's pages. What such a text holds
is the other side's choice, so it is shown only without our own secrets, without characters
that a terminal obeys, and up to a bound; and not at all where the answer has passwords.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from connector.errors import NOT_JSON
from connector.net.quoting import quote_safely

SUCCESS: Final = (None, "0", 0)
WITHHELD: Final = "(text withheld: the answer names passwords)"
_PASSWORD: Final = re.compile(
    rb'"[^"]{0,40}(?:pwd|passw)[^"]{0,40}"\s{0,40}:|\\u00[4-7]', re.IGNORECASE
)
"""A member that is named like a password, or a letter that is escaped: it may be of such a name."""


class ErrorEnvelope(Struct, rename="camel"):
    """The members that any answer may have; each is read for itself, so that a faulty one spoils nothing else."""

    result_code: Raw = Raw()
    result_message: Raw = Raw()
    return_code: Raw = Raw()
    description: Raw = Raw()
    ret_code: Raw = Raw()
    ret_msg: Raw = Raw()
    error_code: Raw = Raw()
    exception_info: Raw = Raw()

    @property
    def is_success(self) -> bool:
        """Whether no code says otherwise; an envelope without any code says nothing."""
        codes = [code for _, code in self._list_members()[::2]]
        return all(code in SUCCESS and not isinstance(code, bool) for code in codes)

    @property
    def has_code(self) -> bool:
        """Whether it has a code at all."""
        return any(code is not None for _, code in self._list_members()[::2])

    def describe_error(self, hide: Collection[str], body: bytes) -> str:
        """Tell codes and texts in one line, such as `resultCode 01: no such tenant`.

        It is empty where there are none. It does not repeat `hide`; nor any text if `body`, the
        answer, has passwords, one of which it may hold in any spelling.
        """
        members = self._list_members()
        is_withheld = _PASSWORD.search(body) is not None
        parts = []
        for (code_name, code), (text_name, text) in zip(
            members[::2], members[1::2], strict=True
        ):
            number, words = quote_safely(code, hide), quote_safely(text, hide)
            if words and is_withheld:
                words = WITHHELD
            if number:
                parts.append(f"{code_name} {number}: {words}".removesuffix(": "))
            elif words and text_name != "description":
                # alone, that name belongs to no envelope
                parts.append(f"{text_name}: {words}")
        return "; ".join(parts)

    def _list_members(self) -> list[tuple[str, Any]]:
        """The members of an envelope by name, each code before its text."""
        keys = ErrorEnvelope.__struct_fields__
        names = ErrorEnvelope.__struct_encode_fields__
        return [
            (name, read_member(getattr(self, key)))
            for key, name in zip(keys, names, strict=True)
        ]


def envelope_in(body: bytes) -> ErrorEnvelope | None:
    """Read the envelope of an answer, if its body is a JSON object at all."""
    try:
        return msgspec.json.decode(body, type=ErrorEnvelope)
    except NOT_JSON:
        return None


def read_member(raw: Raw) -> Any:
    """Read a member; None where it is absent or null, infinity where it is too large a number."""
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except NOT_JSON:
        return math.inf
