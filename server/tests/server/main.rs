//! The server as a whole: real database, real signatures, every route.

#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod canary;
mod crash;
mod durability;
mod fixture;
mod reads;
mod refusals;
mod replay;
mod sync;
mod tampering;
