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
from connector.net.quoting import shown, spellings

SUCCESS: Final = ("0", 0)
_PASSWORDS: Final = re.compile(
    rb'"[^"]{0,40}(?:pwd|passw)[^"]{0,40}"\s{0,40}:\s{0,40}("(?:\\.|[^"\\])*"|-?[0-9]+)',
    re.IGNORECASE | re.DOTALL,
)
"""Members that are named like a password, in JSON that may be faulty or nested too deeply."""
_NAMED: Final = re.compile("pwd|passw", re.IGNORECASE)


class Envelope(Struct, rename="camel"):
    """The members that any answer may have; each is read for itself, so that a faulty one spoils nothing else."""

    result_code: Raw = Raw()
    result_message: Raw = Raw()
    return_code: Raw = Raw()
    description: Raw = Raw()
    ret_code: Raw = Raw()
    ret_msg: Raw = Raw()
    error_code: Raw = Raw()
    exception_info: Raw = Raw()

    def _pairs(self) -> Iterator[tuple[str, Raw, str, Raw]]:
        yield "resultCode", self.result_code, "resultMessage", self.result_message
        yield "returnCode", self.return_code, "description", self.description
        yield "retCode", self.ret_code, "retMsg", self.ret_msg
        yield "errorCode", self.error_code, "exceptionInfo", self.exception_info

    @property
    def success(self) -> bool:
        """Whether no code says otherwise; an envelope without any code says nothing."""
        codes = [value(code) for _, code, _, _ in self._pairs()]
        return all(
            code is None or (not isinstance(code, bool) and code in SUCCESS)
            for code in codes
        )

    def describe(self, hide: Collection[str] = (), body: bytes = b"") -> str:
        """Codes and texts in one line, such as `resultCode 01: no such tenant`; empty where there are none.

        They repeat neither `hide` nor a password that stands elsewhere in `body`, the answer.
        """
        parts = []
        quoted = [*hide, *self._quoted(body)]
        for code_name, code, text_name, text in self._pairs():
            shown_code, shown_text = (
                shown(value(code), hide),
                shown(value(text), quoted),
            )
            if shown_code:
                parts.append(
                    f"{code_name} {shown_code}: {shown_text}"
                    if shown_text
                    else f"{code_name} {shown_code}"
                )
            elif (
                shown_text and text_name != "description"
            ):  # alone, that name belongs to no envelope
                parts.append(f"{text_name}: {shown_text}")
        return "; ".join(parts)

    def _quoted(self, body: bytes) -> list[str]:
        """The passwords of the answer that one of these texts repeats, in any spelling."""
        said = "\n".join(
            str(value(each))
            for pair in self._pairs()
            for each in (pair[1], pair[3])
            if each
        ).casefold()
        held = {*_passwords_in(body)} - {""} if said else set[str]()
        return [
            each
            for each in held
            if any(spelt.casefold() in said for spelt in spellings(each))
        ]


def envelope_in(body: bytes) -> Envelope | None:
    """The envelope of an answer, if its body is a JSON object at all."""
    try:
        return msgspec.json.decode(body, type=Envelope)
    except NOT_JSON:
        return None


def _passwords_in(body: bytes) -> Iterator[str]:
    """The texts and numbers of members that are named like a password, and of all that is in these."""
    found = [value(Raw(each[1])) for each in _PASSWORDS.finditer(body)]

    def members(pairs: list[tuple[str, Any]]) -> list[Any]:
        found.extend(held for name, held in pairs if _NAMED.search(name))
        return [held for _, held in pairs]

    with suppress(
        ValueError, RecursionError
    ):  # in what is no JSON, or too deep, the pattern has found what it can
        json.loads(body, object_pairs_hook=members, parse_int=str, parse_float=str)
    while found:
        held = found.pop()
        if isinstance(held, list):
            found += held
        elif isinstance(held, str | int) and not isinstance(held, bool):
            yield str(held)


def value(raw: Raw) -> Any:
    """What a member holds; None where it is absent or null, infinity where it is a number too large to be read."""
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except NOT_JSON:
        return math.inf
