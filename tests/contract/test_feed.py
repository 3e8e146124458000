"""The contract of feeds: a change of a user shows, and where nobody has changed, nothing shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from connector.directories.ldap.feed import LdapFeed
from connector.directories.ldif.feed import LdifFeed
from connector.directories.port import Feed
from connector.directories.scim.feed import ScimFeed
from connector.directories.scim.transport import HttpTransport
from connector.errors import ConnectorError
from connector.model import Secret
from connector.runtime.clock import read_clock
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as LdapSettings
from connector.settings.scim import ScimDirectory as ScimSettings
from tests.support.directory_fixtures import PEOPLE, PERSON, DirectoryFixture, LdapFixture, LdifFixture
from tests.support.scim_servers import TOKEN, ScimServer, people
from tests.support.serving import until
from tests.support.slapd import PEOPLE as BASE, SYNC, SYNC_PASSWORD, Slapd, person

SYNCPROV = "overlay syncprov"
MONITOR = f'database monitor\naccess to * by dn.exact="{SYNC}" read'
Served = DirectoryFixture | ScimServer


def open_feed(served: Served) -> Feed:
    if isinstance(served, ScimServer):
        job = {"type": "scim", "allow_plaintext": True, "url": served.url, "token": {"env": "UNUSED"}}
        settings = ScimSettings.model_validate(job)
        return ScimFeed(lambda: HttpTransport(settings, Secret(TOKEN)), served.url)
    if isinstance(served, LdapFixture):
        return ldap_feed(served.server.ldaps_url, served.base, served.SYNC, served.PASSWORD, served.server.ca)
    assert isinstance(served, LdifFixture)
    return LdifFeed(served.path)


def ldap_feed(url: str, base: str, account: str, password: str, ca: Path | None = None) -> LdapFeed:
    settings = LdapSettings(
        type="ldap", urls=[url], bind_dn=account, password=SecretRef(env="UNUSED"), ca_file=ca,
        allow_plaintext=ca is None, base=[base], filter=PEOPLE,
    )  # fmt: skip
    return LdapFeed(settings, Secret(password))


def slapd_feed(server: Slapd) -> LdapFeed:
    return ldap_feed(server.ldaps_url, BASE, SYNC, SYNC_PASSWORD, server.ca)


class Staff:
    """Somebody who changes, on any directory."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._name = ""
        if isinstance(served, ScimServer):
            (self._name,) = served.put(people(1))
        else:
            self._name = f"{served.naming}=anna,{served.base}"
            served.put(self._name, {**PERSON, "uid": ["anna"]})

    def change(self, value: str) -> None:
        if isinstance(self._served, ScimServer):
            self._served.patch(self._name, {"op": "replace", "path": "displayName", "value": value})
        else:
            self._served.replace(self._name, "employeeNumber", [value])


@contextmanager
def closing_feed(feed: Feed) -> Iterator[Feed]:
    try:
        yield feed
    finally:
        feed.close()


def wait_for_quiet(feed: Feed, mark: str) -> str:
    """A mark after which nothing has moved; marks of whole seconds show the last second's changes again."""
    marks = [mark]

    def is_quiet() -> bool:
        answer = feed.ask_since(marks[-1])
        marks.append(answer.mark)
        return not answer.has_moved

    until(is_quiet)
    return marks[-1]


def test_a_change_shows_and_nothing_else_does(served: Served) -> None:
    staff = Staff(served)
    with closing_feed(open_feed(served)) as feed:
        first = feed.ask_since("")
        assert first.mark
        assert not first.has_moved
        mark = wait_for_quiet(feed, first.mark)
        staff.change("1")
        answer = feed.ask_since(mark)
        assert answer.has_moved
        staff.change("2")
        assert feed.ask_since(answer.mark).has_moved
        if not isinstance(served, ScimServer):  # whose marks are times
            assert feed.ask_since("elsewhere 20200101000000Z").has_moved
            assert feed.ask_since("elsewhere 7").has_moved


@pytest.mark.slapd
def test_openldap_with_syncprov_shows_who_was_deleted(tmp_path: Path) -> None:
    entries = [person("anna"), person("bert")]
    with (
        Slapd.start(tmp_path / "slapd", entries, overlays=SYNCPROV) as server,
        closing_feed(slapd_feed(server)) as feed,
    ):
        mark = feed.ask_since("").mark
        assert "#" in mark  # a contextCSN
        assert not feed.ask_since(mark).has_moved
        server.modify(f"dn: uid=bert,{BASE}\nchangetype: delete\n")
        assert feed.ask_since(mark).has_moved


@pytest.mark.slapd
def test_after_a_cut_a_feed_connects_anew_and_has_missed_nothing(tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "slapd", [person("anna")]) as server, closing_feed(slapd_feed(server)) as feed:
        mark = feed.ask_since("").mark
        server.stop()
        server.restart()
        server.modify(f"dn: uid=anna,{BASE}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 5\n")
        with pytest.raises(ConnectorError):
            feed.ask_since(mark)
        assert feed.ask_since(mark).has_moved


@pytest.mark.slapd
def test_times_are_those_of_the_servers_clock_where_it_shows_it(tmp_path: Path) -> None:
    with (
        Slapd.start(tmp_path / "slapd", [person("anna")], overlays=MONITOR) as server,
        closing_feed(slapd_feed(server)) as feed,
    ):
        before = read_clock().replace(microsecond=0)
        _, _, time = feed.ask_since("").mark.rpartition(" ")
        assert before <= datetime.strptime(time, "%Y%m%d%H%M%S%z") <= read_clock()
