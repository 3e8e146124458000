"""What the journal owes the audit (law 13): each outcome has a number, and each sink a mark, how far it was told.

Numbers count within a run, upwards, and are noted in the transaction of their outcomes. A
mark never says more than what is safe with its sink, so that it may say less; what lies
between is told again, by the same number. A run tells what runs on its own directory left:
the others may be under way, or have other sinks.

Of each sink the state also has the job's `Link`: the last record of its chain that is safe
there. How the two come about, and which is ahead after a kill, is told in
`observers/chain.py`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Final, Self

from msgspec import Struct

from connector.errors import BusyError, DamagedError
from connector.model import Change, Noted, Outcome
from connector.runtime.clock import stamp
from connector.state.database import Database, Row, Transaction
from connector.state.journal_rows import OUTCOMES, note_outcomes, step
from connector.state.sealing import Sealer

Teller = Callable[[Sequence[Noted]], None]
_BEGUN: Final = (
    "insert into chains (job, sink, seq, digest, under_way) values (?, ?, 0, '', 1) "
    "on conflict (job, sink) do update set under_way = 1"
)
_LINKED: Final = (
    "update chains set seq = ?, digest = ?, under_way = ? where job = ? and sink = ?"
)


class Owed(Struct, frozen=True):
    """What a sink was not told of one run, for certain: every outcome whose number is above its `mark`.

    `last`: the highest number of the run. `result` None: it was interrupted.
    """

    run: str
    mark: int
    last: int
    digest: str
    started: str
    ended: str | None
    result: str | None
    outcomes: Sequence[Noted]


class Link(Struct, frozen=True):
    """The last record of a job's chain that is safe with a sink, by its number and its digest (hexadecimal).

    `ended`: the session that told it ended in order, so that the sink has no record after it.
    """

    seq: int = 0
    digest: str = ""
    ended: bool = True


class Telling:
    """The account of one state's journal. Until a job's audit has begun, nothing is numbered and nothing is owed.

    `lost`: the journal could not be written. `begun`: by sink, the link as this session found it. All of its methods
    raise StateError.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sinks: tuple[str, ...] = ()
        self._teller: Teller | None = None
        self._secure: Callable[[], None] | None = None
        # as of the last commit
        self._known: dict[str, tuple[int, str, str | None]] = {}
        self._marks: dict[tuple[str, str], int] = {}
        self._reached: dict[tuple[str, str], int] = {}
        self._job = ""
        self._directory = ""
        self._who = ""
        self._sealer = Sealer(None)
        self._links: dict[str, Link] = {}
        self._lease = ExitStack()
        self.begun: dict[str, Link] = {}
        self.lost = False

    def of(self, job: str, sealer: Sealer) -> Self:
        self._job, self._sealer = job, sealer
        return self

    @property
    def who(self) -> str | None:
        """Who writes, for the record of a run; None where nobody keeps an account."""
        return self._who if self._teller is not None else None

    def begin(
        self,
        directory: str,
        sinks: Collection[str],
        who: str,
        teller: Teller,
        secure: Callable[[], None],
    ) -> None:
        """Number outcomes from now on, and tell them once they are durable.

        `directory`: the one that is held; empty: all that the job wrote to are, and nothing is forgotten. `who`: who
        writes, as JSON. `secure` makes what was told safe, and marks it. A sink that the
        job has no more is owed nothing of this directory: named again, it is told from then
        on. One process at a time adds to a job's chain. Raises BusyError.
        """
        self.let_go()
        try:
            self._lease.enter_context(
                self._database.lease(f"the audit of {self._job}", self._job)
            )
        except BusyError as fault:
            why = "another run adds to the audit of this job. Rerun later"
            raise BusyError(why, where=fault.where) from None
        self.begun, self._links = {sink: self.link(sink) for sink in sinks}, {}
        if any(
            link.ended for link in self.begun.values()
        ):  # else the last session was interrupted, too
            with self._database.writing() as transaction:
                transaction.executemany(_BEGUN, [(self._job, sink) for sink in sinks])
        self._directory, self._sinks, self._who = directory, tuple(sinks), who
        self._teller, self._secure = teller, secure
        if not directory:
            return
        others = "sink not in (?, ?) and run in (select id from runs where job = ? and directory = ?)"
        values = (*(*sinks, *sinks)[:2], self._job, directory)
        if self._database.rows(f"select 1 from told where {others} limit 1", *values):  # noqa: S608  # `others` is the literal above; values are bound
            with self._database.writing() as transaction:
                transaction.execute(f"delete from told where {others}", values)  # noqa: S608  # `others` is the literal above; values are bound

    # ------------------------------------------------------------ while a run goes on

    def note(
        self,
        transaction: Transaction,
        run: str,
        found: Iterable[tuple[Change, Outcome]],
    ) -> list[Noted]:
        """Number outcomes of this run, as a part of the transaction that notes them."""
        found = list(found)
        if self._teller is None or not found:
            return [Noted(run, change, outcome) for change, outcome in found]
        known = (
            self._known.pop(run)
            if run in self._known
            else self._begun(transaction, run)
        )
        last, directory, who = known
        time = stamp()
        noted = [
            Noted(run, change, outcome, number, time, directory, who)
            for number, (change, outcome) in enumerate(found, last + 1)
        ]
        transaction.execute(
            "update runs set numbered = ? where id = ?", (last + len(noted), run)
        )
        self.keep(transaction)
        return noted

    def settle(
        self,
        transaction: Transaction,
        run: str,
        found: Iterable[tuple[Change, Outcome]],
    ) -> list[Noted]:
        """Number outcomes of writes that are in the journal, and note them there."""
        noted = self.note(transaction, run, found)
        note_outcomes(transaction, noted)
        return noted

    def _begun(self, transaction: Transaction, run: str) -> tuple[int, str, str | None]:
        """The last number of a run so far; what was before the first mark of a sink counts as told."""
        found = self._database.rows(
            "select numbered, directory, who from runs where id = ?", run
        )
        ((numbered, directory, who),) = found or [(None, "", None)]
        last = int(numbered or 0)
        for sink in self._sinks:
            transaction.execute(
                "insert into told (run, sink, number) values (?, ?, ?) on conflict (run, sink) do nothing",
                (run, sink, last),
            )
        for sink, number in self._database.rows(
            "select sink, number from told where run = ?", run
        ):
            self._reached.setdefault((sink, run), number)
        return last, directory, who

    def tell(self, noted: Sequence[Noted]) -> None:
        """Outcomes are durable now, and are told. Raises nothing."""
        if self._teller is not None and noted:
            for each in noted:
                self._known[each.run] = (each.number, each.directory, each.who)
            self._teller(noted)

    def secure(self) -> None:
        """All that was told is made safe, as far as its sinks let it, before a run is said to have ended."""
        if self._secure is not None:
            self._secure()

    def safe(self, sink: str, run: str, number: int) -> None:
        """One more is safe with a sink. What comes after one that is not is not marked: a mark covers all before."""
        if self._reached.get((sink, run)) == number - 1:
            self._reached[sink, run] = number
            self.mark(sink, run, number)

    def mark(self, sink: str, run: str, number: int) -> None:
        """What has numbers up to this one is safe with a sink; the next transaction notes that."""
        self._marks[sink, run] = max(number, self._marks.get((sink, run), 0))

    def link(self, sink: str) -> Link:
        """The last record of this job's chain that is known to be safe with a sink."""
        query = "select seq, digest, under_way from chains where job = ? and sink = ?"
        found = self._database.rows(query, self._job, sink)
        return next(
            (Link(seq, digest, not under_way) for seq, digest, under_way in found),
            Link(),
        )

    def linked(self, sink: str, link: Link) -> None:
        """A record of the chain is safe with a sink, and more may come; the next transaction notes that."""
        self._links[sink] = Link(link.seq, link.digest, ended=False)

    def end(self, links: Mapping[str, Link]) -> None:
        """Note how the chains have ended, and let others add to the job's. A sink without a link was told nothing."""
        with closing(self._lease):
            self._links = self.begun | {
                sink: link for sink, link in links.items() if sink in self.begun
            }
            self.begun = {}
            self.flush()

    def let_go(self) -> None:
        """Let others add to the job's chain, which has not ended."""
        self._lease.close()

    def keep(self, transaction: Transaction) -> None:
        """Note the marks and links that have come up."""
        if self._links:
            rows: list[Row] = [
                (each.seq, each.digest, int(not each.ended), self._job, sink)
                for sink, each in self._links.items()
            ]
            transaction.executemany(_LINKED, rows)
            self._links = {}
        if self._marks:
            rows = [
                (number, run, sink, number)
                for (sink, run), number in self._marks.items()
            ]
            transaction.executemany(
                "update told set number = ? where run = ? and sink = ? and number < ?",
                rows,
            )
            self._marks = {}

    def flush(self) -> None:
        """Note them now."""
        if self._marks or self._links:
            with self._database.writing() as transaction:
                self.keep(transaction)

    # ------------------------------------------------------------ what was left

    def owed(self, sink: str) -> Iterator[Owed]:
        """What this sink was not told for certain of this job's runs on the directory held, the oldest run first."""
        query = (
            "select id, told.number, numbered, digest, started, ended, result, directory, who from told "  # noqa: S608  # of two literals; values are bound
            "join runs on runs.id = told.run where sink = ? and job = ? and told.number < numbered "
            f"{'and directory = ? ' if self._directory else ''}order by runs.number"
        )
        values = (
            (sink, self._job, self._directory) if self._directory else (sink, self._job)
        )
        for (
            run,
            mark,
            last,
            digest,
            started,
            ended,
            result,
            directory,
            who,
        ) in self._database.rows(query, *values):
            outcomes = [
                self._noted(row, number, time, directory, who)
                for *row, number, time in self._database.rows(OUTCOMES, run, mark)
            ]
            yield Owed(run, mark, last, digest, started, ended, result, outcomes)

    def _noted(
        self,
        row: Sequence[object],
        number: int,
        time: str,
        directory: str,
        who: str | None,
    ) -> Noted:
        found = step(row, self._sealer, self._database.where)
        if found.outcome is None:  # the query asks for none
            raise DamagedError(
                "the state is damaged: a number without an outcome",
                where=self._database.where,
            )
        outcome = Outcome(found.change.user, found.outcome, found.why, lost=found.lost)
        return Noted(found.run, found.change, outcome, number, time, directory, who)
