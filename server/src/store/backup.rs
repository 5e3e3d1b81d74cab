//! A backup: every row that matters, in a file that either kind of database can be made from again.
//!
//! The file is lines of JSON: a header, one line for each row, and a last one with the number of rows. Each line ends with
//! a MAC over itself and everything before it, under a key that follows from the master key, so a line that was edited,
//! moved, taken out or put in is found where it stands, before anything of it is used. Values are in it as they are sealed:
//! without the root key the file is useless, for whoever finds it as for whoever lost the key.
//!
//! Nonces are not in it: restoring raises the floor below which all of them are refused. Nor is the log by which servers
//! follow each other, which is of minutes.

use std::io::{self, BufRead, Read as _, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::AssertSqlSafe;

use super::book::{self, Book};
use super::head::Head;
use super::postgres::Postgres;
use super::row::{Bind, Row};
use super::sqlite::Sqlite;
use super::{Backend, ChainHead, Database, Records, Rows, StoreError, meta};
use crate::audit::chain;
use crate::audit::checkpoint::{Epoch, Link};
use crate::audit::entry::Entry;
use crate::clock::Clock;
use crate::crypto::keyring::Keyring;
use crate::crypto::master::WrappedMaster;
use crate::crypto::root_key::RootKey;
use crate::crypto::row_mac::MacKey;
use crate::entropy::{self, Entropy};
use crate::live::{self, World};
use crate::model::Change;
use crate::model::millis::Millis;

/// The form of the file.
const FORMAT: u32 = 1;
/// How many rows are read or written at a time.
const PAGE: usize = 200;
/// How long a line may be. The longest that a server writes is far below.
const LONGEST: u64 = 16 << 20;
/// What each line ends with: its MAC in hex between these.
const BEFORE_MAC: &str = ",\"mac\":\"";
const AFTER_MAC: &str = "\"}";
const MAC_DIGITS: usize = 64;
/// A head's number is never used twice, as the mask of its digest depends on it; but the groups that were lost after the
/// backup have used some. No server writes as many groups as are skipped. Some more of them are drawn, because one backup
/// may be restored twice.
const SKIPPED: u64 = 1 << 40;

/// A column, by how it travels.
#[derive(Clone, Copy)]
enum Column {
    Text(&'static str),
    OptionalText(&'static str),
    Integer(&'static str),
    Bytes(&'static str),
}

use Column::{Bytes, Integer, OptionalText, Text};

/// A table. Its key comes first, `keys` columns of it.
struct Table {
    name: &'static str,
    keys: usize,
    columns: &'static [Column],
}

const TABLES: [Table; 9] = [
    Table { name: "meta", keys: 1, columns: &[Text("name"), Text("value")] },
    Table { name: "entity", keys: 2, columns: &[Text("kind"), Text("id"), Text("doc"), Integer("seq"), Bytes("mac")] },
    Table {
        name: "version",
        keys: 2,
        columns: &[
            Text("secret"),
            Integer("version"),
            Text("vault"),
            Text("project"),
            Integer("time"),
            Text("field_names"),
            Bytes("wrapped_key"),
            Bytes("ciphertext"),
        ],
    },
    Table { name: "tally", keys: 2, columns: &[Text("secret"), Text("reader"), Text("doc")] },
    Table { name: "delivered", keys: 2, columns: &[Text("machine"), Text("secret"), Integer("version")] },
    Table { name: "last_seen", keys: 1, columns: &[Text("machine"), Integer("time"), OptionalText("address")] },
    Table {
        name: "activity",
        keys: 2,
        columns: &[Integer("minute"), Text("kind"), Integer("count"), Text("first_of"), Text("last_of")],
    },
    Table {
        name: "reads",
        keys: 2,
        columns: &[Text("vault"), Integer("hour"), Integer("delivered"), Integer("denied")],
    },
    Table { name: "audit", keys: 1, columns: &[Integer("seq"), Integer("time"), Text("entry"), Bytes("hash")] },
];

/// What the first line of a backup says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// The release that wrote it.
    pub release: String,
    /// Of which data.
    pub installation: String,
    /// When it was made.
    pub time: Millis,
    /// The number of the last group in it.
    pub group: u64,
    /// The wrapped master key.
    master: String,
}

/// A line, without its MAC.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Backup(Header),
    /// A table and the values of its columns.
    Row(String, Box<RawValue>),
    /// How many rows.
    End(u64),
}

/// Why a backup cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written.
    #[error("cannot write the backup")]
    Write(#[from] io::Error),
}

/// Why a backup is not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something already.
    #[error(
        "there is data already: a backup is restored into an empty place only. Give a new directory or an empty database, \
         or move away what is there"
    )]
    NotEmpty,
    /// The file is another one, or has another form.
    #[error("line {0} is not of a backup that this release can read: {1}")]
    Form(u64, &'static str),
    /// A later release wrote it.
    #[error("the backup was written by a newer release of sikkerkey-server ({0}): restore it with that one")]
    Newer(String),
    /// Somebody has changed it.
    #[error("line {0} of the backup was changed, moved or put in: use another copy of it")]
    Changed(u64),
    /// It is not whole.
    #[error("the backup ends after line {0} and is not whole: use another copy of it")]
    Truncated(u64),
    /// It cannot be read.
    #[error("cannot read the backup")]
    Read(#[source] io::Error),
    /// The database does not take it, or the root key is another.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What stands at its beginning.
    pub header: Header,
    /// How many rows.
    pub rows: u64,
}

/// A restored database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored<T> {
    /// What the backup said.
    pub backup: Written,
    /// The end of the audit that the backup had.
    pub continues: ChainHead,
    /// In which epoch it is now.
    pub epoch: u64,
    /// What came of the new epoch.
    pub answer: T,
}

/// What a new epoch is decided from.
pub struct Reopened<'a> {
    /// Everything that the backup had.
    pub world: &'a World,
    /// Its keys.
    pub keyring: &'a Keyring,
    /// When the backup was made.
    pub made: Millis,
    /// Which epoch begins.
    pub epoch: u64,
    /// Now.
    pub now: Millis,
}

/// What a new epoch begins with.
pub struct Beginning<T> {
    /// What changes.
    pub changes: Vec<Change>,
    /// Rows for the audit.
    pub audit: Vec<Entry>,
    /// Timestamps of requests at or below it are refused.
    pub nonce_floor: i64,
    /// What the person is told.
    pub answer: T,
}

impl Records {
    /// Writes everything as it is at one moment, beside whoever writes. `keyring` is that of this database.
    pub async fn back_up(&self, keyring: &Keyring, now: Millis, out: impl Write) -> Result<Written, BackupError> {
        // A connection of its own: it is busy for as long as the file grows, and others look at the audit meanwhile.
        let mut backend = self.again().await?;
        let written = backend.back_up(keyring, now, out).await;
        backend.end_reading().await;
        written
    }
}

impl Backend {
    async fn back_up(&mut self, keyring: &Keyring, now: Millis, out: impl Write) -> Result<Written, BackupError> {
        match self {
            Self::Sqlite(it) => it.begin_reading().await,
            Self::Postgres(it) => it.begin_reading().await,
        }
        .map_err(StoreError::Read)?;
        let master = meta::value(self, meta::MASTER).await?.unwrap_or_default();
        let head = meta::value(self, "head").await?.unwrap_or_default();
        let head = Head::decode(keyring.rows(), &head);
        let head = head.ok_or_else(|| StoreError::Tampered("the head".to_owned()))?;
        let header = Header {
            format: FORMAT,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            installation: WrappedMaster::decode(&master).map_err(StoreError::from)?.installation,
            time: now,
            group: head.seq,
            master,
        };
        let mut writer = LineWriter { key: keyring.rows(), mac: [0; 32], out };
        writer.line(&Line::Backup(header.clone()))?;
        let mut rows = 0;
        for table in &TABLES {
            rows += self.dump(table, &mut writer).await?;
        }
        writer.line(&Line::End(rows))?;
        writer.out.flush()?;
        Ok(Written { header, rows })
    }

    async fn dump(&mut self, table: &Table, writer: &mut LineWriter<'_, impl Write>) -> Result<u64, BackupError> {
        let (first, next) = (table.select(false), table.select(true));
        let mut last: Option<Vec<Value>> = None;
        let mut count = 0;
        loop {
            let binds: Vec<Bind<'_>> = last.iter().flatten().map(Value::bind).collect();
            let sql = if last.is_some() { &next } else { &first };
            let page = self.fetch(AssertSqlSafe(sql.clone()), &binds).await.map_err(StoreError::Read)?;
            for row in &page {
                let values = table.values(row)?;
                let text = serde_json::value::to_raw_value(&values).map_err(StoreError::Encode)?;
                writer.line(&Line::Row(table.name.to_owned(), text))?;
                count += 1;
                last = Some(values);
            }
            if let Some(values) = &mut last {
                values.truncate(table.keys);
            }
            if page.len() < PAGE {
                return Ok(count);
            }
        }
    }

    async fn end_reading(self) {
        // Nothing was written: whatever becomes of the connection, nothing is lost.
        match self {
            Self::Sqlite(mut it) => {
                it.take_back().await;
                drop(it.close().await);
            }
            Self::Postgres(mut it) => {
                it.take_back().await;
                drop(it.close().await);
            }
        }
    }

    async fn load_rows(&mut self, table: &Table, rows: &[Box<RawValue>]) -> Result<(), StoreError> {
        let rows = serde_json::to_string(rows).map_err(StoreError::Encode)?;
        let sql = match self {
            Self::Sqlite(_) => table.insert(
                |at, column| match column {
                    Bytes(_) => format!("unhex(value ->> {at})"),
                    _ => format!("value ->> {at}"),
                },
                "json_each($1)",
            ),
            Self::Postgres(_) => table.insert(
                |at, column| match column {
                    Bytes(_) => format!("decode(value ->> {at}, 'hex')"),
                    Integer(_) => format!("(value ->> {at})::bigint"),
                    Text(_) | OptionalText(_) => format!("value ->> {at}"),
                },
                "json_array_elements($1::json)",
            ),
        };
        self.fetch(AssertSqlSafe(sql), &[Bind::Text(&rows)]).await.map(drop).map_err(StoreError::Write)
    }

    async fn take_back(&mut self) {
        match self {
            Self::Sqlite(it) => it.take_back().await,
            Self::Postgres(it) => it.take_back().await,
        }
    }
}

/// Makes a database from a backup, and begins a new epoch in it. Both are one transaction: nobody ever serves a database in
/// which what was revoked or spent since the backup is back. `epoch` is the number of the new epoch; none: the next after
/// the backup's.
pub async fn restore<T>(
    database: &Database,
    root: &RootKey,
    from: impl BufRead,
    (clock, entropy): (&dyn Clock, &dyn Entropy),
    epoch: Option<u64>,
    begin: impl FnOnce(Reopened<'_>) -> Beginning<T>,
) -> Result<Restored<T>, RestoreError> {
    let (lines, header) = Lines::open(from, root).await?;
    let mut backend = match database {
        Database::Directory(directory) => Backend::Sqlite(Sqlite::open(directory).await?),
        Database::Postgres(url) => Backend::Postgres(Postgres::open(url).await?),
    };
    let mut transaction = Transaction { backend: &mut backend, is_shared: database.is_shared(), clock, entropy };
    let restored = transaction.run(lines, header, epoch, begin).await;
    if restored.is_err() {
        backend.take_back().await;
    }
    let closed = match backend {
        Backend::Sqlite(it) => it.close().await,
        Backend::Postgres(it) => it.close().await,
    };
    let restored = restored?;
    closed.map_err(StoreError::Write)?;
    Ok(restored)
}

/// Reads a backup through, and finds whether it is whole and genuine.
pub fn check(keyring: Arc<Keyring>, from: impl BufRead) -> Result<Written, RestoreError> {
    let mut reader = LineReader { from, number: 0 };
    let (first, header) = reader.header()?;
    let mut lines = Lines { keyring, reader, mac: [0; 32], rows: 0 };
    lines.authenticate(&first)?;
    while lines.next()?.is_some() {}
    Ok(Written { header, rows: lines.rows })
}

struct Transaction<'a> {
    backend: &'a mut Backend,
    is_shared: bool,
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

impl Transaction<'_> {
    async fn run<T>(
        &mut self,
        mut lines: Lines<impl BufRead>,
        header: Header,
        epoch: Option<u64>,
        begin: impl FnOnce(Reopened<'_>) -> Beginning<T>,
    ) -> Result<Restored<T>, RestoreError> {
        match &mut self.backend {
            Backend::Sqlite(it) => it.begin("[]".to_owned()).await.map(drop),
            Backend::Postgres(it) => match it.begin_alone().await {
                Ok(now) => {
                    self.clock.observe(now);
                    Ok(())
                }
                Err(error) => Err(error),
            },
        }
        .map_err(StoreError::Write)?;
        if meta::has_rows(self.backend).await? {
            return Err(RestoreError::NotEmpty);
        }
        self.load(&mut lines).await?;
        let (keyring, rows) = (lines.keyring, lines.rows);

        let mut book = Book::new(Arc::clone(&keyring), self.is_shared);
        let mut world = self.backend.load(&mut book).await?;
        let continues = book.audit_head();
        let was = meta::value(self.backend, Epoch::META).await?;
        let was = Epoch::parse(was.as_deref()).map_err(|_| StoreError::Tampered("the epoch".to_owned()))?;
        let number = epoch.unwrap_or(0).max(was.number + 1);
        let next = Epoch { number, continues: Some(Link::from(continues)) };
        let next = serde_json::to_string(&next).map_err(StoreError::Encode)?;
        let sql = "insert into meta (name, value) values ('epoch', $1)
            on conflict (name) do update set value = excluded.value";
        let done = self.backend.fetch(sql, &[Bind::Text(&next)]).await;
        done.map_err(StoreError::Write)?;

        let now = self.clock.now();
        let reopened = Reopened { world: &world, keyring: &keyring, made: header.time, epoch: number, now };
        let Beginning { changes, audit, nonce_floor, answer } = begin(reopened);
        let mut rows_of_epoch = Rows { nonce_floor: Some(nonce_floor), ..Rows::default() };
        for change in changes {
            match &change {
                Change::Put(entity) => {
                    rows_of_epoch.entities.insert(entity.key(), Some((**entity).clone()));
                }
                Change::Remove(key) => {
                    rows_of_epoch.entities.insert(key.clone(), None);
                    live::forget(&mut world.ledger, key);
                }
                Change::PutVersion(_) | Change::ForgetVersion(..) | Change::WrapMaster(_) => {}
            }
            world.state.apply(change);
        }
        rows_of_epoch.audit = chain::append(keyring.audit(), continues, now, &audit).map_err(StoreError::Encode)?;
        let as_of = rows_of_epoch.audit.last().map_or(continues.seq, |row| row.seq);
        rows_of_epoch.dirty = world.ledger.dirty(as_of);
        let drawn = u64::from_be_bytes(*entropy::bytes::<8>(self.entropy));
        book.skip(SKIPPED + drawn % SKIPPED);
        let page = book.prepare(rows_of_epoch, now.0)?;
        match &mut self.backend {
            Backend::Sqlite(it) => it.save(&page).await,
            Backend::Postgres(it) => it.save(&page, true).await,
        }
        .map_err(StoreError::Write)?;
        Ok(Restored { backup: Written { header, rows }, continues, epoch: number, answer })
    }

    async fn load(&mut self, lines: &mut Lines<impl BufRead>) -> Result<(), RestoreError> {
        let mut batch: Vec<Box<RawValue>> = Vec::with_capacity(PAGE);
        let mut of: Option<&'static Table> = None;
        while let Some((table, row)) = lines.next()? {
            if batch.len() >= PAGE || of.is_some_and(|it| it.name != table.name) {
                self.flush(of, &mut batch).await?;
            }
            of = Some(table);
            batch.push(row);
        }
        self.flush(of, &mut batch).await
    }

    async fn flush(&mut self, table: Option<&Table>, batch: &mut Vec<Box<RawValue>>) -> Result<(), RestoreError> {
        if let Some(table) = table.filter(|_| !batch.is_empty()) {
            self.backend.load_rows(table, batch).await?;
            batch.clear();
        }
        Ok(())
    }
}

/// Writes lines.
struct LineWriter<'k, W> {
    key: &'k MacKey,
    mac: [u8; 32],
    out: W,
}

impl<W: Write> LineWriter<'_, W> {
    fn line(&mut self, line: &Line) -> Result<(), BackupError> {
        let text = serde_json::to_string(line).map_err(StoreError::Encode)?;
        let body = text.strip_suffix('}').unwrap_or(&text);
        self.mac = mac(self.key, &self.mac, body);
        Ok(writeln!(self.out, "{body}{BEFORE_MAC}{}{AFTER_MAC}", book::hex(&self.mac))?)
    }
}

fn mac(key: &MacKey, before: &[u8; 32], body: &str) -> [u8; 32] {
    key.mac(&[b"backup line", before, body.as_bytes()])
}

/// A line and its MAC.
struct Received {
    body: String,
    mac: Vec<u8>,
}

/// Reads lines that nobody has authenticated yet.
struct LineReader<R> {
    from: R,
    number: u64,
}

impl<R: BufRead> LineReader<R> {
    fn line(&mut self) -> Result<Option<Received>, RestoreError> {
        let mut text = String::new();
        let read = (&mut self.from).take(LONGEST).read_line(&mut text);
        let form = |text| RestoreError::Form(self.number + 1, text);
        let read = read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => form("it is not text"),
            _ => RestoreError::Read(error),
        })?;
        if read == 0 {
            return Ok(None);
        }
        // One that was cut off in its middle.
        let Some(text) = text.strip_suffix('\n') else {
            return Err(if u64::try_from(read).unwrap_or(LONGEST) < LONGEST {
                RestoreError::Truncated(self.number)
            } else {
                form("it is too long")
            });
        };
        let parts = text.strip_suffix(AFTER_MAC).and_then(|text| {
            let (body, mac) = text.split_at_checked(text.len().checked_sub(MAC_DIGITS)?)?;
            Some((body.strip_suffix(BEFORE_MAC)?, book::unhex(mac)?))
        });
        let (body, mac) = parts.ok_or_else(|| form("it does not end with a MAC"))?;
        self.number += 1;
        Ok(Some(Received { body: body.to_owned(), mac }))
    }

    fn header(&mut self) -> Result<(Received, Header), RestoreError> {
        let first = self.line()?.ok_or(RestoreError::Truncated(0))?;
        match parse(&first.body) {
            Some(Line::Backup(header)) if header.format == FORMAT => Ok((first, header)),
            Some(Line::Backup(header)) => Err(RestoreError::Newer(header.release)),
            _ => Err(RestoreError::Form(1, "it is not the first line of one")),
        }
    }
}

fn parse(body: &str) -> Option<Line> {
    serde_json::from_str(&format!("{body}}}")).ok()
}

/// Reads a backup line by line, each only when it is genuine.
struct Lines<R> {
    keyring: Arc<Keyring>,
    reader: LineReader<R>,
    mac: [u8; 32],
    rows: u64,
}

impl<R: BufRead> Lines<R> {
    async fn open(from: R, root: &RootKey) -> Result<(Self, Header), RestoreError> {
        let mut reader = LineReader { from, number: 0 };
        let (first, header) = reader.header()?;
        let master = WrappedMaster::decode(&header.master).map_err(|_| RestoreError::Changed(1))?;
        let keyring = Arc::new(master.open(root).await.map_err(StoreError::from)?);
        let mut lines = Self { keyring, reader, mac: [0; 32], rows: 0 };
        lines.authenticate(&first)?;
        Ok((lines, header))
    }

    fn authenticate(&mut self, line: &Received) -> Result<(), RestoreError> {
        let parts: [&[u8]; 3] = [b"backup line", &self.mac, line.body.as_bytes()];
        if !self.keyring.rows().verifies(&parts, &line.mac) {
            return Err(RestoreError::Changed(self.reader.number));
        }
        self.mac = mac(self.keyring.rows(), &self.mac, &line.body);
        Ok(())
    }

    /// The next row; none when all of them were there and nothing comes after them.
    fn next(&mut self) -> Result<Option<(&'static Table, Box<RawValue>)>, RestoreError> {
        let at = self.reader.number;
        let line = self.reader.line()?.ok_or(RestoreError::Truncated(at))?;
        self.authenticate(&line)?;
        let form = |text| RestoreError::Form(at + 1, text);
        match parse(&line.body).ok_or_else(|| form("it has another form"))? {
            Line::Row(name, row) => {
                let table = TABLES.iter().find(|it| it.name == name).ok_or_else(|| form("there is no such table"))?;
                self.rows += 1;
                Ok(Some((table, row)))
            }
            Line::End(rows) if rows == self.rows => match self.reader.line()? {
                None => Ok(None),
                Some(_) => Err(RestoreError::Changed(self.reader.number)),
            },
            Line::End(_) => Err(form("it counts other rows")),
            Line::Backup(_) => Err(form("it is another first line")),
        }
    }
}

/// A value of a row.
#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    OptionalText(Option<String>),
    Integer(i64),
}

impl Value {
    fn bind(&self) -> Bind<'_> {
        match self {
            Self::Text(it) => Bind::Text(it),
            Self::OptionalText(it) => Bind::OptionalText(it.as_deref()),
            Self::Integer(it) => Bind::Integer(*it),
        }
    }
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Text(name) | OptionalText(name) | Integer(name) | Bytes(name) => name,
        }
    }
}

impl Table {
    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|it| it.name()).collect()
    }

    /// A page of rows in the order of the key; of those after a key that is bound, or from the first one.
    fn select(&self, is_next: bool) -> String {
        let names = self.names();
        let key = names.iter().take(self.keys).copied().collect::<Vec<_>>().join(", ");
        let bound = (1..=self.keys).map(|it| format!("${it}")).collect::<Vec<_>>().join(", ");
        let after = if is_next { format!("where ({key}) > ({bound})") } else { String::new() };
        format!("select {} from {} {after} order by {key} limit {PAGE}", names.join(", "), self.name)
    }

    fn insert(&self, value: impl Fn(usize, Column) -> String, rows: &str) -> String {
        let values: Vec<_> = self.columns.iter().enumerate().map(|(at, column)| value(at, *column)).collect();
        format!("insert into {} ({}) select {} from {rows}", self.name, self.names().join(", "), values.join(", "))
    }

    fn values(&self, row: &Row) -> Result<Vec<Value>, StoreError> {
        let columns = self.columns.iter().enumerate();
        columns
            .map(|(at, column)| {
                Ok(match column {
                    Text(_) => Value::Text(row.text(at)?),
                    OptionalText(_) => Value::OptionalText(row.optional_text(at)?),
                    Integer(_) => Value::Integer(row.integer(at)?),
                    Bytes(_) => Value::Text(book::hex(&row.bytes(at)?)),
                })
            })
            .collect()
    }
}
