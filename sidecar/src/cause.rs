//! An error together with what caused it.

use std::error::Error;

/// The error and its causes, from the outside in, on one line.
pub fn in_full(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the hand is open")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("the cup fell")]
    struct Outer(#[source] Inner);

    #[test]
    fn the_causes_follow_the_error() {
        assert_eq!(in_full(&Outer(Inner)), "the cup fell: the hand is open");
    }
}
