"""Our codec against ldap3's own, both ways, and against octets that no honest server sends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import starmap
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from ldap3.protocol import rfc4511
from ldap3.protocol.rfc2696 import RealSearchControlValue
from ldap3.utils.asn1 import encode  # type: ignore[attr-defined]  # its stubs are not whole
from pyasn1.codec.ber import decoder

from connector.directories.common import ldap_filters
from connector.directories.common.ldap_filters import (
    And,
    Approx,
    Equal,
    Extensible,
    Filter,
    Not,
    Or,
    Present,
    Substrings,
)
from connector.directories.ldap import ber, requests, responses
from connector.directories.ldap.ber import MessageFramer
from connector.directories.ldap.requests import EditKind, Search, SearchScope
from connector.directories.ldap.responses import Response, ResultEntry
from connector.errors import MalformedError
from tests.support.ldap_answers import decode

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}(;[a-z]{1,4})?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OCTETS = st.binary(max_size=300)
IDS = st.integers(0, (1 << 31) - 1)
ATTRIBUTES = st.lists(st.tuples(NAMES, st.lists(OCTETS, max_size=4)), unique_by=lambda attribute: attribute[0].lower())

LEAVES: st.SearchStrategy[Filter] = st.one_of(
    st.builds(Equal, NAMES, OCTETS),
    st.builds(Present, NAMES),
    st.builds(ldap_filters.GreaterOrEqual, NAMES, OCTETS),
    st.builds(ldap_filters.LessOrEqual, NAMES, OCTETS),
    st.builds(Approx, NAMES, OCTETS),
    st.builds(Extensible, NAMES, st.none() | NAMES, OCTETS, st.booleans()),
    st.builds(Extensible, st.none(), NAMES, OCTETS, st.booleans()),
    st.builds(
        Substrings,
        NAMES,
        st.none() | OCTETS,
        st.lists(OCTETS, min_size=1, max_size=3).map(tuple),
        st.none() | OCTETS,
    ),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(tuple).map(And),
        st.lists(inner, min_size=1, max_size=4).map(tuple).map(Or),
        inner.map(Not),
    ),
    max_leaves=8,
)


def by_ldap3(octets: bytes) -> tuple[int, str, Any, list[tuple[str, bool, bytes | None]]]:
    """What ldap3 reads in a message: id, kind, operation, controls."""
    found, rest = decoder.decode(octets, asn1Spec=rfc4511.LDAPMessage())
    assert rest == b""
    controls = [
        (
            str(one["controlType"]),
            bool(one["criticality"]),
            bytes(value) if (value := one["controlValue"]).isValue else None,
        )
        for one in found["controls"]
    ]
    operation = found["protocolOp"]
    return int(found["messageID"]), operation.getName(), operation.getComponent(), controls


def leaf(found: Any) -> Filter:
    """A filter of ldap3's, of a kind that holds no others, as one of ours."""
    kind, body = found.getName(), found.getComponent()
    plain: dict[str, Callable[[str, bytes], Filter]] = {
        "equalityMatch": Equal,
        "greaterOrEqual": ldap_filters.GreaterOrEqual,
        "lessOrEqual": ldap_filters.LessOrEqual,
        "approxMatch": Approx,
    }
    if kind == "present":
        return Present(str(body))
    if kind == "substringFilter":
        pieces = [(piece.getName(), bytes(piece.getComponent())) for piece in body["substrings"]]
        first = [piece for name, piece in pieces if name == "initial"]
        last = [piece for name, piece in pieces if name == "final"]
        middle = tuple(piece for name, piece in pieces if name == "any")
        return Substrings(str(body["type"]), first[0] if first else None, middle, last[0] if last else None)
    if kind == "extensibleMatch":
        rule, attribute = body["matchingRule"], body["type"]
        return Extensible(
            str(rule) if rule.hasValue() else None,
            str(attribute) if attribute.hasValue() else None,
            bytes(body["matchValue"]),
            bool(body["dnAttributes"]),
        )
    return plain[kind](str(body["attributeDesc"]), bytes(body["assertionValue"]))


def for_ldap3(wanted: Filter) -> Any:
    """A filter of ours as one of ldap3's, which can write And, Or and Not, but not read them."""
    found = rfc4511.Filter()
    match wanted:
        case And(parts) | Or(parts):
            kind, several = ("and", rfc4511.And()) if isinstance(wanted, And) else ("or", rfc4511.Or())
            for place, part in enumerate(parts):
                several[place] = for_ldap3(part)
            found[kind] = several
        case Not(part):
            found["notFilter"] = rfc4511.Not()
            found["notFilter"]["innerNotFilter"] = for_ldap3(part)
        case _:
            found = decoder.decode(requests.encode_filter(wanted), asn1Spec=found)[0]
            assert leaf(found) == wanted
    return found


@given(FILTERS)
@example(Or(tuple(Equal("c", b"x" * size) for size in range(110, 132))))
@example(Or(tuple(Equal("c" * size, b"xyz") for size in range(110, 132))))
def test_ldap3_writes_the_same_filters(wanted: Filter) -> None:
    assert encode(for_ldap3(wanted)) == requests.encode_filter(wanted)


SEARCHES = st.builds(Search, TEXT, st.sampled_from(SearchScope), LEAVES, st.lists(NAMES, max_size=4).map(tuple))


@given(IDS, SEARCHES, st.binary(max_size=20))
def test_ldap3_reads_our_searches(number: int, search: Search, cookie: bytes) -> None:
    request = requests.encode_search(search)
    octets = requests.encode_message(number, request, [requests.paging_control(500, cookie)])
    found_id, kind, found, controls = by_ldap3(octets)
    assert (found_id, kind, str(found["baseObject"])) == (number, "searchRequest", search.base)
    assert (int(found["scope"]), int(found["derefAliases"]), bool(found["typesOnly"])) == (search.scope, 0, False)
    assert (int(found["sizeLimit"]), int(found["timeLimit"])) == (0, 0)
    assert leaf(found["filter"]) == search.filter
    assert tuple(str(name) for name in found["attributes"]) == search.attributes
    ((oid, critical, value),) = controls
    page, _ = decoder.decode(value, asn1Spec=RealSearchControlValue())
    assert (oid, critical, int(page["size"]), bytes(page["cookie"])) == (requests.PAGED, True, 500, cookie)


CHANGES = st.lists(st.tuples(st.sampled_from(EditKind), NAMES, st.lists(OCTETS, max_size=3).map(tuple)))


@given(IDS, TEXT, CHANGES, LEAVES)
@example(5, "cn=x", [(EditKind.ADD, "c", (b"x" * size,)) for size in range(110, 132)], Present("cn"))
@example(5, "cn=x", [(EditKind.DELETE, "c" * size, (b"xyz",)) for size in range(110, 132)], Present("cn"))
def test_ldap3_reads_our_modifications_and_their_assertions(
    number: int, name: str, changes: list[tuple[EditKind, str, tuple[bytes, ...]]], belief: Filter
) -> None:
    octets = requests.encode_message(
        number,
        requests.encode_modify(name, starmap(requests.encode_modification, changes)),
        [requests.assertion_control(belief)],
    )
    found_id, kind, found, ((oid, critical, value),) = by_ldap3(octets)
    assert (found_id, kind, str(found["object"])) == (number, "modifyRequest", name)
    assert [
        (
            EditKind(int(one["operation"])),
            str(one["modification"]["type"]),
            tuple(bytes(each) for each in one["modification"]["vals"]),
        )
        for one in found["changes"]
    ] == changes
    assert (oid, critical) == (requests.ASSERTION, True)
    assert leaf(decoder.decode(value, asn1Spec=rfc4511.Filter())[0]) == belief


@given(FILTERS, FILTERS)
def test_several_beliefs_are_asserted_together(one: Filter, other: Filter) -> None:
    assert requests.assertion_control(one, other) == requests.assertion_control(And((one, other)))


@given(IDS, st.lists(NAMES, max_size=4).map(tuple))
def test_ldap3_reads_our_request_for_a_post_read(number: int, attributes: tuple[str, ...]) -> None:
    octets = requests.encode_message(
        number, requests.encode_modify("cn=x", []), [requests.post_read_control(attributes)]
    )
    ((oid, critical, value),) = by_ldap3(octets)[3]
    assert (oid, critical) == (requests.POST_READ, False)
    found, rest = decoder.decode(value, asn1Spec=rfc4511.AttributeSelection())
    assert (tuple(map(str, found)), rest) == (attributes, b"")


@given(IDS, TEXT, NAMES, OCTETS)
def test_ldap3_reads_our_compares(number: int, name: str, attribute: str, value: bytes) -> None:
    found_id, kind, found, _ = by_ldap3(
        requests.encode_message(number, requests.encode_compare(name, attribute, value))
    )
    assert (found_id, kind, str(found["entry"])) == (number, "compareRequest", name)
    assert (str(found["ava"]["attributeDesc"]), bytes(found["ava"]["assertionValue"])) == (attribute, value)


@given(IDS, IDS)
def test_ldap3_reads_our_farewells(number: int, other: int) -> None:
    assert by_ldap3(requests.encode_unbind(number))[:2] == (number, "unbindRequest")
    found_id, kind, found, _ = by_ldap3(requests.encode_abandon(number, other))
    assert (found_id, kind, int(found)) == (number, "abandonRequest", other)


# ---------------------------------------------------------------- the other way


def from_ldap3(number: int, kind: str, operation: Any, controls: dict[str, bytes] | None = None) -> bytes:
    message = rfc4511.LDAPMessage()
    message["messageID"] = number
    message["protocolOp"] = rfc4511.ProtocolOp().setComponentByName(kind, operation)
    for place, (oid, value) in enumerate((controls or {}).items()):
        control = rfc4511.Control()
        control["controlType"], control["criticality"], control["controlValue"] = oid, place % 2 == 0, value
        message["controls"].setComponentByPosition(place, control)
    return bytes(encode(message))


def decoded(octets: bytes) -> tuple[int, ResultEntry | tuple[str, ...] | Response]:
    (frame,) = MessageFramer().feed_octets(octets)
    assert frame.end == len(octets)
    return frame.id, decode(frame)


@given(IDS, TEXT, ATTRIBUTES)
@example(5, "cn=x", [("cn", [b"x" * 117]), ("sn", [b"x" * 118]), ("ou", [b"x" * 127]), ("st", [b"x" * 128])])
@example(5, "cn=x", [("cn", [b"x" * 255]), ("sn", [b"x" * 256]), ("c" * 127, [b""]), ("c" * 128, [b""])])
@example(5, "cn=x", [("cn", [b"", b""]), ("sn", [])])
def test_we_read_ldap3s_entries(number: int, name: str, attributes: list[tuple[str, list[bytes]]]) -> None:
    operation = rfc4511.SearchResultEntry()
    operation["object"] = name
    operation["attributes"] = rfc4511.PartialAttributeList()
    for place, (description, values) in enumerate(attributes):
        one = rfc4511.PartialAttribute()
        one["type"], one["vals"] = description, rfc4511.Vals()
        for at, value in enumerate(values):
            one["vals"].setComponentByPosition(at, value)
        operation["attributes"].setComponentByPosition(place, one)
    found = decoded(from_ldap3(number, "searchResEntry", operation))
    assert found == (number, ResultEntry(name.encode(), [(kind.encode(), values) for kind, values in attributes]))


KINDS = {
    "bindResponse": rfc4511.BindResponse,
    "extendedResp": rfc4511.ExtendedResponse,
    "searchResDone": rfc4511.SearchResultDone,
    "modifyResponse": rfc4511.ModifyResponse,
    "compareResponse": rfc4511.CompareResponse,
}


RESULTS = st.builds(
    Response,
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 10, 11, 16, 20, 32, 49, 50, 51, 52, 53, 80]),
    TEXT,
    st.lists(TEXT, max_size=3).map(tuple),
    st.just(""),
    st.dictionaries(st.sampled_from([requests.PAGED, "1.2.3"]), OCTETS),
)


@given(st.sampled_from(sorted(KINDS)), RESULTS, TEXT)
def test_we_read_ldap3s_results(kind: str, result: Response, matched: str) -> None:
    operation = KINDS[kind]()
    operation["resultCode"] = rfc4511.ResultCode(result.code)
    operation["matchedDN"], operation["diagnosticMessage"] = matched, result.diagnostic
    if result.referrals:
        operation["referral"] = rfc4511.Referral()
        for place, uri in enumerate(result.referrals):
            operation["referral"].setComponentByPosition(place, uri)
    assert decoded(from_ldap3(9, kind, operation, dict(result.controls))) == (9, result)


def test_we_read_ldap3s_references_and_notices() -> None:
    operation = rfc4511.SearchResultReference()
    operation.setComponentByPosition(0, "ldap://192.0.2.7/dc=example")
    assert decoded(from_ldap3(3, "searchResRef", operation)) == (3, ("ldap://192.0.2.7/dc=example",))
    notice = rfc4511.ExtendedResponse()
    notice["resultCode"], notice["matchedDN"], notice["diagnosticMessage"] = 52, "", "going down"
    notice["responseName"] = "1.3.6.1.4.1.1466.20036"
    expected = Response(52, "going down", (), "1.3.6.1.4.1.1466.20036", {})
    assert decoded(from_ldap3(0, "extendedResp", notice)) == (0, expected)


@given(st.integers(0, (1 << 31) - 1), OCTETS)
def test_we_read_ldap3s_page_control(size: int, cookie: bytes) -> None:
    value = RealSearchControlValue()
    value["size"], value["cookie"] = size, cookie
    assert responses.decode_page(bytes(encode(value))) == (size, cookie)


@given(TEXT, ATTRIBUTES)
def test_we_read_an_entry_in_a_post_read_control(name: str, attributes: list[tuple[str, list[bytes]]]) -> None:
    listed = [(kind.encode(), values) for kind, values in attributes]
    (frame,) = MessageFramer().feed_octets(entry_message(*listed, name=name.encode()))
    value = ber.encode_tlv(responses.ENTRY, frame.data[frame.start : frame.stop])
    assert responses.decode_entry(responses.decode_post_read(value)) == ResultEntry(name.encode(), listed)


@given(st.integers(0, (1 << 63) - 1))
def test_integers_come_back(value: int) -> None:
    octets = ber.encode_integer(value)
    assert ber.take_elements(octets, ber.INTEGER) == ([octets[2:]], [])
    assert ber.read_integer(octets[2:]) == value


# ---------------------------------------------------------------- hostile octets


def entry_message(*attributes: tuple[bytes, list[bytes]], name: bytes = b"cn=x") -> bytes:
    listed = (
        ber.encode_sequence(
            (ber.encode_tlv(4, kind), ber.encode_sequence((ber.encode_tlv(4, value) for value in values), ber.SET))
        )
        for kind, values in attributes
    )
    return requests.encode_message(7, ber.encode_sequence((ber.encode_tlv(4, name), ber.encode_sequence(listed)), 0x64))


PLAIN = entry_message((b"cn", [b"one"]), (b"mail", [b"two", b"three"]), (b"jpegPhoto", [b"x" * 200]))
DONE = requests.encode_message(
    7,
    ber.encode_sequence(
        (
            ber.encode_integer(4, 10),
            ber.encode_tlv(4, b""),
            ber.encode_tlv(4, b"limit"),
            ber.encode_tlv(0xA3, ber.encode_tlv(4, b"u")),
        ),
        0x65,
    ),
    [requests.paging_control(1, b"cookie")],
)


def total(octets: bytes) -> None:
    """Messages, a wait for more, or MalformedError; never anything else."""
    with contextlib.suppress(MalformedError):
        for frame in MessageFramer().feed_octets(octets):
            decode(frame)
    for control in (responses.decode_page, responses.decode_post_read):
        with contextlib.suppress(MalformedError):
            control(octets)


@given(st.binary(max_size=200))
def test_any_octets_are_messages_or_a_wait_or_one_clear_error(octets: bytes) -> None:
    total(octets)
    total(ber.encode_tlv(ber.SEQUENCE, octets))
    total(ber.encode_tlv(responses.ENTRY, ber.encode_tlv(4, b"cn=x") + ber.encode_tlv(ber.SEQUENCE, octets)))
    for tag in (0x64, 0x65, 0x67, 0x6F, 0x73, 0x78):
        total(requests.encode_message(7, ber.encode_tlv(tag, octets)))
        total(
            requests.encode_message(
                7, ber.encode_tlv(tag, ber.encode_tlv(4, b"cn=x") + ber.encode_tlv(ber.SEQUENCE, octets))
            )
        )


@given(st.sampled_from([PLAIN, DONE]), st.data())
def test_a_message_with_a_few_octets_changed_is_no_surprise(octets: bytes, data: st.DataObject) -> None:
    changed = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    total(bytes(changed))
    total(bytes(changed) + PLAIN)


@pytest.mark.parametrize("octets", [PLAIN, DONE])
def test_a_message_that_is_cut_is_waited_for_and_one_cut_inside_is_malformed(octets: bytes) -> None:
    for size in range(len(octets)):
        assert MessageFramer().feed_octets(octets[:size]) == []
    (frame,) = MessageFramer().feed_octets(octets)
    _, start = ber.read_length(octets, 1)
    for stop in range(start, len(octets)):
        if stop != frame.stop:  # there, an operation ends whose controls are optional
            with pytest.raises(MalformedError):
                decoded(ber.encode_tlv(ber.SEQUENCE, octets[start:stop]))


@given(st.lists(st.sampled_from([PLAIN, DONE, entry_message((b"cn", [b"y" * 5000]))]), max_size=5), st.data())
def test_a_stream_cut_anywhere_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    whole = [decode(frame) for frame in MessageFramer().feed_octets(stream)]
    assert len(whole) == len(messages)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer, found = MessageFramer(), []
    for start, stop in zip([0, *places], [*places, len(stream)], strict=True):
        found += [decode(frame) for frame in framer.feed_octets(stream[start:stop])]
    assert found == whole


@given(st.lists(st.tuples(st.sampled_from([0, 7, 127, 128, 70_000]), st.sampled_from([0x64, 0x65, 0x73]), OCTETS)))
def test_messages_have_their_own_id_and_kind_whatever_came_before_them(wanted: list[tuple[int, int, bytes]]) -> None:
    octets = b"".join(requests.encode_message(number, ber.encode_tlv(tag, content)) for number, tag, content in wanted)
    found = MessageFramer().feed_octets(octets)
    assert [(one.id, one.tag, one.data[one.start : one.stop]) for one in found] == wanted


@pytest.mark.parametrize(
    "octets",
    [
        b"\x30\x00",
        b"\x30\x02\x02\x01",
        b"\x30\x03\x02\x01\x07",  # the octet behind it is that of an entry
        b"\x30\x04\x02\x01\x07\x64",
        b"\x30\x05\x02\x01\x07\x64\x01",
        b"\x30\x06\x02\x01\x07\x64\x82\x00",
        b"\x30\x08\x02\x01\x07\x64\x82\x00\x02a",
    ],
)
def test_a_message_that_is_too_short_is_malformed_though_it_begins_like_the_one_before(octets: bytes) -> None:
    behind = b"\x64\x02ab" + PLAIN
    for before in (b"", PLAIN):
        with pytest.raises(MalformedError):
            MessageFramer().feed_octets(before + octets + behind)


@pytest.mark.parametrize("octets", [PLAIN, DONE])
def test_a_message_that_is_nearly_that_before_is_framed_as_if_it_came_alone(octets: bytes) -> None:
    def framed(stream: bytes) -> list[tuple[int, int, bytes, bytes]] | None:
        try:
            found = MessageFramer().feed_octets(stream)
        except MalformedError:
            return None
        return [(each.id, each.tag, stream[each.start : each.stop], stream[each.stop : each.end]) for each in found]

    first = framed(octets)
    assert first
    for place in range(len(octets)):
        for other in {octets[place] ^ 1, octets[place] - 1 & 0xFF, 0x80, 0x82}:
            changed = octets[:place] + bytes((other,)) + octets[place + 1 :]
            alone = framed(changed + octets)
            assert framed(octets + changed + octets) == (None if alone is None else first + alone)


def test_a_message_that_claims_to_be_endless_is_refused_before_it_is_received() -> None:
    with pytest.raises(MalformedError, match="33554433 octets"):
        MessageFramer().feed_octets(b"\x30\x84" + (ber.MAX_MESSAGE + 1).to_bytes(4, "big"))
    for form in (b"\x30\x80", b"\x30\x85\x00\x00\x00\x00\x01", b"\x30\xff"):
        with pytest.raises(MalformedError, match="length"):
            MessageFramer().feed_octets(form + b"\x02\x01\x07")


def test_an_entry_of_more_values_than_any_user_has_is_refused() -> None:
    many = ber.MAX_ELEMENTS + 1
    for octets in (entry_message((b"cn", [b""] * many)), entry_message(*[(b"c", [b""])] * many)):
        (frame,) = MessageFramer().feed_octets(octets)
        with pytest.raises(MalformedError, match="more than"):
            decode(frame)


def test_lengths_in_four_octets_as_active_directory_writes_them_are_read() -> None:
    def long(tag: int, content: bytes) -> bytes:
        return bytes((tag, 0x84)) + len(content).to_bytes(4, "big") + content

    attribute = long(0x30, long(4, b"cn") + long(0x31, long(4, b"one")))
    octets = long(0x30, b"\x02\x01\x07" + long(0x64, long(4, b"cn=x") + long(0x30, attribute)))
    assert decoded(octets) == (7, ResultEntry(b"cn=x", [(b"cn", [b"one"])]))


def test_a_large_message_in_small_pieces_is_put_together_once() -> None:
    octets = entry_message((b"jpegPhoto", [bytes(4 << 20)]))
    framer = MessageFramer()
    found = [frame for at in range(0, len(octets), 1024) for frame in framer.feed_octets(octets[at : at + 1024])]
    assert [frame.stop for frame in found] == [len(octets)]
