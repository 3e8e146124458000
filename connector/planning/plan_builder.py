"""From claims to a plan: drafts of users, what has to be asked about them, and the plan as a value.

The order is `PlanBuilder.build`. It asks for what is stale, for secrets and attributes that
were not shown, for what the directory has against the changes, and for who holds
single-holder values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from connector.matching.claims import DOUBLED, UNIDENTIFIED_USER, Verdicts
from connector.matching.lookup import Lookup
from connector.matching.people import DOUBT, TOLD, ExcludeList, unknown_agents
from connector.matching.proof import UNPROVEN
from connector.matching.selection import EVERYBODY, Selection
from connector.matching.user_names import Naming
from connector.model import (
    ID,
    KEPT_CREDENTIALS,
    OBJECT_CLASS,
    AgentRef,
    Change,
    Objection,
    Plan,
    Problem,
    Refusal,
    Summary,
    Tenant,
    User,
    UserRef,
    equality,
)
from connector.model.limits import Whole, refusals
from connector.planning.assembly import (
    assembled,
    change_of,
    counts,
    flapping,
    held_back,
)
from connector.planning.brief import Brief, Slot
from connector.planning.compare.differences import Differ
from connector.planning.compare.draft import Draft
from connector.planning.compare.settling import in_order, settled
from connector.planning.compare.unique_values import UniqueValues
from connector.planning.compare.unseen import Unseen, judge_alike
from connector.planning.leavers import stale_users
from connector.planning.leavers.leavers import (
    doubted_attributes,
    emptied,
    hidden_attributes,
)
from connector.planning.leavers.other_jobs import OtherJobs
from connector.planning.open_writes import tell_unsettled
from connector.planning.order import refused_last

UNSHOWN = (
    "the directory accepted the last value and shows none. Probably this account may not read it. Nothing more is "
    "written there. Grant the account the right to read it. Then leave a value there, or set one"
)


class PlanResult(Struct, frozen=True):
    """A plan, the `stale` users (None: not sure who), and the `matched` ones, by id.

    `confirmed`: by user id and attribute, the fingerprint of each secret that was compared unseen and found there; the
    empty one where it is to be gone and is. `denied`: likewise, of what was compared and is
    not there. `away`: where users of ours hold no value any more.
    `only`: whom the command line named, users by their ids.
    `excluded`: by entry of the exclude list, the ids of the users that it names. `lapsed`: ids of users of ours that
    are nowhere. `left_to_others`: ids of users of ours that only agents of other jobs claim.
    """

    plan: Plan
    stale: frozenset[str] | None
    confirmed: dict[tuple[str, str], str]
    denied: dict[tuple[str, str], str]
    matched: Callable[[], Collection[str]] = tuple
    away: Sequence[Slot] = ()
    only: Selection = EVERYBODY
    excluded: Mapping[str, frozenset[str]] = {}
    lapsed: frozenset[str] = frozenset()
    left_to_others: frozenset[str] = frozenset()


class PlanBuilder:
    """Drafts on their way to one plan. `few`: for some agents alone; no scan takes the place of look-ups.

    `claimers`: of a user that is to be cleared, the agents that would claim it.
    `unique`: who holds single-holder values. `unseen`: what users were asked about that they do not show.
    """

    _spared: Callable[[AgentRef | None, UserRef], bool]
    """Whether an agent or a user is on the exclude list."""
    _doubt: Callable[[UserRef], str]
    """Why a stale user may be meant by the exclude list; empty: it is not."""
    unique: UniqueValues
    unseen: Unseen

    def __init__(
        self,
        brief: Brief,
        tenant: Tenant,
        differ: Differ,
        exclude: ExcludeList,
        claimers: Callable[[User], list[AgentRef]],
        *,
        few: bool = False,
    ) -> None:
        self._brief = brief
        self._tenant = tenant
        self._differ = differ
        self._unidentified = brief.description.naming.unidentified or UNIDENTIFIED_USER
        self._exclude = exclude
        self._claimers = claimers
        self._few = few
        self._drafts: list[Draft] = []
        self._stale: list[stale_users.Unclaimed] = []
        self._problems = list(differ.problems)
        self._cautions = [*brief.description.cautions, *differ.cautions]

    def build(
        self,
        directory: Lookup,
        verdicts: Verdicts,
        unclaimed: list[stale_users.Unclaimed],
        shown: Collection[str],
        *,
        holders: Mapping[str, int] = MappingProxyType({stale_users.ANY: 0}),
        restored: int = 0,
        only: Selection = EVERYBODY,
        problems: Iterable[Problem] = (),
        untold: Iterable[Change] = (),
        refused: Iterable[Refusal] = (),
    ) -> PlanResult:
        """The plan of these verdicts. `unclaimed`: stale users. `shown`: attributes that some user showed a value of.

        `holders`: as `stale_users.unclaimed` counts them. `restored`: how many users without an agent hold a secret
        again that was cleared. `untold`: writes of an interrupted run of which it is not
        known whether they happened. `refused`: for what else the plan is refused.
        """
        unsure = (
            verdicts.unsure
            or bool(self._tenant.invalid or self._tenant.others_invalid)
            or bool(verdicts.unproven)
        )
        unsure = unsure or bool(verdicts.doubtful and not self._brief.mapping.clears)
        if verdicts.unproven:
            self._cautions.append(
                UNPROVEN.format(names=" and ".join(sorted(verdicts.unproven)))
            )
        excluded = self._spare(verdicts, unclaimed)
        left_out = self._take(verdicts, only)
        self._problems += problems
        self._problems += tell_unsettled(self._brief)
        print_ = self._brief.fingerprint
        self._holders, self._restored = holders, restored
        self._stale = [
            replace(each, theirs=self._differ.theirs(each, print_))
            for each in unclaimed
        ]
        self._leave_to_others(verdicts.claimed)
        doubted = self._clear(directory, verdicts, unsure=unsure, only=only)
        judge_alike(directory, self._drafts, self._brief)
        self.unseen = Unseen(self._brief, self._drafts)
        self.unseen.judge(directory, shown)
        if unverified := "; ".join(self._unverified()):
            self._brief = replace(
                self._brief, about=(*self._brief.about, ("not verifiable", unverified))
            )
        self._note_replaced()
        self._settle_unshown()
        self._hold_doubled(directory)
        self._object(directory)
        self._say_repeated(untold)
        self.unique = settled(
            directory,
            self._drafts,
            self._brief,
            self._differ.hold_classless,
            few=self._few,
            unclaimed=self._stale,
        )
        plan = self._plan(verdicts, left_out, refused, some=bool(only))
        sure = not (unsure or only)
        gone = (
            frozenset(
                each.user.id for each in self._stale if each.user.id not in doubted
            )
            if sure
            else None
        )
        away = emptied(
            directory, self._stale, self._brief.mapping, self._brief.description
        )
        away += [slot for slot, print_ in self.unseen.confirmed.items() if not print_]
        return PlanResult(
            plan,
            gone,
            self.unseen.confirmed,
            self.unseen.denied,
            verdicts.users,
            away,
            excluded=excluded,
        )

    # ------------------------------------------------------------ whose users, and what is
    # planned for them

    def _spare(
        self, verdicts: Verdicts, unclaimed: Iterable[stale_users.Unclaimed]
    ) -> dict[str, frozenset[str]]:
        """Find out who is on the exclude list; by its entries for agents the ids of the users that they name."""
        exclude, agents = self._exclude, self._tenant.agents
        last: Mapping[str, AgentRef] = {}
        named: dict[str, frozenset[str]] = {}
        nobodys: list[str] = []
        if exclude.agents:
            ids = {claim.id for claim in verdicts.matched.differing}.union(
                each.user.id for each in unclaimed
            )
            last = self._brief.memory.agents(ids)
            matched = (
                (agents[claim.agent].ref, claim.id)
                for claim in verdicts.matched
                if claim.user.identified
            )
            named = exclude.named_by_agents(
                chain(matched, ((agent, id_) for id_, agent in last.items()))
            )
            named_entries = {
                each for entry, each in exclude.agents.items() if named[entry]
            }
            gone = (
                each
                for each in unknown_agents(exclude, self._tenant)
                if each not in named_entries
            )
            nobodys = [exclude.at(each) for each in gone]
        doubt = DOUBT.format(lines=", ".join(nobodys[:TOLD]))
        self._spared = exclude.spares(Naming(self._brief.description), last)
        self._doubt = lambda user: doubt if nobodys and user.id not in last else ""
        return named

    def _take(self, verdicts: Verdicts, only: Selection) -> int:
        """Take in what became of the agents; return how many users differ and are left out of this plan."""
        for invalid in self._tenant.invalid:
            ref = AgentRef(invalid.work_no, invalid.account_code)
            self._problems.append(
                Problem("invalid", invalid.why, agent=ref, record=invalid.record)
            )
        for without in (verdicts.unmatched, verdicts.ambiguous, verdicts.contested):
            self._problems += without.values()
        left_out = 0
        for claim in verdicts.matched.differing:
            assert claim.draft is not None
            # the claim's own stays as it is, for whoever plans again
            draft = replace(claim.draft)
            if self._spared(draft.agent, draft.user):
                why = "on the exclude list; without that it would be changed"
                draft.planned, draft.held = (), (draft.problem("exclude", why),)
            elif not draft.user.identified:
                draft.planned, draft.held = (
                    (),
                    (draft.problem("unreadable", self._unidentified),),
                )
            elif only and draft.planned and not only.holds(draft.agent, draft.user):
                self._problems += draft.held
                left_out += 1
                continue
            self._drafts.append(draft)
        if only:
            names = ", ".join(sorted(only.names))
            self._cautions.append(
                f"limited to {names} (--only): changes of {left_out} other users are left out"
            )
        return left_out

    def _leave_to_others(self, claimed: Callable[[], Collection[str]]) -> None:
        """Hold back what other jobs write, and say what they share with this one."""
        brief, ours = self._brief, {each.user.id for each in self._stale}
        others = OtherJobs(
            brief.memory,
            brief.mapping,
            brief.description,
            lambda id_: id_ in claimed() or id_ in ours,
        )
        self._brief = replace(self._brief, about=(*self._brief.about, *others.told))
        self._others = others
        for draft in self._drafts:
            others.hold(draft)

    def _clear(
        self, directory: Lookup, verdicts: Verdicts, *, unsure: bool, only: Selection
    ) -> Collection[str]:
        """Clear our values from stale users, where the mapping says so and no agent may claim them.

        Return the ids of those whom an agent in doubt may claim.
        """
        mapping = self._brief.mapping
        if mapping.clears and unsure and self._stale and not verdicts.unproven:
            self._cautions.append(stale_users.UNSURE)
        self._cautions += stale_users.jumped(
            mapping.stale, self._brief.memory, self._brief.now
        )
        due, problems = stale_users.judged(
            self._stale, mapping, self._brief.memory, self._brief.now
        )
        self._problems += problems
        if unsure or only or self._tenant.size == 0 or not mapping.clears:
            return ()
        hidden = hidden_attributes(
            directory, self._stale, mapping, self._brief.description
        )
        doubted = doubted_attributes(self._stale, verdicts.doubtful, hidden)
        drafts, problems = stale_users.cleared(
            due, self._brief, self._differ.clearing, self._claimers,
            spared=lambda ref: not ref.identified or self._spared(None, ref), doubt=self._doubt,
            hidden=hidden, doubted=doubted,
        )  # fmt: skip
        for draft in drafts:  # also what is adopted may be another job's
            self._others.hold(draft)
        self._drafts += drafts
        self._problems += problems
        return doubted

    # ------------------------------------------------------------ what is to be asked

    def _object(self, directory: Lookup) -> None:
        """Hold back what the directory objects to; without an object class, whatever needs it."""
        for draft in self._drafts:
            self._differ.hold_classless(draft)
        objections = directory.preflight(self._changes())
        against: dict[str, dict[str, Objection]] = {}
        for objection in objections:
            against.setdefault(objection.user, {}).setdefault(
                objection.attribute, objection
            )
        for draft in self._drafts if against else ():
            objected = against.get(draft.user.id)
            if objected is not None:
                classless = (
                    self._differ.needing_classes(draft)
                    if OBJECT_CLASS in objected
                    else frozenset()
                )
                for each in draft.planned:
                    found = objected.get(each.name) or (
                        objected[OBJECT_CLASS] if each.name in classless else None
                    )
                    if found is not None:
                        draft.hold(
                            (each.name,),
                            draft.problem(found.kind, found.why, each.name),
                        )

    def _unverified(self) -> Iterator[str]:
        """Secrets that are believed to be there as they were written last, for nobody can read or compare them."""
        for name, users in self.unseen.unverified.items():
            days = self._brief.memory.days_of_writes(users, name)
            when = (
                f" on {' to '.join(dict.fromkeys((days[0], days[-1])))}"
                if days
                else " by runs that were pruned"
            )
            yield f"{name} of {len(users):,} users, last written{when}: not read or compared here"

    def _hold_doubled(self, directory: Lookup) -> None:
        """Hold back users whose id some other user has too, where somebody else than the directory gives ids."""
        chosen = self._brief.description.naming.chosen_id
        if chosen is None:
            return
        drafts = [draft for draft in self._drafts if draft.planned]
        names: dict[str, set[str]] = {
            draft.user.id: {draft.user.name} for draft in drafts
        }
        for user in directory.find([(ID, id_) for id_ in names]):
            names.get(user.id, set()).add(user.name)
        for draft in drafts:
            others = names[draft.user.id] - {draft.user.name}
            if others:
                why = DOUBLED.format(
                    id=draft.user.id, name=chosen.name, other=min(others)
                )
                draft.planned, draft.held = (), (draft.problem("unreadable", why),)

    def _note_replaced(self) -> None:
        """Tell of values that are written again, since the last write was taken and not shown, what was there before.

        If the same stands again after this write, the directory spells them so.
        """
        memory, equality_of = self._brief.memory, self._brief.description.equality
        unshown, replaced = memory.unshown(), memory.replaced()
        for draft in self._drafts if replaced else ():
            last, before = (
                unshown.get(draft.user.id, {}),
                replaced.get(draft.user.id, {}),
            )
            draft.planned = tuple(
                replace(each, replaced=before[each.name])
                if each.name in before
                and each.seen
                and equality.same_set(equality_of(each.name), last[each.name], each.new)
                and equality.minus(equality_of(each.name), each.old, before[each.name])
                == each.old
                else each
                for each in draft.planned
            )

    def _settle_unshown(self) -> None:
        """Take out by value what we wrote last and is not shown, so that the new value does not join it.

        Where that cannot be, the new one is held back: each run would add one more. So it
        is where a template made nothing, since what it made last may be to stay. Not where
        whatever there is would be shown: then somebody else has taken it away.
        """
        unshown, description = self._brief.memory.unshown(), self._brief.description
        piling = {
            name
            for name, info in description.attributes.items()
            if not info.single
            and (description.reading.hides or info.readable is not True)
        }
        templates = {
            rule.name: len(rule.templates) for rule in self._brief.mapping.attributes
        }
        for draft in self._drafts if unshown else ():
            for each in draft.planned if draft.agent else ():
                last = unshown.get(draft.user.id, {}).get(each.name)
                if (
                    last is None
                    or each.name not in piling
                    or each.name in draft.shows
                    or each.old
                    or each.secret
                ):
                    continue
                same = equality.same_set(
                    description.equality(each.name), last, each.new
                )
                same = same or 0 < len(each.new) < templates[each.name]
                if (
                    last
                    and not same
                    and description.writing.by_value
                    and description.attributes[each.name].comparable
                ):
                    now = replace(each, old=last, seen=False)
                    draft.planned = tuple(
                        now if one is each else one for one in draft.planned
                    )
                else:
                    draft.hold(
                        (each.name,), draft.problem("unreadable", UNSHOWN, each.name)
                    )

    def _changes(self) -> Iterator[Change]:
        """The changes so far, whole, for the directory to say what it has against them."""
        for draft in self._drafts:
            if draft.planned:
                yield Change(
                    draft.user,
                    draft.agent,
                    draft.rule,
                    self._differ.attributes_of(draft),
                )

    def _say_repeated(self, untold: Iterable[Change]) -> None:
        """Say so of the secrets in `untold`, writes that may have happened, that this plan sets again."""
        secrets = {
            (change.user.id, each.name)
            for change in untold
            for each in change.attributes
            if each.secret
            and self.unseen.denied.get((change.user.id, each.name)) != each.fingerprint
        }
        planned = (
            (draft.user.id, each.name)
            for draft in self._drafts
            if secrets
            for each in draft.planned
        )
        again = {user for user, name in planned if (user, name) in secrets}
        if again:
            whose = "one user" if len(again) == 1 else f"{len(again)} users"
            self._cautions.append(
                f"an interrupted run wrote secrets of {whose}. They cannot be read or compared, so they are "
                "written again"
            )

    # ------------------------------------------------------------ the plan

    def _plan(
        self,
        verdicts: Verdicts,
        left_out: int,
        refused: Iterable[Refusal],
        *,
        some: bool,
    ) -> Plan:
        """The plan, with these refusals and its own; `some`: for some agents alone."""
        brief, memory = self._brief, self._brief.memory
        waiting = self.unique.waiting()
        changes = [
            change_of(draft, self._differ.attributes_of(draft), waiting)
            for draft in in_order(self._drafts)
            if draft.news
        ]
        repeats = {draft.user.id: draft.repeats for draft in self._drafts}
        problems = held_back(self._drafts, self.unique.problems)
        problems = [
            *{id(each): each for each in (*self._problems, *problems)}.values(),
            *flapping(changes, repeats, brief),
        ]
        problems += refused_last.problems(changes, memory.refused())
        nobodys = (
            each
            for draft in self._drafts
            if draft.agent is None
            for each in draft.planned
        )
        if any(each.secret and not each.seen for each in nobodys):
            self._cautions.append(stale_users.UNSEEN)
        if self._differ.schema_checks.blind:
            self._cautions.append(
                "some users do not show their object classes, so the plan is not checked against them. Grant the "
                "account the right to read objectClass"
            )
        summary = self._summary(verdicts, left_out, changes)
        holding = (
            self._differ.holds_most(self._tenant.agents[each.agent], each.draft)
            for each in verdicts.matched
        )
        # what nobody can see counts as held
        lost = sum(holding) if changes and memory.blank() else None
        whole = Whole(
            summary.matched, self._holders[stale_users.ANY], memory.last_good(), lost, self._tenant.beside,
            self._holders,
        )  # fmt: skip
        refused = (
            *refused,
            *refusals(brief.limits, summary, whole, changes, some=some),
        )
        kept = self._keeping_credentials(changes) + self._restored
        if kept:
            said = f"{kept} stale {'user keeps' if kept == 1 else 'users keep'} credentials of this job"
            how = (
                ". To clear them, set `stale: clear` in the mapping"
                if brief.mapping.stale == "report"
                else ""
            )
            brief = replace(
                brief, about=(*brief.about, (KEPT_CREDENTIALS, f"{said}{how}"))
            )
        return assembled(
            brief, changes=changes, problems=problems, summary=summary, refusals=refused, cautions=self._cautions,
            beside={(draft.user.id, name) for draft in self._drafts for name in draft.shows}, taken=self.unique.taken(),
        )  # fmt: skip

    def _keeping_credentials(self, changes: Iterable[Change]) -> int:
        """How many stale users keep a secret of this job. Whoever was deleted keeps nothing."""
        secret = {
            rule.name.lower() for rule in self._brief.mapping.attributes if rule.secret
        }
        clears = (change for change in changes if change.agent is None)
        cleared = {
            change.user.id: {each.name.lower() for each in change.attributes}
            for change in clears
        }
        there = (
            each for each in self._stale if each.place is not stale_users.Place.DELETED
        )
        return sum(
            not each.credentials(secret) <= cleared.get(each.user.id, set())
            for each in there
        )

    def _summary(
        self, verdicts: Verdicts, left_out: int, changes: Sequence[Change]
    ) -> Summary:
        matched = len(verdicts.matched)
        differing = sum(draft.differs for draft in self._drafts if draft.agent)
        return Summary(
            agents=self._tenant.size,
            matched=matched,
            unmatched=len(verdicts.unmatched),
            ambiguous=len(verdicts.ambiguous),
            contested=len(verdicts.contested),
            unassigned=verdicts.unassigned,
            invalid=len(self._tenant.invalid),
            stale=sum(bool(each.names) for each in self._stale),
            unchanged=matched - left_out - differing,
            **counts(changes),
        )
