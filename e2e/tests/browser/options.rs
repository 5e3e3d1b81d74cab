//! How a browser is set up, and whose it is.

use std::path::Path;

use serde_json::{Value, json};

/// What the person's system is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Light,
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 2] = [Self::Light, Self::Dark];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    Blocked,
}

/// A browser's set-up.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) scripts: Scripts,
    pub(crate) theme: Theme,
    /// Such as `nb`.
    pub(crate) language: String,
    /// Such as `Europe/Oslo`.
    pub(crate) time_zone: String,
    /// Width and height, in CSS pixels.
    pub(crate) window: (u32, u32),
    /// The SHA-256 of the one public key that it takes for the server's without an authority's word (RFC 7469, 2.4).
    pub(crate) pin: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scripts: Scripts::Run,
            theme: Theme::Light,
            language: "en-GB".into(),
            time_zone: "UTC".into(),
            window: (1280, 900),
            pin: None,
        }
    }
}

impl Options {
    /// The arguments of Chromium.
    pub(crate) fn arguments(&self, profile: &Path) -> Vec<String> {
        let fixed = [
            "--headless=new",
            // Its own sandbox does not work for root. Nothing but the server under test is opened.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--password-store=basic",
            "--hide-scrollbars",
        ];
        let mut arguments = fixed.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        arguments.push(format!("--lang={}", self.language));
        arguments.push(format!("--accept-lang={}", self.language));
        arguments.extend(self.pin.iter().map(|pin| format!("--ignore-certificate-errors-spki-list={pin}")));
        arguments
    }

    /// What its person has set.
    pub(crate) fn preferences(&self) -> Value {
        let mut preferences = json!({
            "credentials_enable_service": false,
            "profile.password_manager_enabled": false,
            "profile.password_manager_leak_detection": false,
        });
        if self.scripts == Scripts::Blocked {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        preferences
    }
}
