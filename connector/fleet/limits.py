"""The limits of a fleet: rows in PostgreSQL, which all workers share.

Each call is one short transaction. An advisory lock lets one of them in at a time, and times
are those of the database's clock, in seconds since 1970. A step holds its place by a lease,
which its worker renews: where the worker dies, the place is free a minute later.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict as dataclass_values
from typing import Any, Final

import psycopg
from msgspec import Struct
from msgspec.structs import asdict

from connector.errors import StateError
from connector.fleet.values import BAD_STATES, JobStatus, Step
from connector.settings.fleet import FleetLimits
from connector.state.database import make_storable, restore_row
from connector.state.postgresql import describe_fault, read_parameters

LEASE: Final = 60.0
"""Seconds for which a step keeps its place, or its turn, without a word of its worker."""
MINUTE: Final = 60.0
DENIED_REST: Final = 900.0
"""Seconds after which one step may try an account again that its directory refused:
directories lock accounts after a few attempts."""
ALARM_SECONDS: Final = 300.0
"""Seconds that a worker has to tell people of the brake, before another one does."""

_WATCH_TABLE: Final = """
    create table fleet_watches (
        fleet text primary key, token text not null, leased_until double precision not null
    )
"""
_KEEP_WATCH: Final = """
    insert into fleet_watches as old values (%(fleet)s, %(token)s, %(now)s + %(lease)s)
    on conflict (fleet) do update
    set token = excluded.token, leased_until = excluded.leased_until
    where old.token = excluded.token or old.leased_until < %(now)s
    returning token
"""

Row = tuple[Any, ...]

_BEGIN: Final = """
    select set_config('lock_timeout', '20s', true),
        set_config('idle_in_transaction_session_timeout', '20s', true);
    select pg_advisory_xact_lock(7162239829045699941)
"""
"""One transaction at a time (PostgreSQL manual, 9.28.10). A machine that goes away within its
transaction holds up the others no longer than 20 seconds."""
_TABLES: Final = """
    create table fleet_limits (
        fleet text primary key,
        applies bigint, per_server bigint, source_rate bigint,
        brake_share bigint, brake_least bigint, brake_window double precision,
        braked double precision not null default 0,
        alarm_at double precision not null default 0
    );
    create table fleet_steps (
        fleet text, token text, number bigint generated always as identity,
        job text not null, step text not null,
        source text not null, server text not null, account text not null,
        let_in boolean not null, runs boolean not null,
        leased_until double precision not null,
        primary key (fleet, token)
    );
    create table fleet_sources (
        fleet text, source text, step_begun double precision not null,
        primary key (fleet, source)
    );
    create table fleet_accounts (
        fleet text, account text, denied boolean not null, tried double precision not null,
        primary key (fleet, account)
    );
    create table fleet_jobs (
        fleet text, job text,
        state text not null, code bigint not null, digest text not null, changes bigint not null,
        ended double precision not null, since double precision not null,
        last_good double precision not null,
        turned_bad boolean not null, counts boolean not null default true,
        primary key (fleet, job)
    )
"""
"""Of `fleet_jobs`: `turned_bad`: it is bad, and was not bad before; `counts`: for the brake."""
_SET_LIMITS: Final = """
    update fleet_limits
    set applies = %(applies)s, per_server = %(per_server)s, source_rate = %(source_rate)s,
        brake_share = %(share)s, brake_least = %(least)s, brake_window = %(window)s
    where fleet = %(fleet)s
"""
_DROP_OLDER_STEPS: Final = """
    delete from fleet_steps
    where fleet = %(fleet)s and (
        token = %(token)s and step <> %(step)s
        or job = %(job)s and token <> %(token)s and not runs
    )
"""
"""What a run asked or held before is over; an earlier run of the job is, unless it still runs."""
_KEEP_STEP: Final = """
    insert into fleet_steps as old
        (fleet, token, job, step, source, server, account, let_in, runs, leased_until)
    values (%(fleet)s, %(token)s, %(job)s, %(step)s, %(source)s, %(server)s, %(account)s,
        %(runs)s, %(runs)s, %(now)s + %(lease)s)
    on conflict (fleet, token) do update
    set leased_until = excluded.leased_until,
        let_in = old.let_in or excluded.let_in, runs = old.runs or excluded.runs
"""
_FIND_NEXT: Final = """
    select token, source
    from fleet_steps step
    join fleet_limits using (fleet)
    left join fleet_sources using (fleet, source)
    left join fleet_accounts using (fleet, account)
    where fleet = %(fleet)s and not let_in
    -- steps that read one source are spread evenly
    and coalesce(step_begun + %(minute)s / source_rate, 0) <= %(now)s
    -- a refused account rests, and one step finds out whether the directory takes it
    and (denied is not true or tried + %(rest)s <= %(now)s)
    and (account = '' or denied is false or not exists (
        select from fleet_steps held
        where held.fleet = step.fleet and held.let_in and held.account = step.account
    ))
    and (step.step = 'plan' or braked = 0
        and applies > (
            select count(*) from fleet_steps held
            where held.fleet = step.fleet and held.let_in and held.step = 'apply'
        )
        and per_server > (
            select count(*) from fleet_steps held
            where held.fleet = step.fleet and held.let_in and held.step = 'apply'
            and held.server = step.server
        )
    )
    order by number limit 1
"""
"""The step that begins next: the first that asked, of those that no limit keeps waiting."""
_NEXT_TIME: Final = """
    select min(free_at) - %(now)s
    from fleet_steps
    join fleet_limits using (fleet)
    left join fleet_sources using (fleet, source)
    left join fleet_accounts using (fleet, account)
    cross join lateral (select greatest(
        step_begun + %(minute)s / source_rate, case when denied then tried + %(rest)s end
    ) as free_at) as times
    where fleet = %(fleet)s and not let_in and free_at > %(now)s
"""
"""Seconds until time alone may let another step begin."""
_LET_IN: Final = """
    update fleet_steps set let_in = true, leased_until = %(now)s + %(lease)s
    where fleet = %(fleet)s and token = %(token)s
"""
_NOTE_SOURCE: Final = """
    insert into fleet_sources values (%(fleet)s, %(source)s, %(now)s)
    on conflict (fleet, source) do update set step_begun = excluded.step_begun
"""
_NOTE_ACCOUNT: Final = """
    insert into fleet_accounts values (%(fleet)s, %(account)s, %(denied)s, %(now)s)
    on conflict (fleet, account) do update set denied = excluded.denied, tried = excluded.tried
"""
_NOTE_JOB: Final = """
    insert into fleet_jobs as old
        (fleet, job, state, code, digest, changes, ended, since, last_good, turned_bad)
    values (%(fleet)s, %(job)s, %(state)s, %(code)s, %(digest)s, %(changes)s, %(now)s, %(now)s,
        case when %(state)s = 'in step' then %(now)s else 0 end, %(is_bad)s)
    on conflict (fleet, job) do update
    set state = excluded.state, code = excluded.code, digest = excluded.digest,
        changes = excluded.changes, ended = excluded.ended, counts = true,
        since = case when old.state = excluded.state then old.since else excluded.since end,
        last_good = greatest(old.last_good, excluded.last_good),
        turned_bad = excluded.turned_bad
            and (old.counts and old.turned_bad or not old.state = any(%(bad_states)s))
"""
_ENDINGS: Final = """
    select job, turned_bad from fleet_jobs join fleet_limits using (fleet)
    where fleet = %(fleet)s and counts and ended > %(now)s - brake_window order by job
"""
"""The jobs that ran within the brake's window."""
_BRAKE: Final = """
    with endings as (
        select job, turned_bad from fleet_jobs join fleet_limits using (fleet)
        where fleet = %(fleet)s and counts and ended > %(now)s - brake_window
    ),
    ran as (
        select job from endings
        union select job from fleet_steps where fleet = %(fleet)s
    )
    update fleet_limits set braked = %(now)s, alarm_at = %(now)s
    where fleet = %(fleet)s and braked = 0
    and brake_least <= (select count(*) from endings)
    and brake_share * (select count(*) from ran)
        < 100 * (select count(*) from endings where turned_bad)
"""
"""Applies stop when too large a share of the jobs that ran lately, or are about to, turned bad."""
_TAKE_ALARM: Final = """
    update fleet_limits set alarm_at = %(now)s + %(seconds)s
    where fleet = %(fleet)s and alarm_at > 0 and alarm_at <= %(now)s returning braked
"""
_END_ALARM: Final = """
    update fleet_limits set alarm_at = 0 where fleet = %(fleet)s and braked = %(braked)s
"""
_READ_JOBS: Final = """
    select job, state, code, digest, changes, ended, since, last_good
    from fleet_jobs where fleet = %(fleet)s
"""


class PlaceRequest(Struct, frozen=True):
    """A step that asks for a place among the limits. The last three are hashes, empty for none."""

    token: str
    """Names the run of the job: whoever asks again with it keeps the turn."""
    job: str
    step: Step
    source: str = ""
    """Hash of the CEC host that the step reads."""
    server: str = ""
    """Hash of the directory server."""
    account: str = ""
    """Hash of the account that the job logs in as there."""


class StepGrants(Struct, frozen=True):
    """Which steps may begin now."""

    tokens: frozenset[str]
    """Tokens of the steps that asked."""
    pause: float | None
    """Seconds until time alone may let another step begin; None: time alone lets none."""


class BrakeAlarm(Struct, frozen=True):
    """What people are to be told of the brake."""

    braked: float
    """When applies stopped."""
    ran: int
    """Number of jobs that ran within the brake's window."""
    turned_bad: list[str]
    """Names of the jobs that turned bad."""


class FleetStatus(Struct, frozen=True):
    """How the fleet stands."""

    jobs: dict[str, JobStatus]
    """How each job stands that has run."""
    braked: float
    """Since when applies have stopped; 0: they have not."""
    waiting: int
    """Number of steps that wait to begin."""
    under_way: list[str]
    """Jobs with a step under way."""


class SharedLimits:
    """The limits of one fleet. Its methods may be called from any thread; all raise StateError."""

    def __init__(self, url: str, fleet: str, limits: FleetLimits) -> None:
        """`fleet`: what this fleet is called in the database. Raises FileError for a wrong URL."""
        self._parameters = read_parameters(url)
        self._fleet = fleet
        self._limits = limits
        self._thread = threading.Lock()
        self._db: psycopg.Connection[Any] | None = None
        self._has_tables = False

    # ------------------------------------------------------------ steps

    def grant_places(
        self, waiting: Sequence[PlaceRequest], running: Sequence[PlaceRequest] = ()
    ) -> StepGrants:
        """Keep the turns and places of these steps, and let in whom the limits allow, in order."""
        times = {"minute": MINUTE, "rest": DENIED_REST}
        with self._transaction() as rows:
            for step in running:
                rows.run_statement(_KEEP_STEP, runs=True, lease=LEASE, **asdict(step))
            for step in waiting:
                rows.run_statement(_DROP_OLDER_STEPS, **asdict(step))
                rows.run_statement(_KEEP_STEP, runs=False, lease=LEASE, **asdict(step))
            while found := rows.run_statement(_FIND_NEXT, **times):
                ((token, source),) = found
                rows.run_statement(_LET_IN, token=token, lease=LEASE)
                if source:
                    rows.run_statement(_NOTE_SOURCE, source=source)
            ((pause,),) = rows.run_statement(_NEXT_TIME, **times)
            under_way = rows.run_statement(
                "select token from fleet_steps where fleet = %(fleet)s and let_in"
            )
        tokens = {step.token for step in waiting} & {token for (token,) in under_way}
        return StepGrants(frozenset(tokens), pause)

    def begin_step(self, step: PlaceRequest) -> bool:
        """Whether a step may begin that was let in: its place may have gone to another one since."""
        if step.token not in self.grant_places([step]).tokens:
            return False
        self.grant_places([], [step])
        return True

    def end_step(self, step: PlaceRequest, *, denied: bool | None = None) -> None:
        """Free a step's place. `denied`: whether the directory refused its account; None: unknown."""
        with self._transaction() as rows:
            rows.run_statement(
                "delete from fleet_steps where fleet = %(fleet)s and token = %(token)s",
                token=step.token,
            )
            if step.account and denied is not None:
                rows.run_statement(_NOTE_ACCOUNT, account=step.account, denied=denied)

    # ------------------------------------------------------------ who watches

    def keep_watch(self, token: str) -> frozenset[str] | None:
        """Watch the jobs of the fleet, or go on to; None: another worker does, which has another token.

        The hashes of the accounts with which the last log-in to a directory went well.
        """
        with self._transaction() as rows:
            if not rows.run_statement(_KEEP_WATCH, token=token, lease=LEASE):
                return None
            taken = rows.run_statement(
                "select account from fleet_accounts where fleet = %(fleet)s and not denied"
            )
        return frozenset(account for (account,) in taken)

    def end_watch(self, token: str) -> None:
        """Let another worker watch."""
        with self._transaction() as rows:
            rows.run_statement(
                "delete from fleet_watches where fleet = %(fleet)s and token = %(token)s",
                token=token,
            )

    # ------------------------------------------------------------ jobs, and the brake

    def note_job(self, status: JobStatus) -> None:
        """Note how a job stands now. Where too many jobs turned bad, applies stop from now on."""
        is_bad = status.state in BAD_STATES
        with self._transaction() as rows:
            rows.run_statement(
                _NOTE_JOB,
                is_bad=is_bad,
                bad_states=list(BAD_STATES),
                **dataclass_values(status),
            )
            rows.run_statement(_BRAKE)

    def resume_applies(self) -> bool:
        """Let applies begin again; whether they had stopped. Jobs that turned bad count no more."""
        with self._transaction() as rows:
            had_stopped = rows.read_braked() > 0
            rows.run_statement(
                "update fleet_limits set braked = 0, alarm_at = 0 where fleet = %(fleet)s"
            )
            rows.run_statement(
                "update fleet_jobs set counts = false where fleet = %(fleet)s"
            )
        return had_stopped

    def take_alarm(self) -> BrakeAlarm | None:
        """What this worker is to tell people now; None: nothing, or another worker does."""
        with self._transaction() as rows:
            due = rows.run_statement(_TAKE_ALARM, seconds=ALARM_SECONDS)
            endings = rows.run_statement(_ENDINGS)
        if not due:
            return None
        turned_bad = [job for job, is_bad in endings if is_bad]
        return BrakeAlarm(due[0][0], len(endings), turned_bad)

    def end_alarm(self, alarm: BrakeAlarm) -> None:
        """Note that people have been told of the brake."""
        with self._transaction() as rows:
            rows.run_statement(_END_ALARM, braked=alarm.braked)

    def set_limits(self) -> None:
        """From now on the limits of this fleet file hold."""
        with self._transaction() as rows:
            rows.set_limits(self._limits)

    def read_status(self) -> FleetStatus:
        """How the fleet stands."""
        with self._transaction() as rows:
            braked = rows.read_braked()
            jobs = rows.run_statement(_READ_JOBS)
            steps = rows.run_statement(
                "select job, let_in from fleet_steps where fleet = %(fleet)s order by job"
            )
        under_way = [job for job, let_in in steps if let_in]
        statuses = {row[0]: JobStatus(*row) for row in jobs}
        return FleetStatus(statuses, braked, len(steps) - len(under_way), under_way)

    # ------------------------------------------------------------ the connection

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._db is not None:
            with suppress(psycopg.Error):
                self._db.close()
        self._db = None

    @contextmanager
    def _transaction(self) -> Iterator[_FleetRows]:
        """The rows, which nobody else reads or changes meanwhile."""
        with self._thread:
            try:
                db = self._connect()
                with db.transaction():
                    db.execute(_BEGIN.encode(), prepare=False)
                    rows = _FleetRows(db, self._fleet)
                    if not self._has_tables:
                        rows.prepare_tables(self._limits)
                    rows.run_statement(
                        "delete from fleet_steps where leased_until < %(now)s"
                    )
                    yield rows
                self._has_tables = True
            except psycopg.Error as fault:
                self.close()
                why = describe_fault(fault)
                what = f"the limits of the fleet cannot be read or written: {why}"
                raise StateError(what, where="fleet") from None

    def _connect(self) -> psycopg.Connection[Any]:
        """The connection, or a new one where the database has dropped it since."""
        if self._db is not None:
            with suppress(psycopg.Error):
                self._db.execute("select 1")
                return self._db
            self.close()
        db = psycopg.connect(**self._parameters, autocommit=True)
        db.prepare_threshold = None  # a pooler may stand between
        # whoever has waited for the lock has to see what was done meanwhile
        db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        self._db, self._has_tables = db, False
        return db


class _FleetRows:
    """The rows of one fleet, within a transaction."""

    def __init__(self, db: psycopg.Connection[Any], fleet: str) -> None:
        self._db = db
        self._fleet = fleet
        self.now = 0.0
        ((self.now,),) = self.run_statement(
            "select extract(epoch from clock_timestamp())::double precision"
        )

    def run_statement(self, sql: str, **values: Any) -> list[Row]:
        """What a statement finds; `fleet` and `now` are among its values."""
        known: dict[str, Any] = {"fleet": self._fleet, "now": self.now, **values}
        given = dict(zip(known, make_storable([*known.values()]), strict=True))
        cursor = self._db.execute(sql.encode(), given)
        return [restore_row(row) for row in cursor] if cursor.description else []

    def prepare_tables(self, limits: FleetLimits) -> None:
        """Make what is not there yet."""
        if self.run_statement("select to_regclass('fleet_steps')") == [(None,)]:
            self._db.execute(_TABLES.encode())
        if self.run_statement("select to_regclass('fleet_watches')") == [(None,)]:
            self._db.execute(_WATCH_TABLE.encode())
        if not self.run_statement("select 1 from fleet_limits where fleet = %(fleet)s"):
            self.run_statement("insert into fleet_limits (fleet) values (%(fleet)s)")
            self.set_limits(limits)

    def set_limits(self, limits: FleetLimits) -> None:
        """Note the limits of a fleet file."""
        values = limits.model_dump()
        self.run_statement(_SET_LIMITS, **values.pop("brake"), **values)

    def read_braked(self) -> float:
        """Since when applies have stopped; 0: they have not."""
        found = self.run_statement(
            "select braked from fleet_limits where fleet = %(fleet)s"
        )
        return float(found[0][0])
