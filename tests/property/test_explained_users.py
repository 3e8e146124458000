"""Users explained: whose they are, and if nobody's, why, and what becomes of their values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.sync import apply_run, make_plan
from connector.directories.common.entries import Entry
from connector.directories.port import Reader
from connector.errors import UsageError
from connector.explain.explainer import explain_name
from connector.matching.people import ExcludeList
from connector.model import UNIDENTIFIED, Agent, InvalidRecord, Key, Tenant, User
from connector.model.mapping import MatchRule, Stale
from connector.model.templates import Template
from connector.planning.assembly import UNPROVEN, UNSURE
from connector.planning.explanation import Explanation
from tests.support.memory import Closed, MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, SEATS, World

AWAY = "ou=elsewhere,dc=example,dc=org"
OURS = "this job wrote to it, and no agent claims it"


def world(*accounts: str, users: Iterable[str] = ("ann", "bob", "cid"), away: Iterable[str] = ()) -> World:
    """Agents of these accounts, and users within reach and elsewhere."""
    people = [("id", uid, BASE) for uid in users] + [("far", uid, AWAY) for uid in away]
    store = MemoryStore(
        {
            f"{place}-{uid}": (f"uid={uid},{base}", {"objectClass": ["inetOrgPerson"], "uid": [uid], "cn": [uid]})
            for place, uid, base in people
        }
    )
    return World(Tenant([Agent(number, account) for number, account in enumerate(accounts)]), store, SEATS)


def left(*stay: str, stale: Stale = "clear") -> World:
    """Ann, bob and cid have seats by an earlier run; of their agents these have stayed."""
    of = world("ann", "bob", "cid")
    of.mapping = replace(of.mapping, stale=stale)
    with of.context() as context:
        apply_run(context, lambda plan, outcomes: None)
    of.tenant = Tenant([agent for agent in of.tenant.agents if agent.account_code in stay])
    return of


def told(of: World, name: str, beyond: Reader | None = None) -> list[Explanation]:
    with of.context() as context:
        return list(
            explain_name(
                replace(context, beyond=None if beyond is None else lambda: beyond), f"user:{name}"
            ).explanations
        )


def one(of: World, name: str, beyond: Reader | None = None) -> Explanation:
    (found,) = told(of, name, beyond)
    return found


def everywhere(of: World) -> MemoryDirectory:
    return MemoryDirectory(of.store, of.mapping.view())


def test_a_user_of_ours_that_nobody_claims_is_told_as_the_plan_has_it() -> None:
    of = left("ann", "bob")
    found = one(of, "id-cid")
    with of.context() as context:
        drawn = make_plan(context).plan
    assert (found.verdict, found.agent, found.why) == ("stale", None, f"{OURS}: its values are cleared")
    assert found.change in drawn.changes
    assert {each.why for each in found.problems} == {
        each.why for each in drawn.problems if f"uid=cid,{BASE}" in each.users
    }
    assert found.user is not None
    assert (found.user.id, found.rules, found.attributes) == ("id-cid", (), ())


def test_a_user_of_ours_is_found_by_its_name_too_and_others_are_not_told() -> None:
    of = left("ann")
    assert [each.user and each.user.id for each in told(of, f"UID=bob, {BASE}")] == ["id-bob"]


def test_why_a_user_of_ours_keeps_its_values_is_told() -> None:
    assert one(left("ann", stale="report"), "id-cid").why == f"{OURS}: its values are kept, since `stale` is report"
    unsure = left("ann")
    unsure.tenant = replace(unsure.tenant, invalid=[InvalidRecord(7, "no")])
    assert one(unsure, "id-cid").why == f"{OURS}; {UNSURE}"
    unproven = left("ann")
    unproven.tenant = Tenant([*unproven.tenant.agents, Agent(7, "zoe")])
    unproven.mapping = replace(
        unproven.mapping, match=(*unproven.mapping.match, MatchRule(Template.parse("{accountCode}@x"), "mail"))
    )
    assert one(unproven, "id-cid").why == f"{OURS}; {UNPROVEN.format(names='mail')}"
    spared = left("ann")
    spared.exclude = ExcludeList(users=frozenset({"id-cid"}))
    assert one(spared, "id-cid").why == f"{OURS}: on the exclude list"
    assert one(spared, "id-bob").why.endswith("cleared")


def test_a_user_of_ours_that_was_renamed_is_found_by_its_new_name_with_the_lines_about_it_alone() -> None:
    for stale in ("clear", "report"):
        of = left("ann", stale=stale)
        _, held = of.store.snapshot()["id-cid"]
        of.store.put("id-cid", f"uid=carl,{BASE}", {**held, "cecWorkNo": ["77"]})
        (found,) = told(of, f"uid=carl,{BASE}")
        assert (found.verdict, found.why.startswith(OURS)) == ("stale", True)
        assert any(each.users == (f"uid=carl,{BASE}",) for each in found.problems) is (stale == "clear"), (
            "changed since"
        )
        assert all({f"uid=cid,{BASE}", f"uid=carl,{BASE}"} & {*each.users} for each in found.problems)


class Endless(MemoryDirectory):
    """A directory that nobody reads whole for one user."""

    def scan(self, holding: Iterable[str] = ()) -> Iterator[User]:
        raise AssertionError(holding)


class All(MemoryDirectory):
    """Answers each look-up with everybody, as a directory may that is read whole for it."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        return self.scan()


def test_a_user_of_ours_that_is_there_needs_no_other_to_be_seen() -> None:
    of = left("ann")
    of.connect = lambda view: Endless(of.store, view, base=BASE)
    assert one(of, "id-cid").verdict == "stale"


def test_of_those_that_a_look_up_answers_with_the_one_that_is_named_is_explained() -> None:
    of = left("ann")
    of.connect = lambda view: All(of.store, view, base=BASE)
    assert [each.user and each.user.id for each in told(of, "id-cid")] == ["id-cid"]


def test_whoever_hides_its_id_by_now_and_is_claimed_is_not_stale() -> None:
    of = left("ann", "cid")
    entry = of.store.entries.pop("id-cid")
    of.store.put(f"{UNIDENTIFIED}{entry.name}", entry.name, of_values(entry))
    (found,) = told(of, entry.name)
    assert (found.agent and found.agent.account_code, found.verdict) == ("cid", "matched")


def of_values(entry: Entry) -> dict[str, list[bytes]]:
    return {name: list(values) for name, values in entry.values.items()}


def test_a_user_of_ours_that_is_gone_is_told_where_somebody_else_can_be_seen() -> None:
    of = left("ann")
    of.store.remove("id-cid")
    found = one(of, "id-cid", everywhere(of))
    assert (found.verdict, found.why, found.change) == ("stale", OURS, None)
    assert any("was deleted" in each.why for each in found.problems)
    assert any("To tell which" in each.why for each in one(of, "id-cid").problems), "without a look past them"


def test_a_user_that_is_gone_is_told_also_when_no_plan_speaks_of_it_any_more() -> None:
    of = left("ann")
    of.store.remove("id-cid")
    for _ in range(2):
        with of.context() as context:
            apply_run(context, lambda plan, outcomes: None)
            drawn = make_plan(context).plan
    assert all(f"uid=cid,{BASE}" not in each.users for each in drawn.problems)
    for name in ("id-cid", f"uid=cid,{BASE}"):
        found = one(of, name, everywhere(of))
        assert (found.verdict, found.why, found.change) == ("stale", OURS, None)
        assert any("was deleted" in each.why for each in found.problems)


def test_a_user_that_holds_nothing_of_ours_is_untouched_and_nobody_who_is_near_is_left_out() -> None:
    of = world("ann", "bo b", "bob1", users=["ann", "bob", "dan"])
    why = "no agent looks for uid 'bob'; almost: bo b (workNo 1) (uid: differs in spaces)"
    bob = one(of, "id-bob")
    assert (bob.verdict, bob.why, bob.user and bob.user.id) == ("untouched", why, "id-bob")
    assert one(of, "id-dan").why == "no agent looks for uid 'dan'"


def test_an_agent_that_has_a_user_is_near_no_other() -> None:
    of = world("ann", "bo b", users=["ann", "bob", "bo b"])
    assert one(of, "id-bob").why == "no agent looks for uid 'bob'"


def test_what_a_user_does_not_show_is_told_with_what_it_shows() -> None:
    of = world("ann", users=["ann", "bob"])
    of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{sipAccount}"), "mail")))
    assert one(of, "id-bob").why == "no agent looks for uid 'bob'; it shows no mail"
    of.store.put("id-x", f"cn=x,{BASE}", {"objectClass": ["inetOrgPerson"], "cn": ["x"]})
    assert one(of, "id-x").why == "it shows no uid and no mail"


def test_of_a_user_whose_values_are_no_text_that_is_told() -> None:
    of = world("ann", "bob", users=["ann", "bob"])
    of.store.entries["id-bob"].values["uid"] = [b"\xff", b"\xfe"]
    assert one(of, "id-bob").why == "no agent looks for uid (no text)"


def test_whose_agents_have_other_users_is_nobodys() -> None:
    """Two rules find two users for one agent; the first one decides."""
    of = world("ann", users=["ann", "bob"])
    of.mapping = replace(of.mapping, match=(*of.mapping.match, MatchRule(Template.parse("{accountCode}@x"), "mail")))
    of.store.entries["id-bob"].values["mail"] = [b"ann@x"]
    user, agent = told(of, "id-bob")
    assert (user.agent, user.verdict, user.why) == (None, "untouched", "the agents that look for it claim other users")
    assert (agent.agent and agent.agent.account_code, agent.verdict) == ("ann", "matched")
    (only,) = told(of, "id-ann")
    assert (only.agent and only.agent.account_code, only.verdict) == ("ann", "matched")


def test_a_user_that_base_and_filter_leave_out_is_told_where_one_may_look_there() -> None:
    of = world("ann", users=["ann"], away=["bob", "dan"])
    found = one(of, "far-bob", everywhere(of))
    assert (found.verdict, found.user and found.user.id) == ("outside", "far-bob")
    assert found.why == "base or filter leaves it out: no run reads or writes it"
    for beyond in (None, Closed(of.store, of.mapping.view())):
        with pytest.raises(UsageError, match="there is no user 'far-bob'"):
            told(of, "far-bob", beyond)
