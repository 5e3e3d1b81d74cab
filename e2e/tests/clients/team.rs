//! A vault with two projects, and machines in it, all made with the command line.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::driver::Driver;
use crate::server::{Server, text};

/// A value of one field.
pub(crate) const PLAIN: &str = "hunter2 \u{fc}\u{1f511}";

/// A server with secrets.
pub(crate) struct Team {
    pub(crate) python: &'static Path,
    pub(crate) server: Server,
    pub(crate) vault: String,
    /// The project `shop`.
    pub(crate) shop: String,
    /// Its secret `Stripe API-key`, with the value [`PLAIN`].
    pub(crate) plain: String,
    /// Its secret `db`, with the fields `username` and `password`.
    pub(crate) structured: String,
    /// The project `books`.
    pub(crate) books: String,
    /// Its secret `ledger`.
    pub(crate) ledger: String,
}

/// A machine with an identity on disk, and a client that uses it.
pub(crate) struct Host {
    pub(crate) id: String,
    /// Its `SIKKERKEY_HOME`.
    pub(crate) home: PathBuf,
    pub(crate) client: Driver,
}

impl Team {
    /// The vault on a server that runs.
    pub(crate) async fn on(python: &'static Path, server: Server) -> Self {
        let vault = server.admin(&["vault", "create", "--name", "team", "--owner", "owner@example.com"]).await;
        let vault = string(&vault, "vaultId");
        let mut projects = Vec::new();
        for name in ["shop", "books"] {
            let project = server.admin(&["project", "create", "--vault", &vault, "--name", name]).await;
            projects.push(string(&project, "projectId"));
        }
        let [shop, books] = <[String; 2]>::try_from(projects).unwrap();
        let none = String::new();
        let mut team =
            Self { python, server, vault, shop, books, plain: none.clone(), structured: none.clone(), ledger: none };
        team.plain = team.secret("shop", "Stripe API-key", PLAIN, &[]).await;
        let fields = json!({"username": "shop", "password": "s3cret"}).to_string();
        team.structured = team.secret("shop", "db", &fields, &["--fields", "username,password"]).await;
        team.ledger = team.secret("books", "ledger", "42", &[]).await;
        team
    }

    /// A vault on a server of its own, without TLS.
    pub(crate) async fn new(python: &'static Path) -> Self {
        Self::on(python, Server::start(&[]).await).await
    }

    /// Makes a secret.
    pub(crate) async fn secret(&self, project: &str, name: &str, value: &str, more: &[&str]) -> String {
        let create = ["secret", "create", "--project", project, "--name", name, "--value-file", "-"];
        string(&self.server.admin_with(&[&create[..], more].concat(), value).await, "secretId")
    }

    /// Replaces a value.
    pub(crate) async fn set(&self, secret: &str, value: &str) {
        self.server.admin_with(&["secret", "set", secret, "--value-file", "-"], value).await;
    }

    /// A machine that has registered and waits for approval.
    pub(crate) async fn pending(&self, name: &str) -> Host {
        self.pending_with(name, &[]).await
    }

    /// The same with more in its environment.
    pub(crate) async fn pending_with(&self, name: &str, environment: &[(&str, &str)]) -> Host {
        let token = self.server.admin(&["machine", "bootstrap", "--vault", &self.vault]).await;
        let home = self.server.directory(name);
        let mut client = Driver::start(self.python, &home, environment);
        client.does("register", json!([self.server.url, token["token"], name, text(&home)])).await;
        client.does("open", json!([])).await;
        let id = client.does("get", json!(["machine_id"])).await.as_str().unwrap().to_owned();
        Host { id, home, client }
    }

    /// A machine that may read both secrets of `shop`.
    pub(crate) async fn host(&self, name: &str) -> Host {
        let host = self.pending(name).await;
        self.admit(&host).await;
        host
    }

    /// Approves a machine and grants it both secrets of `shop`.
    pub(crate) async fn admit(&self, host: &Host) {
        self.server.admin(&["machine", "approve", &host.id]).await;
        self.server.admin(&["project", "add-machine", "shop", "--machine", &host.id]).await;
        self.grant(host, &[&self.plain, &self.structured]).await;
    }

    /// Grants secrets to a member of their projects, and answers the grant's id.
    pub(crate) async fn grant(&self, host: &Host, secrets: &[&str]) -> String {
        let mut arguments = vec!["grant", "create", "--machine", &host.id];
        for secret in secrets {
            arguments.extend(["--secret", secret]);
        }
        self.server.admin(&arguments).await["grantIds"][0].as_str().unwrap().to_owned()
    }

    /// An enrolment token for the plain secret.
    pub(crate) async fn token(&self, more: &[&str]) -> Value {
        let create = ["enrolment-token", "create", "--vault", &self.vault, "--name", "ci", "--project", "shop"];
        self.server.admin(&[&create[..], &["--secret", &self.plain], more].concat()).await
    }
}

/// A text of an answer.
pub(crate) fn string(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("{name} in {answer}")).to_owned()
}
