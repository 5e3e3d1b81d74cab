//! From where a vault's machines may come.

use serde::{Deserialize, Serialize};

/// A vault's IP allowlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AllowlistView {
    /// Whether it is in force. In force and without an enabled entry it lets nobody in.
    pub enabled: bool,
    /// The entries.
    pub entries: Vec<AllowlistEntry>,
}

/// An entry of a vault's IP allowlist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AllowlistEntry {
    /// Follows from vault and range.
    pub id: String,
    /// The range, which never changes.
    pub cidr: String,
    /// What people call it.
    pub label: String,
    /// Whether it counts.
    pub enabled: bool,
}

/// Adds an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AddAllowlistEntry {
    /// An address, or a range in its shortest form.
    pub cidr: String,
    /// What people call it, at most 255 printable characters.
    #[serde(default)]
    pub label: Option<String>,
}

/// Changes what an entry is called. Its range never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpdateAllowlistEntry {
    /// What people call it.
    pub label: String,
}

/// Which entries to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeleteAllowlistEntries {
    /// Their ids. All are removed, or none if one of them is not there.
    pub entry_ids: Vec<String>,
}

/// A change of the list, done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AllowlistChanged {
    /// The entries that were removed.
    pub entry_ids: Vec<String>,
    /// Whether the list is in force.
    pub enabled: bool,
    /// How many entries count now. In force and none: every machine is kept out.
    pub open_entries: usize,
}
