//! This file makes, reads and hashes the tokens that prove who somebody is.
//!
//! A token reads `agc_<key id>_<secret>_<checksum>`: a prefix that scanners for leaked secrets can
//! look for, 12 characters that name it in public, 32 random bytes in base 62, and the CRC-32 of
//! all that, so that a mistyped token is told from a refused one without asking the hub.
//!
//! Tokens of any other text are hashed alike: configurations written for the original carry 64
//! hexadecimal digits. **Invariant:** a hub knows hashes only; the text is shown once.

use core::fmt;

use alloc::format;
use alloc::string::String;

use sha2::{Digest, Sha256};

use crate::agent::TokenHash;

const PREFIX: &str = "agc_";
const KEY_ID_CHARS: usize = 12;
/// 62^43 is the first power of 62 above 2^256.
const SECRET_CHARS: usize = 43;
/// 62^6 is the first power of 62 above 2^32.
const CHECKSUM_CHARS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token in full. It is kept out of logs: its `Debug` shows the key id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a text is not a token of this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It does not start with `agc_`; it may be a token of another form.
    #[error("the token does not start with agc_")]
    Foreign,
    /// Its parts do not have the right lengths or characters.
    #[error("the token is not of the form agc_<12>_<43>_<6>")]
    Malformed,
    /// It is mistyped or cut.
    #[error("the checksum of the token is wrong: it was mistyped or cut")]
    Checksum,
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoEntropy;

impl Token {
    /// A token that nobody has seen.
    ///
    /// # Errors
    ///
    /// If the operating system gives no random bytes.
    pub fn generate() -> Result<Self, NoEntropy> {
        let (mut key_id, mut secret) = ([0; 32], [0; 32]);
        getrandom::fill(&mut key_id).map_err(|_| NoEntropy)?;
        getrandom::fill(&mut secret).map_err(|_| NoEntropy)?;
        Ok(Self::of(key_id, secret))
    }

    fn of(key_id: [u8; 32], secret: [u8; 32]) -> Self {
        let key_id = &base62(key_id, SECRET_CHARS)[SECRET_CHARS - KEY_ID_CHARS..];
        let body = format!("{PREFIX}{key_id}_{}", base62(secret, SECRET_CHARS));
        let checksum = checksum(&body);
        Self(format!("{body}_{checksum}"))
    }

    /// Reads a token of this form.
    ///
    /// # Errors
    ///
    /// What is wrong with its form. That a token reads well says nothing about who holds it.
    pub fn parse(text: &str) -> Result<Self, BadToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(BadToken::Foreign)?;
        let mut parts = rest.split('_');
        for chars in [KEY_ID_CHARS, SECRET_CHARS, CHECKSUM_CHARS] {
            let part = parts.next().ok_or(BadToken::Malformed)?;
            if part.len() != chars || !part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(BadToken::Malformed);
            }
        }
        if parts.next().is_some() {
            return Err(BadToken::Malformed);
        }
        let (body, last) = text.split_at(text.len() - CHECKSUM_CHARS - 1);
        if checksum(body) != last[1..] {
            return Err(BadToken::Checksum);
        }
        Ok(Self(text.into()))
    }

    /// The text, for the one who is to hold it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The part that names it in public.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + KEY_ID_CHARS]
    }

    /// What the hub knows of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        hash_of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({PREFIX}{}_..)", self.key_id())
    }
}

/// What the hub knows of a token of any form: the SHA-256 of its whole text.
#[must_use]
pub fn hash_of(text: &str) -> TokenHash {
    TokenHash(Sha256::digest(text.as_bytes()).into())
}

/// The number that `bytes` write in base 256, in base 62 with leading zeros.
fn base62(mut bytes: [u8; 32], chars: usize) -> String {
    let mut digits = alloc::vec![b'0'; chars];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut bytes {
            let whole = rest << 8 | u32::from(*byte);
            *byte = (whole / 62) as u8;
            rest = whole % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    digits.into_iter().map(char::from).collect()
}

fn checksum(body: &str) -> String {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&crc32(body.as_bytes()).to_be_bytes());
    base62(bytes, CHECKSUM_CHARS)
}

/// CRC-32 as in IEEE 802.3, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, &byte| {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_what_they_write() {
        let token = Token::generate().unwrap();
        assert_eq!(Token::parse(token.reveal()), Ok(token.clone()));
        assert_eq!(token.reveal().len(), 4 + 12 + 1 + 43 + 1 + 6);
        assert_ne!(token, Token::generate().unwrap());
    }

    #[test]
    fn the_largest_secret_fits() {
        let token = Token::of([255; 32], [255; 32]);
        assert_eq!(
            token.reveal(),
            "agc_CA2j5rOw8Xp1_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1_0sSH9b"
        );
    }

    #[test]
    fn one_wrong_character_anywhere_is_noticed() {
        let text = Token::of([7; 32], [9; 32]).reveal().as_bytes().to_vec();
        for at in 0..text.len() {
            let mut wrong = text.clone();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert!(Token::parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_kind_of_bad_text_has_its_word() {
        let good = Token::of([7; 32], [9; 32]);
        let good = good.reveal();
        assert_eq!(Token::parse("0123abcd"), Err(BadToken::Foreign));
        assert_eq!(Token::parse(&good[..good.len() - 1]), Err(BadToken::Malformed));
        assert_eq!(Token::parse(&format!("{good}_1")), Err(BadToken::Malformed));
        assert_eq!(Token::parse("agc_é"), Err(BadToken::Malformed));
    }

    #[test]
    fn a_token_stays_out_of_logs() {
        let token = Token::of([7; 32], [9; 32]);
        let shown = format!("{token:?}");
        assert!(shown.len() < 30 && shown.contains(token.key_id()), "{shown}");
    }

    #[test]
    fn hashes_are_sha_256_of_the_whole_text() {
        assert_eq!(hash_of("abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
