"""Many operations over one connection: the server has the next ones while we work on its answers."""

from __future__ import annotations

import socket
from contextlib import closing

from connector.directories.ldap import requests
from connector.directories.ldap.ber import MessageFramer
from connector.directories.ldap.responses import DONE
from connector.directories.ldap.session import Operation
from connector.directories.ldap.wire import Wire
from tests.support.ldap_answers import SEARCH, result


def test_the_next_request_is_sent_before_an_answer_is_handed_on() -> None:
    ours, theirs = socket.socketpair()
    with closing(theirs), closing(Wire(ours, "ldap://server.example.org", 5)) as wire:
        answers = wire.exchange_messages((Operation(each, requests.encode_search(SEARCH)) for each in "abc"), 1)
        for number, about in enumerate("abc", 1):
            theirs.sendall(result(number, DONE))
            assert next(answers)[0] == about
            if number == 1:
                assert [frame.id for frame in MessageFramer().feed_octets(theirs.recv(1 << 16))] == [1, 2]
        assert next(answers, None) is None
