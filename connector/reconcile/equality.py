"""Whether two values of an attribute are the same: the only place that compares values of a directory.

Each rule of RFC 4517 §4.2 is a key: two values are equal when their keys are. Only that counts as equal which is so on
every server: equal in ASCII, ignoring case and runs of spaces where the rule does; all else, letter by letter.

Servers differ in the rest (RFC 4518: invisible characters, compatibility forms, case beyond ASCII, numbers written
otherwise). `likeness` is the looser key: values that are not alike are equal nowhere; whether two that are alike are
equal, the server has to say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import Final

from connector.model import Equality, Held, Secret, Value


def key(rule: Equality, value: Value) -> Hashable:
    """What equal values have in common. A value that does not fit its rule is equal to itself alone."""
    return _KEYS[rule](value)


def likeness(rule: Equality, value: Value) -> Hashable:
    """What values have in common that some server may take for equal; equal ones are alike."""
    return _LIKENESSES.get(rule, _KEYS[rule])(value)


def likenesses_of(rule: Equality) -> Callable[[Value], Hashable]:
    """The `likeness` of one rule, for whoever compares many values by it."""
    return _LIKENESSES.get(rule, _KEYS[rule])


def alike(rule: Equality, some: Iterable[Held], others: Iterable[Held]) -> bool:
    """Whether two collections may hold the same values, as some server has it."""
    return {likeness(rule, plain(value)) for value in some} == {likeness(rule, plain(value)) for value in others}


def keys_of(rule: Equality) -> Callable[[Value], Hashable]:
    """The `key` of one rule, for whoever compares many values by it."""
    return _KEYS[rule]


def digest(rule: Equality, value: Held) -> str:
    """32 hexadecimal digits that equal values have in common, and no others."""
    folded = _KEYS[rule](value if isinstance(value, str) else plain(value))
    said = folded if isinstance(folded, str) else f"\0{_said(folded)}"
    return sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _said(folded: Hashable) -> str:
    """A key as text: the same for equal ones, in whatever order a set gives its members."""
    if isinstance(folded, (tuple, frozenset)):
        parts = list(map(_said, folded))
        return f"({','.join(parts if isinstance(folded, tuple) else sorted(parts))})"
    return repr(folded.normalize() if isinstance(folded, Decimal) else folded)


def same_set(rule: Equality, some: Iterable[Held], others: Iterable[Held]) -> bool:
    """Whether two collections hold the same values, in whatever order."""
    return {key(rule, plain(value)) for value in some} == {key(rule, plain(value)) for value in others}


def minus(rule: Equality, some: Iterable[Held], others: Iterable[Held]) -> tuple[Held, ...]:
    """Those of `some` that are not among `others`."""
    if some == others:
        return ()
    if not others:
        return tuple(some)
    without = {key(rule, plain(value)) for value in others}
    return tuple(value for value in some if key(rule, plain(value)) not in without)


def plain(value: Held) -> Value:
    """The value, out of its `Secret` where it is in one; for comparing only."""
    return value.reveal() if isinstance(value, Secret) else value


def _text(value: Value) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _octets(value: Value) -> Hashable:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


_RUNS = re.compile(" {2,}")
_LOWER: Final = str.maketrans({letter: chr(letter + 32) for letter in range(ord("A"), ord("Z") + 1)})


def _case_exact(value: Value) -> Hashable:
    text = value if isinstance(value, str) else _text(value)
    return _RUNS.sub(" ", text.strip(" ")) if " " in text else text


def _case_ignore(value: Value) -> Hashable:
    # nearly every value is one word of ASCII, of which nothing has to be prepared but its case
    text = value if isinstance(value, str) else _text(value)
    if " " in text:
        text = _RUNS.sub(" ", text.strip(" "))
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _case_alone(value: Value) -> Hashable:
    return _text(value).translate(_LOWER)


_SPACES = re.compile(r"\s+")
# RFC 4518 §2.2: soft hyphen, joiners, variation selectors, zero-width and other invisible letters map to nothing.
_NOTHING = re.compile(
    "[\u00ad\u034f\u1806\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\ufffc]"
)


def _like_exact(value: Value) -> Hashable:
    if isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value:
        return value
    text = _text(value)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _NOTHING.sub("", text))
    return _SPACES.sub(" ", text.strip())


def _like_ignoring_case(value: Value) -> Hashable:
    if isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value:
        return value.lower()
    text = _like_exact(value)
    assert isinstance(text, str)
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text.casefold())


def _like_alone(value: Value) -> Hashable:
    return _text(value).casefold()


def _numeric(value: Value) -> Hashable:
    return _text(value).replace(" ", "")


def _telephone(value: Value) -> Hashable:
    return _text(value).replace(" ", "").replace("-", "")


_TELEPHONE_NOISE = re.compile(r"[\s\-\u00ad\u2010\u2011\u2212\ufe63\uff0d]")


def _like_telephone(value: Value) -> Hashable:
    return _TELEPHONE_NOISE.sub("", _text(value)).lower()


SHORT_NUMBER: Final = 20
"""With fewer digits a number is read without more ado."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")


_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,3999}")


def _integer(value: Value) -> Hashable:
    text = _text(value)
    return int(text) if _PLAIN_INTEGER.fullmatch(text) else text


def _like_integer(value: Value) -> Hashable:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < SHORT_NUMBER:
        return int(value)
    text = _text(value).strip()
    return int(text) if _INTEGER.fullmatch(text) else text


_DECIMAL = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?")


def _decimal(value: Value) -> Hashable:
    text = _text(value).strip()
    return Decimal(text) if text.isascii() and _DECIMAL.fullmatch(text) else text


def _boolean(value: Value) -> Hashable:
    return _text(value).strip().upper()


_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d+))?(Z|[+-]\d\d(?:\d\d)?)")


def _like_time(value: Value) -> Hashable:
    """GeneralizedTime (RFC 4517 §3.3.13) as an instant in UTC where it is well-formed and in UTC, else as it is."""
    text = _text(value).strip()
    match = _TIME.fullmatch(text)
    if match is None or match.group(8) != "Z":
        return text
    year, month, day, hour, minute, second, fraction, _ = match.groups()
    return (year, month, day, hour, minute or "00", second or "00", (fraction or "").rstrip("0"))


_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def date_time(text: str) -> datetime | None:
    """A time as SCIM has it (RFC 7643 §2.3.5), in UTC where it says how far from there; None where it is none."""
    try:
        moment = datetime.fromisoformat(text) if _DATE_TIME.fullmatch(text) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def _date_time(value: Value) -> Hashable:
    text = _text(value).strip()
    return date_time(text) or text


def _uuid(value: Value) -> Hashable:
    return _text(value).strip().lower()


# ---------------------------------------------------------------- names of entries


def _dn(value: Value) -> Hashable:
    """A DN (RFC 4514) as its RDNs, each a set of (type, value); a value that is no DN is equal to itself alone."""
    text = _text(value)
    try:
        return rdns(text)
    except ValueError:
        return ("no DN", text)


Rdn = frozenset[tuple[str, Hashable]]


_PLAIN_RDN = re.compile(r'[^\\",+;]*')


def rdns(name: str) -> tuple[Rdn, ...]:
    """The RDNs of a DN from the entry upwards, ready to compare; values compare as caseIgnore. Raises ValueError."""
    plain = _plain(name)
    return _rdns(name) if plain is None else (rdn(plain[0]), *plain[1])


def _plain(name: str) -> tuple[str, tuple[Rdn, ...]] | None:
    """The one attribute that names an entry, as it is written, and the RDNs above; None where it is no plain text."""
    first, comma, above = name.partition(",")
    return (first, _above(above)) if comma and _PLAIN_RDN.fullmatch(first) and above.strip() else None


def _rdns(name: str) -> tuple[Rdn, ...]:
    return tuple(map(rdn, rdn_texts(name)))


def rdn_texts(name: str) -> list[str]:
    """The RDNs of a DN from the entry upwards, as they are written."""
    return _split(name, ",;") if name.strip() else []


def rdn(text: str, rule_of: Callable[[str], Equality] = lambda kind: Equality.CASE_IGNORE) -> Rdn:
    """An RDN, ready to compare. `rule_of`: how values of an attribute type compare. Raises ValueError."""
    return frozenset(_attribute(part, rule_of) for part in _split(text, "+"))


_above = lru_cache(maxsize=4096)(_rdns)  # what stands above an entry is shared by most entries


def tidied(name: str) -> str:
    """A DN without the spaces around its signs that RFC 4514 does not have, and some servers do not take."""
    return ",".join("+".join(_tidied(part) for part in _split(rdn, "+")) for rdn in _split(name, ",;"))


def _tidied(part: str) -> str:
    kind, equals, raw = part.partition("=")
    value = raw.lstrip(" ")
    bare = value.rstrip(" ")
    # a space that is escaped is a part of the value
    return kind.strip() + equals + (bare + " " if bare.endswith("\\") and bare != value else bare)


def below(name: str, base: str) -> bool:
    """Whether an entry's DN is that of the base or of something under it. Raises ValueError for no DN."""
    upper = rdns(base)
    return not upper or rdns(name)[-len(upper) :] == upper


def naming(name: str) -> frozenset[str]:
    """The attribute types, in lower case, that name this entry; none for a name that is no DN."""
    try:
        plain = _plain(name)
        if plain is None:
            return frozenset(kind for kind, _ in _rdns(name)[0])
    except (ValueError, IndexError):
        return frozenset()
    written, equals, _ = plain[0].partition("=")
    return frozenset((_kind(written),)) if equals and _kind(written) else frozenset()


def _split(text: str, separators: str) -> list[str]:
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


_ESCAPED = re.compile(r"\\([0-9a-fA-F]{2}|.)", re.DOTALL)
_TYPE = re.compile(r"[a-z][a-z0-9;-]*|\d+(\.\d+)+")
_TYPES: Final = {
    "2.5.4.3": "cn", "commonname": "cn", "2.5.4.11": "ou", "organizationalunitname": "ou", "2.5.4.10": "o",
    "organizationname": "o", "2.5.4.6": "c", "countryname": "c", "2.5.4.7": "l", "localityname": "l", "2.5.4.8": "st",
    "stateorprovincename": "st", "2.5.4.9": "street", "streetaddress": "street",
    "0.9.2342.19200300.100.1.25": "dc", "domaincomponent": "dc", "0.9.2342.19200300.100.1.1": "uid", "userid": "uid",
}  # fmt: skip


def _attribute(text: str, rule_of: Callable[[str], Equality]) -> tuple[str, Hashable]:
    written, equals, raw = text.partition("=")
    kind = _kind(written)
    if not (equals and kind):
        raise ValueError(f"{text!r} is no attribute=value")
    raw = raw.lstrip(" ")
    if raw.startswith("#"):
        return kind, raw.strip().lower()
    return kind, likeness(rule_of(kind), unescape(raw))


@lru_cache(maxsize=256)
def _kind(written: str) -> str:
    """An attribute type as types compare; the empty string for what is none."""
    kind = written.strip().lower().removeprefix("oid.")
    return _TYPES.get(kind, kind) if _TYPE.fullmatch(kind) else ""


def unescape(raw: str) -> str:
    """A value of a DN as it is meant (RFC 4514 §2.4); white space that is not escaped is no part of its ends."""
    body = raw.rstrip(" ")
    if body.endswith("\\") and body != raw:
        body += " "
    if len(body) > 1 and body[0] == body[-1] == '"':
        body = body[1:-1]
    if "\\" not in body:
        return body

    def octet(match: re.Match[str]) -> str:
        code = match.group(1)
        return chr(int(code, 16)) if len(code) == 2 else code

    # hex pairs are octets of UTF-8, so they must be put beside the octets of the rest before decoding
    octets = _ESCAPED.sub(octet, body.encode("utf-8", "surrogateescape").decode("latin-1"))
    return octets.encode("latin-1").decode("utf-8", "surrogateescape")


def is_text(value: str) -> bool:
    """Whether what was unescaped is text, and not octets that stand for none."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


_KEYS: Final[dict[Equality, Callable[[Value], Hashable]]] = {
    Equality.CASE_IGNORE: _case_ignore,
    Equality.CASE_EXACT: _case_exact,
    Equality.CASE_ALONE: _case_alone,
    Equality.NUMERIC: _numeric,
    Equality.TELEPHONE: _telephone,
    Equality.INTEGER: _integer,
    Equality.DECIMAL: _decimal,
    Equality.BOOLEAN: _boolean,
    Equality.TIME: _text,
    Equality.DATE_TIME: _date_time,
    Equality.DN: _dn,
    Equality.UUID: _uuid,
    Equality.OCTETS: _octets,
}
_LIKENESSES: Final[dict[Equality, Callable[[Value], Hashable]]] = {
    Equality.CASE_IGNORE: _like_ignoring_case,
    Equality.CASE_EXACT: _like_exact,
    Equality.CASE_ALONE: _like_alone,
    Equality.TELEPHONE: _like_telephone,
    Equality.INTEGER: _like_integer,
    Equality.TIME: _like_time,
}
"""Of all other rules nothing is alike that is not equal. A name's values count as equal where they are alike."""
