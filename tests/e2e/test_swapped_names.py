"""Two users swap their names between the last read and the write: the write reaches its own user, or nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ad_job import WITHOUT_TLS, AdJob, held, named, outcomes, people
from tests.support.ldap_job import LdapJob, held as stored
from tests.support.ldap_proxy import LdapProxy
from tests.support.samba import PEOPLE, Samba
from tests.support.slapd import Slapd, person
from tests.support.swapping import swap

FIRST, SECOND = "agent000", "agent001"


class Swap:
    """Swaps two names at the first modify that comes by."""

    def __init__(self, server: Samba | Slapd, text: str) -> None:
        self._server, self._text = server, text

    def __call__(self, name: str, message: bytes) -> bytes:
        if self._text:
            self._server.modify(self._text)
            self._text = ""
        return message


@pytest.mark.samba
def test_active_directory_is_written_by_id(tmp_path: Path) -> None:
    with Samba.start(tmp_path / "dc", people(2), options=WITHOUT_TLS) as server:
        text = swap(f"CN={FIRST}", f"CN={SECOND}", PEOPLE)
        with LdapProxy(389, Swap(server, text), host=server.host) as proxy:
            job = AdJob(tmp_path / "job", proxy.url, agents=2)
            became = outcomes(job.run("apply"))
        assert {result for result, _ in became.values()} == {"written"}
        assert (held(server, 0, "ipPhone"), held(server, 1, "ipPhone")) == (["7000"], ["7001"])
        job.configure(directory={"urls": [server.url]})
        assert job.run("plan")["changes"] == []
        run = job.runs()[0]["id"]
        assert len(job.run("undo", run)["changes"]) == 2, "the journal knows both writes by the users' ids"


@pytest.mark.samba
def test_a_user_that_left_the_base_is_not_written_by_its_id(tmp_path: Path) -> None:
    base = f"OU=inside,{PEOPLE}"
    entries = [f"dn: {base}\nobjectClass: organizationalUnit\n", *people(2)]
    with Samba.start(tmp_path / "dc", entries, options=WITHOUT_TLS) as server:
        server.modify(
            "\n".join(
                f"dn: {named(number)}\nchangetype: modrdn\nnewrdn: CN=agent{number:03}\ndeleteoldrdn: 1\n"
                f"newsuperior: {base}\n"
                for number in range(2)
            )
        )
        job = AdJob(tmp_path / "job", server.url, agents=2)
        job.configure(directory={"base": base})
        job.run("plan", "--save", "plan.json")
        job.run("apply")
        server.modify(
            f"dn: {named(1, base)}\nchangetype: modrdn\nnewrdn: CN={SECOND}\ndeleteoldrdn: 1\nnewsuperior: {PEOPLE}\n"
        )
        job.agents([])
        run = job.runs()[0]["id"]
        undone = job.run("undo", run, "--apply", code=0)
        assert [each["user"]["name"] for each in undone["changes"]] == [named(0, base)]
        assert held(server, 1, "ipPhone") == ["7001"], "outside of the base nothing is touched"


@pytest.mark.slapd
def test_openldap_asserts_the_id(tmp_path: Path) -> None:
    entries = [person(FIRST), person(SECOND)]
    mapping = 'match: [{agent: "{accountCode}", directory: sn}]\nattributes: {employeeNumber: "{workNo}"}\n'
    with Slapd.start(tmp_path / "server", entries) as server:
        text = swap(f"uid={FIRST}", f"uid={SECOND}", "ou=people,dc=example,dc=org")
        with LdapProxy(server.port, Swap(server, text)) as proxy:
            job = LdapJob(tmp_path / "job", proxy.url, FIRST, SECOND, mapping=mapping)
            assert job.apply(code=4)[FIRST]["outcome"] == "conflict"
        assert stored(server, FIRST, "employeeNumber") == stored(server, SECOND, "employeeNumber") == []
