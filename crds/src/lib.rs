//! The four kinds of `sikkerkey.com/v1alpha1`: [`machine::Machine`], [`secret::Secret`], [`grant::Grant`] and
//! [`access_policy::AccessPolicy`], and the YAML that tells an API server about them. Beside them [`question::Question`], which
//! is asked and never stored.
//!
//! # The way of one object through this crate
//!
//! 1. The API server checks an object against the schema of [`crd::crds`]. That schema is generated from the Rust
//!    types (doc comments become what `kubectl explain` prints) and finished in [`schema`].
//! 2. It **keeps** keys that the schema does not know, and explicit nulls, everywhere under `spec`. An ordinary schema
//!    drops both before any admission check runs, so `ipAllowList:` instead of `ipAllowlist:` would silently leave a
//!    policy without its restriction. Three places refuse what was kept: the policies of [`admission`] inside the API
//!    server, the webhook, and the operator, the last two by [`unknown::unknown_and_null`].
//! 3. Whoever reads objects reads them as [`received::Received`], which carries what the typed form cannot hold.
//! 4. The wire structs are structs of options. Parsed views turn them into enums at the edge:
//!    [`machine::MachineSpec::subject`], [`secret::SecretSource::origin`], [`machine::OnChange::notice`],
//!    [`machine::DeliveryFile::content`]. Accessors such as [`machine::Delivery::mount_path`] apply the defaults.
//!
//! # Invariants
//!
//! * Nothing is written back to `spec`: no schema default under it, no mutation. What an absent field means stands in
//!   [`defaults`] and never changes inside an API version.
//! * Every string and every list has an upper bound, every list a merge type, every optional field accepts null (so
//!   that it can be refused with a reason).
//! * `status` begins as `Ready=Unknown/Pending`, so that tools that wait for readiness do not take an untouched object
//!   for a finished one.
//! * Conditions and reasons are API: names are added, never removed ([`reason::Reason`]).
//!
//! # Failure modes
//!
//! An object that does not parse (a newer enum value after a rollback) makes a whole typed list fail: watch
//! `kube::core::DeserializeGuard<Received<K>>`, never a bare kind.
//!
//! Two kinds are called Secret. Import [`secret`] as a module and write `secret::Secret`.

pub mod access_policy;
pub mod admission;
pub mod choice;
pub mod clock_time;
pub mod condition;
pub mod crd;
pub mod defaults;
pub mod duration;
pub mod file_mode;
pub mod grant;
pub mod json_schema;
pub mod machine;
pub mod names;
pub mod question;
pub mod reason;
pub mod received;
pub mod reference;
pub mod schema;
pub mod secret;
mod shape;
pub mod size;
pub mod unknown;
pub mod word;

/// An instant, as Kubernetes writes it (RFC 3339).
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
