//! What the server's parser says of a field, in the words of the page.

use sikkerkey_protocol::management::FieldError;

use super::form::PolicyForm;
use crate::usecase::management::policy::Wrong;

/// Each field: its name in the protocol, its id on the page, what the page calls it.
const FIELDS: [(&str, &str, &str); 19] = [
    ("project", "project", "Project"),
    ("name", "name", "Name"),
    ("description", "description", "What it is for"),
    ("timeWindowEnabled", "time_window", "Time window"),
    ("timeWindowStart", "start", "Opens at"),
    ("timeWindowEnd", "end", "Closes at"),
    ("timeWindowTimezone", "zone", "Time zone"),
    ("timeWindowDays", "day", "Days"),
    ("ipAllowlistEnabled", "addresses", "Addresses"),
    ("ipAllowlistCidrs", "range", "Ranges"),
    ("rateCapEnabled", "cap", "Cap"),
    ("maxReadsPerMinute", "per_minute", "Reads a minute"),
    ("maxReadsPerDay", "per_day", "Reads a day"),
    ("coSignEnabled", "co_sign", "Co-signer"),
    ("coSignMachineId", "co_signer", "Who approves"),
    ("coSignWindowSeconds", "approved_for", "For how many seconds"),
    ("ttlExpiresAt", "ends", "Ends at"),
    ("ttlMaxReads", "most_reads", "Reads in all"),
    ("rotateAfterReads", "rotate_after", "New value after"),
];

/// What else the protocol calls by names of its own.
const NAMES: [(&str, &str); 15] = [
    (", or null to take it away", ", or leave it empty"),
    ("as admin machine list shows it", "as its page shows it"),
    ("ipAllowlist.cidrs", "Ranges"),
    ("rateCap.perMinute", "the cap of a minute"),
    ("rateCap.perDay", "the cap of a day"),
    ("rateCap.countedBy", "what the cap counts together"),
    ("ttl.expiresAt", "the end"),
    ("ttl.maxReads", "the number of reads in all"),
    ("coSign.approver.machine", "machine"),
    ("coSign.window", "the time of an approval"),
    ("timeWindow.", "the time window: "),
    ("timeWindow", "the time window"),
    ("ipAllowlist", "the list of addresses"),
    ("rateCap", "the cap"),
    ("coSign", "the co-signer"),
];

/// What is wrong, and where on the page: none, where it is the policy as a whole.
pub(super) fn told(wrong: &Wrong, typed: &PolicyForm) -> (Option<String>, String) {
    match wrong {
        Wrong::Field(FieldError { field, problem }) => {
            let (name, place) = match field.split_once('[') {
                Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
                None => (field.as_str(), None),
            };
            let Some((_, id, label)) = FIELDS.iter().find(|(it, _, _)| *it == name) else {
                return (None, in_words(&format!("{field} {problem}")));
            };
            let (id, label) = match (*id, place) {
                ("range", place) => {
                    let row = place.map_or(0, |it| typed.row_of(it));
                    (format!("range-{row}"), place.map_or((*label).to_owned(), |_| format!("Range {}", row + 1)))
                }
                (id, _) => (id.to_owned(), (*label).to_owned()),
            };
            (Some(id), format!("{label} {}", in_words(problem)))
        }
        Wrong::Whole(refusal) => {
            let id = refusal.message.starts_with("the name").then(|| "name".to_owned());
            (id, in_words(&refusal.message))
        }
    }
}

/// A text of the parser in the words of the page.
pub(super) fn in_words(text: &str) -> String {
    let fields = FIELDS.iter().skip(3).map(|(name, _, label)| (*name, format!("“{label}”")));
    let fields = fields.fold(text.to_owned(), |text, (name, label)| text.replace(name, &label));
    NAMES.iter().fold(fields, |text, (name, words)| text.replace(name, words))
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::management::PolicyObject;
    use sikkerkey_protocol::policy::{CountedBy, PolicyDocument};

    use super::*;
    use crate::policy::{check, loosens, written};
    use crate::refusal::invalid;

    /// Whether a text has a name of the protocol in it.
    fn is_plain(text: &str) -> bool {
        let camel = |word: &str| {
            word.chars().zip(word.chars().skip(1)).any(|(a, b)| a.is_ascii_lowercase() && b.is_ascii_uppercase())
        };
        !text.split(|it: char| !it.is_ascii_alphanumeric()).any(camel)
    }

    fn say(typed: &PolicyForm) -> (Option<String>, String) {
        let error = typed.draft().changes.and_then(|it| it.onto(&PolicyObject::default())).and_then(|object| {
            let find = |_: &str| {
                Err(FieldError::new(
                    "coSignMachineId",
                    "names no machine of this vault: give the id of one, as admin machine list shows it",
                ))
            };
            written::document(&object, CountedBy::Machine, find)
        });
        told(&Wrong::Field(error.unwrap_err()), typed)
    }

    #[test]
    fn every_error_stands_beside_its_field_in_words_of_the_page() {
        let on = || Some("on".to_owned());
        let it = PolicyForm::default;
        let window = || PolicyForm {
            time_window: on(),
            start: "08:00".into(),
            end: "18:00".into(),
            zone: "UTC".into(),
            day: vec!["mon".into()],
            ..it()
        };
        let ranges = |ranges: &[&str]| PolicyForm {
            addresses: on(),
            range: ranges.iter().map(|it| (*it).to_owned()).collect(),
            ..it()
        };
        for (typed, id, part) in [
            (PolicyForm { start: String::new(), ..window() }, "start", "Opens at is missing, and “Time window” is on"),
            (PolicyForm { start: "8".into(), ..window() }, "start", "Opens at is 8, which is no time"),
            (PolicyForm { end: "8".into(), ..window() }, "end", "Closes at is 8"),
            (PolicyForm { end: "08:00".into(), ..window() }, "end", "is the start as well"),
            (PolicyForm { zone: "Oslo".into(), ..window() }, "zone", "Time zone is Oslo"),
            (PolicyForm { day: vec![], ..window() }, "day", "Days is missing"),
            (PolicyForm { day: vec!["x".into()], ..window() }, "day", "Days is x, which is no day"),
            (ranges(&[]), "range-0", "Ranges is missing, and “Addresses” is on"),
            (
                ranges(&["10.0.0.0/8", "", "10.0.0.1/8"]),
                "range-2",
                "Range 3 is wrong: 10.0.0.1/8 is not a CIDR in its shortest",
            ),
            (PolicyForm { cap: on(), ..it() }, "cap", "Cap is on: give “Reads a minute”, “Reads a day” or both"),
            (
                PolicyForm { cap: on(), per_day: "9".into(), ..it() },
                "zone",
                "“Reads a day” counts the days of a time zone",
            ),
            (
                PolicyForm { cap: on(), per_minute: "0".into(), ..it() },
                "per_minute",
                "is 0: give at least 1, or leave it empty",
            ),
            (
                PolicyForm { per_minute: "x".into(), ..it() },
                "per_minute",
                "takes a whole number up to 4294967295, or leave it empty",
            ),
            (PolicyForm { co_sign: on(), ..it() }, "co_signer", "Who approves is missing, and “Co-signer” is on"),
            (
                PolicyForm { co_sign: on(), co_signer: "x".into(), ..it() },
                "approved_for",
                "is missing, and “Co-signer” is on",
            ),
            (
                PolicyForm { co_sign: on(), co_signer: "x".into(), approved_for: "60".into(), ..it() },
                "co_signer",
                "as its page shows it",
            ),
            (PolicyForm { ends: "1970-01-02T00:00".into(), ..it() }, "ends", "Ends at is 86400000"),
            (PolicyForm { most_reads: "0".into(), ..it() }, "most_reads", "Reads in all is 0"),
            (PolicyForm { rotate_after: "0".into(), ..it() }, "rotate_after", "New value after is 0"),
        ] {
            let (at, text) = say(&typed);
            assert_eq!(at.as_deref(), Some(id), "{text}");
            assert!(text.contains(part), "{text}");
            assert!(is_plain(&text), "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_policy_as_a_whole_has_no_name_of_the_protocol_in_it() {
        let name = Wrong::Whole(invalid("the name is empty"));
        assert_eq!(told(&name, &PolicyForm::default()).0.as_deref(), Some("name"));
        let none = "a policy without an axis restricts nothing: switch on at least one of timeWindowEnabled, \
                    ipAllowlistEnabled, rateCapEnabled and coSignEnabled, or give ttlExpiresAt, ttlMaxReads or \
                    rotateAfterReads";
        let (id, text) = told(&Wrong::Whole(invalid(none)), &PolicyForm::default());
        assert_eq!(id, None);
        assert!(is_plain(&text) && text.contains("“Time window”, “Addresses”, “Cap” and “Co-signer”"), "{text}");
        assert!(is_plain(&in_words(&check(&PolicyDocument::default()).unwrap_err().to_string())));
    }

    #[test]
    fn what_is_looser_is_told_in_words() {
        let full: PolicyDocument = serde_json::from_value(serde_json::json!({
            "timeZone": "UTC", "timeWindow": {"days": ["Mon"], "start": "06:00", "end": "18:00"},
            "ipAllowlist": ["10.0.0.0/8"], "rateCap": {"perMinute": 1, "perDay": 2, "countedBy": "Machine"},
            "coSign": {"approver": {"machine": "6f1c2b3a-0000-4000-8000-000000000001"}, "windowSeconds": 60},
            "ttl": {"expiresAt": 1_806_451_200_000_i64, "maxReads": 2}, "rotateAfterReads": 3,
        }))
        .unwrap();
        let mut seen = Vec::new();
        let mut rest = full.clone();
        for axis in 0..6 {
            match axis {
                0 => rest.ttl = None,
                1 => rest.time_window = None,
                2 => rest.ip_allowlist = None,
                3 => rest.rate_cap = None,
                4 => rest.co_sign = None,
                _ => rest.rotate_after_reads = None,
            }
            let mut one = full.clone();
            match axis {
                0 => one.ttl = None,
                1 => one.time_window = None,
                2 => one.ip_allowlist = None,
                3 => one.rate_cap = None,
                4 => one.co_sign = None,
                _ => one.rotate_after_reads = None,
            }
            let text = in_words(&loosens(&full, &one).unwrap());
            assert!(is_plain(&text), "{text}");
            seen.push(text);
        }
        assert_eq!(seen[1], "the time window would be gone");
        assert!(loosens(&full, &rest).is_some());
    }
}
