"""What a server says at a bind of the account's own password (draft-behera-ldap-password-policy-10 §6).

It is asked with every bind, by a control that servers without it pass over. Otherwise a
password that has to be changed first would look like a bind that went well, after which
everything is refused (389-DS: result 53, without a word), and a locked account like a wrong
password (OpenLDAP).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from connector.directories.ldap import ber

CONTROL: Final = "1.3.6.1.4.1.42.2.27.8.5.1"

_EXPIRED, _LOCKED, _CHANGE_AFTER_RESET = 0, 1, 2
_WARNING, _ERROR, _SECONDS, _BINDS = 0xA0, 0x81, 0x80, 0x81
_DAY: Final = 86_400
_REFUSED: Final = {
    _EXPIRED: "the password has expired: set a new one, and store it where the job reads it",
    _LOCKED: "the account is locked: unlock it, or wait for the server's password policy",
}


class Notice(Struct, frozen=True):
    """What the server said: an error, the seconds that the password is good, the binds that are left when it is not."""

    error: int | None = None
    seconds: int | None = None
    binds: int | None = None

    @property
    def must_change(self) -> bool:
        """Whether the server lets the account do nothing but change its password."""
        return self.error == _CHANGE_AFTER_RESET

    @property
    def refusal(self) -> str:
        """Why a bind failed, with a semicolon before it; empty where the server does not say."""
        return f"; {_REFUSED[self.error]}" if self.error in _REFUSED else ""

    def cautions(self, who: str) -> Iterator[str]:
        """What to see to before the account is locked out."""
        if self.seconds is not None:
            days = self.seconds // _DAY
            left = (
                f"{days} days" if days > 1 else "a day" if days else "less than a day"
            )
            yield f"the password of {who} expires in {left}. Set a new one before that"
        if self.binds is not None:
            yield f"the password of {who} has expired: the server lets it in {self.binds} times more"


def of(controls: Mapping[str, bytes]) -> Notice:
    """What the controls beside the answer to a bind say. Raises MalformedError."""
    value = controls.get(CONTROL, b"")
    if not value:
        return Notice()
    start, end = ber.element(value, 0, len(value), ber.SEQUENCE)
    found = dict(_elements(value, start, end))
    warning = found.get(_WARNING)
    left = dict(_elements(value, *warning)) if warning else {}
    error, seconds, binds = (
        None if place is None else ber.number(value, *place)
        for place in (found.get(_ERROR), left.get(_SECONDS), left.get(_BINDS))
    )
    return Notice(error, seconds, binds)


def _elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    while at < end:
        place = ber.element(data, at, end, data[at])
        yield data[at], place
        at = place[1]
