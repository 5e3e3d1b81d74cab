//! Progress, said to whoever waits.

use std::fmt;
use std::sync::Arc;

type Sink = dyn Fn(Level, &str) + Send + Sync;

/// Takes lines of progress. Cheap to clone.
#[derive(Clone)]
pub struct Report {
    sink: Arc<Sink>,
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everybody who waits wants to see it.
    Line,
    /// Only who looks closely wants to see it.
    Detail,
}

impl Report {
    /// Hands each line to a function.
    pub fn new(sink: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        Self { sink: Arc::new(sink) }
    }

    /// Drops all lines.
    pub fn silent() -> Self {
        Self::new(|_, _| {})
    }

    /// Reports a step.
    pub fn line(&self, text: &str) {
        (self.sink)(Level::Line, text);
    }

    /// Reports a detail.
    pub fn detail(&self, text: &str) {
        (self.sink)(Level::Detail, text);
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Report")
    }
}
