//! The headers of a signed request.

use crate::id::MachineId;
use crate::key::Signature;

/// Who signs: a machine's or an agent's UUID.
pub const MACHINE_ID: &str = "x-machine-id";
/// Another spelling of [`MACHINE_ID`] that some documents use for agents; accepted on management routes.
pub const AGENT_ID: &str = "x-agent-id";
/// Unix seconds, decimal.
pub const TIMESTAMP: &str = "x-timestamp";
/// Opaque to the server, used once.
pub const NONCE: &str = "x-nonce";
/// Standard base64 of the 64 signature bytes.
pub const SIGNATURE: &str = "x-signature";

/// How far in the past a timestamp may lie, in seconds.
pub const WINDOW_SECONDS: i64 = 300;
/// How far in the future a timestamp may lie, in seconds.
pub const SKEW_SECONDS: i64 = 60;
/// The longest nonce accepted, in bytes. Official clients send 24 or 32.
pub const MAX_NONCE_LEN: usize = 128;

/// Why the headers are no signed request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header is absent, given twice, or not text.
    #[error("a signed request needs each of X-Machine-Id, X-Timestamp, X-Nonce and X-Signature exactly once")]
    Missing,
    /// The machine id is not a UUID.
    #[error("X-Machine-Id is not a UUID")]
    MachineId,
    /// The timestamp is not plain decimal seconds.
    #[error("X-Timestamp is not a time in Unix seconds")]
    Timestamp,
    /// The nonce is empty, too long, or holds a byte that would make the signed string ambiguous.
    #[error("X-Nonce must be 1 to 128 visible ASCII characters without a colon")]
    Nonce,
    /// The signature is not the base64 of 64 bytes.
    #[error("X-Signature is not the base64 of a 64-byte signature")]
    Signature,
}

/// The four headers, parsed. The texts that were signed are kept as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// Who says to have signed; canonical form. An agent's id has the same form.
    pub machine_id: MachineId,
    /// Unix seconds.
    pub timestamp: i64,
    /// The header's own text.
    pub timestamp_text: String,
    /// The header's own text.
    pub nonce: String,
    /// The signature, not yet verified.
    pub signature: Signature,
}

impl SignedHeaders {
    /// Parses the four texts. `None` stands for a header that is absent or given more than once.
    pub fn parse(
        machine_id: Option<&str>,
        timestamp: Option<&str>,
        nonce: Option<&str>,
        signature: Option<&str>,
    ) -> Result<Self, HeaderError> {
        let (Some(machine_id), Some(timestamp), Some(nonce), Some(signature)) =
            (machine_id, timestamp, nonce, signature)
        else {
            return Err(HeaderError::Missing);
        };
        let machine_id = machine_id.parse().map_err(|_| HeaderError::MachineId)?;
        let digits = (1..=15).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
        let seconds = timestamp.parse().ok().filter(|_| digits).ok_or(HeaderError::Timestamp)?;
        let plain =
            (1..=MAX_NONCE_LEN).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !plain {
            return Err(HeaderError::Nonce);
        }
        Ok(Self {
            machine_id,
            timestamp: seconds,
            timestamp_text: timestamp.to_owned(),
            nonce: nonce.to_owned(),
            signature: signature.parse().map_err(|_| HeaderError::Signature)?,
        })
    }

    /// Whether the timestamp lies within `now − 300 s … now + 60 s`, both ends included. `now` is in Unix seconds.
    pub fn is_fresh(&self, now: i64) -> bool {
        (now - WINDOW_SECONDS..=now + SKEW_SECONDS).contains(&self.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    const SIG: &str = "WMI5naFwk1+xqOKsukrTFsCqnoCXIfLlGIwPWUplNEyLt7hqlpSlxcA7Pcvs6ywWJwvlQ7PFHVUBgzRFPocYAw==";

    #[test]
    fn each_bad_header_is_named() {
        let parse = |id, t, n, s| SignedHeaders::parse(Some(id), Some(t), Some(n), Some(s)).map(|_| ()).unwrap_err();
        assert_eq!(parse("web", "1", "n", SIG), HeaderError::MachineId);
        for bad in ["", "+1", "-1", "1.0", " 1", "1e3", "9999999999999999"] {
            assert_eq!(parse(ID, bad, "n", SIG), HeaderError::Timestamp, "{bad}");
        }
        let long = "n".repeat(MAX_NONCE_LEN + 1);
        for bad in ["", "a:b", "a b", "é", &long] {
            assert_eq!(parse(ID, "1", bad, SIG), HeaderError::Nonce, "{bad}");
        }
        assert_eq!(parse(ID, "1", "n", "AAAA"), HeaderError::Signature);
        assert_eq!(SignedHeaders::parse(None, Some("1"), Some("n"), Some(SIG)), Err(HeaderError::Missing));
    }

    #[test]
    fn the_window_is_five_minutes_back_and_one_ahead() {
        let headers = SignedHeaders::parse(Some(ID), Some("1000"), Some("n"), Some(SIG)).unwrap();
        for (now, fresh) in [(939, false), (940, true), (1000, true), (1300, true), (1301, false)] {
            assert_eq!(headers.is_fresh(now), fresh, "{now}");
        }
    }
}
