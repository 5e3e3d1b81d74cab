//! What the operator manages: shown and not changed here, so that the dashboard and Git never fight.

use maud::{Markup, html};

use super::element::copyable;

/// The word beside a name in a list. `object` is as it stands in answers: `Machine shop/web of cluster prod`.
pub(super) fn mark(object: &str) -> Markup {
    html! { span.pill.plain title={ "Managed by " (object) } { "Kubernetes" } }
}

/// What stands on the page of one thing: which object speaks for it, and the manifest to edit there.
pub(super) fn notice(object: &str, manifest: &str) -> Markup {
    html! {
        section.card {
            h2 { "Managed by Kubernetes" }
            p { "This is what " strong { (object) } " says. Change it there: what is changed by hand would be taken back." }
            (copyable("manifest", manifest))
        }
    }
}
