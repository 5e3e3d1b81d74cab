//! "Exactly one of": the wire form is a struct of options (a person writes three lines fewer than with a discriminator,
//! and the message is ours); the parsed form is an enum.

use thiserror::Error;

/// A choice of which not exactly one member is given.
///
/// The API server refuses such an object by a rule of the schema, so this is met only where an object did not pass it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: give exactly one of {}", members.join(", "))]
pub struct NotExactlyOne {
    /// Where the choice stands, for example `spec.source`.
    pub path: &'static str,
    /// The members to choose from.
    pub members: &'static [&'static str],
}

/// The one member that is given.
pub(crate) fn exactly_one<T, const N: usize>(
    path: &'static str,
    members: &'static [&'static str; N],
    given: [Option<T>; N],
) -> Result<T, NotExactlyOne> {
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(NotExactlyOne { path, members }),
    }
}
