//! The texts of the scripts.

use sikkerkey_protocol::bootstrap::{powershell_quoted, sh_quoted};
use sikkerkey_protocol::id::VaultId;

const BEGIN: &str = include_str!("begin.sh");
const HOST: &str = include_str!("host.sh");
const KUBERNETES: &str = include_str!("k8s.sh");
const POWER_SHELL: &str = include_str!("host.ps1");

/// A script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    /// For `sh`, on the host itself.
    Host,
    /// For `PowerShell`, on the host itself.
    PowerShell,
    /// For `sh`, on a person's own host: an identity that pods bring along.
    Kubernetes,
}

/// What stands in a script.
pub(super) struct Values<'a> {
    pub(super) url: &'a str,
    pub(super) vault: &'a VaultId,
    /// 64 hex digits.
    pub(super) token: &'a str,
    pub(super) authority: Option<&'a str>,
}

impl Script {
    /// The script.
    pub(super) fn render(self, values: &Values<'_>) -> String {
        let quoted: fn(&str) -> String = match self {
            Self::PowerShell => powershell_quoted,
            Self::Host | Self::Kubernetes => sh_quoted,
        };
        let text = match self {
            Self::Host => format!("{BEGIN}{HOST}"),
            Self::Kubernetes => format!("{BEGIN}{KUBERNETES}"),
            Self::PowerShell => POWER_SHELL.to_owned(),
        };
        // None of the values can have an @ in it, and so none is taken for a place.
        text.replace("@TOKEN@", &quoted(values.token))
            .replace("@VAULT@", &quoted(values.vault.as_str()))
            .replace("@CA@", &quoted(values.authority.unwrap_or_default().trim_end()))
            .replace("@URL@", &quoted(values.url))
    }

    /// A script that says what is wrong, and ends with an error.
    pub(super) fn refusal(self, text: &str) -> String {
        let text = format!("sikkerkey: {text}");
        match self {
            Self::PowerShell => format!("throw {}\n", powershell_quoted(&text)),
            Self::Host | Self::Kubernetes => format!("#!/bin/sh\nprintf '%s\\n' {} >&2\nexit 1\n", sh_quoted(&text)),
        }
    }
}
