use std::io::Write as _;

use clap::Parser as _;
use sikkerkey_crds::secret::{SealedScope, Secret};
use sikkerkey_protocol::sealed::{OpenError, SealingPrivateKey};

use super::*;
use crate::cli::{Cli, Command};

fn private() -> SealingPrivateKey {
    SealingPrivateKey::derive(&[1; 32])
}

fn published() -> PublishedKey {
    PublishedKey {
        vault: "vault_v".parse().unwrap(),
        key_id: "seal-1".to_owned(),
        suite: SUITE.to_owned(),
        public_key: private().public_key().unwrap(),
    }
}

fn parse(more: &[&str]) -> Result<SealOptions, String> {
    let given = ["sikkerkey-operator", "seal", "--namespace", "shop", "--name", "stripe-key"];
    match Cli::try_parse_from(given.iter().chain(more)).map_err(|error| error.to_string())?.command {
        Command::Seal(options) => Ok(*options),
        _ => panic!("not seal"),
    }
}

fn options(more: &[&str]) -> SealOptions {
    parse(&[&["--key", "key.json"], more].concat()).unwrap()
}

fn read(more: &[&str], mut input: &[u8], is_terminal: bool) -> Result<Value, ValueError> {
    let options = options(&[&["--any-cluster"], more].concat());
    let sources = Sources { fields: &options.fields, value_file: options.value_file.as_deref() };
    value::read(sources, &mut input, is_terminal)
}

fn refused(more: &[&str], input: &[u8]) -> String {
    let error = read(more, input, false).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    error
}

fn printed(more: &[&str], value: &Value) -> String {
    print(&options(more), &published(), value, 1_795_000_000_123, |bytes| bytes.fill(7)).unwrap()
}

fn file(directory: &Path, name: &str, content: &[u8]) -> String {
    let path = directory.join(name);
    fs::File::create(&path).unwrap().write_all(content).unwrap();
    path.display().to_string()
}

#[test]
fn the_object_is_printed_ready_to_be_applied() {
    let value = read(&[], b"hunter2", false).unwrap();
    let text = printed(&["--cluster", "prod"], &value);
    // The first golden vector of the protocol.
    let hex = include_str!("../../../server/protocol/src/sealed/golden/name.hex").trim();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let expected = format!(
        "apiVersion: sikkerkey.com/v1alpha1\nkind: Secret\nmetadata:\n  name: stripe-key\n  namespace: shop\nspec:\n  source:\n    \
         sealed:\n      ciphertext: {}\n      keyID: seal-1\n",
        STANDARD.encode(bytes)
    );
    assert_eq!(text, expected);
}

#[test]
fn what_is_printed_opens_as_what_the_options_say_and_as_nothing_else() {
    let vault = "vault_v".parse().unwrap();
    let value = read(&[], b"hunter2", false).unwrap();
    let binding =
        Binding { vault: &vault, key_id: "seal-1", cluster: Some("prod"), namespace: "shop", name: Some("stripe-key") };
    let elsewhere = Binding { cluster: Some("test"), ..binding };
    for (arguments, opens_as, not_as) in [
        (vec!["--cluster", "prod"], binding, elsewhere),
        (vec!["--any-cluster"], elsewhere, Binding { name: Some("other"), ..binding }),
        (vec!["--cluster", "prod", "--scope", "Namespace"], Binding { name: None, ..binding }, binding),
    ] {
        let object: Secret = serde_yaml::from_str(&printed(&arguments, &value)).unwrap();
        let sealed = object.spec.source.sealed.unwrap();
        let is_scoped = sealed.scope == Some(SealedScope::Namespace);
        assert_eq!(is_scoped, arguments.contains(&"--scope"), "{arguments:?}");
        let bytes = STANDARD.decode(&sealed.ciphertext).unwrap();
        let content = sealed::open(&private(), &opens_as, &bytes).unwrap();
        assert_eq!((content.sealed_at, content.value.expose()), (1_795_000_000_123, "hunter2"));
        assert!(content.field_names.is_empty());
        assert_eq!(sealed::open(&private(), &not_as, &bytes).unwrap_err(), OpenError::Elsewhere, "{arguments:?}");

        let alone = printed(&[&arguments[..], &["--output", "ciphertext"]].concat(), &value);
        assert_eq!(alone, format!("{}\n", sealed.ciphertext));
    }
}

#[test]
fn fields_become_one_json_object_in_the_order_in_which_they_are_given() {
    let directory = tempfile::tempdir().unwrap();
    let user = format!("user={}", file(directory.path(), "user", b"o\"hara\n"));
    let value = read(&["--field", "password=-", "--field", &user], b"hunter2", true).unwrap();
    assert!(value.ends_with_line_break);
    let content = value.content(1);
    assert_eq!(content.value.expose(), r#"{"password":"hunter2","user":"o\"hara\n"}"#);
    assert_eq!(content.field_names, ["password", "user"]);
}

#[test]
fn a_value_is_sealed_as_it_is_and_its_line_break_is_told() {
    let value = read(&[], b"hunter2\n", false).unwrap();
    assert_eq!((value.content(1).value.expose(), value.ends_with_line_break), ("hunter2\n", true));
    assert!(!read(&[], b"hunter2", false).unwrap().ends_with_line_break);
    assert!(!format!("{value:?}").contains("hunter2"));
}

#[test]
fn a_terminal_is_read_only_when_that_was_said() {
    let text = "the value is read from standard input, which is a terminal: pipe the value in, or name a file by --value-file (- to \
                type it all the same)";
    assert_eq!(read(&[], b"hunter2", true).unwrap_err().to_string(), text);
    assert_eq!(read(&["--value-file", "-"], b"hunter2", true).unwrap().content(1).value.expose(), "hunter2");
}

#[test]
fn a_value_that_cannot_be_sealed_is_refused_without_being_told() {
    let directory = tempfile::tempdir().unwrap();
    let empty = file(directory.path(), "empty", b"");
    let missing = directory.path().join("missing").display().to_string();
    let largest = "x".repeat(12 * 1024);
    assert_eq!(read(&[], largest.as_bytes(), false).unwrap().content(1).value.expose(), largest);
    assert_eq!(refused(&[], format!("{largest}x").as_bytes()), "the value is larger than 12 KiB");
    assert_eq!(refused(&["--field", "a=-"], largest.as_bytes()), "the value is larger than 12 KiB", "with its field");
    assert_eq!(refused(&[], b""), "standard input is empty: there is nothing to seal");
    assert_eq!(refused(&["--value-file", &empty], b""), format!("{empty} is empty: there is nothing to seal"));
    assert_eq!(
        refused(&["--value-file", &missing], b""),
        format!("cannot read the value from {missing} as UTF-8 text")
    );
    assert_eq!(refused(&[], b"hunter2\xff"), "cannot read the value from standard input as UTF-8 text");
    assert_eq!(refused(&["--field", "a=-", "--field", "b=-"], b"x"), "standard input is given for more than one field");
    let twice = format!("a={}", file(directory.path(), "a", b"x"));
    assert_eq!(refused(&["--field", &twice, "--field", &twice], b""), "field a is given twice");
    let many: Vec<String> = (0..65).flat_map(|n| ["--field".to_owned(), format!("f{n}={empty}")]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(refused(&many, b""), "a structured value has at most 64 fields");
}

#[test]
fn the_command_line_takes_no_value_and_wants_a_key_and_a_place() {
    let key = ["--key", "k"];
    let server = ["--server", "https://server.example", "--cluster", "prod"];
    for (arguments, expected) in [
        (vec!["--cluster", "prod"], "<--key <FILE>|--server <URL>>"),
        ([&key[..], &server].concat(), "cannot be used with"),
        (key.to_vec(), "<--cluster <NAME>|--any-cluster>"),
        ([&key[..], &["--cluster", "prod", "--any-cluster"]].concat(), "cannot be used with"),
        (server.to_vec(), "--vault <ID>"),
        ([&key[..], &["--any-cluster", "--ca", "ca.pem"]].concat(), "--server <URL>"),
        ([&key[..], &["--any-cluster", "hunter2"]].concat(), "unexpected argument"),
        (
            [&key[..], &["--any-cluster", "--field", "password"]].concat(),
            "write NAME=FILE: the content stands in a file",
        ),
        ([&key[..], &["--any-cluster", "--field", "a b=f"]].concat(), "a field is named by up to 63 letters"),
        ([&key[..], &["--any-cluster", "--field", "1=f"]].concat(), "begins with a letter or '_'"),
        ([&key[..], &["--any-cluster", "--field", "a="]].concat(), "field a has no file: write a=FILE"),
        ([&key[..], &["--any-cluster", "--field", "a=f", "--value-file", "f"]].concat(), "cannot be used with"),
    ] {
        let error = parse(&arguments).unwrap_err();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn names_that_no_object_has_are_refused_before_anything_is_read() {
    let good = options(&["--cluster", "prod"]);
    check_names(&good).unwrap();
    for (options, text) in [
        (
            SealOptions { namespace: "Shop".into(), ..good.clone() },
            "--namespace \"Shop\" is not the name of a Kubernetes namespace",
        ),
        (SealOptions { name: "db_1".into(), ..good.clone() }, "--name \"db_1\" is not the name of a Kubernetes object"),
        (
            SealOptions { cluster: Some(String::new()), ..good.clone() },
            "--cluster \"\" is not the name of a cluster: sikkerkey-server admin cluster list shows them",
        ),
    ] {
        assert_eq!(check_names(&options).unwrap_err().to_string(), text);
    }
}

#[test]
fn a_key_of_another_vault_or_for_another_way_to_seal_is_refused() {
    let vault: VaultId = "vault_v".parse().unwrap();
    assert_eq!(check_key(published(), Some(&vault)).unwrap(), published());
    assert_eq!(check_key(published(), None).unwrap(), published());
    let refused = |key, said: Option<&VaultId>| check_key(key, said).unwrap_err().to_string();
    let other = "vault_w".parse().unwrap();
    assert_eq!(refused(published(), Some(&other)), "the key is of vault vault_v, and --vault says vault_w");
    assert_eq!(
        refused(PublishedKey { suite: "X-Wing".into(), ..published() }, None),
        "the key is for X-Wing, which this version does not know: use a newer sikkerkey-operator"
    );
    assert_eq!(
        refused(PublishedKey { key_id: "a: b".into(), ..published() }, None),
        "the key has an id that no object can name: get the key from the server again"
    );
}
