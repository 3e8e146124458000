"""The limits of a fleet, as a value that is asked and told: pure, so that the engine can repeat it step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from connector.fleet.values import BAD, Ask, FleetState, Limits, Over, Told

MINUTE: Final = 60.0
DENIED: Final = 900.0
"""Seconds after which one step may try an account again that its directory refused:
directories lock after a few."""


class Gate:
    """Which steps may begin: in turn, but nobody waits for another's server or source. Times as in `values`."""

    def __init__(self, known: FleetState) -> None:
        self.limits = known.limits
        self.asked = {each.token: each for each in known.asked}
        self.held = dict(known.held)
        self._begun = {source: list(times) for source, times in known.begun.items()}
        self.jobs = dict(known.jobs)
        self.endings = dict(known.endings)
        self.braked = known.braked
        self._accounts = dict(known.accounts)
        self.unsounded = known.unsounded
        self.checked = known.checked

    def known(self) -> FleetState:
        """All of it, for another gate."""
        return FleetState(
            self.limits, list(self.asked.values()), dict(self.held), self._begun, self.jobs, self.endings, self.braked,
            self._accounts, self.unsounded, self.checked,
        )  # fmt: skip

    def ask(self, ask: Ask) -> None:
        """A step asks to begin; one that asks again keeps its place. What its workflow asked or held before is over."""
        for token, (held, _) in list(self.held.items()):
            if held.workflow == ask.workflow and (token != ask.token or held != ask):
                del self.held[token]
        for token, earlier in list(self.asked.items()):
            if earlier.workflow == ask.workflow and (
                token != ask.token or earlier != ask
            ):
                del self.asked[token]
        self.asked.setdefault(ask.token, ask)

    def over(self, over: Over, now: float) -> None:
        """A step has ended; what is known of its account by that is kept."""
        asked, (held, _) = (
            self.asked.pop(over.token, None),
            self.held.pop(over.token, (None, 0)),
        )
        ask = asked or held
        if ask is not None and ask.account and over.known:
            self._accounts[ask.account] = (0.0, now) if over.denied else (now, 0.0)

    def grant(self, now: float) -> list[Ask]:
        """The steps that begin now; one that asks again for what it holds is told again."""
        granted = []
        for token, ask in list(self.asked.items()):
            if token in self.held or self._fits(ask, now):
                self.let_in(token, now)
                granted.append(ask)
        return granted

    def let_in(self, token: str, now: float) -> None:
        """A step that asked begins now. What asks for nothing is let be."""
        ask = self.asked.pop(token, None)
        if ask is None:
            return
        if token not in self.held and ask.source:
            self._begun.setdefault(ask.source, []).append(now)
        self.held[token] = ask, now

    def _fits(self, ask: Ask, now: float) -> bool:
        if self._free_at(ask, now) > now:
            return False
        held = [held for held, _ in self.held.values()]
        taken, refused = self._accounts.get(ask.account, (0.0, 0.0))
        if (
            ask.account
            and taken <= refused
            and any(each.account == ask.account for each in held)
        ):
            # whether the directory takes this account is found out by one step
            return False
        if ask.step == "plan":
            return True
        applies = [each for each in held if each.step == "apply"]
        on_server = sum(each.server == ask.server for each in applies)
        return (
            not self.braked
            and len(applies) < self.limits.applies
            and on_server < self.limits.per_server
        )

    def _free_at(self, ask: Ask, now: float) -> float:
        """When time lets a step begin: steps that read one source are spread evenly, a refused account rests."""
        recent = [
            each for each in self._begun.get(ask.source, ()) if each > now - MINUTE
        ]
        if ask.source:
            self._begun[ask.source] = recent
        taken, refused = self._accounts.get(ask.account, (0.0, 0.0))
        rested = refused + DENIED if refused > taken else now
        return max(
            rested, recent[-1] + MINUTE / self.limits.source_rate if recent else now
        )

    def look_at(self, now: float) -> float | None:
        """When time alone may let a step begin; None: only what is told can."""
        times = [self._free_at(ask, now) for ask in self.asked.values()]
        return min((each for each in times if each > now), default=None)

    def tell(self, told: Told, now: float) -> None:
        """A job's run has come to this. If too many jobs turned bad, applies stop from now on."""
        before = self.jobs.get(told.job)
        good = (
            now if told.state == "in step" else before.good if before is not None else 0
        )
        since = (
            before.since if before is not None and before.state == told.state else now
        )
        self.jobs[told.job] = replace(told, at=now, since=since, good=good)
        was_bad = before is not None and before.state in BAD
        turned_before = self.endings.get(told.job, (0.0, False))[1]
        self.endings[told.job] = (
            now,
            told.state in BAD and (turned_before or not was_bad),
        )
        if not self.braked and self._too_many(now):
            self.braked, self.unsounded = now, True

    def sounded(self, braked: float) -> None:
        """Somebody has been told of the brake that was set at this time, or cannot be told."""
        if self.braked == braked:
            self.unsounded = False

    def _too_many(self, now: float) -> bool:
        """Whether too large a share of the jobs that ran lately, or are about to, turned bad."""
        brake = self.limits.brake
        recent = {
            job: bad
            for job, (at, bad) in self.endings.items()
            if at > now - brake.seconds
        }
        asks = [*self.asked.values(), *(held for held, _ in self.held.values())]
        under_way = {ask.workflow.rpartition("/")[2] for ask in asks} - recent.keys()
        ran = len(recent) + len(under_way)
        return len(recent) >= brake.least and sum(recent.values()) > brake.share * ran

    def resume(self) -> None:
        """Applies may begin again. What turned bad before counts no more."""
        self.braked, self.endings, self.unsounded = 0, {}, False

    def configure(self, limits: Limits) -> None:
        """From now on these limits hold."""
        self.limits = limits

    def forget(self, jobs: set[str]) -> None:
        """These jobs are no part of the fleet any more."""
        for job in jobs:
            self.jobs.pop(job, None)
            self.endings.pop(job, None)
