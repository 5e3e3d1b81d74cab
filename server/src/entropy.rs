//! Randomness, as an argument.

use zeroize::Zeroizing;

/// Draws random bytes good enough for keys.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::expect_used, reason = "a machine without randomness must not go on")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// `N` random bytes, wiped when dropped.
pub fn bytes<const N: usize>(entropy: &dyn Entropy) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    entropy.fill(&mut *bytes);
    bytes
}

/// A random UUID (version 4), as text.
pub fn uuid(entropy: &dyn Entropy) -> String {
    uuid::Builder::from_random_bytes(*bytes::<16>(entropy)).into_uuid().to_string()
}

/// `length` characters of `alphabet`, each as likely as any other.
pub fn text(entropy: &dyn Entropy, alphabet: &[u8], length: usize) -> Zeroizing<String> {
    // Reserved whole, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(length));
    // Bytes at or above the largest multiple of the alphabet's size would make its first characters more likely.
    let limit = 256 - 256 % alphabet.len().max(1);
    while text.len() < length {
        for byte in *bytes::<64>(entropy) {
            let byte = usize::from(byte);
            if byte < limit
                && text.len() < length
                && let Some(character) = alphabet.get(byte % alphabet.len())
            {
                text.push(char::from(*character));
            }
        }
    }
    text
}

/// Small letters and digits: what ids are made of.
pub const ID_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
