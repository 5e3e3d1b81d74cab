//! The operator's plane: what a cluster's objects mean at this server.
//!
//! An agent speaks for one cluster, which the server bound to it when it logged in; no request names a cluster. Objects
//! are keyed by cluster, namespace, kind and name. Applying is level-based: the same object twice changes nothing the
//! second time, an older generation never replaces a newer one, and a namespace that was made anew inherits nothing
//! without a person's word.

pub mod audit;
pub mod bootstrap;
pub mod delete;
pub mod explain;
pub mod grant;
pub mod inventory;
pub mod login;
pub mod machine;
pub mod pods;
pub mod policy;
mod project;
pub mod rewind;
mod scope;
mod sealed;
pub mod secret;
pub(crate) mod standing;
pub mod voucher;

#[cfg(test)]
mod tests;
