//! A PostgreSQL database that several servers share.
//!
//! Each group locks the head's row before it does anything else, so the groups of all servers are one after the other,
//! and each begins with all that the ones before it have done. Were two groups to run beside each other, every cap,
//! revocation and row of the audit would need an order of its own; a group is a millisecond for hundreds of requests,
//! which leaves the order cheap.
//!
//! A server that stops in the middle of a group holds the lock for as long as its session lives: PostgreSQL ends a
//! session that has lost its client, and one that idles inside a transaction.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, Row as _, SqlSafeStr};
use tokio::time::timeout;

use super::book::{Argument, Page, Rarely};
use super::row::{Bind, Row};
use super::{StoreError, migrate_error};
use crate::model::millis::Millis;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long a connection may take to stand.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a group may take to begin: a little longer than the database itself waits for the lock.
const BEGIN_TIME: Duration = Duration::from_secs(12);
/// How long any other answer may take: a little longer than the database itself works on a statement.
const ANSWER_TIME: Duration = Duration::from_secs(35);
/// The channel on which a server tells the others that it has changed something.
const CHANNEL: &str = "sikkerkey";

// The clock is read after the lock is there: a group decides by the time at which it began.
const LOCK: &str = "with locked as materialized (select value from meta where name = 'head' for update)
    select value, (extract(epoch from clock_timestamp()) * 1000)::bigint from locked";
const LOG: &str = "select seq, prev, body, mac from log where seq > $1 order by seq";
const BURN: &str = "insert into nonce (expiry, signer, nonce)
    select (value ->> 0)::bigint, value ->> 1, value ->> 2 from json_array_elements($1::json)
    on conflict do nothing returning signer, nonce";
const SAVE: &str = "with
    tallies as (insert into tally (secret, reader, doc)
        select value ->> 0, value ->> 1, value ->> 2 from json_array_elements($1::json)
        on conflict (secret, reader) do update set doc = excluded.doc),
    deliveries as (insert into delivered (machine, secret, version)
        select value ->> 0, value ->> 1, (value ->> 2)::bigint from json_array_elements($2::json)
        on conflict (machine, secret) do update set version = excluded.version),
    activities as (insert into activity (minute, kind, count, first_of, last_of)
        select (value ->> 0)::bigint, value ->> 1, (value ->> 2)::bigint, value ->> 3, value ->> 4
        from json_array_elements($3::json)
        on conflict (minute, kind) do update
            set count = activity.count + excluded.count, last_of = excluded.last_of),
    records as (insert into audit (seq, time, entry, hash)
        select (value ->> 0)::bigint, (value ->> 1)::bigint, value ->> 2, decode(value ->> 3, 'hex')
        from json_array_elements($4::json)),
    counts as (insert into reads (vault, hour, delivered, denied)
        select value ->> 0, (value ->> 1)::bigint, (value ->> 2)::bigint, (value ->> 3)::bigint
        from json_array_elements($11::json)
        on conflict (vault, hour) do update
            set delivered = reads.delivered + excluded.delivered, denied = reads.denied + excluded.denied),
    followers as (insert into log (seq, prev, time, body, mac) values ($6, $7, $8, $9, decode($10, 'hex')))
    update meta set value = $5 where name = 'head'";

/// A connection to a shared database, made again when it is lost.
pub(super) struct Postgres {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    is_open: bool,
}

/// What a group begins with.
pub(super) struct Locked {
    pub(super) head: String,
    /// By the database's clock.
    pub(super) now: Millis,
}

impl Postgres {
    /// Connects, and brings the database up to date.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let mut postgres = Self::connect(url)?;
        let connection = postgres.connection().await.map_err(StoreError::Open)?;
        MIGRATIONS.run_direct(None, connection, false).await.map_err(migrate_error)?;
        Ok(postgres)
    }

    /// Connects when something is asked.
    pub(super) fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self { options: options(url)?, connection: None, is_open: false })
    }

    pub(super) async fn fetch(&mut self, sql: impl SqlSafeStr, binds: &[Bind<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        let mut query = sqlx::query(sql);
        for bind in binds {
            query = match *bind {
                Bind::Text(text) => query.bind(text.to_owned()),
                Bind::OptionalText(text) => query.bind(text.map(str::to_owned)),
                Bind::Integer(number) => query.bind(number),
            };
        }
        let rows = within(ANSWER_TIME, query.fetch_all(self.connection().await?)).await;
        Ok(self.kept(rows)?.into_iter().map(Row::Postgres).collect())
    }

    /// What is read until [`Postgres::take_back`] is of one moment.
    pub(super) async fn begin_reading(&mut self) -> Result<(), sqlx::Error> {
        self.is_open = true;
        let begin = "begin transaction isolation level repeatable read read only";
        let done = within(ANSWER_TIME, sqlx::query(begin).execute(self.connection().await?)).await;
        self.kept(done).map(drop)
    }

    /// Another connection of the same kind.
    pub(super) fn again(&self) -> Self {
        Self { options: self.options.clone(), connection: None, is_open: false }
    }

    /// Begins to write everything: a server that starts meanwhile waits, and then finds it. Returns the database's time.
    pub(super) async fn begin_alone(&mut self) -> Result<Millis, sqlx::Error> {
        self.is_open = true;
        for sql in ["begin", "lock table meta in exclusive mode"] {
            let done = sqlx::query(sql).execute(self.connection().await?).await;
            self.kept(done)?;
        }
        let sql = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
        let row = sqlx::query(sql).fetch_one(self.connection().await?).await;
        Ok(Millis(self.kept(row)?.try_get(0)?))
    }

    /// Begins a group: from now on no other server is in one.
    pub(super) async fn lock(&mut self) -> Result<Locked, sqlx::Error> {
        // A connection that was lost while nobody used it is noticed here, where trying again does no harm.
        match self.try_lock().await {
            Err(error) if is_lost(&error) => self.try_lock().await,
            done => done,
        }
    }

    async fn try_lock(&mut self) -> Result<Locked, sqlx::Error> {
        self.is_open = true;
        let begun = within(BEGIN_TIME, sqlx::query("begin").execute(self.connection().await?)).await;
        self.kept(begun)?;
        let row = within(BEGIN_TIME, sqlx::query(LOCK).fetch_one(self.connection().await?)).await;
        let row = self.kept(row)?;
        Ok(Locked { head: row.try_get(0)?, now: Millis(row.try_get(1)?) })
    }

    /// The rows of the log after a group.
    pub(super) async fn log_after(&mut self, seq: u64) -> Result<Vec<Row>, sqlx::Error> {
        self.fetch(LOG, &[Bind::Integer(i64::try_from(seq).unwrap_or(i64::MAX))]).await
    }

    /// Burns nonces, see [`super::book::nonces`]. Returns those that were not burnt before.
    pub(super) async fn burn(&mut self, nonces: String) -> Result<HashSet<(String, String)>, sqlx::Error> {
        let burn = sqlx::query(BURN).bind(nonces);
        let burnt = within(ANSWER_TIME, burn.fetch_all(self.connection().await?)).await;
        self.kept(burnt)?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Writes the rest of the group and commits. With `tell`, the other servers hear of it.
    pub(super) async fn save(&mut self, page: &Page, tell: bool) -> Result<(), sqlx::Error> {
        let saved = within(ANSWER_TIME, self.try_save(page, tell)).await;
        self.kept(saved)
    }

    async fn try_save(&mut self, page: &Page, tell: bool) -> Result<(), sqlx::Error> {
        let connection = self.connection().await?;
        for (what, argument) in &page.rare {
            let query = sqlx::query(rarely(*what));
            let query = match argument {
                Argument::Text(text) => query.bind(text),
                Argument::Integer(number) => query.bind(number),
            };
            query.execute(&mut *connection).await?;
        }
        let log = page.log.as_ref();
        sqlx::query(SAVE)
            .bind(&page.tallies)
            .bind(&page.delivered)
            .bind(&page.activity)
            .bind(&page.audit)
            .bind(&page.head)
            .bind(log.map(|it| it.seq))
            .bind(log.map(|it| it.prev))
            .bind(log.map(|it| it.time))
            .bind(log.map(|it| &it.body))
            .bind(log.map(|it| &it.mac))
            .bind(&page.reads)
            .execute(&mut *connection)
            .await?;
        if tell {
            sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(&mut *connection).await?;
        }
        self.commit().await
    }

    /// Ends a group that writes nothing more.
    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        let done = within(ANSWER_TIME, sqlx::query("commit").execute(self.connection().await?)).await;
        self.kept(done)?;
        self.is_open = false;
        Ok(())
    }

    /// Takes back what has begun, so that its lock is held no longer.
    pub(super) async fn take_back(&mut self) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        if let Some(connection) = &mut self.connection
            && within(BEGIN_TIME, sqlx::query("rollback").execute(connection)).await.is_err()
        {
            // Whatever state it is in: a new one is in none.
            self.connection = None;
        }
    }

    pub(super) async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            let connected = timeout(CONNECT_TIME, self.options.connect()).await;
            self.connection = Some(connected.map_err(|_| sqlx::Error::PoolTimedOut)??);
        }
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Forgets a connection that was lost.
    fn kept<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if done.as_ref().is_err_and(is_lost) {
            self.connection = None;
            self.is_open = false;
        }
        done
    }
}

/// A database that is gone without a word, with its host or the network, never answers and never refuses: its connection
/// is given up like one that was lost. Whatever it was in the middle of, it is not used again.
async fn within<T>(time: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(time, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Hears when another server has changed something.
pub struct Listener(PgListener);

impl Listener {
    /// Connects.
    pub(super) async fn connect(url: &str) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_TIME);
        let pool = pool.connect_with(options(url)?).await.map_err(StoreError::Open)?;
        let mut listener = PgListener::connect_with(&pool).await.map_err(StoreError::Open)?;
        listener.listen(CHANNEL).await.map_err(StoreError::Open)?;
        Ok(Self(listener))
    }

    /// Ends when something has changed, or when something may have been missed.
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        self.0.try_recv().await.map(drop).map_err(StoreError::Read)
    }
}

/// What few groups do, as a statement.
fn rarely(what: Rarely) -> &'static str {
    match what {
        Rarely::PutEntities => {
            "insert into entity (kind, id, doc, seq, mac)
    select value ->> 0, value ->> 1, value ->> 2, (value ->> 3)::bigint, decode(value ->> 4, 'hex')
    from json_array_elements($1::json)
    on conflict (kind, id) do update set doc = excluded.doc, seq = excluded.seq, mac = excluded.mac"
        }
        Rarely::RemoveEntities => {
            "delete from entity where (kind, id) in
    (select value ->> 0, value ->> 1 from json_array_elements($1::json))"
        }
        Rarely::RemoveVersions => "delete from version where secret in (select json_array_elements_text($1::json))",
        Rarely::PutVersions => {
            "insert into version (secret, version, vault, project, time, field_names, wrapped_key, ciphertext)
    select value ->> 0, (value ->> 1)::bigint, value ->> 2, value ->> 3, (value ->> 4)::bigint, value ->> 5,
        decode(value ->> 6, 'hex'), decode(value ->> 7, 'hex')
    from json_array_elements($1::json)
    on conflict (secret, version) do update set wrapped_key = excluded.wrapped_key, ciphertext = excluded.ciphertext"
        }
        Rarely::ForgetVersions => {
            "delete from version where (secret, version) in
    (select value ->> 0, (value ->> 1)::bigint from json_array_elements($1::json))"
        }
        Rarely::RemoveTallies => {
            "delete from tally where (secret, reader) in
    (select value ->> 0, value ->> 1 from json_array_elements($1::json))"
        }
        Rarely::RemoveDelivered => {
            "delete from delivered where (machine, secret) in
    (select value ->> 0, value ->> 1 from json_array_elements($1::json))"
        }
        Rarely::RemoveLastSeen => "delete from last_seen where machine in (select json_array_elements_text($1::json))",
        Rarely::PutLastSeen => {
            "insert into last_seen (machine, time, address)
    select value ->> 0, (value ->> 1)::bigint, value ->> 2 from json_array_elements($1::json)
    on conflict (machine) do update set time = excluded.time, address = excluded.address"
        }
        Rarely::PutMaster => "update meta set value = $1 where name = 'master key'",
        Rarely::PutCounted => {
            "insert into meta (name, value) values ('counted', $1)
    on conflict (name) do update set value = excluded.value"
        }
        Rarely::PutAuditBase => {
            "insert into meta (name, value) values ('audit base', $1)
    on conflict (name) do update set value = excluded.value"
        }
        Rarely::DropAudit => "delete from audit where seq <= $1",
        Rarely::ForgetNonces => "delete from nonce where expiry <= $1",
        Rarely::ForgetLog => "delete from log where time < $1",
        Rarely::ForgetReads => "delete from reads where hour < $1",
    }
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(StoreError::Open)?;
    let options = options.application_name("sikkerkey-server").options([
        // A commit that was answered survives a power failure, whatever the database's default is.
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("client_connection_check_interval", "1s"),
    ]);
    Ok(options.disable_statement_logging())
}

fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolTimedOut => true,
        // Connection exceptions, and what an operator does to a session: shutdown, failover, terminate.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P") || code == "25P03" || code == "25006"
        }),
        _ => false,
    }
}
