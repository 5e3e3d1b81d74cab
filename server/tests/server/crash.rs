//! The real binary, killed in the middle of its work.
