//! Who did what, in rows that nobody can change unseen.
//!
//! Rows are chained with a key that follows from the root key ([`chain`]). The server signs, now and then, where the
//! chain ends ([`checkpoint`]); a copy of that which is kept elsewhere ([`anchor`](crate::anchor)) tells a chain that
//! was cut off or put back. What is exported carries a signed statement ([`export`]), so that whoever has no key of the
//! server can check it.

pub mod anchored;
pub mod chain;
pub mod checkpoint;
pub mod digest;
pub mod entry;
pub mod export;
pub mod lines;
pub mod report;
pub mod signed;
pub mod verify;
pub mod view;
pub mod words;
