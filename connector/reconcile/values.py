"""From a template's text to a value that the directory's schema can hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from connector.model import AttributeInfo, Syntax, Value
from connector.reconcile import equality


class UnfitError(ValueError):
    """A text that the attribute cannot hold; the message never repeats it, for it may be a secret."""


def fit(info: AttributeInfo, text: str) -> Value:
    """The text as a value of the attribute's syntax (RFC 4517 §3.3), in its canonical form. Raises UnfitError."""
    value = _FIT[info.syntax](text) if info.syntax in _FIT else text
    if info.max_length is not None and len(value) > info.max_length:
        raise UnfitError(f"{len(value)} characters, and {info.name} holds at most {info.max_length}")
    return value


def _checked(pattern: str, what: str) -> Callable[[str], str]:
    expression = re.compile(pattern, re.DOTALL)

    def check(text: str) -> str:
        if not expression.fullmatch(text):
            raise UnfitError(f"it is not {what}")
        return text

    return check


def _integer(text: str) -> str:
    """Servers refuse `007` and `+7` (measured: result 21), and what they accept they store as `7`."""
    return str(int(_checked(r"\s*[+-]?[0-9]{1,1000}\s*", "a whole number")(text)))


def _boolean(text: str) -> str:
    word = text.strip().lower()
    if word in {"true", "yes", "1"}:
        return "TRUE"
    if word in {"false", "no", "0"}:
        return "FALSE"
    raise UnfitError("it is neither true nor false")


def _name(text: str) -> str:
    try:
        equality.rdns(text)
    except ValueError:
        raise UnfitError("it is not a distinguished name") from None
    return text


_PRINTABLE = r"[A-Za-z0-9'()+,\-./:? =]+"
_FIT: Final[dict[Syntax, Callable[[str], Value]]] = {
    Syntax.IA5: _checked(r"[\x00-\x7f]*", "plain ASCII, which is all that this attribute holds"),
    Syntax.PRINTABLE: _checked(_PRINTABLE, "made of letters, digits and '()+,-./:? = alone"),
    Syntax.TELEPHONE: _checked(_PRINTABLE, "a telephone number (letters, digits and '()+,-./:? = alone)"),
    Syntax.NUMERIC: _checked(r"[0-9 ]+", "made of digits"),
    Syntax.INTEGER: _integer,
    Syntax.BOOLEAN: _boolean,
    Syntax.TIME: _checked(r"\d{10}(\d{2}(\d{2})?)?([.,]\d+)?(Z|[+-]\d{2}(\d{2})?)", "a time such as 20260131120000Z"),
    Syntax.DN: _name,
    Syntax.OCTETS: str.encode,
}
