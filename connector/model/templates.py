"""Templates: field names in braces, each with transforms from a closed table. Nothing is ever evaluated.

    "{accountCode|lower}@example.org"      "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"

A transform's arguments follow it after colons; one that holds a colon, a bar or a brace is
put in single quotes:
`{workNo|pad:6}`, `{accountCode|replace:'_':'.'}`. `{{` and `}}` are braces. A template of which a field is absent, or
that comes out empty, has no value.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter
from typing import Final, Self

from msgspec import Struct

from connector.model import Agent, Held, Secret, Tenant, text_of

Step = Callable[[str], str]


class TemplateError(ValueError):
    """A template that cannot be: the message says what and where in it."""


class Transform(Struct, frozen=True):
    """One line of the table: what it does to a value, and what reads each of its arguments."""

    does: Callable[..., str]
    takes: tuple[Callable[[str], object], ...] = ()


def _read_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise TemplateError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _take_some(text: str) -> str:
    if not text:
        raise TemplateError("an empty argument")
    return text


def _bracket_host(value: str) -> str:
    """RFC 3261 §25.1: an IPv6 address stands in brackets in a URI; only such an address has two colons."""
    return f"[{value}]" if value.count(":") > 1 and not value.startswith("[") else value


def _keep_digits(value: str) -> str:
    return "".join(letter for letter in value if letter in "0123456789")


TRANSFORMS: Final[dict[str, Transform]] = {
    "lower": Transform(str.lower),
    "upper": Transform(str.upper),
    "strip": Transform(str.strip),
    "digits": Transform(_keep_digits),
    "nfc": Transform(partial(unicodedata.normalize, "NFC")),
    "host": Transform(_bracket_host),
    "pad": Transform(lambda value, width: value.rjust(width, "0"), (_read_count,)),
    "unpad": Transform(lambda value: value.lstrip("0") or value[-1:]),
    "first": Transform(lambda value, count: value[:count], (_read_count,)),
    "last": Transform(lambda value, count: value[-count:], (_read_count,)),
    "replace": Transform(str.replace, (_take_some, str)),
    "before": Transform(
        lambda value, separator: value.partition(separator)[0], (_take_some,)
    ),
    "after": Transform(
        lambda value, separator: value.partition(separator)[2], (_take_some,)
    ),
    "default": Transform(lambda value, text: value or text, (str,)),
}
"""What each does is in docs/mapping-file.md."""


_OF_AGENT: Final[dict[str, Callable[[Agent], str | None]]] = {
    "workNo": lambda agent: str(agent.work_no),
    "accountCode": attrgetter("account_code"),
    "sipAccount": attrgetter("sip_account"),
    "sipPwd": lambda agent: text_of(agent.sip_pwd) if agent.sip_pwd else None,
}


def _get_of_account(name: str) -> Callable[[Agent], str | None]:
    get = attrgetter(name)
    return lambda agent: None if agent.account is None else get(agent.account)


_OF_ACCOUNT: Final = {
    "email": _get_of_account("email"),
    "phone": _get_of_account("phone"),
    "userName": _get_of_account("user_name"),
    "agentType": _get_of_account("agent_type"),
}
_OF_TENANT: Final[dict[str, Callable[[Tenant], str | None]]] = {
    "sipServiceIp": attrgetter("sip_service_ip"),
    "sipServicePort": attrgetter("sip_service_port"),
}
AGENT_FIELDS: Final = tuple(_OF_AGENT)
ACCOUNT_FIELDS: Final = tuple(_OF_ACCOUNT)
"""Fields of the tenant's account list, which a job reads by `source.accounts`."""
TENANT_FIELDS: Final = tuple(_OF_TENANT)
SECRET_FIELDS: Final = frozenset({"sipPwd"})

Render = Callable[[Agent], Held | None]


def field_of(
    field: str,
    tenant: Tenant,
    agent: Agent,
) -> str | None:
    """What a field holds; of a secret field too, so that it is wrapped where it is not used up at once."""
    if field in _OF_TENANT:
        return _OF_TENANT[field](tenant)
    return (_OF_AGENT | _OF_ACCOUNT)[field](agent)


class TemplatePiece(Struct, frozen=True):
    """A field with its transforms, each as it is written; `default` stands in for an absent field."""

    field: str
    steps: tuple[tuple[str, Step], ...] = ()

    def apply(self, value: str | None) -> str | None:
        for name, step in self.steps:
            if value is None:
                if not name.startswith("default:"):
                    continue
                value = ""
            value = step(value)
        return value


class Template(Struct, frozen=True):
    """A parsed template; `bind` it to a tenant, then render it for each agent."""

    text: str
    pieces: tuple[str | TemplatePiece, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises TemplateError."""
        pieces = tuple(_parse_pieces(text))
        if not pieces:
            raise TemplateError("an empty template")
        return cls(text, pieces)

    @property
    def fields(self) -> frozenset[str]:
        return frozenset(
            piece.field for piece in self.pieces if isinstance(piece, TemplatePiece)
        )

    @property
    def secret(self) -> bool:
        """Whether it names a secret field, so that whatever it renders is a secret."""
        return bool(self.fields & SECRET_FIELDS)

    def missing(self, tenant: Tenant) -> frozenset[str]:
        """The fields of the tenant of which nothing is left."""
        return self.fill_tenant(tenant).fields.intersection(TENANT_FIELDS)

    def outline(
        self,
        agent: Agent,
        tenant: Tenant | None,
    ) -> list[str | None]:
        """What each piece comes to, a secret one in clear; None where nothing is left of its field.

        Without a tenant, its fields are left open too.
        """
        filled = self.fill_tenant(tenant) if tenant else self
        return [_bind_piece(piece)(agent) for piece in filled.pieces]

    def find_missing(
        self,
        agent: Agent,
        tenant: Tenant,
    ) -> tuple[str, ...]:
        """The fields of which nothing is left for this agent, so that there is no value."""
        made = zip(self.pieces, self.outline(agent, tenant), strict=True)
        return tuple(
            piece.field
            for piece, text in made
            if isinstance(piece, TemplatePiece) and text is None
        )

    def fill_tenant(self, tenant: Tenant) -> Self:
        """The same with the tenant's fields filled in, as far as it has them."""
        filled: list[str | TemplatePiece] = []
        for piece in self.pieces:
            if isinstance(piece, TemplatePiece) and piece.field in _OF_TENANT:
                filled.append(piece.apply(_OF_TENANT[piece.field](tenant)) or piece)
            else:
                filled.append(piece)
        return type(self)(self.text, tuple(filled))

    def bind(self, tenant: Tenant) -> Render:
        """A function from an agent to the value, or to None where a field of it is absent or nothing is left."""
        render = self._bind_fields(tenant)
        fields = self.fields.intersection(ACCOUNT_FIELDS)
        if not fields:
            return render
        return lambda agent: None if agent.has_unknown(fields) else render(agent)

    def _bind_fields(self, tenant: Tenant) -> Render:
        match self.fill_tenant(tenant).pieces:
            case (TemplatePiece("sipPwd", ()),):
                return attrgetter("sip_pwd")
            case (piece,) if not self.secret:
                return _bind_piece(piece)
            case pieces:
                makers = [_bind_piece(piece) for piece in pieces]
        make_value: Callable[[str], Held] = Secret if self.secret else str

        def render(agent: Agent) -> Held | None:
            words = []
            for make in makers:
                word = make(agent)
                if not word:
                    return None
                words.append(word)
            return make_value("".join(words))

        return render


def _bind_piece(piece: str | TemplatePiece) -> Callable[[Agent], str | None]:
    """What a piece comes to for an agent; None: nothing is left of its field, or it is the tenant's."""
    if isinstance(piece, str):
        return lambda agent: piece
    if piece.field in _OF_TENANT:
        return lambda agent: None
    get = (_OF_AGENT | _OF_ACCOUNT)[piece.field]
    return (lambda agent: piece.apply(get(agent)) or None) if piece.steps else get


# ---------------------------------------------------------------- parsing

_TOKEN: Final = re.compile(
    r"(?P<brace>\{\{|\}\})|\{(?P<field>(?:'[^']*'|[^{}'])*)\}|(?P<text>[^{}]+)"
)


def _parse_pieces(text: str) -> list[str | TemplatePiece]:
    """Raises TemplateError with all faults."""
    pieces: list[str | TemplatePiece] = []
    faults: list[str] = []
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None and text[place] == "{":
            faults.append(f"an unclosed brace at character {place + 1}")
            break
        place = token.end() if token else place + 1
        if token is None:
            faults.append(
                f"a closing brace without an opening one, at character {place} (write }}}} for a brace)"
            )
        elif token["field"] is not None:
            pieces.append(_parse_field(token["field"], faults))
        else:
            pieces.append(token["text"] or token["brace"][0])
    if faults:
        raise TemplateError(". Also: ".join(faults))
    return pieces


def _parse_field(expression: str, faults: list[str]) -> TemplatePiece:
    """What stands between braces. Its faults are added."""
    named, *transforms = _split_unquoted(expression, "|")
    field = named.strip()
    known = AGENT_FIELDS + ACCOUNT_FIELDS + TENANT_FIELDS
    if field not in known:
        faults.append(
            f"no field {field!r}{suggest_name(field, known)}; there are {', '.join(known)}"
        )
    steps = []
    for written in transforms:
        name, *arguments = [
            word.replace("'", "") for word in _split_unquoted(written, ":")
        ]
        try:
            step = _make_step(name.strip(), arguments)
        except TemplateError as fault:
            faults.append(str(fault))
        else:
            steps.append((":".join((name.strip(), *arguments)), step))
    return TemplatePiece(field, tuple(steps))


def _split_unquoted(text: str, separator: str) -> list[str]:
    """Split where no quotation mark is open."""
    return re.split(rf"[{separator}](?=(?:[^']*'[^']*')*[^']*$)", text)


def _make_step(name: str, arguments: list[str]) -> Step:
    """A transform with its arguments. Raises TemplateError."""
    transform = TRANSFORMS.get(name)
    if transform is None:
        raise TemplateError(
            f"no transform {name!r}{suggest_name(name, TRANSFORMS)}; there are {', '.join(TRANSFORMS)}"
        )
    if len(arguments) != len(transform.takes):
        raise TemplateError(
            f"{name} takes {len(transform.takes)} argument(s), not {len(arguments)}"
        )
    taken = []
    for take, argument in zip(transform.takes, arguments, strict=True):
        try:
            taken.append(take(argument))
        except TemplateError as fault:
            raise TemplateError(f"{name}: {fault}") from None
    does = transform.does
    return (lambda value: does(value, *taken)) if taken else does


_NEAR: Final = 0.75
"""Names that are less alike than this are two names, and no slip of the pen."""


def suggest_name(name: str, known: Iterable[str]) -> str:
    """The nearest name, as the end of a sentence; nothing where none is near."""
    names = {each.lower(): each for each in known}
    near = difflib.get_close_matches(
        name.lower(),
        names,
        n=1,
        cutoff=_NEAR,
    )
    return f" (did you mean {names[near[0]]}?)" if near else ""
