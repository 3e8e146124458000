"""Fast is slow: users that are taken many at once make the same claims as one by one, and are the same users."""

from __future__ import annotations

from hypothesis import event, example, given, strategies as st

from connector.directories.ldap.framing import Frame
from connector.errors import MalformedError
from connector.model import Agent, AttributeInfo, Batch, Description, Equality, Secret, Tenant, User
from connector.reconcile.diff.differences import Differ
from connector.reconcile.diff.templates import Template
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.reconcile.matching.claims import Claims
from connector.reconcile.matching.people import Pin
from connector.reconcile.matching.roster import Roster
from tests.fuzz.ldap_codec import reader
from tests.support.batches import each_user, in_batches
from tests.unit.test_ldap_users import ENTRIES, UUID, Attributes, by_ldap3, frame

INFOS = {name: AttributeInfo(name) for name in ("uid", "mail", "employeeNumber", "sn", "title")}
INFOS |= {"cn": AttributeInfo("cn", equality=Equality.CASE_EXACT), "uidNumber": AttributeInfo("uidNumber")}
INFOS["uidNumber"] = AttributeInfo("uidNumber", equality=Equality.INTEGER)
DESCRIPTION = Description("test", "test", INFOS)
RULES = (("{accountCode}", "uid"), ("{accountCode}", "mail"), ("{sipAccount}", "cn"), ("{workNo}", "uidNumber"))
WORDS = st.sampled_from(
    ["ann", "Ann", "ANN", "bob", "ann b", "ann  b", "\u00e9", "e\u0301", "ann\u200b", "7", "07", ""]
)
AGENTS = st.builds(Agent, st.integers(6, 9), st.none() | WORDS, st.none() | WORDS)
HELD = st.one_of(WORDS.map(lambda word: (word,)), st.just(("ann", "bob")), st.just((b"ann",)))
USERS = st.lists(
    st.dictionaries(st.sampled_from([*INFOS]), HELD, max_size=4).map(dict) | st.just({"title": (Secret("ann"),)}),
    max_size=8,
)


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    rules = draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=3, unique_by=lambda rule: rule[1]))
    match = tuple(MatchRule(Template.parse(text), name) for text, name in rules)
    attributes = [AttributeRule("employeeNumber", Template.parse("{workNo}"))]
    attributes += draw(st.sampled_from([[], [AttributeRule("sn", Template.parse("{accountCode}"), owns="*")]]))
    attributes += draw(st.sampled_from([[], [AttributeRule("title", Template.parse("{sipPwd}"), secret=True)]]))
    return Mapping(match=match, attributes=tuple(attributes))


@given(st.lists(AGENTS, max_size=5), USERS, mappings(), st.booleans(), st.booleans())
def test_claims_are_the_same_however_users_come(
    agents: list[Agent], shown: list[dict[str, tuple[str, ...]]], mapping: Mapping, pinned: bool, looked_up: bool
) -> None:
    users = [User(f"id-{n % 7}", f"uid=u{n % 7},dc=example", values) for n, values in enumerate(shown)]
    tenant = Tenant(agents)
    pins = [Pin("ann", None, "id-1")] if pinned else []
    found = []
    for come in (users, in_batches(users)):
        claims = Claims(Roster(tenant, mapping, pins, DESCRIPTION), Differ(tenant, mapping, DESCRIPTION))
        claims.asked |= {"uid"} if looked_up else set()
        for each in come:
            event(f"{type(each).__name__}")
            for user in claims.take(each) if isinstance(each, Batch) else (each,):
                claims.add(user)
        told = claims.found(), claims.shown, claims.shows, claims.proven, [*map(claims.of, range(len(agents)))]
        found.append((repr(told), repr(claims.doubts()), repr(claims.settle(tenant))))
    assert found[0] == found[1]


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
@example([[("uid", [b"abc"]), ("entryUUID", [UUID])], [("uid", [b"\xff\xfe\xfd"]), ("entryUUID", [UUID])]], None)
def test_entries_of_a_page_are_the_same_users_as_one_by_one(
    entries: list[Attributes], data: st.DataObject | None
) -> None:
    whole = [frame(by_ldap3(attributes)) for attributes in entries] * 2
    for one in list(whole) if data else ():
        octets = bytearray(one.data)
        octets[data.draw(st.integers(one.start, one.stop - 1))] = data.draw(st.integers(0, 255))  # type: ignore[union-attr]  # there is some
        whole.append(Frame(one.id, one.tag, bytes(octets), one.start, one.stop, one.end))
    for frames in (whole[: 2 * len(entries)], whole):
        assert _read(frames, at_once=True) == _read(frames, at_once=False)


def _read(frames: list[Frame], *, at_once: bool) -> object:
    users = reader()
    try:
        found = each_user(users.batches(frames)) if at_once else map(users.user, frames)
        return sorted(map(repr, found))
    except MalformedError:
        return MalformedError


def test_users_of_one_shape_are_one_batch_whatever_their_lengths() -> None:
    names = [b"a", b"bb", b"a", b"c", b"dd", b"bb"]
    frames = [frame(by_ldap3([("uid", [name]), ("entryUUID", [UUID])])) for name in names]
    first, second, batch = reader().batches(frames)
    assert (type(first), type(second)) == (User, User)
    assert isinstance(batch, Batch)
    assert sorted(batch.columns["uid"]) == ["a", "bb", "c", "dd"]
