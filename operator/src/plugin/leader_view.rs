//! How the operator stands, by its Lease. Pure.

use std::fmt;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::leader::{ServerView, server_view};
use crate::plugin::cluster::Unreadable;
use crate::plugin::table;

/// After how many seconds without a renewal nobody is believed to lead. Renewals come every few seconds; the rest is for
/// clocks that differ.
const SILENT: i64 = 60;

/// How the operator stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub(super) enum LeaderView {
    /// A replica leads.
    Leads {
        /// Its pod and that pod's uid.
        holder: String,
        /// Whether the server answers it.
        server: ServerView,
    },
    /// The last leader has said nothing for a while.
    Silent {
        /// Its last sign of life.
        since: Timestamp,
        /// How long ago that was.
        ago: String,
    },
    /// The last leader has stepped down, and no other has begun.
    Nobody,
    /// None has ever led.
    Never {
        /// Where it was looked for.
        namespace: String,
    },
    /// The person may not look.
    NotAllowed {
        /// Where it was looked for.
        namespace: String,
    },
}

impl LeaderView {
    pub(super) fn of(lease: Result<Option<Lease>, Unreadable>, namespace: &str, now: Timestamp) -> Self {
        let namespace = namespace.to_owned();
        let lease = match lease {
            Ok(Some(lease)) => lease,
            Ok(None) => return Self::Never { namespace },
            Err(Unreadable) => return Self::NotAllowed { namespace },
        };
        let server = server_view(&lease);
        let spec = lease.spec.unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        match (holder, spec.renew_time) {
            (Some(holder), Some(renewed)) if now.as_second() - renewed.0.as_second() <= SILENT => {
                Self::Leads { holder, server }
            }
            (Some(_), Some(renewed)) => Self::Silent { since: renewed.0, ago: table::age(renewed.0, now) },
            _ => Self::Nobody,
        }
    }

    /// Whether an operator may be at work.
    pub(super) fn may_work(&self) -> bool {
        matches!(self, Self::Leads { .. } | Self::NotAllowed { .. })
    }

    /// Whether changes wait because of it.
    pub(super) fn is_trouble(&self) -> bool {
        match self {
            Self::Leads { server, .. } => *server == ServerView::Away,
            Self::Silent { .. } | Self::Nobody | Self::Never { .. } => true,
            Self::NotAllowed { .. } => false,
        }
    }
}

impl fmt::Display for LeaderView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leads { holder, server } => {
                write!(f, "{} leads", table::printable(holder))?;
                f.write_str(match server {
                    ServerView::Answers => ", and the server answers it",
                    ServerView::Away => ", and the server is away or sealed: changes wait, what is in force goes on",
                    ServerView::Untold => "",
                })
            }
            Self::Silent { ago, .. } => write!(f, "none leads: the last sign of one is {ago} old. Changes wait"),
            Self::Nobody => f.write_str("none leads: the last one has stopped. Changes wait"),
            Self::Never { namespace } => {
                write!(f, "none has ever led in namespace {namespace}: --operator-namespace names another")
            }
            Self::NotAllowed { namespace } => write!(f, "unknown: you may not get its Lease in namespace {namespace}"),
        }
    }
}
