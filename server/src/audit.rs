//! The audit: what happened, in an order that cannot be changed afterwards.

pub mod chain;
pub mod entry;
pub mod verify;
