//! A host begins with the one command that the server printed: typed there, under three shells and with the tools of
//! different systems, against the real server over TLS with an authority of its own. Then a person approves its key, and the
//! official client reads a secret with the identity that was written.

mod failing;
mod pods;
mod replaced;
mod scripts;
mod tools;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use self::tools::{Keys, Tools};
use crate::BOUND;
use crate::driver::Driver;
use crate::network::Network;
use crate::python::python;
use crate::secured::secure;
use crate::server::text;
use crate::team::{PLAIN, Team};

/// A server that is reached by TLS with an authority of its own, and a host in a network with it.
pub(crate) struct Stage {
    team: Team,
    network: Network,
    /// What the server was started with.
    arguments: Vec<String>,
}

/// What came of a command.
struct Typed {
    ok: bool,
    /// Standard output.
    out: String,
    /// Standard error.
    err: String,
}

impl Stage {
    /// None: the test is skipped.
    async fn set(test: &str) -> Option<Self> {
        let python = python(test)?;
        let network = Network::new(test)?;
        let secured = secure(network.new_server(), Network::SERVER);
        let mut server = secured.server;
        let root_key = server.file("root.key", &"42".repeat(32));
        std::fs::set_permissions(&root_key, std::fs::Permissions::from_mode(0o400)).unwrap();
        let mut arguments: Vec<String> = secured.arguments.into();
        for (name, file) in [("--tls-ca", &secured.trusted), ("--root-key-file", &root_key)] {
            arguments.extend([name.to_owned(), text(file).to_owned()]);
        }
        server.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let team = Team::on(python, server).await;
        Some(Self { team, network, arguments })
    }

    /// What `admin machine bootstrap` prints.
    async fn bootstrap(&self, more: &[&str]) -> Value {
        let command = ["machine", "bootstrap", "--vault", &self.team.vault];
        self.team.server.admin(&[&command[..], more].concat()).await
    }

    /// A new home directory.
    fn home(&self, name: &str) -> PathBuf {
        self.team.server.directory(name)
    }

    /// Types a command on the host, into a shell that has nothing but these tools.
    async fn types(&self, tools: &Tools, home: &Path, command: &str) -> Typed {
        self.types_with(tools, home, command, &[]).await
    }

    async fn types_with(&self, tools: &Tools, home: &Path, command: &str, environment: &[(&str, &str)]) -> Typed {
        let [program, enter @ ..] = &self.network.host()[..] else { panic!("a program") };
        let mut run = Command::new(program);
        run.args(enter).arg(tools.path().join("sh")).args(["-c", command]);
        run.env_clear().env("PATH", tools.path()).env("HOME", home).envs(environment.iter().copied());
        run.current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = timeout(BOUND, run.output()).await.expect("it ends in time").unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(!out.contains("PRIVATE KEY") && !err.contains("PRIVATE KEY"), "a private key is shown:\n{out}\n{err}");
        Typed { ok: output.status.success(), out, err }
    }

    /// The vault's directory under a `.sikkerkey`.
    fn vault(&self, base: &Path) -> PathBuf {
        base.join("vaults").join(&self.team.vault)
    }

    /// The machine that the server has under this id.
    async fn machine(&self, id: &str) -> Value {
        let all = self.team.server.admin(&["machine", "list"]).await;
        let machines = all["machines"].as_array().unwrap();
        machines.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("{id} in {all}")).clone()
    }

    /// Approves a machine, and grants it the plain secret.
    async fn admit(&self, id: &str) {
        let admin = async |arguments: &[&str]| drop(self.team.server.admin(arguments).await);
        admin(&["machine", "approve", id]).await;
        admin(&["project", "add-machine", "shop", "--machine", id]).await;
        admin(&["grant", "create", "--machine", id, "--secret", &self.team.plain]).await;
    }

    /// The official client on the host, with the identity under this `.sikkerkey`.
    async fn client(&self, base: &Path) -> Driver {
        let trusted = self.vault(base).join("ca.pem");
        let trust = ("SSL_CERT_FILE", text(&trusted));
        let mut client = Driver::start_in(&self.network.host(), self.team.python, base, &[trust]);
        client.does("open", json!([])).await;
        client
    }
}

impl Typed {
    /// What stands after a word of the summary.
    fn said(&self, word: &str) -> String {
        assert!(self.ok, "{}\n{}", self.out, self.err);
        let line = [&self.out, &self.err].into_iter().flat_map(|it| it.lines());
        let mut values = line.filter_map(|line| line.trim_start().strip_prefix(word)?.strip_prefix("  "));
        values.next().unwrap_or_else(|| panic!("{word} in {}{}", self.out, self.err)).trim().to_owned()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The names of what is in a directory, and in the directories in it.
fn all_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(all_in(&entry.path()).into_iter().map(|it| format!("{name}/{it}")));
        }
        names.push(name);
    }
    names.sort();
    names
}

#[tokio::test]
async fn one_command_makes_a_host_a_machine_under_each_shell_and_with_the_tools_of_each_system() {
    let test = "one_command_makes_a_host_a_machine_under_each_shell_and_with_the_tools_of_each_system";
    let Some(stage) = Stage::set(test).await else { return };
    for tools in Tools::of_each_system(test) {
        let name = tools.name();
        let home = stage.home(name);
        let command = stage.bootstrap(&["--name", name]).await["commands"]["unix"].as_str().unwrap().to_owned();
        let typed = stage.types(&tools, &home, &command).await;
        let (id, fingerprint) = (typed.said("machine"), typed.said("fingerprint"));

        let base = home.join(".sikkerkey");
        let vault = stage.vault(&base);
        let there = vec!["ca.pem", "identity.json", "private.pem"];
        assert_eq!(all_in(&vault), there, "{name}");
        for it in &there {
            assert_eq!(mode(&vault.join(it)), 0o600, "{name} {it}");
        }
        for directory in [&base, &base.join("vaults"), &vault] {
            assert_eq!(mode(directory), 0o700, "{name} {}", directory.display());
        }
        let identity: Value = serde_json::from_slice(&std::fs::read(vault.join("identity.json")).unwrap()).unwrap();
        let path = vault.join("private.pem");
        assert_eq!(
            identity,
            json!({
                "machineId": id, "machineName": name, "vaultId": stage.team.vault, "apiUrl": stage.team.server.url,
                "privateKeyPath": text(&path),
            }),
            "{name}"
        );
        let key = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = key.lines().collect();
        assert!(
            matches!(lines[..], ["-----BEGIN PRIVATE KEY-----", body, "-----END PRIVATE KEY-----"]
                if body.len() == 64 && body.starts_with("MC4CAQAwBQYDK2VwBCIEI")),
            "{name}: not the 48 bytes of RFC 8410"
        );

        // What is compared is of the key that the server has.
        assert_eq!(stage.machine(&id).await["fingerprint"], fingerprint, "{name}");
        stage.admit(&id).await;
        assert_eq!(stage.client(&base).await.get(&stage.team.plain).await, Ok(json!(PLAIN)), "{name}");
    }
}

#[tokio::test]
async fn a_key_that_a_person_has_made_is_used_in_place_of_a_new_one() {
    let test = "a_key_that_a_person_has_made_is_used_in_place_of_a_new_one";
    let Some(stage) = Stage::set(test).await else { return };
    let tools = Tools::of_debian(Keys::Both, "dash");
    for (name, make) in
        [("pkcs8", "openssl genpkey -algorithm ed25519 -out own"), ("openssh", "ssh-keygen -q -t ed25519 -N '' -f own")]
    {
        let home = stage.home(name);
        assert!(stage.types(&tools, &home, make).await.ok);
        let command = stage.bootstrap(&["--name", name]).await["commands"]["unix"].as_str().unwrap().to_owned();
        let typed = stage.types_with(&tools, &home, &command, &[("SIKKERKEY_KEY", "own")]).await;
        let id = typed.said("machine");
        stage.admit(&id).await;
        let base = home.join(".sikkerkey");
        assert_eq!(stage.client(&base).await.get(&stage.team.plain).await, Ok(json!(PLAIN)), "{name}");
        assert!(home.join("own").exists(), "it is left where it was");
        if name == "pkcs8" {
            let [own, used] = [home.join("own"), stage.vault(&base).join("private.pem")].map(std::fs::read);
            assert_eq!(own.unwrap(), used.unwrap());
        }
    }
}
