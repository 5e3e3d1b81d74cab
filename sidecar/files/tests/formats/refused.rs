//! What is refused, and why: without values at admission, and otherwise when the file is made.

use sikkerkey_files::check;
use sikkerkey_protocol::sync::{File, Format, Input};

use crate::bench::{Secrets, file, input, store};

fn refused(file: &File) -> String {
    let message = check(file).unwrap_err().to_string();
    // Whatever the values are.
    let texts = ["db", "token", "store", "tls", "no-such"];
    let plain = texts.iter().fold(Secrets::default(), |secrets, name| secrets.plain(name, "x"));
    let fields = [("user", "u"), ("password", "p"), ("a.b", "c")];
    let structured = texts.iter().fold(Secrets::default(), |secrets, name| secrets.structured(name, &fields));
    for secrets in [plain, structured] {
        assert_eq!(secrets.render(file).unwrap_err().to_string(), message, "{file:?}");
    }
    message
}

fn both(first: &str, second: &str, name: &str) -> String {
    format!("cannot be written: {first} and {second} both give the name {name}: give one of them another name with as")
}

#[test]
fn what_can_be_known_without_a_value_is_refused_at_admission() {
    use Format::{DotEnv, Ini, Json, Pkcs12, Properties, Raw, Yaml};
    let db = || input("db", None, None);
    let user = |alias| input("db", Some("user"), alias);
    let store_of = |inputs| store(false, None, inputs);
    let trust = |alias, inputs| store(true, Some(alias), inputs);
    let cases: Vec<(File, String)> = vec![
        (file(Raw, vec![]), "cannot be written: format Raw takes exactly one Secret, not 0".to_owned()),
        (file(Raw, vec![db(), db()]), "cannot be written: format Raw takes exactly one Secret, not 2".to_owned()),
        (
            file(Raw, vec![input("db", None, Some("x"))]),
            "cannot be written: format Raw knows no names: leave as out".to_owned(),
        ),
        // In a tree any two of one name.
        (file(Json, vec![db(), input("token", None, Some("db"))]), both("Secret shop/db", "Secret shop/token", "db")),
        (file(Yaml, vec![user(None), db()]), both("field user of Secret shop/db", "Secret shop/db", "db")),
        (
            file(Json, vec![user(None), input("db", Some("password"), None)]),
            both("field user of Secret shop/db", "field password of Secret shop/db", "db"),
        ),
        // In a flat format what is sure to clash: the same Secret whole, the same name for two fields, and a field that
        // an input names beside the whole Secret.
        (file(DotEnv, vec![db(), input("db", None, Some("DB"))]), both("Secret shop/db", "Secret shop/db", "DB")),
        (
            file(DotEnv, vec![user(Some("X")), input("token", Some("user"), Some("X"))]),
            both("field user of Secret shop/db", "field user of Secret shop/token", "X"),
        ),
        (
            file(DotEnv, vec![db(), user(Some("DB_USER"))]),
            both("field user of Secret shop/db", "field user of Secret shop/db", "DB_USER"),
        ),
        (file(Properties, vec![db(), db()]), both("Secret shop/db", "Secret shop/db", "DB")),
        (
            file(Properties, vec![user(None), input("db", Some("password"), None)]),
            both("field user of Secret shop/db", "field password of Secret shop/db", "DB"),
        ),
        (
            file(Ini, vec![user(Some("X")), input("token", Some("user"), Some("x"))]),
            both("field user of Secret shop/db", "field user of Secret shop/token", "[secrets] x"),
        ),
        (
            file(Ini, vec![input("db", None, Some("DEFAULT"))]),
            "cannot be written: a section DEFAULT is read as the defaults of all sections: give another name with as"
                .to_owned(),
        ),
        (
            store_of(vec![]),
            "cannot be written: a KeyStore takes exactly one Secret, with private key and certificates, not 0"
                .to_owned(),
        ),
        (
            store_of(vec![db(), input("tls", None, None)]),
            "cannot be written: a KeyStore takes exactly one Secret, with private key and certificates, not 2"
                .to_owned(),
        ),
        (
            trust("ca", vec![input("db", None, Some("x"))]),
            "cannot be written: pkcs12.alias names the entries already: leave out either it or as".to_owned(),
        ),
        (
            trust("\u{1f511}", vec![db()]),
            "cannot be written: pkcs12.alias \"\u{1f511}\" has characters that a store cannot have: use letters and digits"
                .to_owned(),
        ),
        (
            File { pkcs12: None, ..store_of(vec![db()]) },
            "cannot be written: format PKCS12 needs pkcs12 with type and passwordRef".to_owned(),
        ),
    ];
    for (file, message) in cases {
        assert_eq!(refused(&file), message, "{file:?}");
    }
    for format in [DotEnv, Json, Yaml, Properties, Ini, Pkcs12] {
        for alias in ["", "9a", "a b", "a\n[x]", "a=b", "é"] {
            let file = File { format, ..store_of(vec![input("db", None, Some(alias))]) };
            let message = format!("cannot be written: {alias:?} is no name in this format: give another one with as");
            assert_eq!(refused(&file), message, "{file:?}");
        }
    }
}

#[test]
fn several_secrets_may_share_a_prefix_or_a_section_while_their_names_differ() {
    let inputs = || vec![input("db", None, Some("x")), input("token", None, Some("x"))];
    let apart = Secrets::default().structured("db", &[("user", "u")]).structured("token", &[("value", "v")]);
    let alike = Secrets::default().structured("db", &[("user", "u")]).structured("token", &[("user", "v")]);
    for (format, text, name) in [
        (Format::DotEnv, "x_USER=\"u\"\nx_VALUE=\"v\"\n", "x_USER"),
        (Format::Properties, "x.user=u\nx.value=v\n", "x.user"),
        (Format::Ini, "[x]\nuser = u\nvalue = v\n", "[x] user"),
    ] {
        let file = file(format, inputs());
        check(&file).unwrap();
        assert_eq!(apart.text(&file), text);
        let expected = both("field user of Secret shop/db", "field user of Secret shop/token", name);
        assert_eq!(alike.render(&file).unwrap_err().to_string(), expected);
    }
}

#[test]
fn names_that_clash_only_by_their_values_are_refused_when_the_file_is_made() {
    let fields = [("a.b", "1"), ("a-b", "2"), ("User", "3"), ("user", "4")];
    let secrets = Secrets::default().structured("db", &fields);
    for (format, first, second, name) in [
        (Format::DotEnv, "a.b", "a-b", "DB_A_B"),
        (Format::Properties, "a.b", "a-b", "DB_A_B"),
        (Format::Ini, "User", "user", "[db] user"),
    ] {
        let file = file(format, vec![input("db", None, None)]);
        check(&file).unwrap();
        let field = |name| format!("field {name} of Secret shop/db");
        assert_eq!(secrets.render(&file).unwrap_err().to_string(), both(&field(first), &field(second), name));
    }
}

#[test]
fn a_value_that_a_format_cannot_have_is_refused_and_not_told() {
    let inputs = |field| vec![input("db", field, None)];
    let ini = |problem: &str| format!("cannot be written: Secret shop/db {problem}: use format JSON or YAML");
    let at_the_ends = ini("begins or ends with white space, which is not read back");
    let unreadable = ini("holds a NUL or a carriage return, which readers take for an end");
    let comment = ini("has a line that begins with # or ;, which is read as a comment");
    let line = ini("has a line that begins or ends with white space, which is not read back");
    let nul =
        "cannot be written: Secret shop/db holds a NUL character, which no environment variable can: use format Raw";
    for (format, value, message) in [
        (Format::DotEnv, "hunter2\0", nul),
        (Format::Ini, " hunter2", &at_the_ends),
        (Format::Ini, "hunter2\n", &at_the_ends),
        (Format::Ini, "hunter2\u{a0}", &at_the_ends),
        (Format::Ini, "\u{1f}hunter2", &at_the_ends),
        (Format::Ini, "hunter2\0x", &unreadable),
        (Format::Ini, "hunter2\rx", &unreadable),
        (Format::Ini, "hunter2\n#x", &comment),
        (Format::Ini, "hunter2\n\n;x", &comment),
        (Format::Ini, "hunter2\n x", &line),
        (Format::Ini, "hunter2\nx \ny", &line),
        (Format::Ini, "hunter2 \nx", &line),
    ] {
        let error = Secrets::default().plain("db", value).render(&file(format, inputs(None))).unwrap_err().to_string();
        assert_eq!(error, message, "{value:?}");
        assert!(!error.contains("hunter2"));
    }
}

#[test]
fn a_key_that_ini_cannot_have_is_refused() {
    for key in ["a b", "a=b", "a:b", "[x]", "#x", ""] {
        let secrets = Secrets::default().structured("db", &[(key, "v")]);
        let error = secrets.render(&file(Format::Ini, vec![input("db", None, None)])).unwrap_err().to_string();
        assert_eq!(error, format!("cannot be written: {key:?} is no name in this format: give another one with as"));
    }
}

#[test]
fn a_field_that_is_not_there_is_named_in_every_format() {
    let of = |field: &str| -> Vec<Input> { vec![input("db", Some(field), None)] };
    let secrets = Secrets::default().structured("db", &[("user", "u"), ("host", "h")]).plain("store", "pw");
    for format in [Format::Raw, Format::DotEnv, Format::Json, Format::Yaml, Format::Properties, Format::Ini] {
        let error = secrets.render(&file(format, of("port"))).unwrap_err().to_string();
        assert_eq!(error, "needs field port of Secret shop/db, which has user, host");
    }
    let error = secrets.render(&store(false, None, of("port"))).unwrap_err().to_string();
    assert_eq!(error, "needs field port of Secret shop/db, which has user, host");
}
