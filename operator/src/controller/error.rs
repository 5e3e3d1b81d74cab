//! What can fail in a pass over an object. A server that is away or refuses is no error: it is part of the plan.

use sikkerkey_crds::reason::Reason;

use crate::index::references::Target;
use crate::server::Retry;

/// The API server could not be told.
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
}

impl Error {
    /// The reason as conditions would give it: seen from outside, nobody has looked at the object yet.
    pub fn reason(&self) -> Reason {
        Reason::Pending
    }

    /// The object it is about.
    pub fn related(&self) -> &Target {
        self.parts().0
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        let is_about_the_object = !matches!(self, Self::ReadOriginal(..));
        match self.cause() {
            // Gone: the watch says so too, and there is nothing left to do.
            kube::Error::Api(status) if status.code == 404 && is_about_the_object => Retry::Never,
            _ => Retry::BackOff,
        }
    }

    /// The cause, for the log.
    pub fn cause(&self) -> &kube::Error {
        self.parts().1
    }

    fn parts(&self) -> (&Target, &kube::Error) {
        match self {
            Self::WriteStatus(target, error)
            | Self::AddFinalizer(target, error)
            | Self::RemoveFinalizer(target, error)
            | Self::ReadOriginal(target, error) => (target, error),
        }
    }
}
