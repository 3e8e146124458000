"""Users out of entries: what is remembered of one entry must never show in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import pytest
from hypothesis import example, given, strategies as st
from ldap3.protocol import rfc4511
from ldap3.utils.asn1 import encode  # type: ignore[attr-defined]  # its stubs are not whole
from pyasn1.codec.ber import decoder

from connector.directories.ldap import ber, dialect, requests, users
from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.responses import ResultEntry
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.errors import MalformedError
from connector.model import Secret, View
from tests.fuzz.ldap_codec import VIEW, generally, outcome, plainly, reader, same_users, seeds

UUID = b"5eed0000-0000-4000-8000-000000000001"
NAMES = st.sampled_from([*VIEW.attributes, "objectClass", "entryUUID", "UID", "Mail", "mail;lang-de", "sn", "x" * 130])
TEXT = st.text("aé7@", max_size=12).map(str.encode)
VALUES = st.one_of(TEXT, TEXT, st.binary(max_size=8), st.sampled_from([b"x" * 113, b"x" * 114, b"x" * 128, b"x" * 300]))
ATTRIBUTES = st.lists(
    st.tuples(NAMES, st.one_of(VALUES.map(lambda one: [one]), st.lists(VALUES, max_size=3))), max_size=8
)
ENTRIES = st.tuples(ATTRIBUTES, st.booleans()).map(
    lambda parts: [*parts[0], ("entryUUID", [UUID])] if parts[1] else parts[0]
)
Attributes = list[tuple[str, list[bytes]]]


def by_ldap3(attributes: Attributes) -> bytes:
    """The message of an entry with these attributes, as ldap3 writes it."""
    operation = rfc4511.SearchResultEntry()
    operation["object"] = "uid=a,dc=example,dc=org"
    operation["attributes"] = rfc4511.PartialAttributeList()
    for place, (description, values) in enumerate(attributes):
        one = rfc4511.PartialAttribute()
        one["type"], one["vals"] = description, rfc4511.Vals()
        for at, value in enumerate(values):
            one["vals"].setComponentByPosition(at, value)
        operation["attributes"].setComponentByPosition(place, one)
    message = rfc4511.LDAPMessage()
    message["messageID"] = 7
    message["protocolOp"] = rfc4511.ProtocolOp().setComponentByName("searchResEntry", operation)
    return bytes(encode(message))


def read_by_ldap3(octets: bytes) -> ResultEntry:
    """The entry in a message, as ldap3 reads it."""
    found = decoder.decode(octets, asn1Spec=rfc4511.LDAPMessage())[0]["protocolOp"].getComponent()
    attributes = [(bytes(one["type"]), [bytes(value) for value in one["vals"]]) for one in found["attributes"]]
    return ResultEntry(bytes(found["object"]), attributes)


def long(octets: bytes) -> bytes:
    """The same message with every length in four octets, as Active Directory writes them."""

    def again(at: int, end: int) -> bytes:
        found = b""
        while at < end:
            tag = octets[at]
            start, stop = ber.find_element(octets, at, end, tag)
            inside = again(start, stop) if tag & 0x20 else octets[start:stop]
            found += bytes((tag, 0x84)) + len(inside).to_bytes(4, "big") + inside
            at = stop
        return found

    return again(0, len(octets))


def frame(octets: bytes) -> Frame:
    (found,) = MessageFramer().feed_octets(octets)
    return found


@given(st.lists(ENTRIES, min_size=1, max_size=6))
@example([[("uid", [b"abc"]), ("entryUUID", [UUID])], [("uid", [b"\xff\xfe\xfd"]), ("entryUUID", [UUID])]])
@example([[("uid", [b"x" * 114]), ("entryUUID", [UUID])], [("uid", [b"x" * 115])], [("entryUUID", [b"\xff" * 36])]])
def test_users_are_what_ldap3_reads_whatever_came_before_them(entries: list[Attributes]) -> None:
    made = reader()
    for octets in map(by_ldap3, entries):
        for form in (octets, octets, long(octets)):
            assert outcome(made.decode_user, frame(form)) == outcome(plainly, read_by_ldap3(octets))


@given(st.lists(ENTRIES, min_size=1, max_size=3), st.data())
def test_octets_that_are_changed_give_what_the_general_decoder_gives(
    entries: list[Attributes], data: st.DataObject
) -> None:
    whole = [frame(by_ldap3(attributes)) for attributes in entries]
    changed = []
    for one in whole:
        octets = bytearray(one.data)
        for _ in range(data.draw(st.integers(1, 3))):
            octets[data.draw(st.integers(one.start, one.stop - 1))] = data.draw(st.integers(0, 255))
        stop = data.draw(st.integers(one.start, one.stop)) if data.draw(st.booleans()) else one.stop
        changed.append(Frame(one.id, one.tag, bytes(octets), one.start, stop, one.end))
    same_users([*whole, *changed, *whole])


def test_every_octet_of_an_entry_that_is_known_may_be_any_other() -> None:
    known = frame(seeds()["user"])
    assert generally(known).values.keys() == {"objectClass", "uid", "mail", "SIPIdentityPassword"}
    for place in range(known.start, known.stop):
        for other in {
            known.data[place] ^ 1,
            known.data[place] + 1 & 0xFF,
            known.data[place] - 1 & 0xFF,
            0x80,
            0x84,
            0xFF,
        }:
            octets = known.data[:place] + bytes((other,)) + known.data[place + 1 :]
            same_users([known, Frame(known.id, known.tag, octets, known.start, known.stop, known.end)])


def test_an_entry_that_is_cut_anywhere_is_malformed_though_its_beginning_is_known() -> None:
    known = frame(seeds()["user"])
    made = reader()
    made.decode_user(known)
    for stop in range(known.start, known.stop):
        for data in (known.data, known.data[:stop]):
            with pytest.raises(MalformedError):
                made.decode_user(Frame(known.id, known.tag, data, known.start, stop, known.end))


def test_a_known_attribute_that_ends_behind_the_entry_is_malformed() -> None:
    """Its octets are there, but they are those of the next message."""
    octets = by_ldap3([("entryUUID", [UUID]), ("uid", [b"agent001"])])
    short = bytearray(octets + octets)
    short[octets.index(UUID) - 14] -= 4
    made = reader()
    made.decode_user(frame(octets))
    assert short[octets.index(UUID) - 14] < octets[octets.index(UUID) - 14]
    whole = frame(octets)
    with pytest.raises(MalformedError):
        made.decode_user(Frame(7, whole.tag, bytes(short), whole.start, whole.stop, whole.end))


@pytest.mark.parametrize("form", [b"\x30", b"\x30\x81"])
@pytest.mark.parametrize(("name", "behind"), [("uid", b"\x04\x03one"), ("cn", b"?")])
def test_octets_behind_the_values_of_an_attribute_are_malformed_whatever_is_known(
    form: bytes, name: str, behind: bytes
) -> None:
    content = ber.encode_tlv(4, name.encode()) + ber.encode_tlv(ber.SET, ber.encode_tlv(4, b"one")) + behind
    uuid = ber.encode_sequence(
        (ber.encode_tlv(4, b"entryUUID"), ber.encode_sequence((ber.encode_tlv(4, UUID),), ber.SET))
    )
    attributes = (form + bytes((len(content),)) + content, uuid)
    odd = requests.encode_message(
        7, ber.encode_sequence((ber.encode_tlv(4, b"cn=x"), ber.encode_sequence(attributes)), 0x64)
    )
    usual = by_ldap3([(name, [b"two"]), ("entryUUID", [UUID])])
    made = reader()
    for _ in range(2):
        with pytest.raises(MalformedError):
            made.decode_user(frame(odd))
        assert made.decode_user(frame(usual)).values[name] == ("two",)


@pytest.mark.parametrize("again", [[b"one"], [b"two"], [b"three", b"four"], []])
@pytest.mark.parametrize(("first", "second"), [("uid", "uid"), ("uid", "UID"), ("cn", "cn")])
def test_an_attribute_that_is_there_twice_is_malformed_whatever_is_known(
    first: str, second: str, again: list[bytes]
) -> None:
    made = reader()
    for usual in ([(first, [b"one"]), ("entryUUID", [UUID])], [(second, again), ("entryUUID", [UUID])]):
        made.decode_user(frame(by_ldap3(usual)))
    twice = by_ldap3([(first, [b"one"]), ("entryUUID", [UUID]), (second, again)])
    for octets in (twice, long(twice)):
        with pytest.raises(MalformedError, match="twice"):
            made.decode_user(frame(octets))


def test_attributes_as_long_as_ones_before_are_looked_up_and_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ("objectClass", [b"inetOrgPerson", b"cecAgent"])

    def message(number: int) -> Frame:
        shown: Attributes = [classes, ("uid", [b"agent%d" % number]), ("cn", [b"Agent %d" % number])]
        return frame(by_ldap3([*shown, ("SIPIdentityPassword", [b"made-up-%d" % number]), ("entryUUID", [UUID])]))

    made = reader()
    made.decode_user(message(1))
    monkeypatch.setattr(users, "decode_attribute", lambda *told: pytest.fail("an attribute was decoded by itself"))
    assert made.decode_user(message(2)) == generally(message(2))
    assert made.decode_user(message(2)).values["uid"] == ("agent2",)


def test_octets_behind_the_attributes_of_an_entry_are_malformed() -> None:
    listed = ber.encode_sequence(
        (ber.encode_sequence((ber.encode_tlv(4, b"uid"), ber.encode_tlv(ber.SET, ber.encode_tlv(4, b"one")))),)
    )
    for behind in (b"\x04\x00", b"?"):
        octets = requests.encode_message(7, ber.encode_sequence((ber.encode_tlv(4, b"cn=x"), listed, behind), 0x64))
        with pytest.raises(MalformedError):
            reader().decode_user(frame(octets))


def test_an_alias_and_a_number_are_the_attribute_and_an_option_is_another() -> None:
    found = reader().decode_user(
        frame(
            by_ldap3(
                [("userid", [b"a"]), ("0.9.2342.19200300.100.1.3", [b"b"]), ("uid;x-y", [b"c"]), ("entryUUID", [UUID])]
            )
        )
    )
    assert found.values == {"uid": ("a",), "mail": ("b",)}


def test_an_entry_that_shows_no_id_is_no_user_that_can_be_told_from_others() -> None:
    found = reader().decode_user(frame(by_ldap3([("uid", [b"a"]), ("entryUUID", [])])))
    assert (found.name, found.values) == ("uid=a,dc=example,dc=org", {"uid": ("a",)})
    assert not found.ref.identified
    assert reader().decode_user(frame(by_ldap3([("uid", [b"a"]), ("entryUUID", [UUID])]))).ref.identified


def test_no_secret_is_remembered() -> None:
    made = reader()
    for values in ([b"canary-7261"], [b"canary-7261", b"canary-7262"]):
        found = made.decode_user(frame(by_ldap3([("SIPIdentityPassword", values), ("entryUUID", [UUID])])))
        made.decode_user(
            frame(by_ldap3([("uid", [b"a"]), ("userPassword", [b"canary, unasked"]), ("entryUUID", [UUID])]))
        )
        assert found.values["SIPIdentityPassword"] == tuple(Secret(value.decode()) for value in values)
    assert b"canary" not in repr(vars(made)).encode()
    held = list(remembered(vars(made)))
    assert held, "it remembers nothing at all"
    assert not [octets for octets in held if b"canary" in octets]


def remembered(held: object) -> Iterator[bytes]:
    """All octets in containers within containers."""
    if isinstance(held, bytes):
        yield held
    elif isinstance(held, Mapping):
        for pair in held.items():
            yield from remembered(pair)
    elif isinstance(held, list | tuple | set | frozenset):
        for each in held:
            yield from remembered(each)


def test_what_a_server_can_make_us_remember_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MOST_HEADERS", 10)
    made = reader()
    for number in range(100):
        spelling = "".join(
            letter.upper() if number >> place & 1 else letter for place, letter in enumerate("jpegphoto")
        )
        attributes: Attributes = [
            (spelling, [b"x" * number]),
            ("mail", [b"%d" % number, b"b"]),
            ("objectClass", [b"y" * 600, b"y" * 600] if number % 4 else [b"y", b"z"]),
            *([(f"x-{number}", [b""])] if number % 2 else []),
            ("entryUUID", [UUID]),
        ]
        found = made.decode_user(frame(by_ldap3(attributes)))
        assert found.values["jpegPhoto"] == (b"x" * number,)
        assert found.values["mail"] == (str(number), "b")
        held = list(remembered(vars(made)))
        assert len(held) <= 10
        assert max(map(len, held)) <= 128


@pytest.mark.parametrize("lock", [b"TRUE", b"FALSE"])
@pytest.mark.parametrize("shown", [("uid",), ("uid", "nsAccountLock")])
def test_who_is_disabled_is_told_also_where_the_mark_is_shown(lock: bytes, shown: tuple[str, ...]) -> None:
    inspection = Inspection(cast("Wire", None), "dc=example,dc=org")
    inspection.root_dse = {"vendorname": ["389 Project"], "vendorversion": ["389-Directory/2.0"]}
    inspection.native_dialect = dialect.recognise_server(inspection.root_dse)
    made = UserDecoder(View(shown), inspection)
    held: Attributes = [("uid", [b"ann"]), ("nsAccountLock", [lock]), (made.id_attribute, [UUID])]
    found = [made.decode_user(frame(by_ldap3(held))) for _ in range(2)]
    assert [user.inactive for user in found] == [lock == b"TRUE"] * 2
    assert [set(user.values) for user in found] == [set(shown)] * 2


def test_of_a_user_without_an_id_no_more_values_are_asked_for() -> None:
    """Nobody could be found by the id, and would then pass for gone."""
    made = reader()
    made.decode_user(frame(by_ldap3([("uid", [b"ann"]), ("cn;range=0-0", [b"a"])])))
    assert made.unfinished == {}
