"""Templates: field names in braces, each with transforms from a closed table. Nothing is ever evaluated.

    "{accountCode|lower}@example.org"      "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"

A transform's arguments follow it after colons; one that holds a colon, a bar or a brace is
put in single quotes:
`{workNo|pad:6}`, `{accountCode|replace:'_':'.'}`. `{{` and `}}` are braces. A template of which a field is absent, or
that comes out empty, has no value.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Final, Self

from msgspec import Struct

from connector.model import Agent, Held, Secret, Tenant, text_of
from connector.model.spelling import suggest_name
from connector.model.transforms import TRANSFORMS, Step, TemplateError

AGENT_FIELDS: Final = ("workNo", "accountCode", "sipAccount", "sipPwd")
TENANT_FIELDS: Final = ("sipServiceIp", "sipServicePort")
SECRET_FIELDS: Final = frozenset({"sipPwd"})

Render = Callable[[Agent], Held | None]


class TemplatePiece(Struct, frozen=True):
    """A field with its transforms, each as it is written; `default` stands in for an absent field."""

    field: str
    steps: tuple[tuple[str, Step], ...]

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
        return frozenset(
            piece.field
            for piece in self.pieces
            if isinstance(piece, TemplatePiece)
            and piece.field in TENANT_FIELDS
            and not piece.apply(_tenant_field(tenant, piece.field))
        )

    def outline(self, agent: Agent, tenant: Tenant | None) -> list[str | None]:
        """What each piece comes to, a secret one in clear; None where nothing is left of its field.

        Without a tenant, its fields are left open too.
        """
        return [
            piece if isinstance(piece, str) else _piece_of(piece, tenant, agent)
            for piece in self.pieces
        ]

    def find_missing(self, agent: Agent, tenant: Tenant) -> tuple[str, ...]:
        """The fields of which nothing is left for this agent, so that there is no value."""
        made = zip(self.pieces, self.outline(agent, tenant), strict=True)
        return tuple(
            piece.field
            for piece, text in made
            if isinstance(piece, TemplatePiece) and text is None
        )

    def fill_tenant(self, tenant: Tenant) -> Self:
        """The same with the tenant's fields filled in, as far as it has them."""
        filled = (
            piece.apply(_tenant_field(tenant, piece.field)) or piece
            if isinstance(piece, TemplatePiece) and piece.field in TENANT_FIELDS
            else piece
            for piece in self.pieces
        )
        return type(self)(self.text, tuple(filled))

    def bind(self, tenant: Tenant) -> Render:
        """A function from an agent to the value, or to None where a field of it is absent or nothing is left."""
        if self.missing(tenant):
            return lambda agent: None
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
    """What a piece comes to for an agent; None: nothing is left of its field."""
    if isinstance(piece, str):
        return lambda agent: piece
    get = _GETTERS[piece.field]
    return (lambda agent: piece.apply(get(agent)) or None) if piece.steps else get


def _sip_pwd(agent: Agent) -> str | None:
    return None if agent.sip_pwd is None else text_of(agent.sip_pwd)


_GETTERS: Final[dict[str, Callable[[Agent], str | None]]] = {
    "workNo": lambda agent: str(agent.work_no),
    "accountCode": attrgetter("account_code"),
    "sipAccount": attrgetter("sip_account"),
    "sipPwd": _sip_pwd,
}


def field_of(
    field: str,
    tenant: Tenant,
    agent: Agent,
) -> str | None:
    """What a field holds; of a secret field too, so that it is wrapped where it is not used up at once."""
    return _GETTERS[field](agent) if field in _GETTERS else _tenant_field(tenant, field)


def _tenant_field(tenant: Tenant, field: str) -> str | None:
    return tenant.sip_service_ip if field == "sipServiceIp" else tenant.sip_service_port


def _piece_of(
    piece: TemplatePiece,
    tenant: Tenant | None,
    agent: Agent,
) -> str | None:
    if piece.field in _GETTERS:
        return piece.apply(_GETTERS[piece.field](agent)) or None
    if tenant is None:
        return None
    return piece.apply(_tenant_field(tenant, piece.field)) or None


# ---------------------------------------------------------------- parsing


def _parse_pieces(text: str) -> list[str | TemplatePiece]:
    pieces: list[str | TemplatePiece] = []
    literal: list[str] = []
    faults: list[str] = []
    place = 0
    while place < len(text):
        pair, letter = text[place : place + 2], text[place]
        if pair in ("{{", "}}"):
            literal.append(letter)
            place += 2
        elif letter == "}":
            place += 1
            faults.append(
                f"a closing brace without an opening one, at character {place} (write }}}} for a brace)"
            )
        elif letter == "{":
            if literal:
                pieces.append("".join(literal))
                literal.clear()
            try:
                words, place = _parse_expression(text, place + 1)
            except TemplateError as fault:
                faults.append(str(fault))
                break
            try:
                pieces.append(_parse_piece(words))
            except TemplateError as fault:
                faults.append(str(fault))
        else:
            literal.append(letter)
            place += 1
    if literal:
        pieces.append("".join(literal))
    if faults:
        raise TemplateError(". Also: ".join(faults))
    return pieces


def _parse_expression(text: str, start: int) -> tuple[list[list[str]], int]:
    """The words between braces, by bars and then by colons, and the place behind the closing brace."""
    words: list[list[str]] = [[""]]
    place = start
    while place < len(text):
        letter = text[place]
        if letter == "'":
            end = text.find("'", place + 1)
            if end < 0:
                raise TemplateError(
                    f"an unclosed quotation mark at character {place + 1}"
                )
            words[-1][-1] += text[place + 1 : end]
            place = end
        elif letter == "}":
            return words, place + 1
        elif letter == "{":
            break
        elif letter == "|":
            words.append([""])
        elif letter == ":":
            words[-1].append("")
        else:
            words[-1][-1] += letter
        place += 1
    raise TemplateError(f"an unclosed brace at character {start}")


def _parse_piece(words: list[list[str]]) -> TemplatePiece:
    (field, *rest), *transforms = words
    field = field.strip()
    known = AGENT_FIELDS + TENANT_FIELDS
    faults: list[str] = []
    if rest or field not in known:
        faults.append(
            f"no field {':'.join([field, *rest])!r}{suggest_name(field, known)}; there are {', '.join(known)}"
        )
    steps: list[tuple[str, Step]] = []
    for name, *rest in transforms:
        try:
            steps.append(
                (":".join((name.strip(), *rest)), _parse_step(name.strip(), rest))
            )
        except TemplateError as fault:
            faults.append(str(fault))
    if faults:
        raise TemplateError(". Also: ".join(faults))
    return TemplatePiece(field, tuple(steps))


def _parse_step(name: str, arguments: list[str]) -> Step:
    transform = TRANSFORMS.get(name)
    if transform is None:
        raise TemplateError(
            f"no transform {name!r}{suggest_name(name, TRANSFORMS)}; there are {', '.join(TRANSFORMS)}"
        )
    if len(arguments) != len(transform.takes):
        raise TemplateError(
            f"{name} takes {len(transform.takes)} argument(s), not {len(arguments)}"
        )
    try:
        return transform.step(arguments)
    except TemplateError as fault:
        raise TemplateError(f"{name}: {fault}") from None
