//! What the harness and a keeper say to each other: one JSON object a line, requests on its stdin, events on its stdout.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::claim::Kind;

/// What the harness asks of a keeper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    Spawn { id: u64, spawn: Spawn },
    Signal { id: u64, signal: i32 },
    Stop,
}

/// What a keeper reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Event {
    Ready(Ready),
    Failed { reason: String },
    Spawned { id: u64, pid: i32 },
    Refused { id: u64, reason: String },
    Exited { id: u64, exit: Exit },
    Stopped { leftovers: Vec<String> },
}

/// The number and directory that a keeper claimed; a node's init has none of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) kind: Kind,
    pub(crate) number: u8,
    pub(crate) directory: PathBuf,
}

/// A program to run. It gets exactly this environment and a fixed `PATH`: a run must not depend on the caller's proxies and settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spawn {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Receives stdout and stderr, appended.
    pub(crate) log: PathBuf,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// Its keeper ended, and so did it.
    WithKeeper,
}

impl Exit {
    /// Whether it ended with code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal(signal) => write!(out, "signal {signal}"),
            Self::WithKeeper => {
                out.write_str("the end of its keeper: the run was taken down from elsewhere, or the keeper was killed")
            }
        }
    }
}
