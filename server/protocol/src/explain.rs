//! Whether a machine may read a secret now, rule by rule.

use serde::{Deserialize, Serialize};

use crate::denial::DenialReason;

/// May this machine read this secret now, and if not, which rule says so, and what would change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Who reads, for a person.
    pub machine: String,
    /// What, for a person.
    pub secret: String,
    /// From which address it was assumed to ask.
    pub address: String,
    /// For which instant, in Unix milliseconds.
    pub at: i64,
    /// Whether it may.
    pub allowed: bool,
    /// Every rule, in the order in which a read meets them. The first that denies is the one a read is told.
    pub rules: Vec<ExplainedRule>,
    /// The first instant at which time alone gives another answer, in Unix milliseconds. Absent: none within sight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_at: Option<i64>,
}

/// How one rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExplainedRule {
    /// Which.
    pub rule: Rule,
    /// What it says.
    pub says: RuleSays,
    /// Of one that denies: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DenialReason>,
    /// For a person; of one that denies, with what would change it.
    pub message: String,
    /// Of one that denies: when another answer may be had, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RuleSays {
    /// Nothing stands against the read.
    Allows,
    /// No read.
    Denies,
    /// It asks for nothing.
    Off,
}

/// The rules, in the order in which a read meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Rule {
    /// The account that owns the vault is in good standing, and the machine approved, enabled and not expired.
    Machine,
    /// The project is not frozen.
    Project,
    /// A live grant of the pair.
    Grant,
    /// There is a value that may be read.
    Value,
    /// The policy that the secret names is in force.
    Policy,
    /// The policy's end has not come.
    #[serde(rename = "TTL")]
    Ttl,
    /// The policy's window is open.
    TimeWindow,
    /// The address is in the policy's ranges.
    #[serde(rename = "IPAllowlist")]
    IpAllowlist,
    /// The policy's caps are not reached.
    RateCap,
    /// The policy's co-signer has approved.
    CoSign,
    /// How near the next rotation by reads is. Denies nothing.
    RotateAfterReads,
}

impl Rule {
    /// The name that stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "Machine",
            Self::Project => "Project",
            Self::Grant => "Grant",
            Self::Value => "Value",
            Self::Policy => "Policy",
            Self::Ttl => "TTL",
            Self::TimeWindow => "TimeWindow",
            Self::IpAllowlist => "IPAllowlist",
            Self::RateCap => "RateCap",
            Self::CoSign => "CoSign",
            Self::RotateAfterReads => "RotateAfterReads",
        }
    }
}
