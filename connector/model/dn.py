"""Distinguished names (RFC 4514): taken apart, compared, and put in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Final

from connector.model import Equality, Value
from connector.model.folding import LIKENESSES, text_of

Rdn = frozenset[tuple[str, Hashable]]


_PLAIN_RDN = re.compile(r'[^\\",+;]*')
_ESCAPED = re.compile(r"\\([0-9a-fA-F]{2}|.)", re.DOTALL)
_TYPE = re.compile(r"[a-z][a-z0-9;-]*|\d+(\.\d+)+")
_TYPES: Final = {
    "2.5.4.3": "cn", "commonname": "cn", "2.5.4.11": "ou", "organizationalunitname": "ou", "2.5.4.10": "o",
    "organizationname": "o", "2.5.4.6": "c", "countryname": "c", "2.5.4.7": "l", "localityname": "l", "2.5.4.8": "st",
    "stateorprovincename": "st", "2.5.4.9": "street", "streetaddress": "street",
    "0.9.2342.19200300.100.1.25": "dc", "domaincomponent": "dc", "0.9.2342.19200300.100.1.1": "uid", "userid": "uid",
}  # fmt: skip


def dn_key(value: Value) -> Hashable:
    """A DN (RFC 4514) as its RDNs, each a set of (type, value); a value that is no DN is equal to itself alone."""
    text = text_of(value)
    try:
        return split_rdns(text)
    except ValueError:
        return ("no DN", text)


def split_rdns(name: str) -> tuple[Rdn, ...]:
    """The RDNs of a DN from the entry upwards, ready to compare; values compare as caseIgnore. Raises ValueError."""
    first, comma, above = name.partition(",")
    if comma and _PLAIN_RDN.fullmatch(first) and above.strip():
        return (rdn_key(first), *_split_above(above))
    return _parse_rdns(name)


def _parse_rdns(name: str) -> tuple[Rdn, ...]:
    return tuple(map(rdn_key, rdn_texts(name)))


# what stands above an entry is shared by most entries
_split_above = lru_cache(maxsize=4096)(_parse_rdns)


def rdn_texts(name: str) -> list[str]:
    """The RDNs of a DN from the entry upwards, as they are written."""
    return _split_at(name, ",;") if name.strip() else []


def rdn_key(
    text: str, rule_of: Callable[[str], Equality] = lambda kind: Equality.CASE_IGNORE
) -> Rdn:
    """An RDN, ready to compare. `rule_of`: how values of an attribute type compare. Raises ValueError."""
    return frozenset(_parse_attribute(part, rule_of) for part in _split_at(text, "+"))


def is_below(name: str, *bases: tuple[Rdn, ...], one_level: bool = False) -> bool:
    """Whether a DN is below a base, or is it, or is `one_level` below; a text that is no DN is the name of nobody."""
    try:
        found = split_rdns(name)
    except ValueError:
        return False
    for base in bases:
        depth = len(found) - len(base)
        if depth >= 0 and found[depth:] == base and (depth == 1 or not one_level):
            return True
    return False


def tidy_dn(name: str) -> str:
    """A DN without the spaces around its signs that RFC 4514 does not have, and some servers do not take."""
    return ",".join(
        "+".join(_tidy_parts(part) for part in _split_at(rdn, "+"))
        for rdn in _split_at(name, ",;")
    )


def _tidy_parts(part: str) -> str:
    kind, equals, raw = part.partition("=")
    return kind.strip() + equals + _strip_end(raw.lstrip(" "))


def _strip_end(raw: str) -> str:
    """A value without the spaces at its end; one that is escaped is a part of it."""
    bare = raw.rstrip(" ")
    if not bare.endswith("\\"):
        return bare
    escapes = len(bare) - len(bare.rstrip("\\"))
    return raw[: len(bare) + escapes % 2]


def naming_types(name: str) -> frozenset[str]:
    """The attribute types, in lower case, that name this entry; none for a name that is no DN."""
    try:
        rdns = split_rdns(name)
    except ValueError:
        return frozenset()
    return frozenset(kind for kind, _ in rdns[0]) if rdns else frozenset()


def _split_at(text: str, separators: str) -> list[str]:
    parts, start, place, quoted = [], 0, 0, False
    while place < len(text):
        letter = text[place]
        if letter == "\\":
            place += 1
        elif letter == '"':
            quoted = not quoted
        elif letter in separators and not quoted:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    return [*parts, text[start:]]


def _parse_attribute(
    text: str, rule_of: Callable[[str], Equality]
) -> tuple[str, Hashable]:
    written, equals, raw = text.partition("=")
    kind = type_of(written)
    if not (equals and kind):
        raise ValueError(f"{text!r} is no attribute=value")
    raw = raw.lstrip(" ")
    if raw.startswith("#"):
        return kind, raw.strip().lower()
    rule, value = rule_of(kind), unescape_value(raw)
    if rule is Equality.DN:
        return kind, dn_key(value)
    # a name's values count as equal where they are alike
    return kind, LIKENESSES[rule](value)


@lru_cache(maxsize=256)
def type_of(written: str) -> str:
    """An attribute type as types compare; the empty string for what is none."""
    kind = written.strip().lower().removeprefix("oid.")
    return _TYPES.get(kind, kind) if _TYPE.fullmatch(kind) else ""


def unescape_value(raw: str) -> str:
    """A value of a DN as it is meant (RFC 4514 §2.4); white space that is not escaped is no part of its ends."""
    body = _strip_end(raw)
    if len(body) > 1 and body[0] == body[-1] == '"':
        body = body[1:-1]
    if "\\" not in body:
        return body

    def octet(match: re.Match[str]) -> str:
        code = match.group(1)
        return chr(int(code, 16)) if len(code) == 2 else code

    # hex pairs are octets of UTF-8, so they must be put beside the octets of the rest
    # before decoding
    octets = _ESCAPED.sub(
        octet, body.encode("utf-8", "surrogateescape").decode("latin-1")
    )
    return octets.encode("latin-1").decode("utf-8", "surrogateescape")


def is_text(value: str) -> bool:
    """Whether what was unescaped is text, and not octets that stand for none."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
