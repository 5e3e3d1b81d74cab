//! The versions of a secret.

use maud::{Markup, html};
use sikkerkey_protocol::management::Scope::SecretsWrite;

use super::super::element::{Called, data_table, time};
use super::super::visit::Visit;
use super::list::origin_name;
use crate::usecase::management::secret::dossier::{Dossier, ValueFrom};

/// The versions that are kept, each with the button that makes it the next one.
pub(super) fn table(visit: &Visit, it: &Dossier) -> Markup {
    let versions = &it.versions.versions;
    let is_scheduled = it.schedule.as_ref().is_some_and(|it| it.enabled);
    let is_told_here = matches!(it.value_from, ValueFrom::Here | ValueFrom::External | ValueFrom::Taken);
    let may_roll_back = visit.may(SecretsWrite) && is_told_here && it.canary.is_none() && !is_scheduled;
    let action = visit.href(&format!("secrets/{}/rollback", it.view.id));
    if versions.is_empty() {
        return html! {};
    }
    html! {
        section.card {
            h2 #versions { "Versions" }
            p.quiet {
                "The newest 100 are kept. "
                @if may_roll_back { "A version that is rolled back to becomes the next one; nothing is lost." }
                @else if is_scheduled { "To roll back, pause the schedule first: it would replace what you choose." }
            }
            (data_table(
                Called::By("versions"),
                html! {
                    th.number scope="col" { "Version" } th scope="col" { "Made" } th scope="col" { "Came from" } th scope="col" { "By" }
                    @if may_roll_back { th scope="col" { span.hidden { "Roll back" } } }
                },
                html! {
                    @for version in versions {
                        tr {
                            th.number scope="row" { (version.version) @if version.current { " " span.quiet { "(now)" } } }
                            td { (time(version.created_at)) }
                            td {
                                @match version.origin { Some(origin) => (origin_name(origin)), None => span.quiet { "–" } }
                                @if let Some(number) = version.value_of { " to version " (number) }
                                @if let Some(names) = &version.field_names { " " span.quiet { "(" (names.join(", ")) ")" } }
                            }
                            td { (version.created_by.as_deref().unwrap_or("–")) }
                            @if may_roll_back {
                                td { @if !version.current {
                                    form.inline method="post" action=(action) {
                                        button name="version" value=(version.version) { "Roll back" span.hidden { " to version " (version.version) } }
                                    }
                                } }
                            }
                        }
                    }
                },
            ))
        }
    }
}
