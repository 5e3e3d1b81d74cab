//! The server as a whole: real database, real signatures, every route.

#![expect(unreachable_pub, reason = "a test binary has no outside")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of it is tests, also what is not in a test function"
)]

mod canary;
mod crash;
mod durability;
mod edge;
mod fixture;
mod http2;
mod limits;
mod overload;
mod process;
mod reads;
mod refusals;
mod replay;
mod slow_clients;
mod sync;
mod tampering;
mod tls;
