//! Where values and keys must not be.

use std::fmt::Write;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::on_a_node;
use crate::team::{PASSWORD, SHOP, Team};

/// What a text looks like where others write it down.
pub(crate) fn forms(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap();
    let json = json.trim_matches('"').to_owned();
    // As Go writes JSON.
    let for_html = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let hex = text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let debug = format!("{text:?}").trim_matches('"').to_owned();
    let mut forms = vec![text.to_owned(), json, for_html, debug, hex.to_uppercase(), hex];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|offset| base64_within(&engine, text, offset)));
    }
    forms.sort();
    forms.dedup();
    forms
}

/// What of a text shows in the base64 of a longer one in which it begins at this offset.
fn base64_within(engine: &GeneralPurpose, text: &str, offset: usize) -> String {
    let padded = [&vec![0; offset], text.as_bytes()].concat();
    let whole = padded.len() / 3 * 4;
    engine.encode(&padded)[if offset == 0 { 0 } else { 4 }..whole].to_owned()
}

#[test]
fn no_value_and_no_private_key_is_in_etcd_in_a_log_at_trace_level_or_in_the_database() {
    on_a_node("secrecy", async |installation| {
        let team = Team::new(installation, "secrecy").await;
        team.apply(&SHOP.replace("length: 40", "length: 40, charset: Symbols")).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let password = team.read("web", PASSWORD).await.unwrap();
        assert_eq!(password.chars().count(), 40, "{password}");
        let cluster = &team.installation.cluster;
        for form in forms(&password) {
            let needle = form.as_bytes();
            assert_eq!(cluster.etcd_files_with(needle).unwrap(), Vec::<PathBuf>::new(), "{form} in etcd");
            assert_eq!(cluster.logs_with(needle).unwrap(), Vec::<PathBuf>::new(), "{form} in a log");
            assert_eq!(team.installation.data_with(needle).unwrap(), Vec::<PathBuf>::new(), "{form} in the database");
        }
        // Keys of certificates are in PEM; of machines the server has only public ones. What begins a key in PEM:
        for key in ["PRIVATE KEY", &STANDARD_NO_PAD.encode("-----BEGIN PRIVATE KEY--")] {
            assert_eq!(cluster.logs_with(key.as_bytes()).unwrap(), Vec::<PathBuf>::new(), "{key} in a log");
            assert_eq!(team.installation.data_with(key.as_bytes()).unwrap(), Vec::<PathBuf>::new(), "{key}");
        }
        // The search finds what is there, and the logs are as talkative as they can be.
        assert!(!cluster.etcd_files_with(b"secrecy").unwrap().is_empty());
        assert!(!team.installation.data_with(b"secrecy").unwrap().is_empty());
        for (log, level) in [("server", "DEBUG"), ("operator", "TRACE")] {
            assert!(cluster.run().log(log).contains(level.as_bytes()), "{log}");
        }
        let sidecar = team.kubectl(&["logs", "web", "-c", "sikkerkey"]).await;
        assert!(sidecar.contains("DEBUG") || sidecar.contains("TRACE"), "{sidecar}");
    });
}

#[test]
fn the_forms_of_a_text_are_found_in_longer_ones() {
    let text = r#"a"b\c<d>&e"#;
    let forms = forms(text);
    for (offset, before) in ["", "x", "xy"].iter().enumerate() {
        let longer = STANDARD_NO_PAD.encode(format!("{before}{text}and more"));
        assert!(forms.iter().any(|form| longer.contains(form.as_str())), "at {offset}");
    }
    for form in [text, r#"a\"b\\c<d>&e"#, r#"a\"b\\c\u003cd\u003e\u0026e"#, "6122625c633c643e2665"] {
        assert!(forms.iter().any(|known| known == form), "{form}");
    }
}
