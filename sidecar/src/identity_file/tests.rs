use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::cause::in_full;

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
const MACHINE: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// A home with an identity for each of `vaults`.
fn home(vaults: &[&str]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for vault in vaults {
        write(&home, vault, "https://sikkerkey.example:8443");
    }
    home
}

fn directory(home: &TempDir, vault: &str) -> PathBuf {
    home.path().join(".sikkerkey/vaults").join(vault)
}

fn write(home: &TempDir, vault: &str, url: &str) -> PathBuf {
    let directory = directory(home, vault);
    fs::create_dir_all(&directory).unwrap();
    let key = directory.join("private.pem");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let path = directory.join(FILE);
    let text = serde_json::json!({
        "machineId": MACHINE, "machineName": "boss-1", "vaultId": vault, "apiUrl": url, "privateKeyPath": key,
    });
    fs::write(&path, text.to_string()).unwrap();
    path
}

fn change(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn environment(pairs: &[(&'static str, &Path)]) -> impl Fn(&str) -> Option<OsString> + use<> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_os_str().to_owned())).collect();
    move |name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone())
}

fn found(which: Option<&str>, home: &TempDir) -> Result<PathBuf, IdentityFileError> {
    find(which, environment(&[("HOME", home.path())]))
}

#[test]
fn an_argument_that_is_a_path_is_one_and_any_other_is_a_vault() {
    let home = home(&[]);
    let of = |vault: &str| directory(&home, vault).join(FILE);
    for (which, path) in [
        ("/etc/sikkerkey/me", PathBuf::from("/etc/sikkerkey/me")),
        ("identity.json", "identity.json".into()),
        ("../other/identity.json", "../other/identity.json".into()),
        ("vault_a1", of("vault_a1")),
        ("a1", of("vault_a1")),
    ] {
        assert_eq!(found(Some(which), &home).unwrap(), path, "{which}");
    }
    for which in ["../a", "a/b", "", ".", "vault_"] {
        let error = found(Some(which), &home).unwrap_err();
        assert!(matches!(&error, IdentityFileError::NotAVault(text) if text == which), "{which}: {error}");
    }
}

#[test]
fn the_argument_goes_before_the_environment_and_that_before_the_only_identity() {
    let home = home(&["vault_only"]);
    let elsewhere = Path::new("/etc/sikkerkey/identity.json");
    let both = environment(&[("HOME", home.path()), ("SIKKERKEY_IDENTITY", elsewhere)]);
    assert_eq!(find(Some("vault_x"), &both).unwrap(), directory(&home, "vault_x").join(FILE));
    assert_eq!(find(None, &both).unwrap(), elsewhere);
    let empty = environment(&[("HOME", home.path()), ("SIKKERKEY_IDENTITY", Path::new(""))]);
    assert_eq!(find(None, empty).unwrap(), directory(&home, "vault_only").join(FILE));
}

#[test]
fn sikkerkey_home_stands_in_for_the_directory_in_the_home() {
    let home = home(&["vault_a"]);
    let base = home.path().join(".sikkerkey");
    let moved = environment(&[("HOME", Path::new("/nowhere")), ("SIKKERKEY_HOME", &base)]);
    assert_eq!(find(None, &moved).unwrap(), directory(&home, "vault_a").join(FILE));
    assert_eq!(find(Some("b"), &moved).unwrap(), directory(&home, "vault_b").join(FILE));
}

#[test]
fn without_an_identity_or_with_several_it_says_what_to_do() {
    let none = home(&[]);
    let error = found(None, &none).unwrap_err();
    assert!(matches!(&error, IdentityFileError::None(at) if at.ends_with(".sikkerkey/vaults")), "{error}");
    assert!(error.to_string().contains("bootstrap this machine first, or name an identity with --identity"));

    let several = home(&["vault_b", "vault_a"]);
    // A directory without an identity is none, and a file beside them neither.
    fs::create_dir_all(directory(&several, "vault_c")).unwrap();
    fs::write(directory(&several, "notes"), "").unwrap();
    let error = found(None, &several).unwrap_err();
    assert!(error.to_string().ends_with("choose with --identity one of vault_a, vault_b"), "{error}");
    assert!(matches!(find(None, |_| None), Err(IdentityFileError::NoHome)));
    let file = several.path().join("file");
    fs::write(&file, "").unwrap();
    let error = find(None, environment(&[("SIKKERKEY_HOME", &file)])).unwrap_err();
    assert!(matches!(error, IdentityFileError::List { .. }), "{error}");
}

#[test]
fn an_identity_is_read_with_its_key() {
    let home = home(&["vault_a"]);
    let identity = IdentityFile::open(None, environment(&[("HOME", home.path())])).unwrap();
    assert_eq!(identity.machine_id().as_str(), MACHINE);
    assert_eq!((identity.machine_name(), identity.vault_id().as_str()), ("boss-1", "vault_a"));
    assert_eq!(identity.server().to_string(), "https://sikkerkey.example:8443");
    assert_eq!(identity.signer().key.public_key().to_string(), "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
    assert_eq!(identity.warning(), None);
    assert!(!format!("{identity:?}").contains("MC4C"));
}

#[test]
fn an_identity_may_be_a_link() {
    let home = home(&["vault_a"]);
    let link = home.path().join("identity.json");
    symlink(directory(&home, "vault_a").join(FILE), &link).unwrap();
    IdentityFile::read(&link).unwrap();
}

#[test]
fn a_key_that_others_can_read_is_used_with_a_warning() {
    let home = home(&["vault_a"]);
    let path = directory(&home, "vault_a").join(FILE);
    let key = directory(&home, "vault_a").join("private.pem");
    for (mode, is_warned) in
        [(0o600, false), (0o400, false), (0o700, false), (0o640, true), (0o644, true), (0o602, true)]
    {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let identity = IdentityFile::read(&path).unwrap();
        let said = format!(
            "others can read or write the private key {} (mode {mode:04o}): chmod 600 {}",
            key.display(),
            key.display()
        );
        assert_eq!(identity.warning(), is_warned.then_some(said.as_str()), "{mode:o}");
    }
}

#[test]
fn only_https_and_plain_http_to_localhost_are_spoken() {
    let home = home(&[]);
    for url in ["https://a", "https://a/", "https://10.0.0.1:8443", "http://localhost", "http://localhost:8080"] {
        let read = IdentityFile::read(&write(&home, "vault_a", url));
        assert_eq!(read.unwrap().server().to_string(), url.trim_end_matches('/'));
    }
    for (url, expected) in [
        ("http://a", "not https: plain http is for loopback addresses only"),
        ("http://localhost.example", "not https: plain http is for loopback addresses only"),
        ("a", "not an origin: write https://HOST or https://HOST:PORT, without a path"),
        ("https://a/base", "not an origin: write https://HOST or https://HOST:PORT, without a path"),
    ] {
        let error = IdentityFile::read(&write(&home, "vault_a", url)).unwrap_err();
        assert!(matches!(error, IdentityFileError::Url { .. }), "{url}: {error}");
        assert_eq!(error.source().unwrap().to_string(), expected, "{url}");
    }
    let error = IdentityFile::read(&write(&home, "vault_a", "http://127.0.0.1:8080")).unwrap_err();
    assert!(matches!(error, IdentityFileError::NotLocalhost(_)), "{error}");
    assert!(error.to_string().contains("http://localhost[:PORT]"), "{error}");
}

#[test]
fn a_file_that_is_no_identity_is_named_without_a_word_of_it() {
    let home = home(&["vault_a"]);
    let path = directory(&home, "vault_a").join(FILE);
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, said) in [
        ("{", "hunter2", "is not a JSON object (line 1, column 1): bootstrap this machine anew"),
        ("machineId", "machineid", "has no text under machineId"),
        ("\"boss-1\"", "7", "has no text under machineName"),
        ("\"boss-1\"", "\" \"", "has no text under machineName"),
        (MACHINE, "hunter2", "its machineId is refused: not a machine id (a UUID)"),
        ("\"vault_a\"", "\"hunter2\"", "its vaultId is refused: not a vault id (vault_ and letters and digits)"),
    ] {
        fs::write(&path, &good).unwrap();
        change(&path, from, to);
        let said_in_full = in_full(&IdentityFile::read(&path).unwrap_err());
        assert!(said_in_full.starts_with(path.to_str().unwrap()) && said_in_full.contains(said), "{said_in_full}");
        assert!(!said_in_full.contains("hunter2"), "{said_in_full}");
    }
}

#[test]
fn a_key_that_is_missing_or_wrong_is_named_by_its_own_path() {
    let home = home(&["vault_a"]);
    let path = directory(&home, "vault_a").join(FILE);
    let key = directory(&home, "vault_a").join("private.pem");
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\nhunter2\n").unwrap();
    let error = in_full(&IdentityFile::read(&path).unwrap_err());
    assert_eq!(
        error,
        format!(
            "{} cannot be used: its PEM block is damaged: restore the file, or bootstrap this machine anew",
            key.display()
        )
    );
    fs::remove_file(&key).unwrap();
    let error = IdentityFile::read(&path).unwrap_err();
    assert!(matches!(&error, IdentityFileError::Read { path, .. } if *path == key), "{error}");
    let error = IdentityFile::read(Path::new("/nowhere/identity.json")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/identity.json");
}
