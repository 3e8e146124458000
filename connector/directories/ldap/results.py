"""LDAP result codes (RFC 4511 appendix A.1 and its registry) by name, and which of them end a read with which error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from connector.directories.common.server_text import told
from connector.directories.ldap.responses import Response
from connector.errors import (
    DeniedError,
    ElsewhereError,
    IncompleteRead,
    LimitError,
    UnreachableError,
)
from connector.model import Value

SUCCESS: Final = 0
SIZE_LIMIT_EXCEEDED: Final = 4
COMPARE_FALSE: Final = 5
COMPARE_TRUE: Final = 6
REFERRAL: Final = 10
ADMIN_LIMIT_EXCEEDED: Final = 11
UNAVAILABLE_CRITICAL_EXTENSION: Final = 12
NO_SUCH_ATTRIBUTE: Final = 16
UNDEFINED_ATTRIBUTE_TYPE: Final = 17
INAPPROPRIATE_MATCHING: Final = 18
CONSTRAINT_VIOLATION: Final = 19
ATTRIBUTE_OR_VALUE_EXISTS: Final = 20
NO_SUCH_OBJECT: Final = 32
INVALID_DN_SYNTAX: Final = 34
DENIED: Final = 50
OBJECT_CLASS_VIOLATION: Final = 65
ASSERTION_FAILED: Final = 122

ANSWERS: Final = frozenset(
    {SUCCESS, COMPARE_FALSE, COMPARE_TRUE, NO_SUCH_ATTRIBUTE, ASSERTION_FAILED}
)
"""What a modify or a compare may well be answered with; everything else is an error of the
server's or of ours."""

UNSEEN: Final = frozenset({NO_SUCH_OBJECT, DENIED})
"""How a search may well end that asks for what a server need not have, or show: its
configuration, for instance."""

NAMES: Final = {
    0: "success", 1: "operationsError", 2: "protocolError", 3: "timeLimitExceeded", 4: "sizeLimitExceeded",
    5: "compareFalse", 6: "compareTrue", 7: "authMethodNotSupported", 8: "strongerAuthRequired", 10: "referral",
    11: "adminLimitExceeded", 12: "unavailableCriticalExtension", 13: "confidentialityRequired",
    14: "saslBindInProgress", 16: "noSuchAttribute", 17: "undefinedAttributeType", 18: "inappropriateMatching",
    19: "constraintViolation", 20: "attributeOrValueExists", 21: "invalidAttributeSyntax", 32: "noSuchObject",
    33: "aliasProblem", 34: "invalidDNSyntax", 36: "aliasDereferencingProblem", 48: "inappropriateAuthentication",
    49: "invalidCredentials", 50: "insufficientAccessRights", 51: "busy", 52: "unavailable",
    53: "unwillingToPerform", 54: "loopDetect", 64: "namingViolation", 65: "objectClassViolation",
    66: "notAllowedOnNonLeaf", 67: "notAllowedOnRDN", 68: "entryAlreadyExists", 69: "objectClassModsProhibited",
    71: "affectsMultipleDSAs", 80: "other", 118: "canceled", 122: "assertionFailed",
}  # fmt: skip

PAGES_REFUSED: Final = frozenset({ADMIN_LIMIT_EXCEEDED, UNAVAILABLE_CRITICAL_EXTENSION})
"""How a first page ends that the server does not give: OpenLDAP's size.pr and size.prtotal
are such limits."""

UNWILLING: Final = (
    "; the server lists a control and refuses it here. "
    "Ask its administrator, or list another server in `urls`"
)
NO_ADVICE: Final[Mapping[int, str]] = {}
_LIMITS: Final = {3: "time limit", 4: "size limit", 11: "administrative limit"}
_DENIED: Final = frozenset({8, 13, 48, 49, 50})
PROOF_REFUSED: Final = frozenset({19, 48, 49, 53})
"""How a bind ends whose password is wrong, or whose account is locked (389-DS: 19) or
disabled (389-DS: 53)."""
AWAY: Final = frozenset({51, 52})
_SAID: Final = """
INSUFF_ACCESS_RIGHTS ATTRIBUTE_OR_VALUE_EXISTS CONSTRAINT_ATT_TYPE WILL_NOT_PERFORM NO_ATTRIBUTE_OR_VAL
OBJ_CLASS_VIOLATION NO_OBJECT SecErr AtrErr NameErr UpdErr SvcErr LdapErr AcceptSecurityContext acl_read acl_modify
alias att backend bind bound busy comment confidentiality context down going loop naming per privilege problem replica
retrieving shadow shutdown shutting val add delete modify objectclass read search write
"""
"""Words of OpenLDAP's, 389-DS's and Active Directory's own messages ([MS-ADTS] 3.1.1.3.1.9)."""
_REASON: Final = re.compile(r"AcceptSecurityContext error, data ([0-9A-Fa-f]{1,4})\b")
_CODES: Final = (re.compile(r"^([0-9A-Fa-f]{8}): \w+Err: DSID-"), _REASON)
"""Windows' error codes in a message of Active Directory: before it, and of a refused bind."""
_IN_CLEAR: Final = frozenset({8, 13})
_REASONS: Final = {
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


def name(code: int) -> str:
    """`sizeLimitExceeded (4)`."""
    return f"{NAMES.get(code, 'result')} ({code})"


def diagnostic(
    response: Response, secrets: Iterable[Value] = (), names: Iterable[str] = ()
) -> str:
    """The server's own words as far as they can be shown (`server_text.py`), after a colon if there are any.

    `secrets`: what was sent and is not to be heard. `names`: attributes that the server may speak of.
    """
    codes = [code for each in _CODES for code in each.findall(response.diagnostic)]
    known = (*_SAID.split(), *NAMES.values(), *names, *codes)
    words = told(response.diagnostic, secrets, known) if response.diagnostic else ""
    return f": {words}" if words else ""


def failure(
    response: Response,
    base: str,
    where: str,
    sought: Iterable[str] = (),
    advice: Mapping[int, str] = NO_ADVICE,
) -> IncompleteRead | None:
    """What a search that ended so has failed with; None for success. A read that stopped early is never a success.

    `sought`: the attributes that it looked for. `advice`: what to do about a limit of this kind of server's, or a
    missing right, by code.
    """
    code = response.code
    if code == SUCCESS:
        return None
    if code == REFERRAL:
        return referral(
            response.referrals, base, where, diagnostic(response, (), sought)
        )
    kind, what = IncompleteRead, f"the search below {base!r} failed"
    if code in _LIMITS:
        looked = f" for {', '.join(sorted(sought))}" if sought else ""
        kind, what = (
            LimitError,
            f"the server's {_LIMITS[code]} cut the search below {base!r}{looked} short",
        )
    elif code == NO_SUCH_OBJECT:
        what = f"there is no entry {base!r}, or this account may not see it"
    elif code in _DENIED:
        kind, what = DeniedError, f"the search below {base!r} was denied"
    elif code in AWAY:
        kind, what = UnreachableError, "the server cannot answer now"
    todo = f"; {advice[code]}" if code in advice else ""
    if code == UNAVAILABLE_CRITICAL_EXTENSION:
        todo = UNWILLING
    return kind(
        f"{what}: {name(code)}{diagnostic(response, (), sought)}{todo}", where=where
    )


def referral(
    uris: tuple[str, ...], base: str, where: str, said: str = ""
) -> ElsewhereError:
    """A part of what was asked for is on other servers, so not the whole was read. `said`: the server's words."""
    others = ", ".join(uris[:3]) or "another server"
    return ElsewhereError(
        f"a part of {base!r} is on another server: referral to {others}{said}",
        where=where,
    )


def explained(end: Response, *, in_clear: bool) -> str:
    """What a refused bind means and what to do, behind a semicolon; nothing where its code says all there is."""
    if end.code in _IN_CLEAR and in_clear:
        return "; this server takes credentials only over TLS: use ldaps://, or start_tls: true"
    reason = _REASON.search(end.diagnostic)
    known = _REASONS.get(reason[1].lower()) if reason else None
    return f"; {known}" if known else ""
