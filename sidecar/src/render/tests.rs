use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Delivery, Format, News, OnDenied, Pkcs12, Synced};

use super::*;
use crate::manifest::Entry;

fn key(name: &str) -> SecretKey {
    SecretKey { namespace: "shop".into(), name: name.into() }
}

fn input(name: &str, field: Option<&str>, alias: Option<&str>) -> Input {
    Input { secret: key(name), field: field.map(Into::into), alias: alias.map(Into::into) }
}

fn file(path: &str, format: Format, inputs: Vec<Input>) -> File {
    File { path: path.into(), format, mode: 0o440, optional: false, inputs, template: None, pkcs12: None }
}

fn plain(value: &str) -> News {
    News::Value { id: "sk_a".parse().unwrap(), version: 1, field_names: vec![], value: SecretText::new(value.into()) }
}

fn structured(names: &[&str], json: &str) -> News {
    let field_names = names.iter().map(|name| (*name).to_owned()).collect();
    News::Value { id: "sk_b".parse().unwrap(), version: 1, field_names, value: SecretText::new(json.into()) }
}

fn render_files(files: Vec<File>, secrets: Vec<(&str, News)>) -> FileSet {
    render(&holdings(files, secrets), None)
}

fn holdings(files: Vec<File>, secrets: Vec<(&str, News)>) -> Holdings {
    let mut holdings = Holdings::default();
    holdings.take(Synced {
        delivery_revision: "r".into(),
        delivery: Some(Delivery {
            on_revoked: OnDenied::Remove,
            on_closed: OnDenied::Remove,
            max_staleness_seconds: 60,
            on_change: None,
            files,
        }),
        secrets: secrets.into_iter().map(|(name, news)| (key(name), news)).collect(),
        next_sync_millis: 0,
        identity_expires_at: 0,
    });
    holdings
}

fn content(file: File, secrets: Vec<(&str, News)>) -> Result<String, (&'static str, String)> {
    let mut set = render_files(vec![file], secrets);
    match (set.files.pop(), set.missing.pop()) {
        (Some(file), None) => Ok(String::from_utf8(file.content.to_vec()).unwrap()),
        (None, Some(missing)) => Err((missing.reason, missing.message)),
        other => panic!("{other:?}"),
    }
}

const DB: &str = r#"{"user":"shop","pass\"word":"s3\u0063\"r\net","host":"db"}"#;
const DB_NAMES: [&str; 3] = ["user", "host", "pass\"word"];

#[test]
fn raw_is_the_value_byte_for_byte() {
    let raw = |field| file("f", Format::Raw, vec![input("db", field, None)]);
    assert_eq!(content(raw(None), vec![("db", plain(" a\r\n\0é\n"))]).unwrap(), " a\r\n\0é\n");
    assert_eq!(content(raw(None), vec![("db", structured(&DB_NAMES, DB))]).unwrap(), DB);
    assert_eq!(content(raw(Some("pass\"word")), vec![("db", structured(&DB_NAMES, DB))]).unwrap(), "s3c\"r\net");
}

#[test]
fn dotenv_has_a_line_for_each_value_in_the_order_of_inputs_and_fields() {
    let inputs = vec![
        input("stripe-key", None, None),
        input("db", None, Some("DB")),
        input("db", Some("host"), Some("dbHost")),
        input("tls", Some("crt"), None),
    ];
    let secrets = vec![
        ("db", structured(&DB_NAMES, DB)),
        ("stripe-key", plain("sk$1")),
        ("tls", structured(&["crt"], r#"{"crt":"c"}"#)),
    ];
    assert_eq!(
        content(file("app.env", Format::DotEnv, inputs), secrets).unwrap(),
        "STRIPE_KEY=\"sk\\$1\"\nDB_USER=\"shop\"\nDB_HOST=\"db\"\nDB_PASS_WORD=\"s3c\\\"r\\net\"\ndbHost=\"db\"\nTLS=\"c\"\n"
    );
}

#[test]
fn a_template_is_written_with_the_values_of_its_inputs() {
    let mut file = file("url", Format::Template, vec![input("db", None, None), input("stripe-key", None, Some("key"))]);
    file.template =
        Some("{{ db.user }}@{{ db.host }} {{ db[\"pass\\\"word\"] | json }} {{ key | urlencode }}\n".into());
    let secrets = || vec![("db", structured(&DB_NAMES, DB)), ("stripe-key", plain("sk/1"))];
    assert_eq!(content(file.clone(), secrets()).unwrap(), "shop@db \"s3c\\\"r\\net\" sk%2F1\n");

    file.template = Some("{{ key }}\n{{ db.port }}".into());
    let message = "file url cannot be written: template line 2, column 4, at `db.port`: a variable or field in it is not \
                   there: look at the names of the Secret's fields, or give a value with `| default(\"…\")`";
    assert_eq!(content(file, secrets()), Err(("FileInvalid", message.to_owned())));
}

#[test]
fn files_that_would_not_fit_the_sidecars_memory_are_named_and_the_others_written() {
    let long = "{{ db }}".repeat(80);
    let files = (0..10).map(|n| File {
        template: Some(long.clone()),
        ..file(&format!("f{n}"), Format::Template, vec![input("db", None, None)])
    });
    let small = file("small", Format::Raw, vec![input("db", None, None)]);
    let set = render_files(files.chain([small]).collect(), vec![("db", plain(&"x".repeat(12_000)))]);
    let written: Vec<&str> = set.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(written, ["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "small"]);
    let missing: Vec<&str> = set.missing.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(missing, ["f8", "f9"]);
    let message =
        "file f8 has no room: the files of a Machine hold 8 MiB together at most. Write fewer or shorter ones";
    assert_eq!((set.missing[0].reason, &*set.missing[0].message), ("FileInvalid", message));
}

#[test]
fn every_other_format_is_written() {
    let of = |format| content(file("f", format, vec![input("db", None, None)]), vec![("db", plain("x"))]).unwrap();
    assert_eq!(of(Format::Json), "{\n  \"db\": \"x\"\n}\n");
    assert_eq!(of(Format::Yaml), "\"db\": \"x\"\n");
    assert_eq!(of(Format::Properties), "DB=x\n");
    assert_eq!(of(Format::Ini), "[secrets]\ndb = x\n");
}

#[test]
fn a_store_waits_for_its_password_and_is_the_same_each_time() {
    let store = Pkcs12 { trust_store: true, alias: None, password: input("pw", None, None) };
    let store =
        || File { pkcs12: Some(store.clone()), ..file("ca.p12", Format::Pkcs12, vec![input("ca", None, None)]) };
    let pem = include_str!("../../files/tests/fixtures/tls/root.crt");
    let waiting = render_files(vec![store()], vec![("ca", plain(pem))]);
    assert_eq!(
        waiting.missing[0].message,
        "file ca.p12 waits for Secret shop/pw: the server has not answered for it yet"
    );
    let rendered = || render_files(vec![store()], vec![("ca", plain(pem)), ("pw", plain("changeit"))]);
    let (first, second) = (rendered(), rendered());
    assert_eq!(first.files.len(), 1, "{:?}", first.missing);
    assert!(first == second);
}

#[test]
fn what_cannot_be_rendered_says_why() {
    let raw = |field| file("f", Format::Raw, vec![input("db", Some(field), None)]);
    let both = |first: Input, second: Input| file("app.env", Format::DotEnv, vec![first, second]);
    let cases = [
        (
            raw("port"),
            structured(&["user", "host"], r#"{"user":"u","host":"h"}"#),
            "FileInvalid",
            "file f needs field port of Secret shop/db, which has user, host",
        ),
        (
            raw("port"),
            plain("x"),
            "FileInvalid",
            "file f needs field port of Secret shop/db, which is a plain value: leave field out",
        ),
        (
            raw("user"),
            structured(&["user"], "s3cret"),
            "FileInvalid",
            "file f needs Secret shop/db, whose value is not the JSON object of its fields: set it anew",
        ),
        (
            raw("user"),
            structured(&["user"], r#"{"user":1}"#),
            "FileInvalid",
            "file f needs Secret shop/db, whose value is not the JSON object of its fields: set it anew",
        ),
        (
            both(input("db", None, None), input("db", None, Some("DB"))),
            plain("x"),
            "FileInvalid",
            "file app.env cannot be written: Secret shop/db and Secret shop/db both give the name DB: give one of them another name with as",
        ),
        (
            both(input("db", None, None), input("db", Some("user"), Some("DB_USER"))),
            structured(&["user"], r#"{"user":"u"}"#),
            "FileInvalid",
            "file app.env cannot be written: field user of Secret shop/db and field user of Secret shop/db both give the name DB_USER: give one of them another name with as",
        ),
        (
            file("c.ini", Format::Ini, vec![input("db", None, None)]),
            plain(" x"),
            "FileInvalid",
            "file c.ini cannot be written: Secret shop/db begins or ends with white space, which is not read back: use format JSON or YAML",
        ),
        (
            File { template: Some("{{ pw }}".into()), ..file("c", Format::Template, vec![input("db", None, None)]) },
            plain("x"),
            "FileInvalid",
            "file c cannot be written: template line 1, column 4, at `pw`: pw is none of its inputs, which are db: name one of these, or add the Secret to secretRefs with `as: pw`",
        ),
        (
            file("../c", Format::Raw, vec![input("db", None, None)]),
            plain("x"),
            "FileRefused",
            "file \"../c\" is refused: its path has a segment that is empty, . or begins with ..",
        ),
        (
            file("c", Format::Raw, vec![input("db", None, None), input("db", None, None)]),
            plain("x"),
            "FileInvalid",
            "file c cannot be written: format Raw takes exactly one Secret, not 2",
        ),
    ];
    for (file, news, reason, message) in cases {
        assert_eq!(content(file, vec![("db", news)]), Err((reason, message.to_owned())));
    }
}

#[test]
fn a_file_whose_new_value_does_not_fit_may_stay_if_it_is_of_the_same_secret() {
    let in_place = |path: &str, name: &str, field: Option<&str>| Manifest {
        time: String::new(),
        delivery_revision: None,
        files: vec![Entry {
            path: path.into(),
            mode: "0444".into(),
            size: 1,
            sha256: String::new(),
            secrets: vec![SecretVersion {
                id: "sk_a".parse().unwrap(),
                namespace: "shop".into(),
                name: name.into(),
                field: field.map(Into::into),
                version: 1,
            }],
        }],
    };
    for (manifest, stays) in [
        (Some(in_place("c.ini", "db", None)), true),
        (Some(in_place("d.ini", "db", None)), false),
        (Some(in_place("c.ini", "other", None)), false),
        (Some(in_place("c.ini", "db", Some("user"))), false),
        (None, false),
    ] {
        let files = vec![file("c.ini", Format::Ini, vec![input("db", None, None)])];
        let set = render(&holdings(files, vec![("db", plain(" x"))]), manifest.as_ref());
        assert_eq!((set.missing[0].reason, set.missing[0].denial), ("FileInvalid", None));
        assert_eq!(set.missing[0].may_stay.is_some(), stays, "{manifest:?}");
    }
}

#[test]
fn a_file_that_waits_says_for_what_and_what_helps() {
    let waiting = |reason, message: &str| {
        let news = News::Denied { reason, message: message.to_owned(), until: None };
        content(file("db/password", Format::Raw, vec![input("db", None, None)]), vec![("db", news)]).unwrap_err()
    };
    assert_eq!(
        waiting(DenialReason::NotGranted, ""),
        (
            "NotGranted",
            "file db/password waits for Secret shop/db: NotGranted: add it to a Grant in namespace shop".to_owned()
        )
    );
    assert_eq!(
        waiting(DenialReason::NotGranted, "not granted: add it to a Grant in namespace shop").1,
        "file db/password waits for Secret shop/db: NotGranted: not granted: add it to a Grant in namespace shop"
    );
    assert_eq!(
        waiting(DenialReason::OutsideTimeWindow, "closed until Mon 08:00 Europe/Oslo\n"),
        (
            "OutsideTimeWindow",
            "file db/password waits for Secret shop/db: OutsideTimeWindow: closed until Mon 08:00 Europe/Oslo"
                .to_owned()
        )
    );
    let pending = content(file("f", Format::Raw, vec![input("db", None, None)]), vec![]).unwrap_err();
    assert_eq!(pending.0, "Pending");
}

#[test]
fn one_file_that_cannot_be_rendered_does_not_stop_the_others() {
    let set = render_files(
        vec![
            file("a", Format::Ini, vec![input("db", None, None)]),
            file("b", Format::Raw, vec![input("db", None, None)]),
            file("c", Format::Raw, vec![input("tls", None, None)]),
        ],
        vec![("db", plain("\n"))],
    );
    assert_eq!(format!("{:?}", set.files), "[b (0440, 1 bytes)]");
    assert_eq!(set.missing.iter().map(|missing| missing.reason).collect::<Vec<_>>(), ["FileInvalid", "Pending"]);
}

#[test]
fn only_permission_bits_are_taken_from_a_mode() {
    let mut setuid = file("a", Format::Raw, vec![input("db", None, None)]);
    setuid.mode = 0o7755;
    assert_eq!(render_files(vec![setuid], vec![("db", plain("x"))]).files[0].mode, 0o755);
}

#[test]
fn a_rendered_file_never_prints_its_content() {
    let set = render_files(vec![file("a", Format::Raw, vec![input("db", None, None)])], vec![("db", plain("hunter2"))]);
    assert!(!format!("{set:?}").contains("hunter2"));
}
