//! The editor's form: its fields, and what they are to the server's parser.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;
use sikkerkey_protocol::management::{FieldError, PolicyObject};

use crate::policy::written::Changes;
use crate::usecase::management::policy::draft::Draft;

/// What is typed, as it is typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct PolicyForm {
    /// Which button was pressed.
    pub act: String,
    /// The project of a new one.
    pub project: String,
    /// The revision that is changed.
    pub revision: String,
    pub name: String,
    pub description: String,
    pub time_window: Option<String>,
    pub start: String,
    pub end: String,
    pub zone: String,
    pub day: Vec<String>,
    pub addresses: Option<String>,
    pub range: Vec<String>,
    pub cap: Option<String>,
    pub per_minute: String,
    pub per_day: String,
    pub co_sign: Option<String>,
    pub co_signer: String,
    pub approved_for: String,
    pub ends: String,
    pub most_reads: String,
    pub rotate_after: String,
}

impl PolicyForm {
    /// The form that says what an object says.
    pub(super) fn of(object: &PolicyObject) -> Self {
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        let number = |it: Option<u32>| it.map(|it| it.to_string()).unwrap_or_default();
        let on = |it: bool| it.then(|| "on".to_owned());
        Self {
            name: object.name.clone(),
            description: text(&object.description),
            time_window: on(object.time_window_enabled),
            start: text(&object.time_window_start),
            end: text(&object.time_window_end),
            zone: text(&object.time_window_timezone),
            day: object.time_window_days.clone().unwrap_or_default(),
            addresses: on(object.ip_allowlist_enabled),
            range: object.ip_allowlist_cidrs.clone().unwrap_or_default(),
            cap: on(object.rate_cap_enabled),
            per_minute: number(object.max_reads_per_minute),
            per_day: number(object.max_reads_per_day),
            co_sign: on(object.co_sign_enabled),
            co_signer: text(&object.co_sign_machine_id),
            approved_for: object.co_sign_window_seconds.map(|it| it.to_string()).unwrap_or_default(),
            ends: object.ttl_expires_at.map(date).unwrap_or_default(),
            most_reads: number(object.ttl_max_reads),
            rotate_after: number(object.rotate_after_reads),
            ..Self::default()
        }
    }

    /// The project of a new one.
    pub(super) fn project(&self) -> Option<&str> {
        Some(self.project.as_str()).filter(|it| !it.is_empty())
    }

    /// Whether its author wants to know what it would have done.
    pub(super) fn looks_back(&self) -> bool {
        self.act == "past"
    }

    /// The rows of addresses: one more than are filled in, or than there were when one was asked for.
    pub(super) fn rows(&self) -> usize {
        let filled = self.range.iter().rposition(|it| !it.trim().is_empty()).map_or(0, |it| it + 1);
        if self.act == "row" { self.range.len().max(filled) + 1 } else { (filled + 1).max(2) }
    }

    /// What is to be.
    pub(super) fn draft(&self) -> Draft {
        Draft { changes: self.changes(), revision: self.revision.parse().ok() }
    }

    /// What the server's parser is to look at. A field that is left empty takes away what stood there.
    fn changes(&self) -> Result<Changes, FieldError> {
        let days: Vec<&str> = self.day.iter().map(String::as_str).collect();
        let ranges: Vec<&str> = self.filled().map(|(_, it)| it).collect();
        let list = |it: Vec<&str>| if it.is_empty() { Value::Null } else { Value::from(it) };
        Ok(Changes::of([
            ("name", Value::from(self.name.trim())),
            ("description", text(&self.description.replace("\r\n", "\n"))),
            ("timeWindowEnabled", self.time_window.is_some().into()),
            ("timeWindowStart", text(&self.start)),
            ("timeWindowEnd", text(&self.end)),
            ("timeWindowTimezone", text(&self.zone)),
            ("timeWindowDays", list(days)),
            ("ipAllowlistEnabled", self.addresses.is_some().into()),
            ("ipAllowlistCidrs", list(ranges)),
            ("rateCapEnabled", self.cap.is_some().into()),
            ("maxReadsPerMinute", number(&self.per_minute)),
            ("maxReadsPerDay", number(&self.per_day)),
            ("coSignEnabled", self.co_sign.is_some().into()),
            ("coSignMachineId", text(&self.co_signer)),
            ("coSignWindowSeconds", number(&self.approved_for)),
            ("ttlExpiresAt", instant(&self.ends)?),
            ("ttlMaxReads", number(&self.most_reads)),
            ("rotateAfterReads", number(&self.rotate_after)),
        ]))
    }

    /// The ranges that are filled in, each with its row.
    fn filled(&self) -> impl Iterator<Item = (usize, &str)> {
        self.range.iter().map(|it| it.trim()).enumerate().filter(|(_, it)| !it.is_empty())
    }

    /// The row of a range, which the parser counts without the empty ones.
    pub(super) fn row_of(&self, place: usize) -> usize {
        self.filled().nth(place).map_or(0, |(row, _)| row)
    }
}

fn text(typed: &str) -> Value {
    if typed.trim().is_empty() { Value::Null } else { Value::from(typed.trim()) }
}

/// What is no number goes to the parser as it is: that says what may stand there.
fn number(typed: &str) -> Value {
    typed.trim().parse::<u64>().map_or_else(|_| text(typed), Value::from)
}

/// An instant of the browser's own field, in UTC.
fn instant(typed: &str) -> Result<Value, FieldError> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(Value::Null);
    }
    let at = typed.strip_suffix('Z').unwrap_or(typed).replace(' ', "T");
    let at = at.parse::<DateTime>().ok().and_then(|it| TimeZone::UTC.to_timestamp(it).ok());
    let at = at.ok_or_else(|| {
        let typed: String = typed.chars().take(64).collect();
        FieldError::new("ttlExpiresAt", format!("is {typed}, which is no date: write one such as 2027-03-31T18:00"))
    })?;
    Ok(at.as_millisecond().into())
}

fn date(millis: i64) -> String {
    let Ok(at) = Timestamp::from_millisecond(millis) else { return String::new() };
    // To the minute, where it is one.
    let format = if millis % 60_000 == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S%.f" };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::policy::CountedBy;

    use super::*;
    use crate::policy::written;

    fn full() -> PolicyObject {
        PolicyObject {
            name: "office".into(),
            description: Some("two\nlines".into()),
            time_window_enabled: true,
            time_window_start: Some("08:00".into()),
            time_window_end: Some("18:30".into()),
            time_window_timezone: Some("Europe/Oslo".into()),
            time_window_days: Some(vec!["mon".into(), "fri".into()]),
            ip_allowlist_enabled: true,
            ip_allowlist_cidrs: Some(vec!["10.0.0.0/8".into(), "fd00::/8".into()]),
            rate_cap_enabled: true,
            max_reads_per_day: Some(500),
            max_reads_per_minute: Some(30),
            co_sign_enabled: false,
            co_sign_machine_id: Some("6f1c2b3a-0000-4000-8000-000000000001".into()),
            co_sign_window_seconds: Some(3600),
            ttl_expires_at: Some(1_806_451_200_000),
            ttl_max_reads: Some(1000),
            rotate_after_reads: Some(50),
        }
    }

    #[test]
    fn a_form_that_nobody_changes_says_what_the_policy_said() {
        for object in [full(), PolicyObject { name: "bare".into(), ttl_max_reads: Some(1), ..PolicyObject::default() }]
        {
            let said = PolicyForm::of(&object).draft().changes.unwrap().onto(&object).unwrap();
            assert_eq!(said, object);
            assert_eq!(PolicyForm::of(&said), PolicyForm::of(&object));
        }
        let odd = PolicyObject { ttl_expires_at: Some(1_806_451_200_123), ..full() };
        assert_eq!(PolicyForm::of(&odd).ends, "2027-03-31T00:00:00.123");
        assert_eq!(PolicyForm::of(&odd).draft().changes.unwrap().onto(&odd).unwrap(), odd);
    }

    #[test]
    fn what_is_emptied_is_taken_away() {
        let emptied = PolicyForm { name: "office".into(), most_reads: "3".into(), ..PolicyForm::default() };
        let said = emptied.draft().changes.unwrap().onto(&full()).unwrap();
        assert_eq!(said, PolicyObject { name: "office".into(), ttl_max_reads: Some(3), ..PolicyObject::default() });
    }

    #[test]
    fn what_is_no_number_and_no_date_is_told_of_its_field() {
        let typed = PolicyForm { per_minute: "many".into(), ..PolicyForm::of(&full()) };
        let error = typed.draft().changes.unwrap().check().unwrap_err();
        assert_eq!(error.field, "maxReadsPerMinute");
        let typed = PolicyForm { ends: "tomorrow".into(), ..PolicyForm::of(&full()) };
        let error = typed.draft().changes.unwrap_err();
        assert_eq!(error.to_string(), "ttlExpiresAt is tomorrow, which is no date: write one such as 2027-03-31T18:00");
        for ends in ["2027-03-31T00:00", "2027-03-31 00:00", "2027-03-31T00:00:00Z", " 2027-03-31T00:00:00.000 "] {
            let said = PolicyForm { ends: ends.into(), ..PolicyForm::of(&full()) }.draft().changes.unwrap();
            assert_eq!(said.onto(&full()).unwrap(), full(), "{ends}");
        }
    }

    #[test]
    fn rows_that_are_left_empty_count_for_nothing_and_an_error_finds_its_row() {
        let range = vec![String::new(), "10.0.0.0/8".into(), " ".into(), "nonsense".into(), String::new()];
        let typed = PolicyForm { addresses: Some("on".into()), range, name: "a".into(), ..PolicyForm::default() };
        let object = typed.draft().changes.unwrap().onto(&PolicyObject::default()).unwrap();
        let error = written::document(&object, CountedBy::Machine, |_| unreachable!()).unwrap_err();
        assert_eq!(error.field, "ipAllowlistCidrs[1]");
        assert_eq!(typed.row_of(1), 3);
        assert_eq!(typed.rows(), 5);
        assert_eq!(PolicyForm { act: "row".into(), ..typed }.rows(), 6);
        assert_eq!(PolicyForm::default().rows(), 2);
    }
}
