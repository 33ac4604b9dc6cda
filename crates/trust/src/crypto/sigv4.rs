//! Signature Version 4 of Amazon Web Services, which all stores with an S3 interface accept: a request is signed in a
//! header, with everything that is in it.
//!
//! It does not send anything. Invariant: `Debug` never shows the secret key.

use std::fmt::{self, Write};

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The name of the algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Bytes of the date in a time such as `20260320T150000Z`.
const DATE_BYTES: usize = 8;
/// Bytes of a block of SHA-256, to which HMAC fills up a key.
const BLOCK_BYTES: usize = 64;

/// An access key, and the secret that belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its ID, which is sent.
    pub id: String,
    /// The secret, which is not.
    pub secret: String,
    /// The session that a temporary key belongs to.
    pub session: Option<String>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(redacted)")
    }
}

/// A request to sign.
#[derive(Clone, Copy, Debug)]
pub struct UnsignedRequest<'r> {
    /// Its method.
    pub method: &'r str,
    /// The path as it is sent, in which [`path_of`] has encoded what is not a plain character; there is no query.
    pub path: &'r str,
    /// Name in lower case and value of each header that is signed, by name; `host` and `x-amz-date` among them.
    pub headers: &'r [(&'r str, &'r str)],
    /// The hash of the body, as [`hex_hash`] writes it.
    pub body_hash: &'r str,
}

/// What a signature is valid for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'s> {
    /// The time of the request in UTC, such as `20260320T150000Z`.
    pub time: &'s str,
    /// The region, such as `eu-central-1`.
    pub region: &'s str,
    /// The service, such as `s3`.
    pub service: &'s str,
}

/// The value of the header `authorization`.
#[must_use]
pub fn authorization(request: &UnsignedRequest<'_>, scope: &Scope<'_>, key: &AccessKey) -> String {
    let UnsignedRequest { method, path, headers, body_hash } = request;
    let Scope { time, region, service } = scope;
    let date = time.get(..DATE_BYTES).unwrap_or(time);
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{body_hash}");
    let of = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{time}\n{of}\n{}", hex_hash(canonical.as_bytes()));
    let first = mac(format!("AWS4{}", key.secret).as_bytes(), date);
    let signing = [region, service, "aws4_request"].into_iter().fold(first, |key, part| mac(&key, part));
    let signature = hex(&mac(&signing, &to_sign));
    format!("{ALGORITHM} Credential={}/{of},SignedHeaders={names},Signature={signature}", key.id)
}

/// The SHA-256 of bytes in hexadecimal digits.
#[must_use]
pub fn hex_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A key of an object as a path: all but letters, digits, `-`, `.`, `_`, `~` and `/` is percent-encoded.
#[must_use]
pub fn path_of(key: &str) -> String {
    let mut path = String::from("/");
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(char::from(byte)),
            // Writing to a string does not fail.
            other => {
                let _fits = write!(path, "%{other:02X}");
            }
        }
    }
    path
}

fn mac(key: &[u8], text: &str) -> [u8; 32] {
    // HMAC takes the hash of a longer key, and fills up a shorter one with zeros.
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block.iter_mut().zip(Sha256::digest(key)).for_each(|(to, from)| *to = from);
    } else {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the documentation of Amazon S3, "Authenticating Requests: Using the Authorization Header".
    #[test]
    fn requests_of_the_documentation_are_signed_as_it_says() {
        let key = AccessKey {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session: None,
        };
        let scope = Scope { time: "20130524T000000Z", region: "us-east-1", service: "s3" };
        let check = |request: UnsignedRequest<'_>, names: &str, signature: &str| {
            let expected = format!(
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                 SignedHeaders={names},Signature={signature}"
            );
            assert_eq!(authorization(&request, &scope, &key), expected);
        };
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let empty = hex_hash(b"");
        check(
            UnsignedRequest {
                method: "GET",
                path: "/test.txt",
                headers: &[
                    host,
                    ("range", "bytes=0-9"),
                    ("x-amz-content-sha256", empty.as_str()),
                    ("x-amz-date", "20130524T000000Z"),
                ],
                body_hash: &empty,
            },
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        );
        let body = hex_hash(b"Welcome to Amazon S3.");
        check(
            UnsignedRequest {
                method: "PUT",
                path: &path_of("test$file.text"),
                headers: &[
                    ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                    host,
                    ("x-amz-content-sha256", body.as_str()),
                    ("x-amz-date", "20130524T000000Z"),
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ],
                body_hash: &body,
            },
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        );
    }

    #[test]
    fn key_of_an_object_is_a_path() {
        assert_eq!(path_of("a b/day=2026-03-20/é~1.parquet"), "/a%20b/day%3D2026-03-20/%C3%A9~1.parquet");
    }

    #[test]
    fn secret_of_more_than_a_block_is_hashed_and_none_is_shown() {
        let key = AccessKey { id: "id".to_owned(), secret: "s".repeat(80), session: Some("t".to_owned()) };
        assert_eq!(format!("{key:?}"), "AccessKey(redacted)");
        assert_eq!(mac(&[b'k'; 80], "x"), mac(&Sha256::digest([b'k'; 80]), "x"));
        assert_ne!(mac(&[b'k'; 64], "x"), mac(&[b'k'; 63], "x"));
    }
}
