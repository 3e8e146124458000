"""LDAP responses out of octets (RFC 4511 §4), and what their result codes mean (appendix A.1 and its registry).

Servers may be broken or hostile. Any octets give what they say, or MalformedError: no other
exception, and work that is linear in their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ldap3.core.results import RESULT_CODES
from msgspec import Struct

from connector.directories.common.server_text import select_shown_words
from connector.directories.ldap.ber import (
    ENUMERATED,
    INTEGER,
    MAX_ELEMENTS,
    OCTETS,
    SEQUENCE,
    SET,
    Frame,
    find_element,
    read_integer,
    split_elements,
    take_elements,
)
from connector.errors import (
    DeniedError,
    ElsewhereError,
    IncompleteRead,
    LimitError,
    MalformedError,
    UnreachableError,
)
from connector.model import Value

TWICE = "an entry with one attribute twice"
LEFT_OVER = "an entry with octets that belong to no attribute"

BOUND = 0x61
ENTRY = 0x64
DONE = 0x65
REFERENCE = 0x73
EXTENDED = 0x78
_CONTROLS, _REFERRAL, _NAME = 0xA0, 0xA3, 0x8A


class ResultEntry(Struct, frozen=True):
    """A search result entry: its DN, and the attributes with their values, as octets and as the server spells them."""

    name: bytes
    attributes: list[tuple[bytes, list[bytes]]]

    @property
    def dn(self) -> str:
        return _read_text(self.name)

    def decode_texts(self) -> dict[str, list[str]]:
        """The attributes as text, by their names in lower case."""
        return {
            _read_text(attribute).lower(): [_read_text(value) for value in values]
            for attribute, values in self.attributes
        }


class Response(Struct, frozen=True, gc=False):
    """The end of an operation."""

    code: int
    diagnostic: str = ""
    referrals: tuple[str, ...] = ()
    name: str = ""
    """Of an extended response."""
    controls: Mapping[str, bytes] = {}
    """Their values by their numbers."""


def decode_entry(message: Frame) -> ResultEntry:
    """A search result entry, with whatever attributes; none is there twice (RFC 4511 §4.5.2)."""
    (name, listed), rest = take_elements(message.content, OCTETS, SEQUENCE)
    if rest:
        raise MalformedError(LEFT_OVER)
    attributes = []
    count = 0
    for tag, octets in split_elements(listed):
        description, values = decode_attribute(tag, octets)
        attributes.append((description, values))
        count += len(values)
        if count > MAX_ELEMENTS:
            raise MalformedError(f"an entry of more than {MAX_ELEMENTS} values")
    if len({description.lower() for description, _ in attributes}) != len(attributes):
        raise MalformedError(TWICE)
    return ResultEntry(name, attributes)


def decode_attribute(tag: int, octets: bytes) -> tuple[bytes, list[bytes]]:
    """An attribute in an entry: its description and its values."""
    (description, held), rest = take_elements(octets, OCTETS, SET)
    values = split_elements(held)
    is_plain = all(kind == OCTETS for kind, _ in values)
    if tag != SEQUENCE or rest or not is_plain:
        raise MalformedError("an attribute that is none, or has octets left over")
    return description, [value for _, value in values]


def decode_reference(message: Frame) -> tuple[str, ...]:
    """A search result reference: the URLs of other servers that hold a part of what was asked for."""
    return _read_urls(message.content)


def decode_response(message: Frame) -> Response:
    """An LDAPResult (RFC 4511 §4.1.9) with the controls beside it; components that we do not know are passed over."""
    # between code and diagnostic is the name of the nearest entry that there is
    (code, _, diagnostic), more = take_elements(
        message.content, ENUMERATED, OCTETS, OCTETS
    )
    components = dict(more)
    return Response(
        read_integer(code),
        _read_text(diagnostic),
        _read_urls(components.get(_REFERRAL, b"")),
        _read_text(components.get(_NAME, b"")),
        read_controls(message),
    )


def read_controls(message: Frame) -> dict[str, bytes]:
    """The values of the controls beside a message, by their numbers."""
    octets = message.data[message.stop : message.end]
    found = {}
    for listed in take_elements(octets, _CONTROLS)[0] if octets else ():
        for _, control in split_elements(listed):
            (oid,), rest = take_elements(control, OCTETS)
            found[_read_text(oid)] = dict(rest).get(OCTETS, b"")
    return found


def decode_page(value: bytes) -> tuple[int, bytes]:
    """The value of a paged results control (RFC 2696): the server's estimate of the whole, and the cookie."""
    (page,), _ = take_elements(value, SEQUENCE)
    (size, cookie), _ = take_elements(page, INTEGER, OCTETS)
    return read_integer(size), cookie


def decode_post_read(value: bytes) -> Frame:
    """The value of a post-read response control (RFC 4527 §3.2): the entry as the update left it, not yet decoded."""
    start, stop = find_element(value, 0, len(value), ENTRY)
    return Frame(0, ENTRY, value, start, stop, stop)


def _read_urls(octets: bytes) -> tuple[str, ...]:
    return tuple(_read_text(url) for _, url in split_elements(octets))


def _read_text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


# ---------------------------------------------------------------- what results mean

SUCCESS = 0
SIZE_LIMIT_EXCEEDED = 4
COMPARE_FALSE = 5
COMPARE_TRUE = 6
REFERRAL = 10
ADMIN_LIMIT_EXCEEDED = 11
UNAVAILABLE_CRITICAL_EXTENSION = 12
NO_SUCH_ATTRIBUTE = 16
UNDEFINED_ATTRIBUTE_TYPE = 17
INAPPROPRIATE_MATCHING = 18
CONSTRAINT_VIOLATION = 19
ATTRIBUTE_OR_VALUE_EXISTS = 20
NO_SUCH_OBJECT = 32
INVALID_DN_SYNTAX = 34
DENIED = 50
OBJECT_CLASS_VIOLATION = 65
ASSERTION_FAILED = 122

ANSWERS = frozenset(
    {SUCCESS, COMPARE_FALSE, COMPARE_TRUE, NO_SUCH_ATTRIBUTE, ASSERTION_FAILED}
)
"""What a modify or a compare may well be answered with; everything else is an error of the
server's or of ours."""

UNSEEN = frozenset({NO_SUCH_OBJECT, DENIED})
"""How a search may well end that asks for what a server need not have, or show: its
configuration, for instance."""

PAGES_REFUSED = frozenset({ADMIN_LIMIT_EXCEEDED, UNAVAILABLE_CRITICAL_EXTENSION})
"""How a first page ends that the server does not give: OpenLDAP's size.pr and size.prtotal
are such limits."""

UNWILLING = (
    "; the server lists a control and refuses it here. "
    "Ask its administrator, or list another server in `urls`"
)
_CUT_SHORT = "the server's {limit} cut the search below {{base!r}}{{looked}} short"
_FAILURES: Mapping[int, tuple[type[IncompleteRead], str]] = {
    3: (LimitError, _CUT_SHORT.format(limit="time limit")),
    4: (LimitError, _CUT_SHORT.format(limit="size limit")),
    11: (LimitError, _CUT_SHORT.format(limit="administrative limit")),
    32: (IncompleteRead, "there is no entry {base!r}, or this account may not see it"),
    51: (UnreachableError, "the server cannot answer now"),
    52: (UnreachableError, "the server cannot answer now"),
}
"""What a search that ended so has failed with, and how it is told."""
_DENIED = frozenset({8, 13, 48, 49, 50})
PROOF_REFUSED = frozenset({19, 48, 49, 53})
"""How a bind ends whose password is wrong, or whose account is locked (389-DS: 19) or
disabled (389-DS: 53)."""
AWAY = frozenset({51, 52})
_SAID = """
INSUFF_ACCESS_RIGHTS ATTRIBUTE_OR_VALUE_EXISTS CONSTRAINT_ATT_TYPE WILL_NOT_PERFORM NO_ATTRIBUTE_OR_VAL
OBJ_CLASS_VIOLATION NO_OBJECT SecErr AtrErr NameErr UpdErr SvcErr LdapErr AcceptSecurityContext acl_read acl_modify
alias att backend bind bound busy comment confidentiality context down going loop naming per privilege problem replica
retrieving shadow shutdown shutting val add delete modify objectclass read search write
"""
"""Words of OpenLDAP's, 389-DS's and Active Directory's own messages ([MS-ADTS] 3.1.1.3.1.9)."""
_REASON = re.compile(r"AcceptSecurityContext error, data ([0-9A-Fa-f]{1,4})\b")
_CODES = (re.compile(r"^([0-9A-Fa-f]{8}): \w+Err: DSID-"), _REASON)
"""Windows' error codes in a message of Active Directory: before it, and of a refused bind."""
_IN_CLEAR = frozenset({8, 13})
_REASONS = {
    "525": "there is no such account",
    "52e": "wrong name or password. The name is a UPN (cec@example.org), EXAMPLE\\cec or a DN",
    "52f": "the account is restricted by its logon hours, its workstations or an empty password",
    "530": "the account may not log on at this hour",
    "531": "the account may not log on from this machine",
    "532": "the password has expired: set a new one. Let a service account's password never expire",
    "533": "the account is disabled: enable it",
    "701": "the account has expired: extend it",
    "773": 'the password must be changed at the first logon: set one without "must change at next logon"',
    "775": "the account is locked out after wrong passwords: unlock it. Check other jobs for an old password",
}
"""Windows' error codes in hexadecimal, as a domain controller puts them behind `data`."""


def name_result(code: int) -> str:
    """`sizeLimitExceeded (4)`."""
    return f"{RESULT_CODES.get(code, 'result')} ({code})"


def show_diagnostic(
    response: Response,
    secrets: Iterable[Value] = (),
    names: Iterable[str] = (),
) -> str:
    """The server's own words as far as they can be shown (`server_text.py`), after a colon if there are any.

    `secrets`: what was sent and is not to be heard. `names`: attributes that the server may speak of.
    """
    said = response.diagnostic
    codes = [code for each in _CODES for code in each.findall(said)]
    known = (*_SAID.split(), *RESULT_CODES.values(), *names, *codes)
    words = select_shown_words(said, secrets, known) if said else ""
    return f": {words}" if words else ""


def search_failure(
    response: Response,
    base: str,
    where: str,
    sought: Iterable[str] = (),
    advice: str = "",
) -> IncompleteRead:
    """What a search that ended so has failed with. A read that stopped early is never a success.

    `sought`: the attributes that it looked for. `advice`: what to do about a limit of this kind of server's, or a
    missing right.
    """
    code = response.code
    said = show_diagnostic(response, (), sought)
    if code == REFERRAL:
        return referral_error(response.referrals, base, where, said)
    kind, what = _FAILURES.get(
        code, (IncompleteRead, "the search below {base!r} failed")
    )
    if code in _DENIED:
        kind, what = DeniedError, "the search below {base!r} was denied"
    looked = f" for {', '.join(sorted(sought))}" if sought else ""
    what = what.format(base=base, looked=looked)
    todo = f"; {advice}" if advice else ""
    if code == UNAVAILABLE_CRITICAL_EXTENSION:
        todo = UNWILLING
    return kind(f"{what}: {name_result(code)}{said}{todo}", where=where)


def referral_error(
    uris: tuple[str, ...],
    base: str,
    where: str,
    said: str = "",
) -> ElsewhereError:
    """A part of what was asked for is on other servers, so not the whole was read. `said`: the server's words."""
    others = ", ".join(uris[:3]) or "another server"
    return ElsewhereError(
        f"a part of {base!r} is on another server: referral to {others}{said}",
        where=where,
    )


def explain_refused_bind(end: Response, *, in_clear: bool) -> str:
    """What a refused bind means and what to do, behind a semicolon; nothing where its code says all there is."""
    if end.code in _IN_CLEAR and in_clear:
        return "; this server takes credentials only over TLS: use ldaps://, or start_tls: true"
    reason = _REASON.search(end.diagnostic)
    known = _REASONS.get(reason[1].lower()) if reason else None
    if not known:
        return ""
    return f"; {known}"
