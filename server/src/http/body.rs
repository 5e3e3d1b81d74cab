//! Receiving bodies: bounded in size and in time, and all of them together in memory.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::refusal::{Refusal, RefusalKind};

/// How long a client may take to send its body.
const BODY_TIME: Duration = Duration::from_secs(20);
/// Bytes that all bodies together may take while they are received and looked at.
const TOGETHER: usize = 64 * 1024 * 1024;
/// Bodies up to this size ask for no part of it: whoever sends large ones slowly must not keep others from asking for a
/// secret. Connections bound them.
const SMALL: usize = 1024;

/// The memory that bodies may take. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Semaphore>);

impl Default for Memory {
    fn default() -> Self {
        Self::of(TOGETHER)
    }
}

/// A body that was received.
#[derive(Default)]
pub struct Received {
    bytes: Bytes,
    _places: Option<OwnedSemaphorePermit>,
}

impl Deref for Received {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Receives a body of at most `limit` bytes. The headers go: a client that sends its body slowly must not have the
    /// server keep kilobytes of headers for it meanwhile.
    pub async fn receive(&self, headers: HeaderMap, body: Body, limit: usize) -> Result<Received, Refusal> {
        let too_large = || Refusal::new(RefusalKind::Invalid, format!("the body is larger than {} KiB", limit / 1024));
        let announced = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
        drop(headers);
        if announced.is_some_and(|length: usize| length > limit) {
            return Err(too_large());
        }
        if body.is_end_stream() {
            return Ok(Received::default());
        }
        match timeout(BODY_TIME, self.collect(Limited::new(body, limit))).await {
            Ok(Err(Broken::TooLarge)) => Err(too_large()),
            Ok(Err(Broken::Cut)) => Err(Refusal::new(RefusalKind::Invalid, "the body could not be read")),
            Ok(Err(Broken::NoPlace)) => {
                let text = "the server receives as many large bodies as it can: try again in a moment";
                Err(Refusal::new(RefusalKind::Unavailable, text).retry_after(1))
            }
            Ok(Ok(received)) => Ok(received),
            Err(_) => Err(Refusal::new(RefusalKind::Invalid, "the body took too long to arrive")),
        }
    }

    /// Takes places as the bytes come, not as they are announced: who only announces holds nothing.
    async fn collect(&self, mut body: Limited<Body>) -> Result<Received, Broken> {
        let mut places: Option<OwnedSemaphorePermit> = None;
        let (mut first, mut bytes) = (Bytes::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| Broken::of(&*error))?.into_data() else { continue };
            let size = first.len() + bytes.len() + data.len();
            let held = places.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            if size > SMALL && size > held {
                let more = u32::try_from(size - held).map_err(|_| Broken::TooLarge)?;
                let more = Arc::clone(&self.0).try_acquire_many_owned(more).map_err(|_| Broken::NoPlace)?;
                match &mut places {
                    Some(places) => places.merge(more),
                    None => places = Some(more),
                }
            }
            if size == data.len() {
                // Most bodies come in one piece, which is taken as it is.
                first = data;
            } else {
                bytes.extend_from_slice(&std::mem::take(&mut first));
                bytes.extend_from_slice(&data);
            }
        }
        let bytes = if bytes.is_empty() { first } else { bytes.into() };
        Ok(Received { bytes, _places: places })
    }
}

enum Broken {
    TooLarge,
    Cut,
    NoPlace,
}

impl Broken {
    fn of(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if error.is::<LengthLimitError>() { Self::TooLarge } else { Self::Cut }
    }
}

#[cfg(test)]
mod tests;
