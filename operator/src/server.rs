//! The session with the server: log in, sign, call, and tell what kind of failure it was.

pub mod error;
mod login;
pub mod published_key;
pub mod session;
mod transport;
pub mod url;

pub use error::{Class, Retry, ServerError};
pub use login::Account;
pub use session::Session;
pub(crate) use session::unreadable;
pub use url::{ServerUrl, ServerUrlError};
