"""Entries as they come off the wire into users: the attributes asked for, under the names they were asked by.

Nearly every attribute of nearly every user has one short value, and then everything in
front of the value is the same
for all users whose value is as long:

    30 15 04 03 u i d 31 0e 04 0c | a g e n t 0 0 0 0 0 0 7
    header                        | value

So the general decoder (`responses.attribute`) reads an attribute, and if it is in the
shortest form, its header is remembered with what it means. From then on these octets are
looked up instead of decoded: one slice and one look-up say that all tags and lengths are
right, which attribute it is and how long its value. The headers do not depend on one
another, so neither the order of attributes nor a missing one matters. Of attributes with
several values, which many users share (objectClass), the whole is remembered with what it
shows. Whatever is not known goes to the general decoder, attribute by attribute; what a
server can make us remember is bounded, and is never a secret.

Before all that an entry is held to the layout of the last one of its length (`ber.Layout`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from connector.directories.common.builtin_schema import known_schema
from connector.directories.common.entries import decode_text
from connector.directories.common.filter_matching import make_matcher
from connector.directories.common.ldap_filters import DisabledMark
from connector.directories.ldap import ber
from connector.directories.ldap.ber import (
    LONGEST,
    MOST_LAYOUTS,
    TRIAL,
    TRIALS,
    Decode,
    EntryLayout,
    Frame,
    Place,
    Row,
    Shown,
)
from connector.directories.ldap.dialect import read_id_text
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.responses import LEFT_OVER, TWICE, decode_attribute
from connector.errors import MalformedError
from connector.model import (
    ID,
    NAME,
    OBJECT_CLASS,
    UNIDENTIFIED,
    Batch,
    Secret,
    Texts,
    User,
    Value,
    View,
)

MOST_SPELLINGS: Final = 1000
MOST_HEADERS: Final = 10_000
MOST_WHOLES: Final = 1000
_LONGEST_WHOLE: Final = 1024
"""Octets of an attribute that is remembered whole."""
_RANGE: Final = re.compile(
    rb"(?P<description>.+);range=\d+-(?P<last>\d+|\*)", re.IGNORECASE
)
_LONGEST_PLACE: Final = 9
"""Digits of the place of a value."""
_AROUND: Final = 8
"""Octets of a header around the description: four tags, four lengths of one octet."""

_OFF: Final = "@off"
"""In the place of an attribute: whether the account is disabled."""


class _Column(Struct, frozen=True):
    """The names that one attribute is shown under, each with how its values are shown; none for what was not asked."""

    names: tuple[tuple[str, Decode], ...] = ()
    secret: bool = False


_NOT_ASKED: Final = _Column()


def _decode_secret(decode: Callable[[bytes], Value]) -> Decode:
    return lambda value: Secret(decode(value))


def _match_mark(mark: DisabledMark) -> Callable[[bytes], str]:
    """Whether a value says that its account is disabled, or an empty text; few values are said of many accounts.

    The server's own schema may have no equality rule for the mark (389-DS).
    """
    schema = known_schema()
    key, matches = schema.attribute_key(mark.attribute), make_matcher(mark.says, schema)
    return lru_cache(MOST_SPELLINGS)(
        lambda octets: _OFF if matches({key: [octets]}) else ""
    )


class UserDecoder:
    """What a view wants of each entry.

    An attribute description is matched whole: `cn;lang-de` is not `cn` (RFC 4512 §2.5),
    while `commonName` and a number are, since a server may answer by another name than it
    was asked by.
    """

    def __init__(self, view: View, inspection: Inspection) -> None:
        schema = inspection.schema
        self._key = schema.attribute_key
        identity = inspection.dialect.identity
        self.id_attribute = identity.attribute
        names = dict.fromkeys([*view.attributes, OBJECT_CLASS])
        mark = inspection.dialect.disabled
        marks = (
            (mark.attribute,) if schema.info(mark.attribute).definition.known else ()
        )
        self.attributes = (*dict.fromkeys([*names, *marks]), self.id_attribute)
        self._columns: dict[str, _Column] = {}
        self._add_column(self.id_attribute, ID, identity.show)
        for name in names:
            plain: Callable[[bytes], Value] = decode_text
            if inspection.info(name).octets:
                plain = bytes
            is_secret = name in view.secrets
            decode = _decode_secret(plain) if is_secret else plain
            self._add_column(name, name, decode, is_secret=is_secret)
        for name in marks:
            self._add_column(name, _OFF, _match_mark(mark))
        self._pieces: dict[str, int] = {}
        self._blank: list[str] = []
        self.unfinished: dict[str, dict[str, int]] = {}
        """By user id, attributes of which the first values came alone, and how many: the
        reader gets the rest."""
        self._spellings: dict[bytes, _Column] = {}
        self._headers: dict[bytes, tuple[int, str, Decode]] = {}
        """The octets before a value: how many the value has, under which name it is shown,
        and how."""
        self._wholes: dict[bytes, tuple[bytes, Shown]] = {}
        self._layouts: dict[tuple[int, bytes], EntryLayout] = {}
        """By the length of an entry, and the first octet that says how long its name is."""
        # what layouts show, each once
        self._shown: dict[Hashable, Shown] = {}
        self._trials = TRIALS

    def _add_column(
        self, attribute: str, name: str, decode: Decode, *, is_secret: bool = False
    ) -> None:
        """Show an attribute under one more name."""
        key = self._key(attribute)
        before = self._columns.get(key, _NOT_ASKED)
        names = (*before.names, (name, decode))
        self._columns[key] = _Column(names, is_secret or before.secret)

    def decode_batches(self, frames: Iterable[Frame]) -> Iterator[User | Batch]:
        """The users in many entries: those of known layouts at once, whatever their order, the others one by one."""
        found = dict[int, tuple[EntryLayout, list[Frame], list[Row]]]()
        for frame in frames:
            data, start = frame.data, frame.start
            layout = self._layouts.get(
                (frame.stop - start, data[start + 1 : start + 2])
            )
            rows = layout.read_rows(frame) if layout is not None else ()
            if layout is not None and rows:
                _, alike, values = found.get(id(layout.shown)) or found.setdefault(
                    id(layout.shown), (layout, [], [])
                )
                alike.append(frame)
                values += rows
            elif frame.count == 1:
                yield self.decode_user(frame)
            else:
                yield from self.decode_batches(frame.split_messages())
        for layout, alike, values in found.values():
            try:
                batch = _make_batch(layout, values)
            except ValueError:
                batch = None
            if batch is None:
                for frame in alike:
                    yield from map(self.decode_user, frame.split_messages())
            else:
                self._trials += len(values)
                yield batch

    def decode_user(self, message: Frame) -> User:
        """The user in a search result entry.

        One that does not show its id has its name in that place. Raises MalformedError for
        what is no entry or whose name is no text.
        """
        data, start, stop = message.data, message.start, message.stop
        key = stop - start, data[start + 1 : start + 2]
        layout = self._layouts.get(key)
        if (
            layout is not None
            and (values := layout.read_entry(data, start)) is not None
        ):
            self._trials += 1
            return self._identify_user(values.pop(NAME)[0], values)
        user = self._decode_attributes(message)
        if self._trials > 0 and stop - start <= LONGEST:
            self._trials -= TRIAL
            learned = self._learn_layout(message)
            if learned is not None:
                _forget_if_full(self._layouts, MOST_LAYOUTS)
                self._layouts[key] = learned
        return user

    def _decode_attributes(self, message: Frame) -> User:
        """The user in an entry, attribute by attribute."""
        data, headers = message.data, self._headers
        start, at = ber.find_element(data, message.start, message.stop, ber.OCTETS)
        name = data[start:at]
        at, stop = ber.find_element(data, at, message.stop, ber.SEQUENCE)
        if stop != message.stop:
            raise MalformedError(LEFT_OVER)
        values: Shown = {}
        kinds: list[bytes] = []
        while at + 3 < stop:
            start = at + _AROUND + data[at + 3]
            known = headers.get(data[at:start])
            if known is None:
                at = self._decode_other(data, at, stop, values, kinds)
                continue
            size, shown, decode = known
            at = start + size
            if shown in values:
                raise MalformedError(TWICE)
            try:
                values[shown] = (decode(data[start:at]),)
            except UnicodeDecodeError:
                values[shown] = (data[start:at],)
        if at != stop:
            raise MalformedError(
                "the attributes of an entry are longer or shorter than they say"
            )
        try:
            dn = name.decode()
        except UnicodeDecodeError:
            said = name.decode("utf-8", "backslashreplace")
            raise MalformedError(f"the name of an entry is not UTF-8: {said}") from None
        return self._identify_user(dn, values)

    def _learn_layout(self, message: Frame) -> EntryLayout | None:
        """The layout of an entry that has been decoded; None: others will hardly be like it."""
        data, end = message.data, message.stop
        start, at = ber.find_element(data, message.start, end, ber.OCTETS)
        values: list[Place] = [(start, at, NAME, bytes.decode)]
        shown: Shown = {NAME: ()}
        at, stop = ber.find_element(data, at, end, ber.SEQUENCE)
        while at < stop:
            description, octets, at = decode_attribute(data, at, stop)
            column = self._spellings.get(description) or self._find_column(description)
            if not octets or not column.names:
                return None
            if len(octets) == 1 == len(column.names):
                ((name, decode),) = column.names
                values.append(
                    (
                        at - len(octets[0]),
                        at,
                        name,
                        bytes.decode if decode is decode_text else decode,
                    )
                )
                shown[name] = ()
            elif column.secret:
                return None
            else:
                shown |= {
                    name: tuple(map(decode, octets)) for name, decode in column.names
                }
        _forget_if_full(self._shown, MOST_LAYOUTS)
        shown = self._shown.setdefault(tuple(shown.items()), shown)
        return EntryLayout.learn_layout(
            data[message.start : end], message.start, values, shown
        )

    def _identify_user(self, dn: str, values: Shown) -> User:
        if self._blank:  # an attribute without values is one that is not there
            for blank in self._blank:
                if not values.get(blank, True):
                    del values[blank]
            self._blank = []
        pieces = self._pieces
        if pieces:
            self._pieces = {}
        off = _OFF in values and any(values.pop(_OFF))
        id_ = values.pop(ID, None)
        if id_ is None:
            return User(UNIDENTIFIED + dn, dn, values, inactive=off)
        if pieces:
            self.unfinished[id_[0]] = pieces
        return User(id_[0], dn, values, inactive=off)

    def _decode_other(
        self,
        data: bytes,
        at: int,
        stop: int,
        values: Shown,
        kinds: list[bytes],
    ) -> int:
        """Show an attribute whose header is not known, and remember it if it is likely to come again; its end.

        `kinds`: the descriptions of those so far.
        """
        _, after = ber.find_content(data, at + 1, stop)
        raw = data[at:after]
        known = self._wholes.get(raw)
        if known is not None:
            _add_values(*known, values, kinds)
            return after
        description, octets, _ = decode_attribute(data, at, stop)
        kind = description.lower()
        piece = _RANGE.fullmatch(description)
        if piece is not None:
            _add_values(kind, self._decode_piece(piece, octets), values, kinds)
            return after
        column = self._spellings.get(description) or self._find_column(description)
        shown = {name: tuple(map(decode, octets)) for name, decode in column.names}
        if (
            not octets
        ):  # it may come in pieces beside this; else it is as if it had not come
            self._blank += shown
            if any(other.startswith(kind + b";range=") for other in kinds):
                return after
        _add_values(kind, shown, values, kinds)
        if len(octets) == 1 == len(column.names) and _is_shortest(
            raw, description, octets[0]
        ):
            _forget_if_full(self._headers, MOST_HEADERS)
            name, decode = column.names[0]
            header = raw[: len(raw) - len(octets[0])]
            self._headers[header] = (
                len(octets[0]),
                name,
                bytes.decode if decode is decode_text else decode,
            )
        elif len(octets) > 1 and len(raw) <= _LONGEST_WHOLE and not column.secret:
            _forget_if_full(self._wholes, MOST_WHOLES)
            self._wholes[raw] = (kind, shown)
        return after

    def _decode_piece(self, piece: re.Match[bytes], octets: list[bytes]) -> Shown:
        """Some values of an attribute that has too many for one answer, such as `member;range=0-1499` ([MS-ADTS])."""
        column = self._find_column(piece["description"])
        if len(piece["last"]) > _LONGEST_PLACE:
            raise MalformedError("a range of values that ends at no number")
        if piece["last"] != b"*":
            self._pieces |= {name: int(piece["last"]) + 1 for name, _ in column.names}
        return {name: tuple(map(decode, octets)) for name, decode in column.names}

    def _find_column(self, spelling: bytes) -> _Column:
        column = self._columns.get(
            self._key(spelling.decode("utf-8", "replace")), _NOT_ASKED
        )
        _forget_if_full(self._spellings, MOST_SPELLINGS)
        self._spellings[spelling] = column
        return column


def _is_shortest(raw: bytes, description: bytes, value: bytes) -> bool:
    """Whether this is the attribute with all lengths in one octet, and nothing else in it."""
    rebuilt = (
        ber.encode_tlv(ber.OCTETS, description),
        ber.encode_tlv(ber.SET, ber.encode_tlv(ber.OCTETS, value)),
    )
    return raw[1] < 0x80 and raw == ber.encode_sequence(rebuilt)


def _add_values(
    kind: bytes,
    shown: Shown,
    values: Shown,
    kinds: list[bytes],
) -> None:
    """Add an attribute, by its description and by what it shows. Raises MalformedError for one that comes twice."""
    if kind in kinds:
        raise MalformedError(TWICE)
    for name in shown:
        if values.get(name):
            raise MalformedError(TWICE)
    kinds.append(kind)
    values.update(shown)


def _make_batch(layout: EntryLayout, values: Sequence[Row]) -> Batch | None:
    """Users of one layout; None: they do not show their ids. Raises ValueError for what is no text, or holds a NUL."""
    shown = zip(layout.names, layout.decoders, zip(*values, strict=True), strict=True)
    columns = {name: _decode_column(decode, column) for name, decode, column in shown}
    shared = {name: held for name, held in layout.shown.items() if held}
    if ID not in columns:
        return None
    all_off = any(shared.pop(_OFF, ()))
    off = [bool(each) for each in columns.pop(_OFF, [all_off] * len(values))]
    ids, names = Texts.of(columns.pop(ID)), Texts.of(columns.pop(NAME))
    return Batch(ids, names, columns, shared, off)


def _decode_column(decode: Decode, values: Sequence[bytes]) -> Sequence[Any]:
    """Many values as they are shown. Raises UnicodeDecodeError where one that is to be text is none."""
    if decode is not bytes.decode and decode is not read_id_text:
        return list(map(decode, values))
    whole = b"\0".join(values).decode("ascii" if decode is read_id_text else "utf-8")
    if whole.count("\0") < len(values):
        return Texts(whole, len(values))
    return list(map(bytes.decode, values))


def _forget_if_full(remembered: dict[Any, Any], most: int) -> None:
    """Forget all where there is no more room: what still comes is soon known again."""
    if len(remembered) >= most:
        remembered.clear()
