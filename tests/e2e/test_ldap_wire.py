"""LDAP operations against a server that does what no honest one does, at the other end of a socket pair."""

from __future__ import annotations

import threading
from itertools import chain, cycle, islice

import pytest

from connector.directories.common.ldap_filters import Present
from connector.directories.ldap import ber, requests, responses
from connector.directories.ldap.ber import Frame
from connector.directories.ldap.requests import EditKind, encode_modification
from connector.directories.ldap.responses import DONE, ENTRY, EXTENDED
from connector.directories.ldap.session import Operation, OperationGroup
from connector.errors import (
    DeniedError,
    ElsewhereError,
    IncompleteRead,
    LimitError,
    MalformedError,
    TruncatedError,
    UnreachableError,
)
from tests.support.ldap_answers import MODIFIED, NOTICE, SEARCH, Answer, entry, page_end, reference, result, served


def test_the_next_page_is_asked_for_before_the_first_is_decoded() -> None:
    asked = threading.Semaphore(0)
    cookies = iter([b"1", b"2", b""])

    def answer(frame: Frame) -> bytes:
        asked.release()
        return entry(frame.id, f"cn={frame.id}") * 3 + page_end(frame.id, next(cookies))

    with served(answer) as wire:
        found = wire.search_paged(SEARCH, 3, responses.decode_entry)
        next(found)
        assert [asked.acquire(timeout=10) for _ in range(2)] == [True, True]
        assert len(list(found)) == 8


def test_a_pager_that_stands_still_is_no_end() -> None:
    with served(lambda frame: page_end(frame.id, b"same")) as wire, pytest.raises(TruncatedError, match="stands still"):
        list(wire.search_paged(SEARCH, 10, responses.decode_entry))


def test_a_pager_that_never_has_an_entry_is_no_end() -> None:
    numbers = iter(range(10_000))
    with (
        served(lambda frame: page_end(frame.id, str(next(numbers)).encode())) as wire,
        pytest.raises(TruncatedError, match="stands still"),
    ):
        list(wire.search_paged(SEARCH, 10, responses.decode_entry))


def test_a_cookie_that_stays_the_same_while_entries_come_is_fine() -> None:
    """As 389-DS has it."""
    left = iter([b"0", b"0", b"0", b""])
    with served(lambda frame: entry(frame.id, f"cn={frame.id}") + page_end(frame.id, next(left))) as wire:
        assert len(list(wire.search_paged(SEARCH, 1, responses.decode_entry))) == 4


@pytest.mark.parametrize("before", [0, 1, 5])
@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("cookie", [b"%d", b"same"])
def test_a_pager_that_goes_in_a_circle_is_no_end(before: int, length: int, cookie: bytes) -> None:
    """After some pages it shows the same ones again and again, with the same cookies or new ones."""
    pages = chain(range(before), cycle(range(before, before + length)))

    def answer(frame: Frame) -> bytes:
        said = cookie.replace(b"%d", b"%d" % frame.id)
        return b"" if frame.tag == 0x50 else entry(frame.id, f"cn={next(pages)}") * 2 + page_end(frame.id, said)

    with served(answer) as wire, pytest.raises(TruncatedError, match="stands still"):
        list(islice(wire.search_paged(SEARCH, 2, responses.decode_entry), 100))


def test_a_page_that_begins_as_the_one_before_is_no_circle() -> None:
    """A user that is renamed meanwhile may come twice."""
    pages = iter([("a", "b", b"1"), ("a", "c", b"2"), ("a", "d", b"")])

    def answer(frame: Frame) -> bytes:
        one, two, cookie = next(pages)
        return entry(frame.id, f"cn={one}") + entry(frame.id, f"cn={two}") + page_end(frame.id, cookie)

    with served(answer) as wire:
        assert len(list(wire.search_paged(SEARCH, 2, responses.decode_entry))) == 6


def test_pages_without_entries_between_others_are_fine_behind_one_cookie() -> None:
    """The cookie of 389-DS is a number of the search, and stays."""
    pages = iter([(1, b"0"), (0, b"0"), (1, b"0"), (0, b"0"), (0, b"0"), (1, b"")])

    def answer(frame: Frame) -> bytes:
        number, cookie = next(pages)
        return entry(frame.id, f"cn={frame.id}") * number + page_end(frame.id, cookie)

    with served(answer) as wire:
        assert len(list(wire.search_paged(SEARCH, 1, responses.decode_entry))) == 3


@pytest.mark.parametrize("ends", [True, False])
def test_a_server_that_sends_more_than_a_page_is_read_without_hoarding(*, ends: bool) -> None:
    """Users are shown before the page has its end."""
    with served(lambda frame: entry(frame.id) * 5000 + (page_end(frame.id, b"") if ends else b"")) as wire:
        found = wire.search_paged(SEARCH, 10, responses.decode_entry)
        assert len(list(islice(found, 4000))) == 4000
        if ends:
            assert len(list(found)) == 1000


def test_a_long_page_that_comes_round_is_no_end() -> None:
    def answer(frame: Frame) -> bytes:
        found = b"".join(entry(frame.id, f"cn={number}") for number in range(5000))
        return b"" if frame.tag == 0x50 else found + page_end(frame.id, b"%d" % frame.id)

    with served(answer) as wire, pytest.raises(TruncatedError, match="stands still"):
        list(islice(wire.search_paged(SEARCH, 10, responses.decode_entry), 50_000))


@pytest.mark.parametrize("size", [0, 1, 10])
def test_a_server_that_refuses_pages_though_it_lists_them_is_read_in_one_answer(size: int) -> None:
    """As 389-DS does for what it gets from another server by chaining."""
    asked: list[bool] = []

    def answer(frame: Frame) -> bytes:
        asked.append(requests.PAGED.encode() in frame.data[frame.stop : frame.end])
        if asked[-1]:
            return result(frame.id, DONE, 12)
        return entry(frame.id) * 3 + result(frame.id)

    with served(answer) as wire:
        assert len(list(wire.search_paged(SEARCH, size, responses.decode_entry))) == 3
    assert asked == ([True, False] if size else [False])


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (lambda frame: NOTICE, UnreachableError, r"ended the connection: unavailable \(52\): going down"),
        (lambda frame: entry(frame.id + 1), MalformedError, "never sent"),
        (lambda frame: b"HTTP/1.1 400 Bad Request\r\n\r\n", MalformedError, "no LDAP message"),
        (lambda frame: result(frame.id, MODIFIED), MalformedError, "kind 0x67"),
        (lambda frame: requests.encode_message(frame.id, ber.encode_tlv(DONE, b"")), MalformedError, "BER"),
        (
            lambda frame: (
                requests.encode_message(frame.id, ber.encode_tlv(ENTRY, b"\x04\x01a\x30\x05")) + result(frame.id)
            ),
            MalformedError,
            "BER",
        ),
        (lambda frame: result(frame.id, controls=(requests.assertion_control(Present("cn")),)), None, ""),
        (lambda frame: result(frame.id, DONE, 3), LimitError, "time limit"),
        (lambda frame: result(frame.id, DONE, 4), LimitError, "size limit"),
        (lambda frame: result(frame.id, DONE, 11), LimitError, "administrative limit"),
        (
            lambda frame: result(frame.id, DONE, 10, ber.encode_tlv(0xA3, ber.encode_tlv(4, b"ldap://192.0.2.7/"))),
            ElsewhereError,
            "referral to ldap://192.0.2.7/",
        ),
        (
            lambda frame: reference(frame.id, b"ldap://192.0.2.8/") + result(frame.id),
            ElsewhereError,
            "referral to ldap://192.0.2.8/",
        ),
        (lambda frame: result(frame.id, DONE, 32), IncompleteRead, "no entry 'ou=people,dc=example,dc=org'"),
        (lambda frame: result(frame.id, DONE, 50), DeniedError, r"insufficientAccessRights \(50\).*right to search"),
        (lambda frame: result(frame.id, DONE, 51), UnreachableError, r"busy \(51\)"),
        (
            lambda frame: result(frame.id, DONE, 53, said="not\r\nnow\x1b[31m again"),
            IncompleteRead,
            r"\(53\): not … again$",
        ),
        (lambda frame: result(frame.id, DONE, 4711), IncompleteRead, r"result \(4711\)"),
    ],
)
def test_an_answer_that_is_no_success_is_an_error_of_its_kind(
    reply: Answer, kind: type[IncompleteRead] | None, words: str
) -> None:
    for in_pages in (True, False):
        with served(reply) as wire:
            found = (
                wire.search_paged(SEARCH, 5, responses.decode_entry)
                if in_pages
                else wire.search_many([SEARCH], 2, responses.decode_entry)
            )
            if kind is None:
                assert list(found) == []
                continue
            with pytest.raises(kind, match=words) as caught:
                list(found)
            assert type(caught.value) is kind
            assert caught.value.where == "ldap://server.example.org"


def test_a_notice_that_we_do_not_know_is_passed_over() -> None:
    notice = result(0, EXTENDED, 0, ber.encode_tlv(0x8A, b"1.2.3.4"))
    with served(lambda frame: notice + entry(frame.id) + result(frame.id)) as wire:
        assert len(wire.search_whole(SEARCH)) == 1


def test_answers_that_came_before_the_farewell_count() -> None:
    with served(lambda frame: result(frame.id, MODIFIED) + NOTICE if frame.id == 2 else b"") as wire:
        flight: OperationGroup[str] = OperationGroup(wire)
        for name in ("first", "second", "third"):
            flight.send_operation(Operation(name, requests.encode_modify("cn=a", [])))
        assert [about for about, _ in flight.receive_results()] == ["second"]
        with pytest.raises(UnreachableError, match="going down"):
            flight.receive_results()
        assert flight.list_unanswered == ["first", "third"]


def test_a_server_that_is_silent_is_given_up() -> None:
    with served(lambda frame: b"", 0.05) as wire, pytest.raises(UnreachableError, match=r"no answer for 0\.05 seconds"):
        wire.search_whole(SEARCH)


def test_a_wire_that_has_failed_stays_failed() -> None:
    with served(lambda frame: b"nonsense") as wire:
        with pytest.raises(MalformedError):
            wire.search_whole(SEARCH)
        with pytest.raises(MalformedError, match="no LDAP message"):
            wire.search_whole(SEARCH)
        with pytest.raises(MalformedError, match="no LDAP message"):
            wire.search_visible(SEARCH)  # nothing is known, so nothing is hidden
        wire.close()
        wire.close()


def test_full_buffers_on_both_sides_are_no_deadlock() -> None:
    """The server writes 16 MiB before it reads on, while as much is on its way to it."""
    large = encode_modification(EditKind.REPLACE, "jpegPhoto", (bytes(1 << 20),))

    def answer(frame: Frame) -> bytes:
        return (
            entry(frame.id, "cn=a", bytes(1 << 20)) * 16 + result(frame.id)
            if frame.tag == 0x63
            else result(frame.id, MODIFIED)
        )

    with served(answer) as wire:
        entries = wire.search_many([SEARCH], 1, responses.decode_entry)
        flight: OperationGroup[int] = OperationGroup(wire)
        for number in range(16):
            flight.send_operation(Operation(number, requests.encode_modify("cn=a", [large])))
        assert len(list(entries)) == 16
        found: list[int] = []
        while flight:
            found += [about for about, _ in flight.receive_results()]
        assert found == list(range(16))


def test_a_search_that_is_left_early_is_abandoned_and_the_wire_goes_on() -> None:
    tags: list[int] = []

    def answer(frame: Frame) -> bytes:
        tags.append(frame.tag)
        if frame.tag == 0x50:
            return b""
        return entry(frame.id) * 2 + (
            page_end(frame.id, b"more") if frame.id == 1 else b"" if frame.id == 2 else result(frame.id)
        )

    with served(answer) as wire:
        found = wire.search_paged(SEARCH, 2, responses.decode_entry)
        next(found)
        found.close()
        assert len(wire.search_whole(SEARCH)) == 2
    assert tags == [0x63, 0x63, 0x50, 0x63]
