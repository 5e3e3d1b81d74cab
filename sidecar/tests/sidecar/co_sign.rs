//! The commands of a second machine, against a peer over TLS.

use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::StatusCode;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use sikkerkey_protocol::co_sign::{self, CoSignRequest};
use sikkerkey_protocol::id::MachineId;
use sikkerkey_protocol::key::MachineKey;
use sikkerkey_sidecar::cli::Command as Words;
use sikkerkey_sidecar::client::{Client, Trust};
use sikkerkey_sidecar::clock::rfc3339;
use sikkerkey_sidecar::co_sign::{CoSignError, Terminal, co_sign};
use sikkerkey_sidecar::identity_file::IdentityFile;
use sikkerkey_sidecar::random::OsRandom;
use tempfile::TempDir;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::peer::{Authority, Fault, Machine, Peer, error};
use crate::pod::SkewedClock;

const BOSS: &str = "00000000-0000-4000-8000-0000000000aa";
const FIRST: &str = "6f1c2b3a-0000-4000-8000-000000000001";
const SECOND: &str = "6f1c2b3a-1111-4000-8000-000000000002";
const THIRD: &str = "7d000000-0000-4000-8000-000000000003";
const APPROVE_FIRST: &str = "/v1/cosign/6f1c2b3a-0000-4000-8000-000000000001/approve";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";

fn request(id: &str, secret: &str, window_seconds: u64) -> CoSignRequest {
    CoSignRequest {
        id: id.to_owned(),
        vault_id: "vault_a".parse().unwrap(),
        approver_id: BOSS.parse().unwrap(),
        reader_id: "11111111-0000-4000-8000-000000000001".to_owned(),
        reader: "Machine shop/web".to_owned(),
        asked_by: "web-0 on node-1".to_owned(),
        asked_from: "10.0.0.7".to_owned(),
        asked_at: 1_792_204_561_123,
        secret_id: "sk_a".parse().unwrap(),
        secret: secret.to_owned(),
        policy: "four-eyes".to_owned(),
        policy_revision: 7,
        window_seconds,
        approved_until: None,
    }
}

/// A host with an identity on disk, known to its peer.
struct Host {
    peer: Peer,
    directory: TempDir,
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Host {
    /// A host whose peer has three requests for it.
    async fn new() -> Self {
        let host = Self { peer: Peer::start().await, directory: tempfile::tempdir().unwrap() };
        let key = MachineKey::from_seed(&Zeroizing::new(std::array::from_fn(|i| u8::try_from(i).unwrap())));
        host.peer.change(|world| {
            let machine = Machine { key: key.public_key(), expires_at: 0, is_alive: true };
            world.machines.insert(BOSS.parse().unwrap(), machine);
            world.co_signs =
                vec![request(FIRST, "shop/db", 3600), request(SECOND, "shop/tls", 60), request(THIRD, "shop/api", 60)];
        });
        host.write_identity(&host.peer.url);
        std::fs::write(host.ca(), &host.peer.authority.pem).unwrap();
        host
    }

    fn write_identity(&self, url: &str) {
        let directory = self.directory.path().join("vaults/vault_a");
        std::fs::create_dir_all(&directory).unwrap();
        let key = directory.join("private.pem");
        std::fs::write(&key, KEY).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let identity = json!({
            "machineId": BOSS, "machineName": "boss-1", "vaultId": "vault_a", "apiUrl": url, "privateKeyPath": key,
        });
        std::fs::write(self.identity(), identity.to_string()).unwrap();
    }

    fn identity(&self) -> PathBuf {
        self.directory.path().join("vaults/vault_a/identity.json")
    }

    fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sikkerkey-sidecar"));
        command
            .arg("cosign")
            .args(line.split_whitespace())
            .env_clear()
            .env("SIKKERKEY_HOME", self.directory.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program without a terminal.
    async fn run(&self, line: &str) -> Ran {
        let mut command = self.command(line);
        run(command.arg("--ca").arg(self.ca())).await
    }

    /// Runs it in this process, with a terminal on which `typed` is typed.
    async fn at_a_terminal(
        &self,
        line: &str,
        typed: &str,
        clock: Arc<SkewedClock>,
    ) -> (Result<(), CoSignError>, String) {
        let words = std::iter::once("cosign").chain(line.split_whitespace()).map(Into::into);
        let Ok(Words::CoSign(command)) = Words::parse(words) else { panic!("{line}") };
        let identity = IdentityFile::open(Some(self.identity().to_str().unwrap()), |_| None).unwrap();
        let trust = Trust::parse(&self.peer.authority.pem).unwrap();
        let mut client = Client::new(trust, clock, Arc::new(OsRandom));
        let (mut out, mut err, mut input) = (vec![], vec![], Cursor::new(typed.as_bytes().to_vec()));
        let mut terminal = Terminal { out: &mut out, err: &mut err, input: Some(&mut input) };
        let result = co_sign(&command, &identity, &mut client, &mut terminal).await;
        err.extend(out);
        (result, String::from_utf8(err).unwrap())
    }

    /// The answers that came.
    fn consents(&self) -> Vec<(MachineId, String, serde_json::Value)> {
        self.peer.world().consents.clone()
    }
}

async fn run(command: &mut Command) -> Ran {
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn a_list_shows_what_waits_or_that_nothing_does() {
    let host = Host::new().await;
    let Ran { code, out, err } = host.run("list").await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with("SINCE                  WINDOW   STATE"), "{out}");
    let cells: Vec<_> = lines[1].split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(
        cells,
        [
            FIRST,
            "Machine shop/web",
            "shop/db",
            "four-eyes",
            "web-0 on node-1",
            "10.0.0.7",
            "2026-10-17T02:36:01Z",
            "1h",
            "waits"
        ]
    );
    let Ran { code, out, .. } = host.run("list --output json").await;
    assert_eq!(code, Some(0));
    let listed: co_sign::CoSignList = serde_json::from_str(&out).unwrap();
    assert_eq!(listed.requests, host.peer.world().co_signs);

    host.peer.change(|world| world.co_signs.clear());
    let Ran { code, out, .. } = host.run("list").await;
    assert_eq!(
        (code, out),
        (Some(0), format!("No read waits for the approval of machine boss-1 ({BOSS}), and none is approved.\n"))
    );
    let Ran { code, out, .. } = host.run("list --output json").await;
    assert_eq!((code, serde_json::from_str::<serde_json::Value>(&out).unwrap()), (Some(0), json!({"requests": []})));
}

#[tokio::test]
async fn an_answer_repeats_the_request_field_by_field() {
    let host = Host::new().await;
    for (index, (line, verdict, window)) in [
        (format!("approve {FIRST} --yes"), "approve", 3600),
        (format!("deny --for 10m --yes {FIRST}"), "deny", 600),
        (format!("approve --yes {FIRST} --for 5h"), "approve", 3600),
    ]
    .into_iter()
    .enumerate()
    {
        let before = host.peer.world().now();
        let Ran { code, out, err } = host.run(&line).await;
        let after = host.peer.world().now();
        assert_eq!(code, Some(0), "{err}");
        let (signer, path, body) = host.consents()[index].clone();
        assert_eq!((signer.as_str(), path), (BOSS, format!("/v1/cosign/{FIRST}/{verdict}")));
        let not_after = body["notAfter"].as_i64().unwrap();
        assert_eq!(
            body,
            json!({
                "requestId": FIRST, "vaultId": "vault_a", "approverId": BOSS,
                "readerId": "11111111-0000-4000-8000-000000000001", "secretId": "sk_a", "policyRevision": 7,
                "notAfter": not_after,
            })
        );
        // A `Date` has whole seconds, and the answer may never end later than the window allows.
        assert!((before - 1000 + window * 1000..=after + window * 1000).contains(&not_after), "{not_after} {before}");
        let until = rfc3339(not_after - not_after % 1000);
        let word = if verdict == "deny" { "denied" } else { "approved" };
        assert_eq!(out, format!("{word} until {until}\n"));
        assert!(
            err.contains("  reader    Machine shop/web\n  secret    shop/db\n  policy    four-eyes (revision 7)\n")
        );
        assert!(err.contains(&format!("  until     {until} (the policy's window is 1h)\n")), "{err}");
        assert!(!err.contains("[y/N]"), "{err}");
    }
}

#[tokio::test]
async fn a_request_is_named_by_how_its_id_begins() {
    let host = Host::new().await;
    for (line, code, said) in [
        (
            "approve 6f1c2b3a --yes",
            2,
            format!("6f1c2b3a is how several ids begin: give more of it. They are {FIRST}, {SECOND}\n"),
        ),
        (
            "approve 7d000001 --yes",
            1,
            format!("no request 7d000001 waits for machine boss-1 ({BOSS}): cosign list shows those that do\n"),
        ),
        (
            "approve 7d00000 --yes",
            2,
            "\"7d00000\" is no id of a request: give it as cosign list shows it, or at least its first 8 characters\n"
                .to_owned(),
        ),
    ] {
        let ran = host.run(line).await;
        assert_eq!((ran.code, ran.err, ran.out.as_str()), (Some(code), said, ""), "{line}");
    }
    assert_eq!(host.consents(), []);
    for (line, path) in [
        ("approve 7d000000 --yes", format!("/v1/cosign/{THIRD}/approve")),
        ("deny 6F1C2B3A-1 --yes", format!("/v1/cosign/{SECOND}/deny")),
    ] {
        let ran = host.run(line).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(host.consents().last().unwrap().1, path);
    }
}

#[tokio::test]
async fn an_id_that_is_none_never_becomes_part_of_a_path() {
    let host = Host::new().await;
    host.peer.change(|world| world.co_signs = vec![request("6f1c2b3a/../../secrets/export?", "shop/db", 60)]);
    let ran = host.run("approve 6f1c2b3a --yes").await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("no request 6f1c2b3a waits for machine"), "{}", ran.err);
    assert_eq!(host.peer.world().seen, [("/v1/cosign".to_owned(), 200)]);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_in_its_words() {
    for (status, words) in [
        (StatusCode::FORBIDDEN, "machine boss-1 may not approve for its own Machine"),
        (StatusCode::NOT_FOUND, "no such request"),
        (StatusCode::CONFLICT, "the policy has changed since: list again"),
    ] {
        let host = Host::new().await;
        host.peer.change(|world| world.fail(APPROVE_FIRST, error(status, words, None)));
        let Ran { code, out, err } = host.run(&format!("approve {FIRST} --yes")).await;
        assert_eq!((code, out.as_str()), (Some(1), ""));
        let line = format!("the answer was not taken: {} answered {status}: {words}\n", host.peer.url);
        assert!(err.ends_with(&line), "{err}");
        assert_eq!(host.consents(), []);

        host.peer.change(|world| world.fail(co_sign::LIST, error(status, words, None)));
        let Ran { code, err, .. } = host.run("list").await;
        let line = format!(
            "cannot list what waits for machine boss-1 ({BOSS}): {} answered {status}: {words}\n",
            host.peer.url
        );
        assert_eq!((code, err), (Some(1), line));
    }
}

#[tokio::test]
async fn a_machine_that_the_server_does_not_know_is_told_so() {
    let host = Host::new().await;
    host.peer.change(|world| world.machines.clear());
    let Ran { code, err, .. } = host.run("list").await;
    assert_eq!(code, Some(1));
    assert!(err.ends_with("answered 401 Unauthorized: unknown machine\n"), "{err}");
    assert_eq!(host.peer.world().count(co_sign::LIST, 401), 1, "it is not tried again");
}

#[tokio::test]
async fn without_a_terminal_nothing_is_answered_unless_the_line_says_yes() {
    let host = Host::new().await;
    let Ran { code, out, err } = host.run(&format!("approve {FIRST}")).await;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert_eq!(err, "there is no terminal to ask on: add --yes to answer without being asked\n");
    assert_eq!(host.peer.world().seen, []);
}

#[tokio::test]
async fn at_a_terminal_only_a_yes_answers() {
    let host = Host::new().await;
    for typed in ["", "\n", "n\n", "no\n", "yess\n", "approve\n"] {
        let (result, said) = host.at_a_terminal(&format!("approve {FIRST}"), typed, Arc::default()).await;
        assert!(matches!(result, Err(CoSignError::NotConfirmed)), "{typed:?}: {result:?}");
        assert!(said.ends_with(&format!("  request   {FIRST}\nApprove it? [y/N] ")), "{said}");
        assert_eq!(host.consents(), [], "{typed:?}");
    }
    for (count, typed) in ["y\n", "Y\r\n", " yes \n"].into_iter().enumerate() {
        let (result, said) = host.at_a_terminal(&format!("deny {FIRST}"), typed, Arc::default()).await;
        result.unwrap();
        assert!(said.contains("Deny it? [y/N] denied until "), "{said}");
        assert_eq!(host.consents().len(), count + 1);
    }
}

#[tokio::test]
async fn the_program_asks_on_the_terminal_that_it_is_started_on() {
    let host = Host::new().await;
    for (typed, code) in [("y\n", 0), ("n\n", 1)] {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, vec![]).unwrap().into_string().unwrap();
        let keyboard = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
        // It is typed before it is asked, which a terminal keeps.
        std::fs::File::from(terminal.try_clone().unwrap()).write_all(typed.as_bytes()).unwrap();
        let mut command = host.command(&format!("approve {FIRST}"));
        let Ran { code: ended, err, .. } = run(command.arg("--ca").arg(host.ca()).stdin(keyboard)).await;
        assert_eq!(ended, Some(code), "{err}");
        assert!(err.contains("Approve it? [y/N] "), "{err}");
        assert_eq!(err.ends_with("not confirmed: nothing was answered\n"), code == 1, "{err}");
        assert_eq!(host.consents().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_is_counted_and_signed_by_the_servers_clock() {
    for (host_ahead, server_ahead) in [(-7_200_000, 0), (7_200_000, 0), (0, 4), (-3_000, 0), (3_000, 0)] {
        let host = Host::new().await;
        host.peer.change(|world| world.ahead = server_ahead);
        let clock = Arc::new(SkewedClock(AtomicI64::new(host_ahead)));
        let (result, _) = host.at_a_terminal(&format!("approve {FIRST}"), "y\n", clock.clone()).await;
        result.unwrap();
        let not_after = host.consents()[0].2["notAfter"].as_i64().unwrap();
        let bound = host.peer.world().now() + 3_600_000;
        assert!(not_after <= bound && not_after > bound - 20_000, "{host_ahead}: {}", bound - not_after);
        assert_eq!(clock.0.load(Ordering::Relaxed), host_ahead);
    }
}

#[tokio::test]
async fn a_connection_that_closed_while_a_person_thought_is_opened_again() {
    let host = Host::new().await;
    host.peer.change(|world| world.fail(APPROVE_FIRST, Fault::Lose));
    let (result, said) = host.at_a_terminal(&format!("approve {FIRST}"), "y\n", Arc::default()).await;
    result.unwrap();
    assert!(said.contains("approved until "), "{said}");
    assert_eq!(host.consents().len(), 1);
}

#[tokio::test]
async fn an_answer_can_be_read_by_a_program() {
    let host = Host::new().await;
    let Ran { code, out, .. } = host.run(&format!("approve {FIRST} --yes --output json")).await;
    assert_eq!(code, Some(0));
    let settled: serde_json::Value = serde_json::from_str(&out).unwrap();
    let not_after = host.consents()[0].2["notAfter"].clone();
    assert_eq!(settled, json!({"id": FIRST, "verdict": "Approved", "until": not_after}));
}

#[tokio::test]
async fn only_the_certificates_that_were_named_vouch_for_the_server() {
    let host = Host::new().await;
    let ca = host.ca();
    let by_environment = run(host.command("list").env("SSL_CERT_FILE", &ca)).await;
    assert_eq!(by_environment.code, Some(0), "{}", by_environment.err);

    let stranger = host.directory.path().join("stranger.pem");
    std::fs::write(&stranger, Authority::new().pem).unwrap();
    for command in [
        host.command("list").arg("--ca").arg(&stranger).env("SSL_CERT_FILE", &ca),
        host.command("list").env("SSL_CERT_FILE", &stranger),
    ] {
        let Ran { code, err, .. } = run(command).await;
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(&format!("cannot talk to {} securely: ", host.peer.url)), "{err}");
    }
    let empty = host.directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let Ran { code, err, .. } = run(host.command("list").env("SSL_CERT_FILE", &empty)).await;
    assert_eq!(code, Some(2));
    assert!(err.starts_with("no certificates are found to trust the server by, "));
    for (path, said) in [
        ("/nowhere", "cannot read --ca /nowhere: No such file or directory (os error 2)\n".to_owned()),
        (
            empty.to_str().unwrap(),
            format!("cannot use --ca {}: the trust bundle holds no certificate\n", empty.display()),
        ),
    ] {
        let Ran { code, err, .. } = run(host.command("list").arg("--ca").arg(path)).await;
        assert_eq!((code, err), (Some(2), said));
    }
}

#[tokio::test]
async fn a_server_on_this_very_machine_needs_no_certificate() {
    let host = Host::new().await;
    host.write_identity(&host.peer.also_listen_plainly().await);
    let Ran { code, err, .. } = run(&mut host.command("list")).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn the_identity_is_the_one_that_is_named_or_the_only_one() {
    let host = Host::new().await;
    let ca = host.ca();
    let nowhere = tempfile::tempdir().unwrap();
    for command in [
        host.command("list --identity a"),
        host.command("list --identity=vault_a"),
        {
            let mut command = host.command("list");
            command.env("SIKKERKEY_HOME", nowhere.path()).env("SIKKERKEY_IDENTITY", host.identity());
            command
        },
        {
            let mut command = host.command("list");
            command.env("SIKKERKEY_HOME", nowhere.path()).arg("--identity").arg(host.identity());
            command
        },
    ] {
        let mut command = command;
        let ran = run(command.arg("--ca").arg(&ca)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
    for (line, said) in [
        ("list --identity b", "cannot read "),
        ("list --identity ../a", "\"../a\" names no identity: give the path of an identity.json, or a vault id"),
    ] {
        let ran = host.run(line).await;
        assert_eq!(ran.code, Some(2), "{line}");
        assert!(ran.err.starts_with(said), "{}", ran.err);
    }
    let ran = run(host.command("list").env("SIKKERKEY_HOME", nowhere.path())).await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.starts_with("there is no identity in "), "{}", ran.err);
}

#[tokio::test]
async fn a_key_that_others_can_read_signs_with_a_warning() {
    let host = Host::new().await;
    let key = host.directory.path().join("vaults/vault_a/private.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let Ran { code, err, .. } = host.run("list").await;
    assert_eq!(code, Some(0));
    let path = key.display();
    assert_eq!(
        err,
        format!("warning: others can read or write the private key {path} (mode 0644): chmod 600 {path}\n")
    );
}

#[tokio::test]
async fn nothing_that_is_printed_tells_the_key() {
    let host = Host::new().await;
    host.peer.change(|world| world.fail(co_sign::LIST, Fault::Garble("{")));
    let mut said = String::new();
    for line in ["list", "list", "list --output json", "approve 6f1c2b3a --yes", "approve 7d000000 --yes"] {
        let ran = host.run(line).await;
        said.push_str(&ran.out);
        said.push_str(&ran.err);
    }
    assert!(said.contains("body that is not understood") && said.contains("approved until"), "{said}");
    for secret in ["MC4CAQAw", "AAECAwQF", "00010203", "PRIVATE KEY"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn the_help_names_the_commands_and_a_wrong_line_names_the_help() {
    let host = Host::new().await;
    for line in ["--help", "help", "approve --help"] {
        let ran = run(&mut host.command(line)).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), sikkerkey_sidecar::cli::CO_SIGN_HELP));
    }
    for (line, said) in [
        ("", "say cosign list, cosign approve ID or cosign deny ID (cosign --help says more)\n"),
        ("list --all", "there is no option \"--all\" here: cosign --help shows those there are\n"),
    ] {
        let ran = run(&mut host.command(line)).await;
        assert_eq!((ran.code, ran.err.as_str()), (Some(2), said));
    }
}
