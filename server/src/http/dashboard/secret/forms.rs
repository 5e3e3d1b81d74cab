//! The forms of the page of a secret, read into what the use cases take. What is wrong is told without what was typed.

use std::collections::BTreeMap;

use serde::Deserialize;
use sikkerkey_protocol::kubernetes::Generator;
use sikkerkey_protocol::management::{
    Charset, NoteSecret, RenameSecret, RollBackSecret, RotateSecret, UpdateSchedule, UpdateSecret,
};
use sikkerkey_protocol::secret_text::SecretText;

use crate::refusal::{Refusal, invalid};
use crate::usecase::management::policy::Choice;
use crate::usecase::management::schedule::PutSchedule;

/// A value as it was typed: browsers send lines with a carriage return before each line feed.
pub(super) fn typed(text: &SecretText) -> SecretText {
    SecretText::new(text.expose().replace("\r\n", "\n"))
}

/// A number from a field that may be left empty.
pub(super) fn number<N: std::str::FromStr>(text: &str, what: &str) -> Result<Option<N>, Refusal> {
    match text.trim() {
        "" => Ok(None),
        it => it.parse().map(Some).map_err(|_| invalid(format!("{what} is a whole number, such as 32"))),
    }
}

/// Another value.
#[derive(Deserialize)]
pub(super) struct ValueForm {
    value: SecretText,
}

impl ValueForm {
    pub(super) fn parse(self) -> Result<UpdateSecret, Refusal> {
        if self.value.expose().is_empty() {
            return Err(invalid("there is no value: type one, or let the server generate it"));
        }
        Ok(UpdateSecret { value: typed(&self.value) })
    }
}

/// Other texts in some fields.
#[derive(Deserialize)]
pub(super) struct FieldsForm {
    #[serde(default)]
    field: Vec<String>,
    #[serde(default)]
    text: Vec<SecretText>,
}

impl FieldsForm {
    /// What is left empty keeps its text.
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<BTreeMap<String, SecretText>, Refusal> {
        let pairs = self.field.into_iter().zip(&self.text).filter(|(_, text)| !text.expose().is_empty());
        Ok(pairs.map(|(name, text)| (name, typed(text))).collect())
    }
}

/// A random value.
#[derive(Deserialize)]
pub(super) struct RotateForm {
    #[serde(default)]
    length: String,
    #[serde(default)]
    charset: Option<Charset>,
    #[serde(default)]
    field: Vec<String>,
}

impl RotateForm {
    pub(super) fn parse(self) -> Result<RotateSecret, Refusal> {
        let length = number(&self.length, "the length")?;
        Ok(RotateSecret { length, charset: self.charset, fields: Some(self.field) })
    }
}

/// An earlier version.
#[derive(Deserialize)]
pub(super) struct RollBackForm {
    version: u64,
}

impl RollBackForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<RollBackSecret, Refusal> {
        Ok(RollBackSecret { version: self.version })
    }
}

/// How often a new value is made.
#[derive(Deserialize)]
pub(super) struct ScheduleForm {
    every: String,
    unit: Unit,
    #[serde(default)]
    length: String,
    #[serde(default)]
    charset: Option<Charset>,
    #[serde(default)]
    field: Vec<String>,
}

/// In what a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    Minutes,
    Hours,
    Days,
}

impl Unit {
    /// Every unit, with its name.
    pub(super) const ALL: [(Self, &'static str); 3] =
        [(Self::Minutes, "minutes"), (Self::Hours, "hours"), (Self::Days, "days")];

    pub(super) fn seconds(self) -> u64 {
        match self {
            Self::Minutes => 60,
            Self::Hours => 3600,
            Self::Days => 24 * 3600,
        }
    }
}

impl ScheduleForm {
    pub(super) fn parse(self) -> Result<PutSchedule, Refusal> {
        let every: u64 = number(&self.every, "how often")?.ok_or_else(|| invalid("say how often: every 7 days"))?;
        let generator = generator(&self.length, self.charset)?;
        let interval_seconds = every.saturating_mul(self.unit.seconds());
        Ok(PutSchedule { interval_seconds, generator, fields: self.field })
    }
}

/// How a text is made; what is left out is as usual.
pub(super) fn generator(length: &str, charset: Option<Charset>) -> Result<Generator, Refusal> {
    let length = number(length, "the length")?.unwrap_or(32);
    Ok(Generator { length, charset: charset.unwrap_or(Charset::Symbols).into() })
}

/// A schedule that is switched off, or on again.
#[derive(Deserialize)]
pub(super) struct PauseForm {
    enabled: bool,
}

impl PauseForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<UpdateSchedule, Refusal> {
        Ok(UpdateSchedule { enabled: Some(self.enabled), ..UpdateSchedule::default() })
    }
}

/// Another name.
#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

impl NameForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<RenameSecret, Refusal> {
        Ok(RenameSecret { name: self.name.trim().to_owned() })
    }
}

/// Another note.
#[derive(Deserialize)]
pub(super) struct NoteForm {
    #[serde(default)]
    note: String,
}

impl NoteForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<NoteSecret, Refusal> {
        Ok(NoteSecret { note: self.note.replace("\r\n", "\n") })
    }
}

/// Another policy, or none, which is empty and not left out: a browser leaves out what is shown and cannot be chosen. And
/// the one that the page showed.
#[derive(Deserialize)]
pub(super) struct PolicyForm {
    policy: String,
    #[serde(default)]
    was: String,
}

impl PolicyForm {
    #[expect(clippy::unnecessary_wraps, reason = "other forms can be refused")]
    pub(super) fn parse(self) -> Result<Choice, Refusal> {
        let given = |it: String| Some(it).filter(|it| !it.is_empty());
        Ok(Choice { policy: given(self.policy), was: given(self.was) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_html_form::from_str(text).unwrap()
    }

    #[test]
    fn a_value_of_several_lines_has_the_lines_that_were_typed() {
        let value = form::<ValueForm>("value=one%0D%0Atwo%0D%0A").parse().unwrap().value;
        assert_eq!(value.expose(), "one\ntwo\n");
        let text = form::<ValueForm>("value=").parse().unwrap_err().message;
        assert_eq!(text, "there is no value: type one, or let the server generate it");
    }

    #[test]
    fn a_field_that_is_left_empty_keeps_its_text() {
        let texts = form::<FieldsForm>("field=user&text=&field=password&text=hunter2").parse().unwrap();
        let given: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.expose())).collect();
        assert_eq!(given, [("password", "hunter2")]);
        assert!(form::<FieldsForm>("").parse().unwrap().is_empty());
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("every=5&unit=minutes", 300), ("every=2&unit=hours", 7200), ("every=7&unit=days", 604_800)]
        {
            let schedule = form::<ScheduleForm>(text).parse().unwrap();
            assert_eq!((schedule.interval_seconds, schedule.generator.length), (seconds, 32));
        }
        let refused = form::<ScheduleForm>("every=often&unit=days").parse().unwrap_err().message;
        assert_eq!(refused, "how often is a whole number, such as 32");
        let refused = form::<ScheduleForm>("every=&unit=days").parse().unwrap_err().message;
        assert_eq!(refused, "say how often: every 7 days");
    }

    #[test]
    fn what_is_left_out_of_a_rotation_is_as_usual() {
        let rotate = form::<RotateForm>("length=&charset=numbers&field=a&field=b").parse().unwrap();
        assert_eq!((rotate.length, rotate.charset), (None, Some(Charset::Numbers)));
        assert_eq!(rotate.fields.unwrap(), ["a", "b"]);
        let refused = form::<RotateForm>("length=x").parse().unwrap_err().message;
        assert_eq!(refused, "the length is a whole number, such as 32");
    }

    #[test]
    fn no_policy_is_none_and_nothing_chosen_is_no_choice() {
        let none = Choice { policy: None, was: None };
        assert_eq!(form::<PolicyForm>("policy=&was=").parse().unwrap(), none);
        let one = Choice { policy: Some("p1".into()), was: Some("office".into()) };
        assert_eq!(form::<PolicyForm>("policy=p1&was=office").parse().unwrap(), one);
        assert!(serde_html_form::from_str::<PolicyForm>("was=office").is_err());
    }
}
