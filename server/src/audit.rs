//! The audit: what happened, in an order that cannot be changed afterwards.

pub mod entry;
