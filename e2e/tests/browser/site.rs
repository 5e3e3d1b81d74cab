//! The server under test, with a vault, people and machines, all made with its command line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::axe;
use crate::browser::Browser;
use crate::chromium::chromium;
use crate::host::Host;
use crate::http::client;
use crate::locator::{button, field, heading};
use crate::options::Options;
use crate::secured::secured;
use crate::server::Server;
use crate::skipped::skipped;

/// Of everybody.
pub(crate) const PASSWORD: &str = "gazing at goats";

/// What somebody may do in the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The vault is theirs.
    Owner,
    Manager,
    Auditor,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Owner, Self::Manager, Self::Auditor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Auditor => "auditor",
        }
    }

    /// With what such a person logs in.
    pub(crate) fn email(self) -> String {
        format!("{}@example.com", self.name())
    }
}

/// A server with a vault, whose owner, manager and auditor can log in.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) vault: String,
    /// What machines and strangers ask with.
    pub(crate) http: reqwest::Client,
    /// What browsers know its certificate by.
    pin: Option<String>,
    /// What the server is started with.
    pub(crate) arguments: Vec<String>,
}

impl Site {
    /// One without TLS, on loopback; none where no browser can run, and then the test is [`skipped`].
    pub(crate) async fn new(test: &str) -> Option<Self> {
        if !is_possible(test) {
            return None;
        }
        let http = client().build().unwrap();
        Some(Self::on(Server::start(&[]).await, http, None, Vec::new()).await)
    }

    /// The same over TLS, as it is deployed.
    pub(crate) async fn secured(test: &str) -> Option<Self> {
        if !is_possible(test) {
            return None;
        }
        let secured = secured();
        let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
        let authority = reqwest::Certificate::from_pem(read(&secured.trusted).as_bytes()).unwrap();
        let http = client().tls_certs_only([authority]);
        let key = KeyPair::from_pem(&read(&secured.server.place.path().join("tls.key"))).unwrap();
        let pin = STANDARD.encode(Sha256::digest(key.subject_public_key_info()));
        let mut server = secured.server;
        server.run(&secured.arguments.each_ref().map(String::as_str)).await;
        Some(Self::on(server, http.build().unwrap(), Some(pin), secured.arguments.into()).await)
    }

    async fn on(server: Server, http: reqwest::Client, pin: Option<String>, arguments: Vec<String>) -> Self {
        let vault = server.admin(&["vault", "create", "--name", "team", "--owner", &Role::Owner.email()]).await;
        let site = Self { vault: string(&vault, "vaultId"), server, http, pin, arguments };
        site.server.admin_with(&["account", "set-password", &Role::Owner.email()], PASSWORD).await;
        for role in [Role::Manager, Role::Auditor] {
            site.server.admin_with(&["account", "create", &role.email()], PASSWORD).await;
            let add = ["member", "add", &role.email(), "--vault", &site.vault, "--role", role.name()];
            site.server.admin(&add).await;
        }
        site
    }

    /// Somebody's browser, set up as most are.
    pub(crate) async fn browser(&self) -> Browser {
        self.browser_with(Options::default()).await
    }

    /// Somebody's browser.
    pub(crate) async fn browser_with(&self, options: Options) -> Browser {
        Browser::start(&self.server.url, &Options { pin: self.pin.clone(), ..options }).await
    }

    /// The browser of somebody who has logged in, on the first page.
    pub(crate) async fn signed_in(&self, role: Role) -> Browser {
        self.signed_in_with(role, Options::default()).await
    }

    /// The same in a browser that is set up otherwise.
    pub(crate) async fn signed_in_with(&self, role: Role, options: Options) -> Browser {
        let mut browser = self.browser_with(options).await;
        browser.open("/login").await;
        browser.log_in(&role.email(), PASSWORD).await;
        browser.wait_for(heading("Projects")).await;
        browser
    }

    /// Makes a project, and answers its id.
    pub(crate) async fn project(&self, name: &str) -> String {
        let project = self.server.admin(&["project", "create", "--vault", &self.vault, "--name", name]).await;
        string(&project, "projectId")
    }

    /// Makes a secret, and answers its id.
    pub(crate) async fn secret(&self, project: &str, name: &str, value: &str) -> String {
        let create = ["secret", "create", "--project", project, "--name", name, "--value-file", "-"];
        string(&self.server.admin_with(&create, value).await, "secretId")
    }

    /// A machine that has registered under this name and waits for approval.
    pub(crate) async fn pending(&self, name: &str) -> Host {
        self.pending_with(json!({ "name": name, "hostname": name, "os": "Linux" })).await
    }

    /// The same with all that it says of itself.
    pub(crate) async fn pending_with(&self, about: Value) -> Host {
        let token = self.server.admin(&["machine", "bootstrap", "--vault", &self.vault]).await;
        Host::register(self, &string(&token, "token"), about).await
    }

    /// A machine that is approved, and belongs to these projects.
    pub(crate) async fn machine(&self, name: &str, projects: &[&str]) -> Host {
        let host = self.pending(name).await;
        self.server.admin(&["machine", "approve", &host.id]).await;
        for project in projects {
            self.server.admin(&["project", "add-machine", project, "--machine", &host.id]).await;
        }
        host
    }

    /// Grants secrets to a machine that belongs to their projects.
    pub(crate) async fn grant(&self, host: &Host, secrets: &[&str]) {
        let mut arguments = vec!["grant", "create", "--machine", &host.id];
        for secret in secrets {
            arguments.extend(["--secret", secret]);
        }
        self.server.admin(&arguments).await;
    }
}

impl Browser {
    /// Fills in the form of the login, and sends it.
    pub(crate) async fn log_in(&mut self, email: &str, password: &str) {
        self.fill(field("E-mail address"), email).await;
        self.fill(field("Password"), password).await;
        self.click(button("Log in")).await;
    }
}

/// A text of an answer.
pub(crate) fn string(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("{name} in {answer}")).to_owned()
}

/// Whether a browser can run here; else the test is [`skipped`].
pub(crate) fn is_possible(test: &str) -> bool {
    match chromium().and_then(|_| axe::source()) {
        Ok(_) => true,
        Err(problem) => {
            skipped(test, &problem);
            false
        }
    }
}
