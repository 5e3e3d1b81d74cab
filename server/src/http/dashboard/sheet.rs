//! What a view makes: a page without what stands around it.

use maud::Markup;

/// A page without what stands around it.
pub(super) struct Sheet {
    /// What it is called, in its heading and in the browser's tab.
    pub title: String,
    /// The part of the dashboard that it belongs to.
    pub section: Section,
    /// Links and buttons beside the heading.
    pub actions: Option<Markup>,
    /// What is below the heading.
    pub body: Markup,
}

impl Sheet {
    /// A page of a section.
    pub(super) fn new(section: Section, title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), section, actions: None, body }
    }

    /// Puts something beside the heading.
    #[must_use]
    pub(super) fn actions(self, actions: Markup) -> Self {
        Self { actions: Some(actions), ..self }
    }
}

/// A part of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Machines, and who is one.
    Machines,
    /// Secrets, and the trash.
    Secrets,
    /// Access policies, and co-signatures.
    Policies,
    /// Projects.
    Projects,
    /// The audit.
    Audit,
    /// What the operator manages.
    Kubernetes,
    /// The person's own account.
    Account,
    /// Outside of all of them.
    Elsewhere,
}

impl Section {
    /// Those of a vault, in the order in which they are listed: the end of the address, the name.
    pub(super) const OF_VAULT: &[(Self, &'static str, &'static str)] = &[
        (Self::Machines, "machines", "Machines"),
        (Self::Secrets, "secrets", "Secrets"),
        (Self::Policies, "policies", "Access policies"),
        (Self::Projects, "projects", "Projects"),
        (Self::Audit, "audit", "Audit"),
        (Self::Kubernetes, "kubernetes", "Kubernetes"),
    ];
}
