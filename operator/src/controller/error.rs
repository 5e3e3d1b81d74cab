//! What can fail in a pass over an object. A server that is away or refuses is no error: it is part of the plan.

use std::time::Duration;

use sikkerkey_crds::reason::Reason;

use crate::index::references::Target;
use crate::server::Retry;

/// The API server could not be told, or nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status.
    #[error("write the status of {}", .0.key)]
    WriteStatus(Target, #[source] kube::Error),
    /// Our finalizer.
    #[error("add the finalizer to {}", .0.key)]
    AddFinalizer(Target, #[source] kube::Error),
    /// Our finalizer.
    #[error("remove the finalizer from {}", .0.key)]
    RemoveFinalizer(Target, #[source] kube::Error),
    /// The core Secret that a value is taken from.
    #[error("read the Kubernetes Secret of {}", .0.key)]
    ReadOriginal(Target, #[source] kube::Error),
    /// All of it.
    #[error("the pass over {} has not ended after {:?}", .0.key, .1)]
    TooLong(Target, Duration),
}

impl Error {
    /// The reason as conditions would give it: seen from outside, nobody has looked at the object yet.
    pub fn reason(&self) -> Reason {
        Reason::Pending
    }

    /// The object it is about.
    pub fn related(&self) -> &Target {
        match self {
            Self::WriteStatus(target, _)
            | Self::AddFinalizer(target, _)
            | Self::RemoveFinalizer(target, _)
            | Self::ReadOriginal(target, _)
            | Self::TooLong(target, _) => target,
        }
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            // Gone: the watch says so too, and there is nothing left to do.
            Self::WriteStatus(_, kube::Error::Api(status))
            | Self::AddFinalizer(_, kube::Error::Api(status))
            | Self::RemoveFinalizer(_, kube::Error::Api(status))
                if status.code == 404 =>
            {
                Retry::Never
            }
            _ => Retry::BackOff,
        }
    }
}
