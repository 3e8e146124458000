"""The family's error envelopes: a code and a text, under one of four pairs of names, in answers of any status.

The pairs and the success code "0" are those of the vendor's pages. What such a text holds
is the other side's choice, so it is shown only without our own secrets and the passwords of
the same answer, without characters that a terminal obeys, and up to a bound.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from connector.errors import NOT_JSON
from connector.net.quoting import list_spellings, quote_safely

SUCCESS: Final = (None, "0", 0)
_PASSWORDS: Final = re.compile(
    rb'"[^"]{0,40}(?:pwd|passw)[^"]{0,40}"\s{0,40}:\s{0,40}("(?:\\.|[^"\\])*"|-?[0-9]+)',
    re.IGNORECASE | re.DOTALL,
)
"""Members that are named like a password, in JSON that may be faulty or nested too deeply."""
_NAMED: Final = re.compile("pwd|passw", re.IGNORECASE)


class _CodeAndText(Struct, frozen=True):
    """A code and a text, each with the name of its member; None where it is absent."""

    code_name: str
    code: Any
    text_name: str
    text: Any


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
        codes = [pair.code for pair in self._list_pairs()]
        return all(code in SUCCESS and not isinstance(code, bool) for code in codes)

    def describe_error(self, hide: Collection[str] = (), body: bytes = b"") -> str:
        """Tell codes and texts in one line, such as `resultCode 01: no such tenant`.

        It is empty where there are none. It repeats neither `hide` nor a password that stands
        elsewhere in `body`, the answer.
        """
        pairs = self._list_pairs()
        hidden = [*hide, *_find_repeated_passwords(pairs, body)]
        parts = []
        for pair in pairs:
            code, text = quote_safely(pair.code, hide), quote_safely(pair.text, hidden)
            if code and text:
                parts.append(f"{pair.code_name} {code}: {text}")
            elif code:
                parts.append(f"{pair.code_name} {code}")
            elif text and pair.text_name != "description":
                # alone, that name belongs to no envelope
                parts.append(f"{pair.text_name}: {text}")
        return "; ".join(parts)

    def _list_pairs(self) -> list[_CodeAndText]:
        members = (
            ("resultCode", self.result_code, "resultMessage", self.result_message),
            ("returnCode", self.return_code, "description", self.description),
            ("retCode", self.ret_code, "retMsg", self.ret_msg),
            ("errorCode", self.error_code, "exceptionInfo", self.exception_info),
        )
        return [
            _CodeAndText(code_name, read_member(code), text_name, read_member(text))
            for code_name, code, text_name, text in members
        ]


def _find_repeated_passwords(pairs: list[_CodeAndText], body: bytes) -> list[str]:
    """Find the passwords of the answer that one of these texts repeats, in any spelling."""
    said = "\n".join(f"{pair.code}\n{pair.text}" for pair in pairs).casefold()

    def is_repeated(password: str) -> bool:
        return any(spelt.casefold() in said for spelt in list_spellings(password))

    passwords = {*_find_passwords(body)} - {""}
    return list(filter(is_repeated, passwords))


def envelope_in(body: bytes) -> ErrorEnvelope | None:
    """Read the envelope of an answer, if its body is a JSON object at all."""
    try:
        return msgspec.json.decode(body, type=ErrorEnvelope)
    except NOT_JSON:
        return None


def _find_passwords(body: bytes) -> Iterator[str]:
    """Yield the texts and numbers of members that are named like a password, and of their parts."""
    found = [read_member(Raw(match[1])) for match in _PASSWORDS.finditer(body)]

    def collect_members(pairs: list[tuple[str, Any]]) -> list[Any]:
        for name, held in pairs:
            if _NAMED.search(name):
                found.append(held)
        return [held for _, held in pairs]

    # in what is no JSON, or too deep, the pattern has found what it can
    with suppress(ValueError, RecursionError):
        json.loads(
            body, object_pairs_hook=collect_members, parse_int=str, parse_float=str
        )
    while found:
        held = found.pop()
        if isinstance(held, list):
            found += held
        elif isinstance(held, str | int) and not isinstance(held, bool):
            yield str(held)


def read_member(raw: Raw) -> Any:
    """Read a member; None where it is absent or null, infinity where it is too large a number."""
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except NOT_JSON:
        return math.inf
