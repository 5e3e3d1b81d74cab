//! Rows of the audit as text: for a spreadsheet, and for programs that read line by line.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use sikkerkey_protocol::management::AuditEntry;

use crate::model::millis::Millis;
use crate::policy::window::instant;

/// What stands in the first line.
pub const HEADINGS: [&str; 15] = [
    "id",
    "time",
    "timestamp",
    "action",
    "severity",
    "actorKind",
    "userId",
    "machineId",
    "aiAgentId",
    "projectId",
    "secretId",
    "sourceIp",
    "reason",
    "reasonText",
    "detail",
];

/// RFC 4180, with headings.
pub fn csv(entries: &[AuditEntry]) -> Result<String, csv::Error> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(HEADINGS)?;
    for entry in entries {
        writer.write_record(cells(entry).each_ref().map(|it| harmless(it).into_owned()))?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    // Made of text alone.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One JSON object on each line.
pub fn jsonl(entries: &[AuditEntry]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    Ok(text)
}

fn cells(entry: &AuditEntry) -> [String; HEADINGS.len()] {
    fn text(it: Option<&impl ToString>) -> String {
        it.map(ToString::to_string).unwrap_or_default()
    }
    [
        entry.id.to_string(),
        instant(Millis(entry.timestamp)),
        entry.timestamp.to_string(),
        entry.action.clone(),
        entry.severity.as_str().to_owned(),
        entry.actor_kind.as_str().to_owned(),
        text(entry.user_id.as_ref()),
        text(entry.machine_id.as_ref()),
        text(entry.ai_agent_id.as_ref()),
        text(entry.project_id.as_ref()),
        text(entry.secret_id.as_ref()),
        text(entry.source_ip.as_ref()),
        entry.reason.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        text(entry.reason_text.as_ref()),
        entry.detail.clone(),
    ]
}

/// Where a spreadsheet may begin another cell. Where a decimal has a comma, it separates by ';', and does not take the quotes
/// of this file, which do not stand first in such a cell, for quotes.
const BREAKS: [char; 4] = [';', '\t', '\r', '\n'];
/// With what a formula begins; the wide forms are what a Japanese keyboard writes, and are taken for the narrow ones.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A spreadsheet takes a cell that begins like a formula for one, and runs it. Machines choose parts of a detail.
fn harmless(cell: &str) -> Cow<'_, str> {
    let is_indented = cell.starts_with(['\t', '\r', '\n']);
    if !is_indented && !cell.split(BREAKS).any(is_formula) {
        return cell.into();
    }
    let mut text = String::with_capacity(cell.len() + 8);
    if is_indented {
        text.push('\'');
    }
    for part in cell.split_inclusive(BREAKS) {
        if is_formula(part) {
            text.push('\'');
        }
        text.push_str(part);
    }
    text.into()
}

/// Blanks and quotes before it are left out by one spreadsheet or another.
fn is_formula(part: &str) -> bool {
    part.trim_start_matches(is_skipped).starts_with(FORMULA)
}

fn is_skipped(it: char) -> bool {
    it == '"' || it.is_whitespace() || it.is_control()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sikkerkey_protocol::management::{ActorKind, Severity};

    use super::*;

    fn entry(detail: &str) -> AuditEntry {
        AuditEntry {
            id: 7,
            action: "secret_read".into(),
            severity: Severity::Info,
            actor_kind: ActorKind::Machine,
            user_id: None,
            machine_id: Some("00000000-0000-4000-8000-000000000011".parse().unwrap()),
            ai_agent_id: None,
            project_id: None,
            secret_id: Some("sk_db".parse().unwrap()),
            source_ip: Some("10.0.0.5".parse().unwrap()),
            reason: None,
            reason_text: None,
            detail: detail.into(),
            timestamp: 1_772_625_600_000,
        }
    }

    #[test]
    fn a_row_stands_in_csv_under_its_headings_with_line_ends_of_rfc_4180() {
        let text = csv(&[entry("v3 \"db\", twice")]).unwrap();
        assert_eq!(
            text,
            "id,time,timestamp,action,severity,actorKind,userId,machineId,aiAgentId,projectId,secretId,sourceIp,reason,reasonText,detail\r\n\
             7,2026-03-04T12:00:00Z,1772625600000,secret_read,info,machine,,00000000-0000-4000-8000-000000000011,,,sk_db,10.0.0.5,,,\"v3 \"\"db\"\", twice\"\r\n"
        );
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_text_to_it() {
        for (formula, text) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("\n=1", "'\n'=1"),
            ("\tnas", "'\tnas"),
            (" \"=1", "' \"=1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            // Where ';' separates.
            ("nas;=1;b", "nas;'=1;b"),
            ("nas; \"@A1\";+2", "nas;' \"@A1\";'+2"),
            ("nas\t\u{ff0d}1", "nas\t'\u{ff0d}1"),
            ("nas\r\n=1", "nas\r\n'=1"),
            // None of these is one.
            ("nas; v3 - of 2026-03-04, 1+1=2;;", "nas; v3 - of 2026-03-04, 1+1=2;;"),
        ] {
            let csv = csv(&[entry(formula)]).unwrap();
            let mut reader = csv::Reader::from_reader(csv.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            assert_eq!(&record[14], text, "{formula:?}");
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_cell_begins_like_a_formula_wherever_it_is_split(detail in "([;\t\r\n \"'=+@-]|[＝＋－＠]|[a-z0-9]|.){0,12}") {
            let cell = harmless(&detail);
            for part in cell.split([';', '\t', '\r', '\n']) {
                let begins = part.trim_matches(|it: char| it.is_whitespace() || it == '"');
                let is_one = begins.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
                prop_assert!(!is_one, "{:?} of {:?}", part, cell);
            }
            prop_assert!(!cell.starts_with(['\t', '\r', '\n']));
            // Nothing is left out.
            prop_assert_eq!(cell.replace('\'', ""), detail.replace('\'', ""));
        }

        #[test]
        fn whatever_stands_in_a_detail_comes_out_of_another_parser_as_it_went_in(details in prop::collection::vec(any::<String>(), 0..8)) {
            let entries: Vec<_> = details.iter().map(|it| entry(it)).collect();
            let text = csv(&entries).unwrap();
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            prop_assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), HEADINGS);
            let read: Vec<String> = reader.records().map(|it| it.unwrap()[14].to_owned()).collect();
            let expected: Vec<String> = details.iter().map(|it| harmless(it).into_owned()).collect();
            prop_assert_eq!(read, expected);
            let lines = jsonl(&entries).unwrap();
            let read: Vec<AuditEntry> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
            prop_assert_eq!(read, entries);
        }
    }
}
