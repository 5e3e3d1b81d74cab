//! The commands with which hosts begin: what a person types there, once.

use std::fmt::Write as _;

use crate::id::VaultId;

/// For what a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Linux and macOS, where `curl` and `sh` are.
    Posix,
    /// Windows: `PowerShell`.
    PowerShell,
    /// A person's own host: makes an identity that pods bring along in a Kubernetes Secret.
    Kubernetes,
}

/// What a command consists of.
#[derive(Clone, Copy, Debug)]
pub struct BootstrapCommand<'a> {
    /// The server's public origin, without a trailing slash.
    pub url: &'a str,
    /// The one-time token, 64 hex digits.
    pub token: &'a str,
    /// The authority that clients need to be told of in order to trust the server, in PEM.
    pub authority: Option<&'a str>,
    /// The vault, where the machine is going to be a temporary one.
    pub temporary_in: Option<&'a VaultId>,
}

impl BootstrapCommand<'_> {
    /// Where the script is.
    pub fn address(&self, shell: Shell) -> String {
        let Self { url, token, .. } = self;
        let of_shell = match shell {
            Shell::Posix => "",
            Shell::PowerShell => "/ps",
            Shell::Kubernetes => "/k8s",
        };
        match self.temporary_in {
            Some(vault) => format!("{url}/v1/{vault}/temp-bootstrap/{token}{of_shell}"),
            None => format!("{url}/v1/bootstrap/{token}{of_shell}"),
        }
    }

    /// The command, ready to be typed. One line, which carries the authority along where there is one: nothing is fetched
    /// from a server that is not verified.
    pub fn text(&self, shell: Shell) -> String {
        let address = self.address(shell);
        match (shell, self.authority) {
            (Shell::PowerShell, None) => format!("irm {} | iex", powershell_word(&address)),
            (Shell::PowerShell, Some(authority)) => {
                let lines = authority.lines().map(powershell_quoted).collect::<Vec<_>>().join(", ");
                let address = powershell_word(&address);
                format!(
                    "& {{ $ca = [IO.Path]::GetTempFileName(); try {{ [IO.File]::WriteAllLines($ca, [string[]] ({lines})); \
                     curl.exe -sSL --ssl-no-revoke --cacert $ca {address} | Out-String | iex }} finally {{ Remove-Item $ca }} }}"
                )
            }
            (Shell::Posix | Shell::Kubernetes, None) => format!("curl -sSL {} | sh", sh_word(&address)),
            (Shell::Posix | Shell::Kubernetes, Some(authority)) => {
                let mut lines = String::new();
                for line in authority.lines() {
                    // Writing to a String does not fail.
                    let _ = write!(lines, " {}", sh_quoted(line));
                }
                let address = sh_word(&address);
                format!(
                    "(umask 077; ca=$(mktemp) && printf '%s\\n'{lines} >\"$ca\" && curl -sSL --cacert \"$ca\" {address} | sh; \
                     code=$?; rm -f \"$ca\"; exit \"$code\")"
                )
            }
        }
    }
}

/// A text as a POSIX shell takes it literally.
pub fn sh_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A text as `PowerShell` takes it literally. It takes typographic quotation marks for straight ones.
pub fn powershell_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

fn sh_word(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { sh_quoted(text) }
}

fn powershell_word(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { powershell_quoted(text) }
}

/// Whether no shell sees anything but letters in it.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB+/8=\n-----END CERTIFICATE-----\n";

    fn command(authority: Option<&'static str>) -> BootstrapCommand<'static> {
        BootstrapCommand { url: "https://s.example.com", token: TOKEN, authority, temporary_in: None }
    }

    #[test]
    fn a_command_is_one_line_that_fetches_the_script_of_its_shell() {
        let plain = command(None);
        assert_eq!(plain.text(Shell::Posix), format!("curl -sSL https://s.example.com/v1/bootstrap/{TOKEN} | sh"));
        assert_eq!(
            plain.text(Shell::Kubernetes),
            format!("curl -sSL https://s.example.com/v1/bootstrap/{TOKEN}/k8s | sh")
        );
        assert_eq!(plain.text(Shell::PowerShell), format!("irm https://s.example.com/v1/bootstrap/{TOKEN}/ps | iex"));
        let vault = "vault_v".parse().unwrap();
        let temporary = BootstrapCommand { temporary_in: Some(&vault), ..plain };
        assert_eq!(
            temporary.address(Shell::PowerShell),
            format!("https://s.example.com/v1/vault_v/temp-bootstrap/{TOKEN}/ps")
        );
    }

    #[test]
    fn a_private_authority_travels_in_the_command_and_verification_is_never_switched_off() {
        let own = command(Some(CA));
        assert_eq!(
            own.text(Shell::Posix),
            format!(
                "(umask 077; ca=$(mktemp) && printf '%s\\n' '-----BEGIN CERTIFICATE-----' 'MIIB+/8=' '-----END CERTIFICATE-----' \
                 >\"$ca\" && curl -sSL --cacert \"$ca\" https://s.example.com/v1/bootstrap/{TOKEN} | sh; code=$?; rm -f \"$ca\"; \
                 exit \"$code\")"
            )
        );
        let windows = own.text(Shell::PowerShell);
        assert!(
            windows.contains("'-----BEGIN CERTIFICATE-----', 'MIIB+/8=', '-----END CERTIFICATE-----'"),
            "{windows}"
        );
        for shell in [Shell::Posix, Shell::PowerShell, Shell::Kubernetes] {
            let text = own.text(shell);
            assert!(!text.contains('\n') && !text.contains(" -k") && !text.contains("insecure"), "{text}");
        }
    }

    #[test]
    fn what_a_shell_would_act_on_is_quoted() {
        let odd = BootstrapCommand { url: "https://[::1]:8443", ..command(None) };
        assert!(odd.text(Shell::Posix).starts_with("curl -sSL 'https://[::1]:8443/v1/"), "{}", odd.text(Shell::Posix));
        assert_eq!(sh_quoted("it's $(x)"), r"'it'\''s $(x)'");
        assert_eq!(powershell_quoted("it's \u{2019}$x"), "'it''s \u{2019}\u{2019}$x'");
    }
}
