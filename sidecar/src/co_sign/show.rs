//! What is printed. Every text of the server's is made safe for a terminal.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;
use sikkerkey_protocol::co_sign::{CoSignRequest, CoSignVerdict, Settled};

use crate::client::printable;
use crate::clock::{UnixMillis, rfc3339};

const HEADINGS: [&str; 9] = ["ID", "READER", "SECRET", "POLICY", "ASKED BY", "FROM", "SINCE", "WINDOW", "STATE"];

/// For a program: as the server said it.
pub(super) fn json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// One line for each request, under headings.
pub(super) fn table(requests: &[CoSignRequest]) -> String {
    let rows: Vec<[String; 9]> = requests.iter().map(row).collect();
    let headings = HEADINGS.map(str::to_owned);
    let mut widths = [0; 9];
    for cells in std::iter::once(&headings).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for cells in std::iter::once(&headings).chain(&rows) {
        for (cell, width) in cells.iter().zip(widths) {
            // Writing to a string does not fail.
            let _: std::fmt::Result = write!(text, "{cell:width$}   ");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

fn row(request: &CoSignRequest) -> [String; 9] {
    [
        printable(&request.id),
        printable(&request.reader),
        printable(&request.secret),
        printable(&request.policy),
        printable(&request.asked_by),
        printable(&request.asked_from),
        to_the_second(request.asked_at),
        window(request.window_seconds),
        request.approved_until.map_or_else(|| "waits".to_owned(), |it| format!("approved until {}", to_the_second(it))),
    ]
}

/// What is about to be signed, for a person to compare.
pub(super) fn question(request: &CoSignRequest, verdict: CoSignVerdict, not_after: UnixMillis) -> String {
    let [id, reader, secret, policy, asked_by, from, since, window, _] = row(request);
    let mut text = format!("{} this read:\n", verb(verdict));
    for (name, value) in [
        ("reader", reader),
        ("secret", secret),
        ("policy", format!("{policy} (revision {})", request.policy_revision)),
        ("asked by", format!("{asked_by} from {from}, since {since}")),
        ("until", format!("{} (the policy's window is {window})", to_the_second(not_after))),
        ("request", id),
    ] {
        let _: std::fmt::Result = writeln!(text, "  {name:10}{value}");
    }
    text
}

/// What was decided.
pub(super) fn settled(settled: &Settled) -> String {
    let verdict = match settled.verdict {
        CoSignVerdict::Approved => "approved",
        CoSignVerdict::Denied => "denied",
    };
    format!("{verdict} until {}", to_the_second(settled.until))
}

pub(super) fn verb(verdict: CoSignVerdict) -> &'static str {
    match verdict {
        CoSignVerdict::Approved => "Approve",
        CoSignVerdict::Denied => "Deny",
    }
}

fn to_the_second(instant: UnixMillis) -> String {
    rfc3339(instant - instant.rem_euclid(1000))
}

fn window(seconds: u64) -> String {
    SignedDuration::try_from(Duration::from_secs(seconds))
        .map_or_else(|_| format!("{seconds}s"), |duration| format!("{duration:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> CoSignRequest {
        CoSignRequest {
            id: "6f1c2b3a-0000-4000-8000-000000000001".to_owned(),
            vault_id: "vault_a".parse().unwrap(),
            approver_id: "00000000-0000-4000-8000-0000000000aa".parse().unwrap(),
            reader_id: "11111111-0000-4000-8000-000000000001".to_owned(),
            reader: "Machine shop/web".to_owned(),
            asked_by: "web-0 on node-1".to_owned(),
            asked_from: "10.0.0.7".to_owned(),
            asked_at: 1_792_204_561_123,
            secret_id: "sk_a".parse().unwrap(),
            secret: "shop/db".to_owned(),
            policy: "four-eyes".to_owned(),
            policy_revision: 7,
            window_seconds: 5400,
            approved_until: None,
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_request() {
        let mut host = request();
        host.id = "7f1c2b3a-0000-4000-8000-000000000002".to_owned();
        host.reader = "machine ü-7".to_owned();
        host.window_seconds = 45;
        host.approved_until = Some(1_792_204_600_000);
        let expected = "\
ID                                     READER             SECRET    POLICY      ASKED BY          FROM       SINCE                  WINDOW   STATE
6f1c2b3a-0000-4000-8000-000000000001   Machine shop/web   shop/db   four-eyes   web-0 on node-1   10.0.0.7   2026-10-17T02:36:01Z   1h 30m   waits
7f1c2b3a-0000-4000-8000-000000000002   machine ü-7        shop/db   four-eyes   web-0 on node-1   10.0.0.7   2026-10-17T02:36:01Z   45s      approved until 2026-10-17T02:36:40Z
";
        assert_eq!(table(&[request(), host]), expected);
    }

    #[test]
    fn a_question_says_exactly_what_is_signed() {
        let expected = "\
Approve this read:
  reader    Machine shop/web
  secret    shop/db
  policy    four-eyes (revision 7)
  asked by  web-0 on node-1 from 10.0.0.7, since 2026-10-17T02:36:01Z
  until     2026-10-17T04:06:01Z (the policy's window is 1h 30m)
  request   6f1c2b3a-0000-4000-8000-000000000001
";
        assert_eq!(question(&request(), CoSignVerdict::Approved, 1_792_209_961_123), expected);
        assert!(question(&request(), CoSignVerdict::Denied, 0).starts_with("Deny this read:\n"));
    }

    #[test]
    fn nothing_of_the_server_steers_the_terminal() {
        let mut hostile = request();
        hostile.reader = "\x1b[2Jweb\nshop/db".to_owned();
        hostile.asked_by = "a\rb".to_owned();
        for text in [table(&[hostile.clone()]), question(&hostile, CoSignVerdict::Approved, 0)] {
            assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
            assert!(text.contains("[2Jweb shop/db") && text.contains("a b"), "{text:?}");
        }
        assert_eq!(table(&[hostile]).lines().count(), 2);
    }

    #[test]
    fn a_window_beyond_all_time_is_printed_in_seconds() {
        assert_eq!(window(u64::MAX), format!("{}s", u64::MAX));
        assert_eq!(window(86_400), "24h");
    }
}
