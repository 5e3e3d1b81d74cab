//! A person's browser: it keeps the cookie, and says from where its requests come.

use std::sync::Mutex;

use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use serde_json::{Value, json};
use sikkerkey_protocol::canonical::sha256_hex;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_server::audit::entry::Actor;
use sikkerkey_server::clock::Clock as _;
use sikkerkey_server::decision::Context;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::session::Session;
use sikkerkey_server::usecase::account::password::Password;
use sikkerkey_server::usecase::admin::account;
use sikkerkey_server::writer::ChangeRequest;

use crate::fixture::*;

/// Of the account `team@example.com`.
pub const EMAIL: &str = "team@example.com";
pub const PASSWORD: &str = "gazing at goats";
pub const HOME: &str = "198.51.100.7";

pub struct Browser {
    pub address: String,
    pub origin: &'static str,
    pub cookie_name: &'static str,
    cookie: Mutex<Option<String>>,
}

impl Browser {
    pub fn at(address: &str) -> Self {
        Self { address: address.into(), origin: URL, cookie_name: "__Host-sikkerkey-session", cookie: Mutex::default() }
    }

    /// That of an account that has logged in, whose session has the account's id.
    pub async fn of(server: &Server, account: &str) -> Self {
        let now = server.clock.now();
        let token = sha256_hex(account.as_bytes());
        let session = Session {
            id: account.into(),
            hash: sha256_hex(token.as_bytes()),
            account: account.into(),
            since: now,
            proven_at: now,
            used_at: now,
            address: HOME.parse().unwrap(),
            user_agent: String::new(),
            second_factor: false,
        };
        server.put(Entity::Session(session)).await;
        let browser = Self::at(HOME);
        browser.set_token(Some(token));
        browser
    }

    /// The token of the session.
    pub fn token(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    pub fn set_token(&self, token: Option<String>) {
        *self.cookie.lock().unwrap() = token;
    }

    /// A request of a page, as a browser sends it.
    pub fn request(&self, method: &'static str, target: &str, body: &str) -> Signed {
        let mut headers =
            vec![("user-agent", "Mozilla/5.0 (test)".to_owned()), ("sec-fetch-site", "same-origin".into())];
        if method == "POST" {
            headers.push(("origin", self.origin.to_owned()));
            headers.push(("content-type", "application/json".to_owned()));
        }
        if let Some(token) = self.token() {
            headers.push(("cookie", format!("theme=dark; {}={token}", self.cookie_name)));
        }
        Signed { method, target: target.into(), headers, body: body.as_bytes().to_vec(), address: self.address.clone() }
    }

    /// Keeps what an answer gives.
    pub fn keep(&self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            assert_eq!(name, self.cookie_name);
            let token = rest.split(';').next().unwrap();
            self.set_token((!token.is_empty()).then(|| token.to_owned()));
        }
    }

    pub async fn post(&self, server: &Server, target: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = server.send(self.request("POST", target, &body)).await;
        self.keep(&answer.headers);
        answer
    }

    pub async fn get(&self, server: &Server, target: &str) -> Answer {
        server.send(self.request("GET", target, "")).await
    }

    /// A page of the dashboard.
    pub async fn page(&self, server: &Server, target: &str) -> Answer {
        let mut request = self.request("GET", target, "");
        request.headers.push(("sec-fetch-mode", "navigate".into()));
        server.send(request).await
    }

    /// A form of the dashboard.
    pub async fn form(&self, server: &Server, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = self.request("POST", target, &serde_html_form::to_string(fields).unwrap());
        for (name, value) in &mut request.headers {
            if *name == "content-type" {
                *value = "application/x-www-form-urlencoded".into();
            }
        }
        let answer = server.send(request).await;
        self.keep(&answer.headers);
        answer
    }

    pub async fn log_in(&self, server: &Server, password: &str) -> Answer {
        self.post(server, "/v1/account/login", &json!({ "email": EMAIL, "password": password })).await
    }

    /// Whether the session goes on.
    pub async fn is_in(&self, server: &Server) -> bool {
        let answer = self.get(server, "/v1/account/whoami").await;
        assert!([200, 401, 403].contains(&answer.status.as_u16()), "{}", answer.text());
        answer.status == 200
    }
}

/// Does what `admin` does.
pub async fn administer<T: Send + 'static>(
    server: &Server,
    decide: impl FnOnce(&Context<'_>) -> sikkerkey_server::decision::Decided<T> + Send + 'static,
) -> T {
    let decide = Box::new(decide);
    let request = ChangeRequest { spend: None, actor: Actor::Administrator, source_ip: None, what: "test", decide };
    server.engine.app.writer.change(request).await.unwrap()
}

/// Lets `team@example.com`, whose vault it is, log in.
pub async fn give_password(server: &Server) {
    let password = Password::new(&SecretText::new(PASSWORD.into()), EMAIL).unwrap();
    let hash = server.engine.app.passwords.hash(password).await.unwrap();
    administer(server, move |it| account::set_password(it, EMAIL, hash)).await;
}

/// A server whose owner can log in.
pub async fn server_with_owner() -> Server {
    let server = Server::new().await;
    give_password(&server).await;
    server
}

/// The code of an authenticator app at this instant.
pub fn code(secret: &str, server: &Server) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).with_account_name("test").build().unwrap();
    totp.generate(server.engine.app.clock.now().seconds().unsigned_abs()).to_string()
}

/// Adds a second factor. Returns its seed and the recovery codes.
pub async fn add_second_factor(browser: &Browser, server: &Server) -> (String, Vec<String>) {
    let begun = browser.post(server, "/v1/account/totp/begin", &Value::Null).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let secret = begun.json()["secret"].as_str().unwrap().to_owned();
    let code = code(&secret, server);
    let confirmed = browser.post(server, "/v1/account/totp/confirm", &json!({ "code": code })).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let codes = confirmed.json()["recoveryCodes"].as_array().unwrap().clone();
    (secret, codes.iter().map(|it| it.as_str().unwrap().to_owned()).collect())
}
