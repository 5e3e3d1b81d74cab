//! Web servers that are told what happens in a vault.
//!
//! The audit is the outbox. A webhook has a position in it ([`crate::model::webhook::Progress`]), and the [`courier`] walks
//! from there: so nothing is written for a webhook when something happens, nothing that happened is forgotten when the
//! server is killed, and what it had sent and not noted is sent again, under the same id.
//!
//! * One delivery of a webhook is under way at a time, in the order of the audit; webhooks do not wait for each other.
//! * What fails is tried again, ever more seldom, and in the end the webhook is switched off, which is a row in the audit.
//! * Rows that a webhook was not told of before they were archived, or that a person lets it leave out, are told of by a row.
//! * Several servers on one database: whoever has the lease of a webhook tells it.
//! * People choose where deliveries go, and the server may stand where people may not reach: see [`address`].
//! * A delivery leaves no row, so none leads to another.

pub mod address;
pub mod courier;
pub mod endpoint;
pub mod event;
pub mod sender;
