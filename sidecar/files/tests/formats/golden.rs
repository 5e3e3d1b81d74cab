//! Each format's file of the same Secrets, as it has always been: an update of the sidecar changes no file.

use std::path::Path;

use sikkerkey_protocol::sync::Format;

use crate::bench::{Secrets, file, input};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB+w==\n-----END CERTIFICATE-----";

#[test]
fn the_file_of_each_format_is_the_golden_one() {
    let secrets = Secrets::default()
        .structured("db", &[("username", "shop"), ("password", "p\"w \\ $x %s #1;é\u{1f511}"), ("Host.Name", "")])
        .structured("tls", &[("tls.crt", PEM), ("note", "no")])
        .plain("stripe-key", "0123")
        .plain("9lives", "~");
    let inputs = vec![
        input("stripe-key", None, None),
        input("db", None, None),
        input("tls", None, Some("web_tls")),
        input("db", Some("username"), Some("user")),
        input("9lives", None, None),
    ];
    for (format, name) in [
        (Format::DotEnv, "dotenv.env"),
        (Format::Json, "json.json"),
        (Format::Yaml, "yaml.yaml"),
        (Format::Properties, "properties.properties"),
        (Format::Ini, "ini.ini"),
    ] {
        let text = secrets.text(&file(format, inputs.clone()));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, golden, "{name}: UPDATE_GOLDEN=1 rewrites it, and every running pod's file changes with it");
    }
}
