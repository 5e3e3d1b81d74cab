//! What the server does, one operation a file. Nothing here knows HTTP or SQL.

pub mod admin;
mod admit;
pub mod agent_register;
pub mod archive;
pub mod authenticate;
pub(crate) mod author;
pub mod bootstrap;
pub(crate) mod canary;
pub mod co_sign;
pub mod enrol;
pub mod explain;
pub mod export_secrets;
pub(crate) mod fence;
#[cfg(test)]
pub(crate) mod fixture;
pub mod fresh_id;
pub mod housekeeping;
pub mod key_owner;
pub mod kubernetes;
pub mod list_secrets;
pub(crate) mod managed;
pub mod management;
mod new_version;
pub(crate) mod policy;
pub mod poll_secrets;
pub mod read_secret;
pub mod reading;
pub mod register;
pub mod renew;
pub mod resign;
pub(crate) mod rotation;
pub mod sealing_key;
pub mod source;
pub(crate) mod steps;
pub mod sync;
pub mod verify_access;
