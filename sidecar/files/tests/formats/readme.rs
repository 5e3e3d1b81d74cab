//! The table of formats in crds/README.md: what stands there is what is written.

use sikkerkey_protocol::sync::{File, Format};

use crate::bench::{Secrets, entry};

macro_rules! tls {
    ($name:literal) => {
        include_str!(concat!("../fixtures/tls/", $name))
    };
}

/// What the table says it is made from.
pub(crate) fn secrets() -> Secrets {
    Secrets::default()
        .plain("stripe-key", "sk_live_1")
        .structured("db", &[("username", "shop"), ("password", "p\"w #1")])
        .structured("tls", &[("tls.crt", tls!("ec.crt")), ("tls.key", tls!("ec.key")), ("ca.crt", tls!("root.crt"))])
        .plain("store", "changeit")
}

/// Entries of the table with the lines of their files.
pub(crate) fn examples() -> Vec<(File, Vec<String>)> {
    let readme = include_str!("../../../../crds/README.md");
    let (_, rest) = readme
        .split_once("\n| Format | What is written | An entry of `files` | The file |\n|---|---|---|---|\n")
        .unwrap();
    let rows = rest.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [.., yaml, lines] = cells.as_slice() else { panic!("{row}") };
        let code = |text: &str| {
            if text == "(empty line)" {
                return String::new();
            }
            let inner = text.strip_prefix('`').and_then(|text| text.strip_suffix('`'));
            // A table's own character has a backslash before it, in code as well.
            inner.unwrap_or_else(|| panic!("no code: {text}")).replace("\\|", "|")
        };
        (entry(&code(yaml)), lines.split("<br>").map(code).collect())
    })
    .collect()
}

#[test]
fn every_example_is_real() {
    let mut formats = vec![];
    for (file, lines) in examples() {
        formats.push(format!("{:?}", file.format));
        let content = secrets().render(&file).unwrap();
        let end = match file.format {
            // The tests against Java compare these.
            Format::Pkcs12 => continue,
            Format::Raw | Format::Template => "",
            _ => "\n",
        };
        assert_eq!(std::str::from_utf8(&content).unwrap(), lines.join("\n") + end, "{file:?}");
    }
    formats.sort();
    formats.dedup();
    for format in ["DotEnv", "Ini", "Json", "Pkcs12", "Properties", "Raw", "Yaml"] {
        assert!(formats.iter().any(|it| it == format), "{format} is missing in {formats:?}");
    }
}
