//! The sidecar against a peer that speaks the protocol over real TLS and verifies every proof and signature.

#[cfg(test)]
mod away;
#[cfg(test)]
mod closed;
#[cfg(test)]
mod co_sign;
#[cfg(test)]
mod co_sign_wait;
#[cfg(test)]
mod files;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod init;
#[cfg(test)]
mod looking;
#[cfg(test)]
mod names;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod pod;
#[cfg(test)]
mod process;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod signals;
#[cfg(test)]
#[path = "../../files/tests/reference/skipped.rs"]
mod skipped;
