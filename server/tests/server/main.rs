//! The server as a whole: real database, real signatures, every route.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all of it is tests, also what is not in a test function"
)]

mod accounts;
mod admin_accounts;
mod allowlist;
mod audit;
mod audit_query;
mod away;
mod backup;
mod browser;
mod by_hand;
mod canary;
mod caps;
mod cli_routes;
mod clocks;
mod co_sign;
mod crash;
mod database;
mod disconnect;
mod disk;
mod durability;
mod earlier;
mod edge;
mod enrolment;
mod envelope;
mod fixture;
mod floods;
mod frozen;
mod http2;
mod limits;
mod management;
mod matrix;
mod nonsense;
mod outcomes;
mod overload;
mod pages;
mod pages_access;
mod pages_audit;
mod pages_machines;
mod pages_policies;
mod pages_secrets;
mod parsers;
mod people;
mod policy_replicas;
mod process;
mod questions;
mod reads;
mod receiver;
mod refusals;
mod replay;
mod replicas;
mod root_key;
mod rotation;
mod saturation;
mod sealed;
mod sealed_values;
mod slow_clients;
mod stopped;
mod suspended;
mod sync;
mod tampering;
mod tls;
mod walk;
mod weapon;
mod webhooks;
mod wire;
