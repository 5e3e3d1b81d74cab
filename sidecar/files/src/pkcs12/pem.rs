//! Takes PEM apart (RFC 7468, as leniently as OpenSSL reads it: any line length, text around the blocks).
//!
//! Own code, since the readers that there are either pass over blocks they do not know, which would hide a key with a
//! passphrase, or leave what they decode in memory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::StoreProblem;

/// One block.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    body: &'a str,
}

impl Block<'_> {
    /// Its content.
    pub(super) fn der(&self) -> Result<Zeroizing<Vec<u8>>, StoreProblem> {
        let mut base64 = Zeroizing::new(String::with_capacity(self.body.len()));
        base64.extend(self.body.chars().filter(|c| !c.is_ascii_whitespace()));
        // Room for all of it, so that nothing moves.
        let mut der = Zeroizing::new(Vec::with_capacity(base64.len()));
        STANDARD.decode_vec(base64.as_bytes(), &mut der).map_err(|_| StoreProblem::Pem)?;
        Ok(der)
    }

    /// Whether it says that its content is encrypted, as OpenSSL did before PKCS#8.
    pub(super) fn is_encrypted(&self) -> bool {
        self.body.contains("Proc-Type: 4,ENCRYPTED")
    }
}

/// The blocks of `text`, in their order.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, StoreProblem> {
    let mut blocks = vec![];
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let (label, after) = after.split_once("-----").ok_or(StoreProblem::Pem)?;
        let (body, after) = after.split_once("-----END ").ok_or(StoreProblem::Pem)?;
        rest = after.strip_prefix(label).and_then(|after| after.strip_prefix("-----")).ok_or(StoreProblem::Pem)?;
        blocks.push(Block { label, body });
    }
    Ok(blocks)
}
