"""From a template's text to a value that the directory's schema can hold, or that is a SIP or telephone address.

What is held to be a value here, is one to the servers: the grammars are those of RFC 4517
§3.3, narrowed to what the servers were measured to take
(tests/e2e/test_schema_checks_*.py). Where a server takes more than that, such as a minute
of 60 seconds, it is not worth a value that another one refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from connector.model import (
    Agent,
    AttributeInfo,
    Held,
    Syntax,
    Tenant,
    Unit,
    Value,
    ValueBounds,
    dn,
    folding,
)
from connector.model.equality import reveal_value
from connector.model.templates import Template

_FIRST_YEAR: Final = 1601
"""The calendar of Windows begins then ([MS-DTYP] 2.3.3)."""
_SPECIAL: Final = r'"+,;<>\\'
# 389-DS ends a value at an octet of 0
_PAIR: Final = rf"\\(?:[{_SPECIAL} #=]|(?!00)[0-9A-Fa-f]{{2}})"
_KIND: Final = r"[A-Za-z][A-Za-z0-9-]*"  # no numbers: 389-DS refuses them
_PART: Final = re.compile(
    rf"\ *(?P<kind>{_KIND})\ *=\ *+"
    rf'(?:"(?P<quoted>(?:[^"\\\x00]|{_PAIR})+)"|(?P<value>(?!\#)(?:[^{_SPECIAL}\x00]|{_PAIR})+?))\ *'
    r"(?P<then>[,;+]|\Z)",
    re.DOTALL,
)
_UID: Final = re.compile(r"#'[01]*'B\Z")
_PRINTABLE: Final = r"[A-Za-z0-9'()+,\-./:? =]+"
_WORD: Final = "[A-Za-z0-9-]"
_METHODS: Final = "any|mhs|physical|telex|teletex|g3fax|g4fax|ia5|videotex|telephone"
_FAX: Final = "twoDimensional|fineResolution|unlimitedLength|b4Length|a3Width|b4Width|uncompressed"
_HEX: Final = "[0-9A-Fa-f]"


class UnfitError(ValueError):
    """A text that the attribute cannot hold; the message never repeats it, for it may be a secret."""


def fit_text(info: AttributeInfo, text: str) -> Value:
    """The text as a value of the attribute's syntax (RFC 4517 §3.3), in its canonical form. Raises UnfitError."""
    value = _FIT.get(info.syntax, str)(text)
    if info.bounds.max_length is not None or info.bounds.min_length:
        _check_length(info, value)
    if info.syntax is Syntax.INTEGER:
        _check_bounds(info, int(value))
    return value


def make_fit(info: AttributeInfo) -> Callable[[str], Value]:
    """The same, for whoever fits many texts."""
    if info.bounds == ValueBounds():
        return _FIT.get(info.syntax, str)
    return partial(fit_text, info)


def _check_length(info: AttributeInfo, value: Value) -> None:
    length, unit = _measure_length(value, info.bounds.unit)
    if info.bounds.max_length is not None and length > info.bounds.max_length:
        raise UnfitError(
            f"{length} {unit}, and {info.name} holds at most {info.bounds.max_length}"
        )
    if length < info.bounds.min_length:
        raise UnfitError(
            f"{length} {unit}, and {info.name} holds at least {info.bounds.min_length}"
        )


def _measure_length(value: Value, unit: Unit) -> tuple[int, str]:
    """How long it is, and in what."""
    if isinstance(value, bytes):
        return len(value), "octets"
    if value.isascii() or unit == "characters":
        return len(value), "characters"
    if unit == "octets":
        return len(value.encode()), "octets"
    return len(value.encode("utf-16-le")) // 2, "characters"


def check_defined(
    value: str,
    types: Collection[str],
    classes: Collection[str],
) -> None:
    """Hold an object identifier to what a schema defines. Raises UnfitError."""
    if value.lower() not in types and value.lower() not in classes:
        raise UnfitError("the directory's schema does not define this name")


def check_names(
    info: AttributeInfo,
    value: str,
    types: Mapping[str, AttributeInfo],
) -> None:
    """Hold a distinguished name to the attribute types of a schema, as servers that parse it do. Raises UnfitError."""
    for rdn in _split_name(
        _without_uid(value) if info.syntax is Syntax.NAME_AND_UID else value
    ):
        for kind, text in rdn:
            naming = types.get(kind.lower())
            if naming is None:
                raise UnfitError(
                    f"it is a DN by {kind}, and the directory's schema has no such attribute"
                )
            try:
                same = naming.octets or fit_text(naming, text) == text
            except UnfitError:
                same = False
            if not same or (
                naming.syntax is Syntax.IA5 and not text.strip(" ")
            ):  # measured: OpenLDAP
                raise UnfitError(f"it is a DN with a value that {kind} cannot hold")


def _check_bounds(info: AttributeInfo, number: int) -> None:
    if info.bounds.least is not None and number < info.bounds.least:
        raise UnfitError(
            f"it is less than {info.bounds.least}, the least of {info.name}"
        )
    if info.bounds.most is not None and number > info.bounds.most:
        raise UnfitError(f"it is more than {info.bounds.most}, the most of {info.name}")


def _make_check(pattern: str, what: str) -> Callable[[str], str]:
    expression = re.compile(pattern, re.DOTALL)

    def check(text: str) -> str:
        if not expression.fullmatch(text):
            raise UnfitError(f"it is not {what}")
        return text

    return check


_whole_number: Final = _make_check(r"\s*[+-]?[0-9]{1,1000}\s*", "a whole number")
_decimal_number: Final = _make_check(
    r"\s*[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?\s*",
    "a decimal number",
)


def _fit_integer(text: str) -> str:
    """Servers refuse `007` and `+7` (measured: result 21), and what they accept they store as `7`."""
    if (
        text.isascii()
        and text.isdecimal()
        and text[0] != "0"
        and len(text) < folding.SHORT_NUMBER
    ):
        return text  # nearly every number is written so already
    return str(int(_whole_number(text)))


def _fit_decimal(text: str) -> str:
    """As a JSON number is read (RFC 8259 §6), which keeps some fifteen digits."""
    number = float(_decimal_number(text))
    short = str(int(number)) if number.is_integer() else repr(number)
    if Decimal(short) != Decimal(text):
        raise UnfitError("it has more digits than a JSON number keeps")
    return short


def _fit_boolean(text: str) -> str:
    word = text.strip().lower()
    if word in {"true", "yes", "1"}:
        return "TRUE"
    if word in {"false", "no", "0"}:
        return "FALSE"
    raise UnfitError("it is neither true nor false")


def _fit_ascii(text: str) -> str:
    if not text.isascii():
        raise UnfitError("it is not ASCII, and this attribute holds ASCII only")
    return text


def _refuse_encoded(_: str) -> str:
    raise UnfitError(
        "it is text, and this attribute holds certificates or other encoded data only"
    )


# ---------------------------------------------------------------- time


def _fit_time(text: str) -> str:
    """GeneralizedTime (RFC 4517 §3.3.13), and the days that the calendar has."""
    _read_instant(text)
    return text


def _full_time(text: str) -> str:
    """Active Directory's form of it, which others it takes for something else: `202601311200Z` is a day of 2022."""
    instant = _read_instant(text)
    if not instant.year >= _FIRST_YEAR:
        raise UnfitError(f"it is a time before the year {_FIRST_YEAR}")
    if instant.microsecond:
        raise UnfitError(
            "it is a time with fractions of a second, which the directory does not store"
        )
    return f"{instant:%Y%m%d%H%M%S}.0Z"


def _utc_time(text: str) -> str:
    """UTC Time (RFC 4517 §3.3.34) with its seconds; the years from 50 on are of the last century."""
    match = re.fullmatch(r"([0-9]{2})([0-9]{8})([0-9]{2})?Z", text)
    if match is None:
        raise UnfitError("it is not a time such as 260131120000Z")
    year, middle, seconds = match.groups()
    _read_instant(f"{'19' if year >= '50' else '20'}{year}{middle}{seconds or '00'}Z")
    return f"{year}{middle}{seconds or '00'}Z"


def _date_time(text: str) -> str:
    if folding.date_time(text) is None:
        raise UnfitError("it is not a time such as 2026-01-31T12:00:00Z")
    return text


def _read_instant(text: str) -> datetime:
    """What a GeneralizedTime means, in UTC. Raises UnfitError."""
    match = folding.TIME.fullmatch(text)
    if match is None:
        raise UnfitError("it is not a time such as 20260131120000Z")
    day, hour, minute, second, part, sign, hours, minutes = match.groups()
    unit = (
        timedelta(seconds=1)
        if second
        else timedelta(minutes=1)
        if minute
        else timedelta(hours=1)
    )
    try:
        moment = datetime.combine(
            date.fromisoformat(day),
            time(int(hour), int(minute or 0), int(second or 0)),
            UTC,
        )
        beside = time(int(hours or 0), int(minutes or 0))
        away = timedelta(hours=beside.hour, minutes=beside.minute)
        return (
            moment + unit * float(f"0.{part or 0}") + (away if sign == "-" else -away)
        )
    except (ValueError, OverflowError):
        raise UnfitError("it is not a time: no such day or hour") from None


# ---------------------------------------------------------------- names of entries


def _fit_name(text: str) -> str:
    for _ in _split_name(text):
        pass
    return dn.tidy_dn(text)


def _split_name(name: str) -> list[list[tuple[str, str]]]:
    """The RDNs of a DN (RFC 4514), each with its types and values; none for the empty name. Raises UnfitError."""
    rdns: list[list[tuple[str, str]]] = []
    place, then = 0, ","
    while place < len(name) or (rdns and then):
        match = _PART.match(name, place)
        if match is None:
            raise UnfitError("it is not a distinguished name")
        value = dn.unescape_value(
            match["value"] if match["quoted"] is None else f'"{match["quoted"]}"'
        )
        if not dn.is_text(value):
            raise UnfitError(
                "it is not a distinguished name: escaped octets in it are no UTF-8"
            )
        if then == "+":
            if dn.type_of(match["kind"]) in {
                dn.type_of(kind) for kind, _ in rdns[-1]
            }:  # RFC 4512 §2.3.1
                raise UnfitError(
                    "it is not a distinguished name: one part of it has an attribute twice"
                )
            rdns[-1].append((match["kind"], value))
        else:
            rdns.append([(match["kind"], value)])
        place, then = match.end(), match["then"]
    return rdns


def _without_uid(text: str) -> str:
    return _UID.sub("", text)


def _name_and_uid(text: str) -> str:
    if not _split_name(_without_uid(text)):
        raise UnfitError(
            "it is not a distinguished name with bits such as #'01'B behind it"
        )
    return text


_FIT: Final[dict[Syntax, Callable[[str], Value]]] = {
    Syntax.IA5: _fit_ascii,
    Syntax.PRINTABLE: _make_check(
        _PRINTABLE, "made of letters, digits and '()+,-./:? = alone"
    ),
    Syntax.TELEPHONE: _make_check(
        _PRINTABLE, "a telephone number (letters, digits and '()+,-./:? = alone)"
    ),
    Syntax.NUMERIC: _make_check(r"[0-9 ]+", "made of digits"),
    Syntax.INTEGER: _fit_integer,
    Syntax.DECIMAL: _fit_decimal,
    Syntax.BOOLEAN: _fit_boolean,
    Syntax.TIME: _fit_time,
    Syntax.FULL_TIME: _full_time,
    Syntax.UTC_TIME: _utc_time,
    Syntax.DATE_TIME: _date_time,
    Syntax.DN: _fit_name,
    Syntax.OCTETS: str.encode,
    Syntax.COUNTRY: _make_check(
        r"[A-Za-z0-9'()+,\-./:? =]{2}", "the two letters of a country"
    ),
    Syntax.BITS: _make_check(r"'[01]*'B", "bits such as '0101'B"),
    Syntax.OID: _make_check(
        r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+", "an object identifier such as 1.3.6.1"
    ),
    Syntax.DEFINED: _make_check(
        r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+", "an object identifier"
    ),
    Syntax.UUID: _make_check(rf"{_HEX}{{8}}-({_HEX}{{4}}-){{3}}{_HEX}{{12}}", "a UUID"),
    Syntax.FACSIMILE: _make_check(
        rf"{_PRINTABLE}(\$({_FAX}))*",
        "a facsimile number such as +49 30 123$fineResolution",
    ),
    Syntax.TELEX: _make_check(
        rf"{_PRINTABLE}(\${_PRINTABLE}){{2}}",
        "a telex number of three parts with $ between them",
    ),
    Syntax.POSTAL: _make_check(
        r"([^\\]|\\24|\\5[Cc])*",
        "a postal address: a backslash in it is written as \\5C",
    ),
    Syntax.DELIVERY: _make_check(
        rf"({_METHODS})( *\$ *({_METHODS}))*",
        "a delivery method such as any or telephone",
    ),
    Syntax.NAME_AND_UID: _name_and_uid,
    Syntax.NETGROUP: _make_check(
        rf"\({_WORD}*,{_WORD}*,{_WORD}*\)", "a triple such as (host,user,domain)"
    ),
    Syntax.BOOT: _make_check(
        rf"{_WORD}+={_WORD}+:[!-~]+", "a boot parameter such as key=host:path"
    ),
    Syntax.ENCODED: _refuse_encoded,
}


# ---------------------------------------------------------------- SIP and telephone addresses


_SCHEMES: Final = ("sip:", "sips:", "tel:")
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME: Final = rf"(?:{_LABEL}\.)*(?![0-9]){_LABEL}\.?"
_HOST: Final = rf"{_NAME}|[0-9]{{1,3}}(?:\.[0-9]{{1,3}}){{3}}|\[[0-9A-Fa-f:.]+\]"
_MORE: Final = r"(?:[;?](?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$=?]|%[0-9A-Fa-f]{2})+)*"
"""Parameters and headers."""
_USER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+")
_HOST_PORT: Final = re.compile(rf"(?:{_HOST})(?::[0-9]{{1,5}})?{_MORE}")
_ALONE: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/:\[\]]|%[0-9A-Fa-f]{2})+")
_NUMBER: Final = re.compile(rf"\+?[0-9A-Fa-f*#().-]+{_MORE}")
_SPACE: Final = re.compile(r"\s")


def check_address(
    value: Held,
    template: Template,
    agent: Agent,
    tenant: Tenant,
) -> None:
    """Hold what a template made to RFC 3261 §25.1, or to RFC 3966 §3. Raises UnfitError, which never repeats it.

    A space that the template itself has ends the address: what follows is a label (RFC
    2079). Right after the colon it makes the whole a text, such as `SIP: 7001`.
    """
    text = reveal_value(value)
    if isinstance(text, bytes) or not text[:5].lower().startswith(_SCHEMES):
        return
    address, label = "", None
    for piece, made in zip(
        template.pieces, template.outline(agent, tenant), strict=True
    ):
        label = _SPACE.search(piece) if isinstance(piece, str) else None
        address += (made or "")[: label.start() if label else None]
        if label:
            break
    scheme, _, rest = address.partition(":")
    if label and not rest:
        return
    user, at, host = rest.rpartition("@")
    if scheme.lower() == "tel":
        if not _NUMBER.fullmatch(rest):
            raise UnfitError(
                "it is not a telephone number (RFC 3966): use digits and -.()*# alone. Fix it in the tenant"
            )
    elif at and not _USER.fullmatch(user):
        why = "no space, no second @, no colon, ASCII alone"
        raise UnfitError(
            f"the part before @ is not a user of a SIP URI (RFC 3261): {why}. Fix it in the tenant"
        )
    elif not (_HOST_PORT if at else _ALONE).fullmatch(host):
        why = "a name, an IPv4 address, or an IPv6 address in brackets (`|host`)"
        raise UnfitError(
            f"the host is not one of a SIP URI (RFC 3261): {why}. Fix it in the tenant"
        )
