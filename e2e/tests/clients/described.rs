//! Every route, as its description has it: schemathesis makes requests that fit the description and such that do not, and
//! whatever comes back has to stand in it. No request may make the server fail.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sikkerkey_protocol::key::MachineKey;
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::python::walker;
use crate::server::{Server, text};
use crate::team::{Team, string};

/// How long a walk over the routes of one kind of signer may take.
const WALK: Duration = Duration::from_mins(10);

/// Keys of a cluster that nobody signs with.
const JWKS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"1","x":"YPm3xOPjWiGZC1AGkQmzavw3h6AaA8frzrdBHj3_XHk","y":"Ay6KnPZmoGtldpMzIu1psw8Gp2LzKrGJony_1AGYI8A"}]}"#;

/// Registers a key at a route that takes one, and answers what it signs as.
async fn register(team: &Team, route: &str, token: &Value, seed: u8) -> Value {
    let key = MachineKey::from_seed(&Zeroizing::new([seed; 32]));
    let body = json!({"token": token["token"], "publicKey": key.public_key(), "hostname": format!("host-{seed}")});
    let url = format!("{}{route}", team.server.url);
    let mut register = Command::new("curl");
    register.args(["--silent", "--fail", "--json", &body.to_string(), &url]).kill_on_drop(true);
    let output = timeout(crate::BOUND, register.output()).await.expect("it ends in time").expect("curl runs");
    assert!(output.status.success(), "{route}: {}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A signer for the hooks in `clients/signing.py`.
fn signer(id: &str, seed: u8) -> Value {
    json!({"id": id, "seed": format!("{seed:02x}").repeat(32)})
}

async fn agent(team: &Team, seed: u8, more: &[&str]) -> String {
    let make = ["agent", "token", "--vault", &team.vault, "--name", "walker"];
    let token = team.server.admin(&[&make[..], more].concat()).await;
    let id = string(&register(team, "/v1/ai-bootstrap/register", &token, seed).await, "agentId");
    team.server.admin(&["agent", "approve", &id]).await;
    id
}

async fn machine(team: &Team, seed: u8) -> String {
    let token = team.server.admin(&["machine", "bootstrap", "--vault", &team.vault]).await;
    let id = string(&register(team, "/v1/bootstrap/register", &token, seed).await, "machineId");
    team.server.admin(&["machine", "approve", &id]).await;
    team.server.admin(&["project", "add-machine", "shop", "--machine", &id]).await;
    team.server.admin(&["grant", "create", "--machine", &id, "--secret", &team.plain]).await;
    id
}

/// Walks over the routes of one tag, and answers what is wrong.
async fn walk(python: &Path, team: &Team, tag: &str, signers: &Value, ids: &Value) -> Result<(), String> {
    const CHECKS: &str =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
    let mut command = Command::new(python.with_file_name("st"));
    command.args(["run", &format!("{}/v1/openapi.json", team.server.url)]);
    command.args(["--include-tag", tag, "--checks", CHECKS, "--max-examples", "10", "--no-color"]);
    // A machine that gives its identity back, or changes its key, asks nothing any more.
    command.args(["--exclude-path", "/v1/machine/resign", "--exclude-path", "/v1/machine/renew"]);
    command.env("SCHEMATHESIS_HOOKS", "signing").env("PYTHONPATH", hooks).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("SIKKERKEY_SIGNERS", signers.to_string()).env("SIKKERKEY_IDS", ids.to_string());
    // It writes what it has found into the directory where it runs.
    command.current_dir(team.server.place.path()).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(WALK, command.output()).await.map_err(|_| format!("{tag}: not over in {WALK:?}"))?;
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // A walk of which no request gets in proves nothing.
    let shut_out = tag != "open" && said.contains("operations returned only 401/403 responses");
    if output.status.success() && !shut_out { Ok(()) } else { Err(format!("{tag}:\n{said}")) }
}

#[tokio::test]
async fn every_route_keeps_to_its_description() {
    let Some(python) = walker("every_route_keeps_to_its_description") else { return };
    // Most tokens that are made up are none: nobody is locked out for it here.
    let team = Team::on(python, Server::start(&["--shared-address", "127.0.0.0/8"]).await).await;
    let jwks = team.server.file("jwks.json", JWKS);
    let trust = ["cluster", "trust", "--vault", &team.vault, "--name", "prod", "--issuer", "https://prod.example.com"];
    let subject = ["--subject", "system:serviceaccount:sikkerkey-system:operator", "--jwks-file", text(&jwks)];
    team.server.admin(&[&trust[..], &subject].concat()).await;
    let signers = json!({
        "machines": signer(&machine(&team, 1).await, 1),
        "operators": signer(&agent(&team, 2, &["--cluster", "prod"]).await, 2),
        "management": signer(&agent(&team, 3, &["--scope", "all"]).await, 3),
    });
    let ids = json!({
        "vault": team.vault, "project": team.shop, "secret": team.plain, "machine": machine(&team, 4).await,
        "agent": agent(&team, 5, &[]).await, "address": "10.1.2.3",
    });
    for tag in ["machines", "operators", "open", "management"] {
        walk(python, &team, tag, &signers, &ids).await.unwrap_or_else(|found| panic!("{found}"));
    }
}
