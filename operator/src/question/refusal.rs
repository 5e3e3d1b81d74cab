//! Why a question is not answered, and what to do.

use super::rights::Right;
use crate::server::ServerError;

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would be stored.
    #[error("a Question is never stored: ask with --dry-run=server, as kubectl sikkerkey explain does")]
    Stored,
    /// The API server does not say who asks.
    #[error("the API server does not say who asks")]
    Nobody,
    /// The person asks too often, or all together do.
    #[error("too many questions were asked: wait some seconds, and ask again")]
    TooMany,
    /// Too many at once.
    #[error("the operator answers other questions: ask again")]
    Busy,
    /// This replica does not know the cluster yet.
    #[error("the operator has just started and does not know the cluster yet: ask again in some seconds")]
    NotReady,
    /// Not a question.
    #[error("{0}")]
    NoQuestion(String),
    /// The person may not see an object.
    #[error("you may not {verb} {object}: ask for the verb {verb} on {plural}.sikkerkey.com in namespace {namespace}", verb = .0.verb, object = .0.object(), plural = .0.plural, namespace = .0.namespace)]
    NotAllowed(Right),
    /// There is no such object, or another one of that name. One text: whoever may not see it learns nothing.
    #[error("{0} is not there, or is another one than was asked about: look at it again, and ask again")]
    Another(String),
    /// Nobody tells whether the person may.
    #[error("the API server does not tell the operator what you may see: ask again")]
    ApiServerAway,
    /// The server does not answer in time.
    #[error("the server does not answer in time: ask again, and look at kubectl sikkerkey status")]
    ServerSlow,
    /// The server does not answer, or says no.
    #[error("{}", of_server(.0))]
    Server(ServerError),
    /// The answer is too large.
    #[error("the answer is larger than 32 KiB: ask for less")]
    TooLarge,
}

fn of_server(error: &ServerError) -> String {
    match error {
        ServerError::Refused { status: 400, text, .. } => text.clone(),
        ServerError::Refused { .. } | ServerError::Sealed => error.to_string(),
        ServerError::Unreachable { .. } | ServerError::NoToken(_) => {
            format!("{error}: ask again when it is back; kubectl sikkerkey status tells")
        }
    }
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Stored | Self::Nobody | Self::NotAllowed(_) => 403,
            Self::NoQuestion(_) | Self::TooLarge | Self::Server(ServerError::Refused { status: 400, .. }) => 422,
            Self::Another(_) => 404,
            Self::TooMany => 429,
            Self::Busy | Self::NotReady | Self::ApiServerAway | Self::ServerSlow | Self::Server(_) => 503,
        }
    }

    /// One word, for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Stored => "QuestionStored",
            Self::Nobody => "Unauthenticated",
            Self::TooMany => "TooManyQuestions",
            Self::Busy => "Busy",
            Self::NotReady => "NotReady",
            Self::NoQuestion(_) => "InvalidQuestion",
            Self::NotAllowed(_) => "NotAllowed",
            Self::Another(_) => "NotFound",
            Self::ApiServerAway => "ApiServerUnavailable",
            Self::ServerSlow => "ServerSlow",
            Self::Server(error) => error.reason().as_str(),
            Self::TooLarge => "AnswerTooLarge",
        }
    }
}
