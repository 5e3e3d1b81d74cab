//! The server as a whole: real database, real signatures, every route.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of it is tests, also what is not in a test function"
)]

mod audit;
mod canary;
mod crash;
mod durability;
mod fixture;
mod limits;
mod outcomes;
mod process;
mod reads;
mod refusals;
mod replay;
mod sync;
mod tampering;
mod tls;
