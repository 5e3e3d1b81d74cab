//! Waiting for a condition, with a bound and with words for what did not happen.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(25);

/// A condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s in vain for {what}; seen last: {last}", .bound.as_secs_f32())]
pub struct NeverHappened {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub bound: Duration,
    /// Why the condition was not true when it was looked at last.
    pub last: String,
}

/// Looks at a condition until it answers `Ok`, and hands on its value. Its `Err` says what is still missing, and the error repeats the
/// last one. A single look that hangs is bounded too.
pub async fn wait_for<T, E: Display>(
    what: &str,
    bound: Duration,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, NeverHappened> {
    let end = Instant::now() + bound;
    let mut last = "no answer yet".to_owned();
    loop {
        match tokio::time::timeout_at(end, condition()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(missing)) => last = missing.to_string(),
            Err(_) => return Err(NeverHappened { what: what.to_owned(), bound, last }),
        }
        if Instant::now() + INTERVAL > end {
            return Err(NeverHappened { what: what.to_owned(), bound, last });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_of_the_first_success_is_handed_on() {
        let mut looks = 0;
        let value = wait_for("three looks", Duration::from_secs(5), async || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("not yet") }
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn the_error_says_what_was_missing_even_when_a_look_hangs() {
        let mut first = true;
        let never = wait_for("godot", Duration::from_millis(80), async || {
            if !std::mem::take(&mut first) {
                std::future::pending::<()>().await;
            }
            Err::<(), _>("he is on his way")
        });
        assert_eq!(
            never.await.unwrap_err().to_string(),
            "waited 0.08 s in vain for godot; seen last: he is on his way"
        );
    }
}
