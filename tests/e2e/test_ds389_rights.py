"""What 389-DS says of our rights when it is only read, held to what it does when it is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.directories.ldap.adapter import LdapDirectory
from connector.model import AttributeChange, Change, Result, Secret, UserRef, View
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support.ds389 import Ds389
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, person

pytestmark = pytest.mark.ds389

ATTRIBUTES = ("employeeNumber", "title", "description", "cecWorkNo", "cecAccountCode", "SIPIdentityPassword", "mail")
USERS = ("plain", "agent", "other")
OF_CLASSES = {"cecWorkNo": "cecAgent", "cecAccountCode": "cecAgent", "SIPIdentityPassword": "SIPIdentity"}
CLASSES: dict[str, tuple[str, ...]] = {"plain": (), "agent": ("cecAgent", "SIPIdentity"), "other": ("cecAgent",)}
READ = '(targetattr!="userPassword")(version 3.0; acl "r"; allow (read, search, compare) userdn="ldap:///{me}";)'
RULES: dict[str, tuple[str, ...]] = {
    "none": (),
    "all": ('(targetattr="*")(version 3.0; acl "a"; allow (all) userdn="ldap:///{me}";)',),
    "some": ('(targetattr="title || cecWorkNo || SIPIdentityPassword")(version 3.0; acl "s"; allow (write) {who})',),
    "all but some": ('(targetattr!="title || cecWorkNo")(version 3.0; acl "b"; allow (write) {who})',),
    "denied again": (
        '(targetattr="*")(version 3.0; acl "a"; allow (write) {who})',
        '(targetattr="mail || cecAccountCode")(version 3.0; acl "d"; deny (write) userdn="ldap:///anyone";)',
    ),
    "by filter": (
        '(targetattr="*")(targetfilter="(objectClass=cecAgent)")(version 3.0; acl "f"; allow (write) {who})',
    ),
    "by name": (f'(target="ldap:///uid=a*,{PEOPLE}")(targetattr="*")(version 3.0; acl "n"; allow (write) {{who}})',),
    "by group": (f'(targetattr="*")(version 3.0; acl "g"; allow (write) groupdn="ldap:///cn=writers,{SUFFIX}";)',),
    "by another group": (f'(targetattr="*")(version 3.0; acl "o"; allow (write) groupdn="ldap:///cn=none,{SUFFIX}";)',),
    "by address": ('(targetattr="*")(version 3.0; acl "i"; allow (write) userdn="ldap:///{me}" and ip="127.0.0.1";)',),
    "by another address": (
        '(targetattr="*")(version 3.0; acl "i"; allow (write) userdn="ldap:///{me}" and ip="192.0.2.1";)',
    ),
    "by the hour": (
        '(targetattr="*")(version 3.0; acl "h"; allow (write) userdn="ldap:///{me}" and timeofday>="0000";)',
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ds389]:
    group = f"dn: cn=writers,{SUFFIX}\nobjectClass: groupOfNames\ncn: writers\nmember: {SYNC}\n"
    people = [person(uid, "title: old", "mail: old@example.org", classes=CLASSES[uid]) for uid in USERS]
    with Ds389.start(tmp_path_factory.mktemp("rights") / "server", [*people, group], rights=()) as running:
        yield running


def rule(text: str) -> str:
    return text.replace("{who}", 'userdn="ldap:///{me}";').replace("{me}", SYNC)


def opened(server: Ds389, url: str) -> LdapDirectory:
    settings = Settings(
        type="ldap", urls=[url], bind_dn=SYNC, password=SecretRef(env="UNUSED"), ca_file=server.ca, base=[PEOPLE],
        filter="(objectClass=inetOrgPerson)", allow_plaintext=True,
    )  # fmt: skip
    return LdapDirectory(settings, Secret(SYNC_PASSWORD), View(ATTRIBUTES, frozenset({"SIPIdentityPassword"})))


def changes(user: UserRef, held: dict[str, tuple[str, ...]]) -> Iterator[Change]:
    """Each attribute set, and each that is there taken away, one at a time."""
    for attribute in ATTRIBUTES:
        old = held.get(attribute, ())
        secret = attribute == "SIPIdentityPassword"
        new = Secret("canary") if secret else "1001"
        yield Change(user, None, 1, (AttributeChange(attribute, old, (new,), secret),))
        if old:
            yield Change(user, None, 1, (AttributeChange(attribute, old, ()),))


def allow(server: Ds389, *rules: str) -> None:
    texts = [rule(text) for text in (READ, *rules)]
    server.modify(f"dn: {PEOPLE}\nchangetype: modify\nreplace: aci\n" + "".join(f"aci: {text}\n" for text in texts))


def tried(server: Ds389, directory: LdapDirectory, change: Change) -> tuple[bool, bool]:
    """Whether the server says that a change may be made, without making it, and whether it then lets it be made."""
    (attribute,) = change.attributes
    before = server.search("-s", "base", "(objectClass=*)", "*", "modifyTimestamp", base=change.user.name)
    objections = list(directory.preflight([change]))
    assert server.search("-s", "base", "(objectClass=*)", "*", "modifyTimestamp", base=change.user.name) == before
    (outcome,) = directory.write([change])
    if outcome.result is Result.WRITTEN:
        lines = "".join(f"{attribute.name}: {value!s}\n" for value in attribute.old)
        server.modify(f"dn: {change.user.name}\nchangetype: modify\nreplace: {attribute.name}\n{lines}")
    assert {(each.user, each.attribute, each.kind) for each in objections} <= {
        (change.user.id, attribute.name, "rights")
    }
    return not objections, "insufficientAccessRights" not in outcome.why


@pytest.mark.parametrize("name", RULES)
def test_what_the_server_says_of_our_rights_is_what_it_does(server: Ds389, name: str) -> None:
    allow(server, *RULES[name])
    directory = opened(server, server.ldaps_url)
    users = {user.name: user.ref for user in directory.scan()}
    told = 0
    for uid in USERS:
        for change in changes(users[f"uid={uid},{PEOPLE}"], {"title": ("old",), "mail": ("old@example.org",)}):
            (attribute,) = change.attributes
            if OF_CLASSES.get(attribute.name, "") in ("", *CLASSES[uid]):
                said, let = tried(server, directory, change)
                assert said is let, (name, uid, attribute.name)
                told += 1
    directory.close()
    assert told == 23


MINE = 'version 3.0; acl "m"; allow (write) userdn="ldap:///{me}"'
BLIND = {
    "strength": f'(targetattr="*")({MINE} and ssf>="128";)',
    "method": f'(targetattr="*")({MINE} and authmethod="simple";)',
    "values": f'(targattrfilters="add=title:(title=1001), del=title:(title=*)")({MINE};)',
}


@pytest.mark.parametrize("name", BLIND)
def test_rules_that_the_server_does_not_see_when_it_is_asked(server: Ds389, name: str) -> None:
    """A fact of 389-DS 3.1, which docs/389ds.md tells: should it ever see them, the documentation can go."""
    allow(server, BLIND[name])
    directory = opened(server, server.ldaps_url)
    (user,) = directory.find([("uid", "plain")])
    change = Change(user.ref, None, 1, (AttributeChange("title", ("old",), ("1001",)),))
    assert tried(server, directory, change) == (False, True)
    directory.close()


def test_a_class_is_never_said_to_be_refused(server: Ds389) -> None:
    allow(
        server, '(targattrfilters="add=objectClass:(objectClass=cecAgent)")(version 3.0; acl "c"; allow (write) {who})'
    )
    directory = opened(server, server.ldaps_url)
    (user,) = directory.find([("uid", "plain")])
    change = Change(user.ref, None, 1, (AttributeChange("objectClass", (), ("cecAgent",)),))
    assert list(directory.preflight([change])) == []
    directory.close()


def test_of_an_attribute_whose_class_comes_with_it_the_rights_are_those_in_that_class(server: Ds389) -> None:
    allow(server, *RULES["some"])
    directory = opened(server, server.ldaps_url)
    (user,) = directory.find([("uid", "plain")])
    wanted = ("cecWorkNo", "cecAccountCode", "SIPIdentityPassword", "SIPIdentityUserName")
    sets = [AttributeChange(name, (), ("1001",)) for name in wanted]
    change = Change(user.ref, None, 1, (AttributeChange("objectClass", (), ("cecAgent", "SIPIdentity")), *sets))
    refused = [each.attribute for each in directory.preflight([change])]
    assert refused == ["cecAccountCode", "SIPIdentityUserName"]
    directory.close()


def test_of_an_entry_that_is_gone_nothing_is_said(server: Ds389) -> None:
    allow(server, *RULES["none"])
    directory = opened(server, server.ldaps_url)
    (user,) = directory.find([("uid", "plain")])
    title = (AttributeChange("title", ("old",), ("new",)),)
    gone = UserRef(user.id, f"uid=gone,{PEOPLE}")
    assert list(directory.preflight([Change(gone, None, 1, title)])) == []
    directory.close()


LIMITED = {
    "by filter": f'(targetattr="*")(targetfilter="(objectClass=inetOrgPerson)")({MINE};)',
    "by name": f'(target="ldap:///uid=*,{PEOPLE}")(targetattr="*")({MINE};)',
}


@pytest.mark.parametrize("name", LIMITED)
def test_of_an_attribute_whose_class_comes_with_it_a_rule_for_such_entries_counts(server: Ds389, name: str) -> None:
    """The entry that the server makes up to answer is below the user's, and has the added class alone."""
    allow(server, LIMITED[name])
    directory = opened(server, server.ldaps_url)
    (user,) = directory.find([("uid", "plain")])
    wanted = AttributeChange("objectClass", (), ("cecAgent",)), AttributeChange("cecWorkNo", (), ("1001",))
    change = Change(user.ref, None, 1, wanted)
    assert list(directory.preflight([change])) == []
    assert [outcome.result for outcome in directory.write([change])] == [Result.WRITTEN]
    server.modify(
        f"dn: {user.name}\nchangetype: modify\ndelete: cecWorkNo\n-\ndelete: objectClass\nobjectClass: cecAgent\n"
    )
    directory.close()


def test_without_any_right_nothing_may_be_taken_away_either(server: Ds389) -> None:
    """The server's word for no right at all is `none`, of which one letter is the right to take values out."""
    allow(server, f'(targetattr="title")(version 3.0; acl "n"; deny (all) userdn="ldap:///{SYNC}";)')
    directory = opened(server, server.ldaps_url)
    (user,) = directory.find([("uid", "plain")])
    change = Change(user.ref, None, 1, (AttributeChange("title", ("old",), (), seen=False),))
    assert tried(server, directory, change) == (False, False)
    directory.close()
