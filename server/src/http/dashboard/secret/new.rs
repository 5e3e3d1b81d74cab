//! The form for a new secret.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use sikkerkey_protocol::management::Charset;
use sikkerkey_protocol::management::Scope::{PoliciesWrite, ProjectsWrite};
use sikkerkey_protocol::secret_text::SecretText;

use super::super::element::{address, empty, field};
use super::super::sheet::{Section, Sheet};
use super::super::visit::Visit;
use super::fields;
use super::forms::{generator, typed};
use crate::refusal::{Refusal, invalid};
use crate::usecase::management::canary::SetCanary;
use crate::usecase::management::secret::compose::{Choices, NewSecret, NewValue};
use crate::value::MAX_FIELDS;

/// How many fields the form has at first.
const FIELDS: usize = 4;

/// With what the form begins.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct NewQuery {
    /// The project that is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    /// How many fields there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<usize>,
}

/// The form as it is sent.
#[derive(Deserialize)]
pub(super) struct NewForm {
    project: String,
    name: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    policy: String,
    kind: Kind,
    #[serde(default)]
    value: SecretText,
    #[serde(default)]
    field: Vec<String>,
    #[serde(default)]
    text: Vec<SecretText>,
    #[serde(default)]
    length: String,
    #[serde(default)]
    charset: Option<Charset>,
    #[serde(default)]
    freeze: bool,
    #[serde(default)]
    related: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Generated,
    Fields,
    Canary,
}

impl NewForm {
    pub(super) fn parse(self) -> Result<NewSecret, Refusal> {
        let value = match self.kind {
            Kind::Text if self.value.expose().is_empty() => {
                return Err(invalid("there is no value: type one, or let the server generate it"));
            }
            Kind::Text => NewValue::Text(typed(&self.value)),
            Kind::Generated => NewValue::Made(generator(&self.length, self.charset)?),
            Kind::Fields => NewValue::Fields(named(self.field, &self.text)?, generator(&self.length, self.charset)?),
            Kind::Canary => {
                NewValue::Bait(SetCanary { armed: true, freeze_project: self.freeze, freeze_related: self.related })
            }
        };
        let given = |text: String| Some(text.trim().to_owned()).filter(|it| !it.is_empty());
        Ok(NewSecret {
            project: self.project,
            name: self.name.trim().to_owned(),
            note: given(self.note.replace("\r\n", "\n")),
            policy: given(self.policy),
            value,
        })
    }
}

/// The fields that have a name. What has a text and no name was forgotten; the text is not repeated.
fn named(names: Vec<String>, texts: &[SecretText]) -> Result<Vec<(String, Option<SecretText>)>, Refusal> {
    // Those without a name count as well: the form has no more rows than that.
    if names.len() > MAX_FIELDS {
        return Err(invalid(format!("a secret has at most {MAX_FIELDS} fields: put the others into another secret")));
    }
    let mut fields = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        let text = texts.get(place).filter(|it| !it.expose().is_empty()).map(typed);
        match (name.trim(), text) {
            ("", None) => {}
            ("", Some(_)) => {
                return Err(invalid(format!("field {} has a text and no name: give it one", place + 1)));
            }
            (name, text) => fields.push((name.to_owned(), text)),
        }
    }
    if fields.is_empty() {
        return Err(invalid("there are no fields: give at least one a name, or choose one value"));
    }
    Ok(fields)
}

/// The form.
pub(super) fn page(visit: &Visit, query: &NewQuery, choices: &Choices) -> Sheet {
    let body = if choices.projects.is_empty() {
        let action =
            visit.may(ProjectsWrite).then(|| html! { a.button href=(visit.href("projects")) { "Create a project" } });
        empty(
            "No project takes secrets by hand yet",
            html! { "A secret belongs to a project. Those of a namespace take theirs from Secret objects." },
            action,
        )
    } else {
        form(visit, query, choices)
    };
    Sheet::new(Section::Secrets, "New secret", body)
}

fn form(visit: &Visit, query: &NewQuery, choices: &Choices) -> Markup {
    let rows = query.fields.unwrap_or(FIELDS).clamp(1, MAX_FIELDS);
    html! {
        form.stack method="post" action=(visit.href("secrets")) autocomplete="off" {
            (field("project", "Project", None, fields::project("project", &choices.projects, choices.more_projects, query.project.as_deref(), None)))
            (field("name", "Name", Some("Unique in the project. Machines and people see it: it is no place for a secret."), html! {
                input #name name="name" required maxlength="255" autocomplete="off" aria-describedby="name-help";
            }))
            fieldset.choose {
                legend { "Value" }
                div.option {
                    input #kind-text type="radio" name="kind" value="text" checked; label for="kind-text" { " One value that I type" }
                    div.chosen { (fields::value("value", "value", "The value", Some("At most 12 KiB. It is stored sealed and never shown again."), 4)) }
                }
                div.option {
                    input #kind-generated type="radio" name="kind" value="generated"; label for="kind-generated" { " One value that the server generates" }
                }
                div.option {
                    input #kind-fields type="radio" name="kind" value="fields"; label for="kind-fields" { " Several fields, such as user and password" }
                    div.chosen { (several(visit, query, rows)) }
                }
                @if visit.may(PoliciesWrite) {
                    div.option {
                        input #kind-canary type="radio" name="kind" value="canary"; label for="kind-canary" { " A canary: bait that nobody has a reason to read" }
                        div.chosen {
                            p.help { "Its value means nothing. Whoever reads it raises an alarm." }
                            label for="freeze" { input #freeze type="checkbox" name="freeze" value="true" checked; " A read freezes its project" }
                            br;
                            label for="related" { input #related type="checkbox" name="related" value="true"; " A read freezes the projects that share machines with its own" }
                        }
                    }
                }
            }
            fieldset {
                legend { "Generated texts" }
                (fields::generator("new", None, None))
            }
            @if visit.may(PoliciesWrite) { (policy(choices)) }
            (field("note", "Note", Some("For people. At most 1000 characters, and never a value."), html! {
                textarea #note name="note" rows="2" maxlength="1000" aria-describedby="note-help" {}
            }))
            button.primary { "Create secret" }
        }
    }
}

fn several(visit: &Visit, query: &NewQuery, rows: usize) -> Markup {
    html! {
        p.help { "A field without a text gets a generated one. Names are letters, digits, _ . and -" }
        @for row in 1..=rows {
            div.pair {
                (field(&format!("field-{row}"), &format!("Field {row}"), None, html! {
                    input id={ "field-" (row) } name="field" maxlength="253" autocomplete="off" spellcheck="false";
                }))
                (fields::value(&format!("text-{row}"), "text", "Text", None, 1))
            }
        }
        @if rows < MAX_FIELDS {
            @let more = NewQuery { fields: Some((rows * 4).min(MAX_FIELDS)), ..query.clone() };
            p { a href=(address(visit, "secrets/new", &more)) { "More fields" } " – an empty form with " ((rows * 4).min(MAX_FIELDS)) "." }
        }
    }
}

fn policy(choices: &Choices) -> Markup {
    let input = match &choices.policies {
        None => {
            html! { input #policy name="policy" maxlength="255" autocomplete="off" aria-describedby="policy-help"; }
        }
        Some(policies) => html! {
            select #policy name="policy" aria-describedby="policy-help" {
                option value="" { "None: a grant is enough" }
                @for (project, it) in policies { option value=(it.id) { (project) ": " (it.name) } }
            }
        },
    };
    field(
        "policy",
        "Access policy",
        Some("Of the same project. It says when, from where and how often the secret may be read."),
        input,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NewSecret, Refusal> {
        serde_html_form::from_str::<NewForm>(text).unwrap().parse()
    }

    #[test]
    fn the_kind_says_which_inputs_count() {
        let all =
            "project=p&name=+db+&note=&policy=&value=a%0D%0Ab&field=user&text=u&field=&text=&length=16&charset=numbers";
        let text = parse(&format!("{all}&kind=text")).unwrap();
        assert_eq!((text.name.as_str(), text.note, text.policy), ("db", None, None));
        assert!(matches!(text.value, NewValue::Text(it) if it.expose() == "a\nb"));
        let NewValue::Made(made) = parse(&format!("{all}&kind=generated")).unwrap().value else { panic!() };
        assert_eq!(made.length, 16);
        let NewValue::Fields(fields, _) = parse(&format!("{all}&kind=fields")).unwrap().value else { panic!() };
        assert_eq!((fields.len(), fields[0].0.as_str()), (1, "user"));
        let NewValue::Bait(bait) = parse(&format!("{all}&kind=canary&freeze=true")).unwrap().value else { panic!() };
        assert_eq!(bait, SetCanary { armed: true, freeze_project: true, freeze_related: false });
    }

    #[test]
    fn what_is_missing_is_told_without_what_was_typed() {
        for (text, refused) in [
            ("project=p&name=n&kind=text", "there is no value: type one, or let the server generate it"),
            ("project=p&name=n&kind=fields", "there are no fields: give at least one a name, or choose one value"),
            (
                "project=p&name=n&kind=fields&field=a&text=b&field=&text=hunter2",
                "field 2 has a text and no name: give it one",
            ),
            ("project=p&name=n&kind=generated&length=hunter2", "the length is a whole number, such as 32"),
        ] {
            assert_eq!(parse(text).unwrap_err().message, refused);
        }
    }

    #[test]
    fn a_form_of_more_fields_than_a_secret_has_is_refused() {
        let form = |count: usize| format!("project=p&name=n&kind=fields&length=1024{}", "&field=a".repeat(count));
        let NewValue::Fields(fields, _) = parse(&form(MAX_FIELDS)).unwrap().value else { panic!() };
        assert_eq!(fields.len(), MAX_FIELDS);
        let refused = "a secret has at most 64 fields: put the others into another secret";
        for count in [MAX_FIELDS + 1, 10_000] {
            assert_eq!(parse(&form(count)).unwrap_err().message, refused, "{count}");
        }
    }
}
