//! What a program of this workspace is linked of: its bill of materials, and the licence texts that must go with it.
//!
//! [`Linked::gather`] asks cargo what a build of one package for one target links; [`sbom`] and [`notices`] print that. Both are the
//! same bytes for the same checkout and compiler, so they name no time, no directory and no random number.
//!
//! A crate of its own, because a Dockerfile runs it too, and it compiles in seconds.

pub mod linked;
pub mod notices;
pub mod sbom;

pub use linked::{Linked, LinkedError};
