//! Checksums of card, account and identity numbers.
//!
//! Each function takes the matched text with its separators and returns whether its check digits are valid.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A check of a match beyond its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Validator {
    /// The Luhn checksum, as on cards; not all digits equal.
    Luhn,
    /// IBAN: the length of its country and mod 97.
    Iban,
    /// The Verhoeff checksum, as of Aadhaar.
    Verhoeff,
    /// The mod 11 checksum of the NHS number.
    Mod11,
    /// Poland's PESEL: date and weights.
    Pesel,
    /// Spain's NIF and NIE: the letter.
    Nif,
    /// Sweden's personnummer: date and Luhn.
    Personnummer,
    /// United States social security number: the numbers never given out.
    Ssn,
    /// Germany's tax id: ISO 7064 mod 11,10.
    SteuerId,
    /// The Netherlands' BSN: the eleven test.
    Bsn,
    /// Brazil's CPF: both check digits.
    Cpf,
    /// Finland's personal identity code: the check character.
    Hetu,
    /// Italy's codice fiscale: the check character.
    CodiceFiscale,
    /// France's NIR: mod 97.
    Nir,
    /// A public IP address: none of those for private networks and documentation.
    PublicIp,
    /// A JSON Web Token: its first part decodes to an object with `alg`.
    Jwt,
}

impl Validator {
    /// Whether the match is valid.
    pub fn accepts(self, matched: &str) -> bool {
        match self {
            Self::Luhn => {
                let digits = digits(matched);
                digits.windows(2).any(|pair| pair.first() != pair.last()) && luhn(&digits)
            }
            Self::Iban => iban(matched),
            Self::Verhoeff => verhoeff(&digits(matched)),
            Self::Mod11 => nhs(&digits(matched)),
            Self::Pesel => pesel(&digits(matched)),
            Self::Nif => nif(matched),
            Self::Personnummer => personnummer(&digits(matched)),
            Self::Ssn => ssn(&digits(matched)),
            Self::SteuerId => steuer_id(&digits(matched)),
            Self::Bsn => bsn(&digits(matched)),
            Self::Cpf => cpf(&digits(matched)),
            Self::Hetu => hetu(matched),
            Self::CodiceFiscale => codice_fiscale(matched),
            Self::Nir => nir(&digits(matched)),
            Self::PublicIp => matched.parse().is_ok_and(|address| public_ip(&address)),
            Self::Jwt => jwt(matched),
        }
    }
}

/// Shannon entropy in bits a character; 0 for an empty text.
#[allow(clippy::cast_precision_loss, reason = "counts of characters in a match are far below 2^52")]
pub(super) fn shannon(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::<char, u32>::new();
    let mut total = 0_u32;
    for character in text.chars() {
        *counts.entry(character).or_default() += 1;
        total = total.saturating_add(1);
    }
    let total = f64::from(total);
    counts.values().map(|count| f64::from(*count) / total).map(|share| -share * share.log2()).sum()
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The number of a few digits: at most nine, so that it fits.
fn number(digits: &[u32]) -> u32 {
    digits.iter().fold(0, |sum, digit| sum * 10 + digit)
}

fn luhn(digits: &[u32]) -> bool {
    let doubled = |(index, digit): (usize, &u32)| match (index % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    digits.len() > 1 && digits.iter().rev().enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}

/// Lengths of the countries' account numbers (IBAN registry).
const IBAN_LENGTHS: &str = "\
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 \
    FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 \
    LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 \
    SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20";

fn iban(text: &str) -> bool {
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let (Some(country), Some(head), Some(tail)) = (plain.get(..2), plain.get(..4), plain.get(4..)) else {
        return false;
    };
    let entry = format!("{country}{}", plain.len());
    let remainder = tail
        .chars()
        .chain(head.chars())
        .filter_map(|c| c.to_digit(36))
        .fold(0, |sum, value| if value < 10 { (sum * 10 + value) % 97 } else { (sum * 100 + value) % 97 });
    IBAN_LENGTHS.split_ascii_whitespace().any(|length| length == entry) && remainder == 1
}

/// Multiplication in the dihedral group of order ten, whose elements 5 to 9 are reflections.
const fn dihedral(a: u32, b: u32) -> u32 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b) % 5,
        (false, true) => 5 + (a + 5 - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

fn verhoeff(digits: &[u32]) -> bool {
    const STEP: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let permuted = |position: usize, digit: u32| {
        let mut digit = digit;
        for _ in 0..position % 8 {
            digit = usize::try_from(digit).ok().and_then(|index| STEP.get(index).copied()).unwrap_or(0);
        }
        digit
    };
    let check = digits.iter().rev().enumerate().fold(0, |sum, (index, digit)| dihedral(sum, permuted(index, *digit)));
    digits.len() > 1 && digits.first() > Some(&1) && check == 0
}

fn nhs(digits: &[u32]) -> bool {
    let check = (11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    digits.len() == 10 && check < 10 && digits.last() == Some(&check) && digits.iter().any(|digit| *digit != 0)
}

fn day_fits(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

fn pesel(digits: &[u32]) -> bool {
    let month = digits.get(2..4).map_or(0, number) % 20;
    let day = digits.get(4..6).map_or(0, number);
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    digits.len() == 11 && day_fits(month, day) && sum.is_multiple_of(10)
}

fn nif(text: &str) -> bool {
    const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let plain: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let Some(letter) = plain.bytes().last() else { return false };
    let body = plain.strip_suffix(char::from(letter)).unwrap_or("");
    let body = match body.chars().next() {
        Some('X') => body.replacen('X', "0", 1),
        Some('Y') => body.replacen('Y', "1", 1),
        Some('Z') => body.replacen('Z', "2", 1),
        _ => body.to_owned(),
    };
    let value: Option<usize> = body.parse().ok().filter(|_| body.len() == 8);
    value.and_then(|value| LETTERS.get(value % 23)) == Some(&letter)
}

fn personnummer(digits: &[u32]) -> bool {
    let Some(short) = digits.len().checked_sub(10).and_then(|from| digits.get(from..)) else { return false };
    let month = short.get(2..4).map_or(0, number);
    // A coordination number adds 60 to the day.
    let day = short.get(4..6).map_or(0, number);
    let day = if day > 60 { day - 60 } else { day };
    matches!(digits.len(), 10 | 12) && day_fits(month, day) && luhn(short)
}

fn ssn(digits: &[u32]) -> bool {
    // Printed on a wallet's sample card, in an advertisement, and in every example.
    const KNOWN: [u32; 3] = [78_051_120, 219_099_999, 123_456_789];
    let (Some(area), Some(group), Some(serial)) = (digits.get(..3), digits.get(3..5), digits.get(5..9)) else {
        return false;
    };
    let area = number(area);
    digits.len() == 9
        && area != 0
        && area != 666
        && area < 900
        && number(group) != 0
        && number(serial) != 0
        && !KNOWN.contains(&number(digits))
}

fn steuer_id(digits: &[u32]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits.len() == 11 && digits.first() != Some(&0) && (11 - product) % 10 == *check
}

fn bsn(digits: &[u32]) -> bool {
    let Some((last, body)) = digits.split_last() else { return false };
    let sum = weighted(body, &[9, 8, 7, 6, 5, 4, 3, 2]);
    digits.len() == 9 && sum > 0 && sum % 11 == *last
}

fn cpf(digits: &[u32]) -> bool {
    let check = |count: u32| {
        let sum: u32 = digits.iter().zip((2..=count + 1).rev()).map(|(digit, weight)| digit * weight).sum();
        sum * 10 % 11 % 10
    };
    digits.len() == 11
        && digits.windows(2).any(|pair| pair.first() != pair.last())
        && digits.get(9) == Some(&check(9))
        && digits.get(10) == Some(&check(10))
}

fn hetu(text: &str) -> bool {
    const CHECK: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let digits: Vec<u32> = text.chars().take(text.len().saturating_sub(1)).filter_map(|c| c.to_digit(10)).collect();
    if digits.len() != 9 {
        return false;
    }
    let (day, month) = (digits.get(..2).map_or(0, number), digits.get(2..4).map_or(0, number));
    let index = usize::try_from(number(&digits) % 31).unwrap_or(0);
    day_fits(month, day) && text.bytes().last().map(|last| last.to_ascii_uppercase()) == CHECK.get(index).copied()
}

fn codice_fiscale(text: &str) -> bool {
    // The value of a character at an odd position; 0 to 9 have the values of A to J.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let plain = text.to_ascii_uppercase();
    let place = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') };
    let Some((check, body)) = plain.as_bytes().split_last() else { return false };
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(index, byte)| {
            let place = place(*byte);
            if index.is_multiple_of(2) { ODD.get(usize::from(place)).copied().unwrap_or(0) } else { u32::from(place) }
        })
        .sum();
    plain.len() == 16 && check.is_ascii_uppercase() && sum % 26 == u32::from(place(*check))
}

fn nir(digits: &[u32]) -> bool {
    let (Some(body), Some(key)) = (digits.get(..13), digits.get(13..15)) else { return false };
    let value = body.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(*digit));
    let month = digits.get(3..5).map_or(0, number);
    digits.len() == 15 && (1..=12).contains(&month) && 97 - value % 97 == u64::from(number(key))
}

fn public_ip(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => public_v4(*four),
        IpAddr::V6(six) => public_v6(six),
    }
}

/// Well-known public resolvers are also excluded.
fn public_v4(address: Ipv4Addr) -> bool {
    const RESOLVERS: [[u8; 4]; 6] =
        [[8, 8, 8, 8], [8, 8, 4, 4], [1, 1, 1, 1], [1, 0, 0, 1], [9, 9, 9, 9], [1, 2, 3, 4]];
    let [first, second, third, _] = address.octets();
    // A first number below 20 is more likely a software version.
    (20..224).contains(&first)
        && !address.is_private()
        && !address.is_loopback()
        && !address.is_link_local()
        && !address.is_documentation()
        && (first != 100 || !(64..128).contains(&second))
        && (first, second, third) != (192, 0, 0)
        && !RESOLVERS.contains(&address.octets())
}

/// Global unicast and not for documentation.
fn public_v6(address: &Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    (0x2000..0x4000).contains(&first) && !(first == 0x2001 && second == 0x0db8)
}

fn jwt(text: &str) -> bool {
    let header = text.split('.').next().and_then(base64);
    let value = header.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    value.is_some_and(|value| value.get("alg").is_some())
}

/// Decodes base64 of either alphabet, with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checksums_agree_with_published_examples() {
        use Validator::{
            Bsn, CodiceFiscale, Cpf, Hetu, Iban, Luhn, Mod11, Nif, Nir, Personnummer, Pesel, PublicIp, Ssn, SteuerId,
            Verhoeff,
        };
        let table = [
            (Luhn, "4111 1111 1111 1111", true),
            (Luhn, "79927398713", true),
            (Luhn, "79927398710", false),
            (Luhn, "0000 0000 0000 0000", false),
            (Iban, "GB82 WEST 1234 5698 7654 32", true),
            (Iban, "DE89370400440532013000", true),
            (Iban, "DE89370400440532013001", false),
            (Iban, "GB82 WEST 1234 5698 7654 321", false),
            (Iban, "NO93 8601 1117 947", true),
            (Verhoeff, "2363", true),
            (Verhoeff, "2364", false),
            (Verhoeff, "142857", false),
            (Mod11, "943 476 5919", true),
            (Mod11, "943 476 5918", false),
            (Pesel, "44051401359", true),
            (Pesel, "44051401358", false),
            (Pesel, "44991401350", false),
            (Nif, "12345678Z", true),
            (Nif, "12345678A", false),
            (Nif, "X1234567L", true),
            (Nif, "X-1234567-T", false),
            (Personnummer, "811218-9876", true),
            (Personnummer, "19811218-9876", true),
            (Personnummer, "811218-9875", false),
            (Personnummer, "811318-9874", false),
            (Ssn, "536-90-4399", true),
            (Ssn, "666-12-3456", false),
            (Ssn, "900-12-3456", false),
            (Ssn, "000-12-3456", false),
            (Ssn, "536-00-4399", false),
            (Ssn, "536-90-0000", false),
            (Ssn, "078-05-1120", false),
            (SteuerId, "86095742719", true),
            (SteuerId, "86095742718", false),
            (Bsn, "111222333", true),
            (Bsn, "111222334", false),
            (Cpf, "529.982.247-25", true),
            (Cpf, "529.982.247-26", false),
            (Cpf, "111.111.111-11", false),
            (Hetu, "131052-308T", true),
            (Hetu, "131052-308U", false),
            (CodiceFiscale, "RSSMRA85T10A562S", true),
            (CodiceFiscale, "RSSMRA85T10A562T", false),
            (Nir, "2 55 08 14 168 025 38", true),
            (Nir, "2 55 08 14 168 025 39", false),
            (PublicIp, "81.2.69.142", true),
            (PublicIp, "192.168.0.1", false),
            (PublicIp, "203.0.113.7", false),
            (PublicIp, "999.1.1.1", false),
            (PublicIp, "2a00:1450:4001:82a::200e", true),
            (PublicIp, "2001:db8::1", false),
        ];
        for (validator, text, expected) in table {
            assert_eq!(validator.accepts(text), expected, "{validator:?} {text}");
        }
    }

    #[test]
    fn jwt_is_recognized_by_its_header() {
        // {"alg":"HS256","typ":"JWT"}, and the same without `alg`.
        assert!(Validator::Jwt.accepts("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x"));
        assert!(!Validator::Jwt.accepts("eyJ0eXAiOiJKV1QifQ.e30.x"));
        assert!(!Validator::Jwt.accepts("eyJ$.e30.x"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_a_validator_panic(
            text in "(?s).{0,1024}",
            digits in "[0-9]{0,4096}[0-9A-Za-z+-]?",
            mixed in "[0-9A-Za-z+/=._ -]{0,200}",
        ) {
            let all = [
                "luhn", "iban", "verhoeff", "mod11", "pesel", "nif", "personnummer", "ssn", "steuer_id", "bsn", "cpf",
                "hetu", "codice_fiscale", "nir", "public_ip", "jwt",
            ];
            for name in all {
                let validator: Validator = serde_json::from_value(name.into()).unwrap();
                for text in [&text, &digits, &mixed] {
                    let _ = validator.accepts(text);
                }
            }
        }
    }

    #[test]
    fn entropy_is_bits_a_character() {
        let near = |text: &str, expected: f64| assert!((shannon(text) - expected).abs() < 1e-9, "{text}");
        near("", 0.0);
        near("aaaa", 0.0);
        near("abab", 1.0);
        near("0123456789abcdef", 4.0);
    }
}
