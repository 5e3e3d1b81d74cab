//! The database behind a server: embedded, or one of a PostgreSQL server that the tests start.
//!
//! `SIKKERKEY_TEST_DATABASE=postgres` runs the whole suite on PostgreSQL. The database's URL stands in a file of the
//! server's directory, so whoever has the directory finds it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use sikkerkey_server::engine::DataPlace;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

const URL_FILE: &str = "database-url";

/// The database behind a server.
#[derive(Clone)]
pub enum TestDatabase {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Whether this run of the suite is on PostgreSQL.
pub fn is_postgres() -> bool {
    match std::env::var("SIKKERKEY_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Err(_) | Ok("sqlite") => false,
        Ok(other) => panic!("SIKKERKEY_TEST_DATABASE is {other}: sqlite or postgres"),
    }
}

impl TestDatabase {
    /// A new one for a server in this directory.
    pub async fn make(directory: &Path) -> Self {
        if is_postgres() { Self::make_postgres(directory).await } else { Self::of(directory) }
    }

    /// A new one on PostgreSQL, whatever this run of the suite is on.
    pub async fn make_postgres(directory: &Path) -> Self {
        let made = Self::make_on(postgres(), directory).await;
        if let Self::Postgres(url) = &made {
            drop_left(directory, url).await;
        }
        made
    }

    /// A new one on this PostgreSQL server.
    pub async fn make_on(server: &str, directory: &Path) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self::Postgres(format!("{server}/postgres")).execute(&format!("create database {name}")).await;
        std::fs::write(directory.join(URL_FILE), format!("{server}/{name}")).unwrap();
        let key = directory.join("root.key");
        std::fs::write(&key, "5e".repeat(32)).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self::of(directory)
    }

    /// That of the server in this directory.
    pub fn of(directory: &Path) -> Self {
        match std::fs::read_to_string(directory.join(URL_FILE)) {
            Ok(url) => Self::Postgres(url),
            Err(_) => Self::Sqlite(directory.join("sikkerkey.db")),
        }
    }

    /// Where a server in this directory finds it, and its root key.
    pub fn place(&self, directory: &Path) -> (DataPlace, Option<PathBuf>) {
        match self {
            Self::Sqlite(_) => (DataPlace::Directory(directory.to_owned()), None),
            Self::Postgres(url) => (DataPlace::Postgres(url.clone()), Some(directory.join("root.key"))),
        }
    }

    /// Arguments of a server or an `admin` command of its own.
    pub fn arguments(&self, directory: &Path) -> Vec<String> {
        let data = vec!["--data-dir".to_owned(), directory.display().to_string()];
        match self {
            Self::Sqlite(_) => data,
            Self::Postgres(url) => {
                let key = directory.join("root.key").display().to_string();
                data.into_iter().chain(["--database-url".into(), url.clone(), "--root-key-file".into(), key]).collect()
            }
        }
    }

    /// Every file in which it keeps something, by name.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut directories = vec![match self {
            Self::Sqlite(path) => path.parent().unwrap().to_owned(),
            Self::Postgres(_) => postgres_directory().join("data"),
        }];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            let entries = match std::fs::read_dir(&directory) {
                // The databases of other tests come and go, and so do temporary files.
                Err(error) if error.kind() == ErrorKind::NotFound && !files.is_empty() => continue,
                entries => entries.unwrap(),
            };
            for entry in entries.flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                if kind.is_dir() {
                    directories.push(path);
                } else if kind.is_file() && entry.file_name() != "root.key" {
                    files.extend(std::fs::read(&path).ok().map(|bytes| (path.display().to_string(), bytes)));
                }
            }
        }
        files
    }

    /// The text for this kind of database.
    pub fn by<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }

    /// The first column of each row.
    pub async fn query(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(path) => {
                let mut connection = sqlite(path).await;
                let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    pub async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap();
    }

    pub async fn try_execute(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(path) => {
                let mut connection = sqlite(path).await;
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                connection.close().await.unwrap();
                done.map(drop).map_err(|error| error.to_string())
            }
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                connection.close().await.unwrap();
                done.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

/// Notes the database of this directory, and drops those of directories that are gone: each takes 8 MB.
async fn drop_left(directory: &Path, url: &str) {
    static MADE: Mutex<Vec<(PathBuf, String)>> = Mutex::new(Vec::new());
    let left: Vec<String> = {
        let mut made = MADE.lock().unwrap();
        made.push((directory.to_owned(), url.to_owned()));
        made.extract_if(.., |(directory, _)| !directory.exists()).map(|(_, url)| url).collect()
    };
    for url in left {
        let (server, name) = url.rsplit_once('/').unwrap();
        // Forced, for what a server that was killed left open.
        let drop = format!("drop database {name} with (force)");
        TestDatabase::Postgres(format!("{server}/postgres")).execute(&drop).await;
    }
}

/// The first column of each row of an embedded database.
pub async fn query(path: &Path, sql: &str) -> Vec<String> {
    TestDatabase::Sqlite(path.to_owned()).query(sql).await
}

/// Does something to an embedded database.
pub async fn execute(path: &Path, sql: &str) {
    TestDatabase::Sqlite(path.to_owned()).execute(sql).await;
}

pub async fn sqlite(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// The PostgreSQL server of this run, as a URL without a database. It ends with the process, and leaves nothing.
fn postgres() -> &'static str {
    static SERVER: OnceLock<String> = OnceLock::new();
    SERVER.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        // A thread that never ends: the server is told to end when the thread that started it does.
        std::thread::spawn(move || {
            let (mut child, url) = start_postgres();
            sender.send(url).unwrap();
            let status = child.wait();
            panic!("PostgreSQL has ended: {status:?}");
        });
        receiver.recv().expect("PostgreSQL starts")
    })
}

/// A port on which nobody listens, below those that Linux gives to connections by itself: none of them takes it while PostgreSQL is
/// set up or stopped.
fn free_port() -> u16 {
    loop {
        let port = 11_000 + u16::try_from(getrandom::u32().unwrap() % 19_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn start_postgres() -> (Child, String) {
    let programs = programs();
    let port = free_port();
    let directory = postgres_directory();
    let script = r#"
        umask 077
        rm -rf "$1" && mkdir -p "$1" || exit 1
        trap 'kill -INT $server 2>/dev/null; wait $server; rm -rf "$1"; exit 0' TERM INT
        "$2/initdb" -D "$1/data" -U postgres -A trust -N -E UTF8 --locale C >"$1/initdb.log" 2>&1 || { cat "$1/initdb.log" >&2; exit 1; }
        "$2/postgres" -D "$1/data" -k "$1" -p "$3" -c listen_addresses=127.0.0.1 -c max_connections=300 \
            -c shared_buffers=64MB -c log_min_messages=fatal -c max_wal_size=64MB -c fsync=off -c autovacuum=off >"$1/log" 2>&1 &
        server=$!
        wait $server
    "#;
    let mut command = as_postgres("TERM");
    command.args(["sh", "-c", script, "sh"]).arg(&directory).arg(&programs).arg(port.to_string());
    let mut child = command.spawn().expect("setpriv and sh are installed");
    wait_for(&mut child, port);
    (child, format!("postgres://postgres@127.0.0.1:{port}"))
}

/// A command as somebody whom PostgreSQL runs for: it refuses root. It gets `signal` when the thread ends that starts it.
fn as_postgres(signal: &str) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal]);
    if is_root {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Waits until PostgreSQL takes connections.
fn wait_for(child: &mut Child, port: u16) {
    loop {
        // Asking takes some milliseconds by itself.
        let mut ready = Command::new(programs().join("pg_isready"));
        if ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap().success() {
            return;
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("PostgreSQL did not start: {status}");
        }
    }
}

/// A PostgreSQL server that one test has for itself, to stop it and to start it again. To be used on the thread that
/// started it.
pub struct OwnPostgres {
    directory: PathBuf,
    port: u16,
    url: String,
    child: Child,
}

impl OwnPostgres {
    pub fn start() -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("sikkerkey-postgres-{}-{port}", std::process::id()));
        let script = r#"
            umask 077
            rm -rf "$1" && mkdir -p "$1" || exit 1
            "$2/initdb" -D "$1/data" -U postgres -A trust -N -E UTF8 --locale C >"$1/initdb.log" 2>&1 || { cat "$1/initdb.log" >&2; exit 1; }
        "#;
        let mut made = as_postgres("KILL");
        made.args(["sh", "-c", script, "sh"]).arg(&directory).arg(programs());
        assert!(made.status().expect("setpriv and sh are installed").success());
        let url = format!("postgres://postgres@127.0.0.1:{port}");
        let child = Self::run(&directory, port);
        Self { directory, port, url, child }
    }

    fn run(directory: &Path, port: u16) -> Child {
        let mut command = as_postgres("INT");
        command.arg(programs().join("postgres")).arg("-D").arg(directory.join("data"));
        command.arg("-k").arg(directory).args(["-p", &port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", "-c", "log_min_messages=panic"]);
        let mut child = command.stderr(Stdio::null()).spawn().expect("setpriv is installed");
        wait_for(&mut child, port);
        child
    }

    /// As a URL without a database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// As if its power failed.
    pub fn stop_at_once(&mut self) {
        assert!(Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status().unwrap().success());
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        self.child = Self::run(&self.directory, self.port);
    }

    /// While it is stopped: keeps its data as they are.
    pub fn keep_copy(&self) {
        let copied =
            Command::new("cp").arg("-a").args([self.directory.join("data"), self.directory.join("copy")]).status();
        assert!(copied.unwrap().success());
    }

    /// While it is stopped: its data are those of the copy again.
    pub fn go_back_to_copy(&self) {
        std::fs::remove_dir_all(self.directory.join("data")).unwrap();
        std::fs::rename(self.directory.join("copy"), self.directory.join("data")).unwrap();
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        drop(Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn postgres_directory() -> PathBuf {
    std::env::temp_dir().join(format!("sikkerkey-postgres-{}", std::process::id()))
}

const NO_POSTGRES: &str = "PostgreSQL is not installed: apt-get install postgresql";

fn programs() -> PathBuf {
    found().expect(NO_POSTGRES)
}

/// Debian keeps them apart from the path.
fn found() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|it| it.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian.chain(std::env::split_paths(&path)).find(|it| it.join("initdb").exists())
}
