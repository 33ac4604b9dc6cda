//! Signed webhooks, as Standard Webhooks 1.0.0 defines them: `HMAC-SHA256(secret, "{id}.{timestamp}.{body}")`.
//!
//! It does not send, store or retry anything. Invariant: `Debug`, `Display` and errors of this module never contain a
//! secret or the text of an invalid one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The prefix of every secret, so that scanners for leaked secrets find it.
pub const SECRET_PREFIX: &str = "whsec_";
/// Fewest bytes of a secret: the standard's minimum.
pub const SECRET_BYTES_MIN: usize = 24;
/// Most bytes of a secret: the standard's maximum, and one block of SHA-256.
pub const SECRET_BYTES_MAX: usize = 64;
/// How far a message's time may be from the receiver's, in seconds, before it counts as replayed.
pub const TOLERANCE_S: u64 = 300;
/// Bytes of a new secret.
const GENERATED_BYTES: usize = 32;
/// The prefix of a signature with a shared secret.
const SIGNATURE_PREFIX: &str = "v1,";
/// Most signatures of one message that are checked; a rotation has two.
const SIGNATURES_MAX: usize = 16;

/// Why a text is not a secret, none could be generated, or a message does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum WebhookError {
    #[error(
        "invalid webhook secret: it must be {SECRET_PREFIX} followed by standard base64 with padding; copy it again from where it was shown"
    )]
    Spelling,
    #[error(
        "the webhook secret has {bytes} bytes; use {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}, or let bookholder generate one"
    )]
    Length { bytes: usize },
    #[error("the system's random number generator failed; check /dev/urandom and try again")]
    Randomness,
    #[error("the message is more than {TOLERANCE_S} s old or in the future; reject it and check both clocks")]
    Time,
    #[error("no signature of the message matches a known secret; reject it")]
    Signature,
}

/// The shared secret of sender and receiver.
#[derive(Clone)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// A new secret of 256 random bits.
    ///
    /// # Errors
    /// [`WebhookError::Randomness`] if the operating system provides none.
    pub fn generate() -> Result<Self, WebhookError> {
        let mut bytes = vec![0; GENERATED_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| WebhookError::Randomness)?;
        Ok(Self(bytes))
    }

    /// Parses `whsec_` and the standard base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// [`WebhookError::Spelling`] or [`WebhookError::Length`], neither of which repeats the text.
    pub fn parse(text: &str) -> Result<Self, WebhookError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(WebhookError::Spelling)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| WebhookError::Spelling)?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(WebhookError::Length { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The secret as text, to be shown to its owner once or stored.
    pub fn reveal(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Hmac<Sha256> {
        // HMAC pads a key to a block with zeros; no secret is longer than one.
        let mut block = [0; SECRET_BYTES_MAX];
        block.iter_mut().zip(&self.0).for_each(|(byte, secret)| *byte = *secret);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into());
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(redacted)")
    }
}

/// The value of `webhook-signature`: one signature per secret, so that a receiver can use the old or the new one during
/// a rotation; empty without secrets.
///
/// `id` is the value of `webhook-id`, the same for every attempt and without a dot (a dot would make the signed text
/// ambiguous); `timestamp_s` that of `webhook-timestamp`, Unix seconds of this attempt; `body` exactly what is sent.
pub fn sign(secrets: &[WebhookSecret], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let signature = |secret: &WebhookSecret| {
        let bytes = secret.mac(id, timestamp_s, body).finalize().into_bytes();
        format!("{SIGNATURE_PREFIX}{}", STANDARD.encode(bytes))
    };
    secrets.iter().map(signature).collect::<Vec<_>>().join(" ")
}

/// Verifies a received message: its time is near `now_s` (Unix seconds), and one of the space-separated `signatures` is
/// from one of the secrets. Signatures of other kinds than `v1` are ignored. Bytes are compared in constant time.
///
/// # Errors
/// [`WebhookError::Time`] or [`WebhookError::Signature`].
pub fn verify(
    secrets: &[WebhookSecret],
    id: &str,
    timestamp_s: i64,
    body: &[u8],
    signatures: &str,
    now_s: i64,
) -> Result<(), WebhookError> {
    if now_s.abs_diff(timestamp_s) > TOLERANCE_S {
        return Err(WebhookError::Time);
    }
    let given: Vec<Vec<u8>> = signatures
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix(SIGNATURE_PREFIX)?).ok())
        .collect();
    let known = secrets.iter().any(|secret| {
        let mac = secret.mac(id, timestamp_s, body);
        given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if known { Ok(()) } else { Err(WebhookError::Signature) }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;
    use bookholder_model::clock::{Clock, SystemClock};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME_S: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn signature_matches_the_vector_of_the_standard() {
        let secret = WebhookSecret::parse(SECRET).unwrap();
        assert_eq!(secret.reveal(), SECRET);
        assert_eq!(sign(&[secret], ID, TIME_S, BODY), SIGNATURE);
    }

    #[test]
    fn reference_library_agrees_on_signatures() {
        for bytes in [24, 32, 63, 64] {
            let text = format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![0xa5; bytes]));
            let reference = standardwebhooks::Webhook::new(&text).unwrap();
            let secrets = [WebhookSecret::parse(&text).unwrap()];
            let theirs = reference.sign(ID, TIME_S, BODY).unwrap();
            assert_eq!(sign(&secrets, ID, TIME_S, BODY), theirs);
            assert_eq!(verify(&secrets, ID, TIME_S, BODY, &theirs, TIME_S), Ok(()));
            // The reference implementation reads the time itself.
            let now_s = SystemClock::new().now_ms() / 1_000;
            let values = [ID.to_owned(), now_s.to_string(), sign(&secrets, ID, now_s, BODY)];
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let headers = names.into_iter().map(HeaderName::from_static);
            let headers = headers.zip(values.map(|value| HeaderValue::try_from(value).unwrap())).collect();
            reference.verify(BODY, &headers).unwrap();
            assert!(reference.verify(b"{}", &headers).is_err());
        }
    }

    #[test]
    fn secrets_are_read_by_spelling_and_length() {
        let encoded = |bytes: usize| format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![7; bytes]));
        for (text, expected) in [
            (encoded(24), None),
            (encoded(64), None),
            (encoded(23), Some(WebhookError::Length { bytes: 23 })),
            (encoded(65), Some(WebhookError::Length { bytes: 65 })),
            (String::new(), Some(WebhookError::Spelling)),
            (encoded(24).replace("whsec_", ""), Some(WebhookError::Spelling)),
            (encoded(24).replace("whsec_", "whsk_"), Some(WebhookError::Spelling)),
            (encoded(25).trim_end_matches('=').to_owned(), Some(WebhookError::Spelling)),
            (format!("{} ", encoded(24)), Some(WebhookError::Spelling)),
            (encoded(24).replacen("whsec_B", "whsec_-", 1), Some(WebhookError::Spelling)),
        ] {
            assert_eq!(WebhookSecret::parse(&text).err(), expected, "{text:?}");
        }
    }

    #[test]
    fn generated_secret_is_unique_parses_and_is_redacted() {
        let secret = WebhookSecret::generate().unwrap();
        assert_eq!(secret.0.len(), 32);
        assert_ne!(secret.reveal(), WebhookSecret::generate().unwrap().reveal());
        let again = WebhookSecret::parse(&secret.reveal()).unwrap();
        assert_eq!(sign(&[again], ID, TIME_S, BODY), sign(std::slice::from_ref(&secret), ID, TIME_S, BODY));
        assert_eq!(format!("{secret:?}"), "WebhookSecret(redacted)");
    }

    #[test]
    fn messages_verify_by_secret_text_and_time() {
        let (old, new) = (WebhookSecret::parse(SECRET).unwrap(), WebhookSecret::generate().unwrap());
        let both = sign(&[new.clone(), old.clone()], ID, TIME_S, BODY);
        assert_eq!(both.split(' ').count(), 2);
        assert_eq!(both.split(' ').next_back(), Some(SIGNATURE));
        let (old, new) = ([old], [new]);
        let noise = format!("v1a,AAAA v1 v1,!!! v2,{SIGNATURE} {SIGNATURE}");
        let flood = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(SIGNATURES_MAX));
        let wrong = Err(WebhookError::Signature);
        for (secrets, id, time_s, body, signatures, now_s, expected) in [
            (&old, ID, TIME_S, BODY, SIGNATURE, TIME_S, Ok(())),
            (&old, ID, TIME_S, BODY, both.as_str(), TIME_S, Ok(())),
            (&new, ID, TIME_S, BODY, both.as_str(), TIME_S, Ok(())),
            (&new, ID, TIME_S, BODY, SIGNATURE, TIME_S, wrong),
            (&old, ID, TIME_S, BODY, noise.as_str(), TIME_S, Ok(())),
            (&old, ID, TIME_S, BODY, flood.as_str(), TIME_S, wrong),
            (&old, ID, TIME_S, BODY, "", TIME_S, wrong),
            (&old, ID, TIME_S, BODY, "v1,", TIME_S, wrong),
            (&old, ID, TIME_S, BODY, &SIGNATURE[3..], TIME_S, wrong),
            (&old, "msg_other", TIME_S, BODY, SIGNATURE, TIME_S, wrong),
            (&old, ID, TIME_S + 1, BODY, SIGNATURE, TIME_S, wrong),
            (&old, ID, TIME_S, b"{}".as_slice(), SIGNATURE, TIME_S, wrong),
            (&old, ID, TIME_S, BODY, SIGNATURE, TIME_S + 300, Ok(())),
            (&old, ID, TIME_S, BODY, SIGNATURE, TIME_S - 300, Ok(())),
            (&old, ID, TIME_S, BODY, SIGNATURE, TIME_S + 301, Err(WebhookError::Time)),
            (&old, ID, TIME_S, BODY, SIGNATURE, TIME_S - 301, Err(WebhookError::Time)),
            (&old, ID, i64::MIN, BODY, SIGNATURE, i64::MAX, Err(WebhookError::Time)),
        ] {
            assert_eq!(verify(secrets, id, time_s, body, signatures, now_s), expected, "{signatures} {time_s} {now_s}");
        }
        assert_eq!(verify(&[], ID, TIME_S, BODY, SIGNATURE, TIME_S), wrong);
        assert_eq!(sign(&[], ID, TIME_S, BODY), "");
        assert!(WebhookError::Spelling.to_string().starts_with("invalid webhook secret: it must be whsec_"));
    }
}
