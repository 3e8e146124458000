"""Paging on servers that die of it, or do not announce it: OpenLDAP with glued databases, and behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from connector.directories.ldap.ber import Frame
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldap.requests import PAGED
from connector.errors import TruncatedError
from connector.model import Secret, View
from connector.settings.ldap import LdapDirectory
from tests.support.ldap_proxy import LdapProxy, octets_of
from tests.support.slapd import ADMIN, PEOPLE, SYNC, SYNC_PASSWORD, Slapd, person

pytestmark = [pytest.mark.slapd, pytest.mark.slow]

BRANCH = f"ou=branch,{PEOPLE}"
_GLUED = """
database mdb
suffix {branch}
subordinate
rootdn {admin}
directory {folder}
maxsize 104857600
dbnosync
limits dn.exact="{sync}" size.soft=unlimited size.hard=unlimited size.prtotal=unlimited
"""
VIEW = View(("uid",))


@pytest.fixture
def glued(tmp_path: Path) -> Iterator[Slapd]:
    """Thirty users in a database, and thirty more in one that is glued under it (slapd.conf(5), subordinate)."""
    (tmp_path / "branch").mkdir()
    rules = _GLUED.format(branch=BRANCH, admin=ADMIN, folder=tmp_path / "branch", sync=SYNC)
    people = [
        *(person(f"user{n:02}") for n in range(30)),
        f"dn: {BRANCH}\nobjectClass: organizationalUnit\nou: branch\n",
        *(person(f"more{n:02}").replace(f",{PEOPLE}", f",{BRANCH}") for n in range(30)),
    ]
    with Slapd.start(tmp_path / "s", people, rules=rules) as server:
        yield server


def reader(server: Slapd, **more: object) -> LdapReader:
    given = {
        "type": "ldap", "urls": [server.url], "bind_dn": SYNC, "password": {"env": "P"}, "base": PEOPLE,
        "filter": "(objectClass=inetOrgPerson)", "allow_plaintext": True,
    }  # fmt: skip
    return LdapReader(LdapDirectory.model_validate(given | more), Secret(SYNC_PASSWORD), VIEW)


@pytest.mark.parametrize("page_size", [0, 1, 7, 29, 30, 31, 1000])
def test_on_glued_databases_each_scan_is_whole_whatever_came_before_it(glued: Slapd, page_size: int) -> None:
    """Without care OpenLDAP dies of a page that is given up, and begins the next search where the last one was."""
    with closing(reader(glued, page_size=page_size)) as opened:
        assert opened.size() is None
        for taken in (60, 1, 5, 29, 30, 31, 59):
            users = opened.scan()
            assert len(list(islice(users, taken))) == taken
            users.close()  # type: ignore[attr-defined]  # a generator
            assert len({user.id for user in opened.scan()}) == 60
    with closing(reader(glued, page_size=page_size)) as again:
        assert len({user.id for user in again.scan()}) == 60


@pytest.mark.parametrize("size", ["5", "unlimited"])
def test_without_pages_a_search_is_held_to_the_size_limit(tmp_path: Path, size: str) -> None:
    people = [person(f"user{n:02}", "title: x") for n in range(30)]
    limits = f"size.soft={size} size.hard={size} size.prtotal=unlimited"
    with Slapd.start(tmp_path / "s", people, limits=limits) as server, closing(reader(server, page_size=0)) as opened:
        for ask in (opened.scan, partial(opened.find, [("title", "x")])):
            if size == "unlimited":
                assert len({user.id for user in ask()}) == 30
            else:
                with pytest.raises(TruncatedError, match=r"sizeLimitExceeded \(4\)"):
                    list(ask())


class Unannounced(LdapProxy):
    """The server behind it lists no paging; `paged` counts the requests that ask for pages all the same."""

    paged = 0

    def _heard(self, frame: Frame) -> bytes:
        return octets_of(frame).replace(PAGED.encode(), PAGED.encode()[:-1] + b"8")

    def _request(self, frame: Frame) -> bytes:
        self.paged += PAGED.encode() in octets_of(frame)
        return super()._request(frame)


def test_a_server_that_lists_no_paging_is_never_asked_for_pages(tmp_path: Path) -> None:
    people = [person(f"user{n:02}", "title: x") for n in range(30)]
    with Slapd.start(tmp_path / "s", people) as server, Unannounced(server.port) as proxy:
        with closing(reader(server, urls=[proxy.url])) as opened:
            assert opened.size() is None
            assert len({user.id for user in opened.scan()}) == 30
            assert len({user.id for user in opened.find([("title", "x")])}) == 30
        assert proxy.paged == 0
