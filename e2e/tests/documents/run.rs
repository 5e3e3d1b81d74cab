//! Blocks that say how they are run, run as they stand: with paths of a pod, and a port, replaced by those of a test.
//!
//! | `<!-- run: … -->` | The commands of a document, in their order |
//! |---|---|
//! | `server` | beside a server that runs, where `admin` is its administration and `root.key` its root key |
//! | `postgres` | beside an empty PostgreSQL server, with a backup of an embedded database, and a shared one at `SIKKERKEY_DATABASE_URL` |
//! | `cluster` | against a Kubernetes API server without a node |
//! | `host` | in an empty directory, where they start a server of their own |
//! | `parsed` | not run: their words are those that the program takes. For what needs an id of somebody's own |
//!
//! `<!-- file: NAME -->` is before a file that the commands for a cluster use, `<!-- values -->` before values of the chart.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use clap::Parser;
use sikkerkey_e2e::assets::{Assets, Component};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::cluster::{Cluster, Options};
use sikkerkey_e2e::document;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::port;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::wait::wait_for;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::postgres::Postgres;

pub(crate) const BOUND: Duration = Duration::from_mins(2);

/// What stands for an id in the documents.
const ID: &str = "00000000-0000-4000-8000-000000000001";

static SERVER: LazyLock<PathBuf> =
    LazyLock::new(|| cargo::build_workspace().expect("it builds").program("sikkerkey-server").expect("a server"));

/// Whether a mark says how a block is run, or what is done with it.
pub(crate) fn is_known(mark: &str) -> bool {
    matches!(mark, "run: server" | "run: postgres" | "run: cluster" | "run: host" | "run: parsed" | "values")
        || mark.starts_with("file: ")
}

/// The blocks of each document that are marked so, one after the other, with the document's path.
fn scripts(mark: &str) -> Vec<(String, String)> {
    let documents = document::all().unwrap();
    let of = |it: &document::Document| {
        let blocks = it.blocks();
        let marked = blocks.iter().filter(|block| block.mark == Some(mark));
        let script: String = marked.flat_map(|block| ["# ", &block.place, "\n", &block.text]).collect();
        (!script.is_empty()).then(|| (it.path.clone(), script))
    };
    let scripts: Vec<_> = documents.iter().filter_map(of).collect();
    assert!(!scripts.is_empty(), "no document has a block {mark}");
    scripts
}

/// A directory of a test, in which a shell runs.
struct Place {
    directory: TempDir,
    programs: Vec<PathBuf>,
    environment: Vec<(String, String)>,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for name in ["backup", "next"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        for (name, byte) in [("root.key", "5e"), ("next/root.key", "6f")] {
            let key = directory.path().join(name);
            std::fs::write(&key, byte.repeat(32)).unwrap();
            std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self { directory, programs: vec![SERVER.parent().unwrap().to_owned()], environment: Vec::new() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn with(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    fn command(&self, program: &str) -> Command {
        let programs = self.programs.iter().map(|it| it.display().to_string());
        let path =
            programs.chain(["/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned()]).collect::<Vec<_>>().join(":");
        // What a test starts ends with the test, however it ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).current_dir(self.path()).env_clear();
        command
            .env("PATH", path)
            .env("HOME", self.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What it prints; or the test fails with it.
    async fn shell(&self, name: &str, script: &str) -> String {
        let here = |name: &str| format!("{}/{name}/", self.path().display());
        let script = script.replace("/etc/sikkerkey/next/", &here("next")).replace("/backup/", &here("backup"));
        let file = self.path().join("script.sh");
        std::fs::write(&file, format!("set -euo pipefail\nshopt -s expand_aliases\n{script}")).unwrap();
        let mut command = self.command("bash");
        let output = timeout(BOUND, command.arg(&file).output()).await.expect("it ends in time").unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{script}\n{said}", output.status);
        said
    }
}

#[test]
fn the_chart_takes_the_values_of_the_documents() {
    let helm = Helm::ensure(&Report::silent()).unwrap();
    let mut seen = 0;
    for document in document::all().unwrap() {
        for block in document.blocks().into_iter().filter(|block| block.mark == Some("values")) {
            seen += 1;
            let rendered = helm.template(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place));
            assert!(rendered.contains("kind: StatefulSet"), "{}: {rendered}", block.place);
        }
    }
    assert!(seen > 0, "no document has values");
}

pub(crate) fn free_port() -> u16 {
    port::free(Ipv4Addr::LOCALHOST.into()).unwrap().port()
}

const ADMIN: &str = "admin() { sikkerkey-server admin --data-dir data \"$@\"; }\n";

/// A vault with a secret.
const FURNISH: &str = "vault=$(admin vault create --name team --owner team@example.com)
admin project create --vault \"$vault\" --name shop
admin secret create --project shop --name db --generate
";

async fn serve(place: &Place) -> Child {
    let port = free_port();
    let mut command = place.command("sikkerkey-server");
    command.args(["serve", "--data-dir", "data", "--root-key-file", "root.key"]);
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--public-url", &format!("http://localhost:{port}")]);
    let log = std::fs::File::create(place.path().join("server.log")).unwrap();
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    wait_for("the server to listen", BOUND, async || {
        let log = std::fs::read_to_string(place.path().join("server.log")).unwrap_or_default();
        if log.contains("listening address=") { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
    child
}

#[tokio::test]
async fn what_is_typed_beside_a_server_works() {
    for (name, script) in scripts("run: server") {
        let place = Place::new();
        let mut server = serve(&place).await;
        let said = place.shell(&name, &format!("{ADMIN}{FURNISH}{script}")).await;
        assert!(said.contains("rows are in"), "{said}");
        assert_eq!(server.try_wait().unwrap(), None, "the server runs on");
    }
}

#[tokio::test]
async fn what_is_typed_beside_postgresql_works() {
    for (name, script) in scripts("run: postgres") {
        let (mut place, postgres) = (Place::new(), Postgres::start().await);
        let port = postgres.port.to_string();
        for (variable, value) in [("PGHOST", "127.0.0.1"), ("PGPORT", &*port), ("PGUSER", "postgres")] {
            place.with(variable, value);
        }
        place.with("SIKKERKEY_DATABASE_URL", format!("postgres://postgres@127.0.0.1:{port}/before"));
        let before = "psql -q -d postgres -c 'create database before'\n\
                      admin() { env -u SIKKERKEY_DATABASE_URL sikkerkey-server admin --data-dir data \"$@\"; }\n";
        let backed_up = "admin backup --out /backup/today.jsonl\n\
                         admin() { sikkerkey-server admin --root-key-file root.key \"$@\"; }\n";
        place
            .shell(&name, &format!("{before}mkdir -m 700 data\ncp -p root.key data/\n{FURNISH}{backed_up}{FURNISH}"))
            .await;
        let said = place.shell(&name, &script).await;
        assert!(said.contains("epoch 2 begins"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_against_a_cluster_works() {
    let cluster = Cluster::start(Options::control_plane().with_controllers()).await.unwrap();
    let report = Report::silent();
    let helm =
        tokio::task::spawn_blocking(move || Assets::ensure(&[Component::Helm], &report).unwrap().path(Component::Helm));
    let programs = [cluster.kubectl().program().to_owned(), helm.await.unwrap()];
    let mut place = Place::new();
    std::fs::remove_file(place.path().join("root.key")).unwrap();
    std::fs::write(place.path().join("database-url"), "postgres://sikkerkey@db.example.com/sikkerkey").unwrap();
    place.programs = programs.iter().map(|it| it.parent().unwrap().to_owned()).collect();
    place.with("KUBECONFIG", cluster.kubeconfig().display().to_string());
    for part in ["charts", "crds"] {
        std::os::unix::fs::symlink(cargo::workspace().join(part), place.path().join(part)).unwrap();
    }
    for document in document::all().unwrap() {
        for block in document.blocks() {
            if let Some(name) = block.mark.and_then(|mark| mark.strip_prefix("file: ")) {
                std::fs::write(place.path().join(name), &block.text).unwrap();
            }
        }
    }
    // First what installs.
    let mut scripts = scripts("run: cluster");
    scripts.sort_by_key(|(name, _)| name != "README.md");
    for (name, script) in scripts {
        let said = place.shell(&name, &script).await;
        assert!(!said.contains("Warning"), "{name}: {said}");
    }
    assert_eq!(cluster.stop().await.leftovers, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_typed_on_a_host_works() {
    for (name, script) in scripts("run: host") {
        let place = Place::new();
        let script = script.replace("8080", &free_port().to_string());
        place.shell(&name, &format!("trap 'kill %1' EXIT\n{script}")).await;
    }
}

#[tokio::test]
async fn what_names_somebodys_own_is_taken_by_the_program() {
    for (name, script) in scripts("run: parsed") {
        let place = Place::new();
        // Each word ends with a byte that no word has, and each command with another one.
        let stub = "admin() { printf '%s\\001' sikkerkey-server admin \"$@\" >>words; printf '\\002' >>words; }\nvault=vault_a1b2c3d4e5 secret=sk_a\n";
        place.shell(&name, &format!("{stub}{}", script.replace("ID", ID))).await;
        let words = std::fs::read_to_string(place.path().join("words")).unwrap();
        for command in words.split_terminator('\u{2}') {
            let words: Vec<&str> = command.split_terminator('\u{1}').collect();
            if let Err(error) = sikkerkey_server::cli::Cli::try_parse_from(&words) {
                panic!("{name}: {}: {error}", words.join(" "));
            }
        }
    }
}
