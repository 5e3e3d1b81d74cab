//! Shells that source a dotenv file.

use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sikkerkey_protocol::sync::Format;

use crate::bench::{Secrets, file, input};
use crate::documents::text;
use crate::outside::{is_there, run};

#[test]
fn shells_read_dotenv_as_it_was_but_for_line_breaks() {
    let mut runner = TestRunner::default();
    let mut fields: Vec<(String, String)> = vec![];
    while fields.len() < 600 {
        let text = text().new_tree(&mut runner).unwrap().current();
        let text = text.replace(['\n', '\r', '\0'], "");
        fields.push((format!("n{}", fields.len()), text));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.env");
    let secrets = Secrets::default().structured("db", &fields);
    std::fs::write(&path, secrets.text(&file(Format::DotEnv, vec![input("db", None, None)]))).unwrap();
    let variables: Vec<_> = (0..fields.len()).map(|number| format!("\"$DB_N{number}\"")).collect();
    let script = format!(". \"$0\" && printf '%s\\0' {}", variables.join(" "));
    for (shell, package) in [("dash", "dash"), ("bash", "bash"), ("busybox", "busybox-static")] {
        let test = "shells_read_dotenv_as_it_was_but_for_line_breaks";
        let arguments: &[&str] = if shell == "busybox" { &["sh", "-c"] } else { &["-c"] };
        if !is_there(test, shell, &[arguments, &[":"]].concat(), package) {
            continue;
        }
        let printed = run(Command::new(shell).args(arguments).arg(&script).arg(&path));
        let printed = String::from_utf8(printed).unwrap();
        let read: Vec<_> = printed.strip_suffix('\0').unwrap().split('\0').collect();
        assert_eq!(read.len(), fields.len());
        for (read, (_, text)) in read.into_iter().zip(&fields) {
            assert_eq!(read, text, "{shell}");
        }
    }
}
