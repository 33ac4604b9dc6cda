//! Amounts of money in whole pico-dollars, printed as decimal US dollars without loss.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::{built_schema, text};

/// Pico-dollars in a dollar.
const PICO: u128 = 1_000_000_000_000;
/// Decimal places of a pico-dollar.
const PLACES: usize = 12;

/// An amount in US dollars, exact to 1e-12. As JSON it is a string, because a number of JSON readers cannot hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Usd(u128);

built_schema!(
    Usd = text("US dollars as a decimal number in a string, exact to 1e-12.", "0.01944945")
        .pattern(Some(r"^[0-9]{1,26}(\.[0-9]{1,12})?$"))
);

/// The text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid amount `{0}`: use US dollars with at most 12 decimal places, for example 0.01944945")]
pub struct UsdError(String);

impl Usd {
    /// An amount in pico-dollars.
    #[must_use]
    pub const fn from_pico(pico: u128) -> Self {
        Self(pico)
    }

    /// The amount in pico-dollars.
    pub const fn pico(self) -> u128 {
        self.0
    }

    /// The amount in dollars, for charts and shares.
    #[allow(clippy::cast_precision_loss, reason = "for display, where 53 bits are enough")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PICO as f64
    }

    /// Another amount added.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The share of one in so many; none of none.
    pub fn per(self, number: u64) -> Option<Self> {
        self.0.checked_div(number.into()).map(Self)
    }

    /// The amount for people: in cents from a dollar on, with three significant digits below.
    pub fn short(self) -> String {
        // Decimal places until the third digit that is not a leading zero.
        let zeros = (1..PLACES).take_while(|zeros| self.0 < PICO / 10_u128.pow(u32::try_from(*zeros).unwrap_or(0)));
        let places = if self.0 >= PICO { 2 } else { (zeros.count() + 3).min(PLACES) };
        let text = format!("{:.places$}", self.dollars());
        let kept = text.trim_end_matches('0').len().max(text.find('.').map_or(text.len(), |point| point + 3));
        if self.0 == 0 { "$0".to_owned() } else { format!("${}", text.get(..kept).unwrap_or(&text)) }
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / PICO, self.0 % PICO);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{part:0PLACES$}").trim_end_matches('0'))
    }
}

impl FromStr for Usd {
    type Err = UsdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || UsdError(text.chars().take(64).collect());
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > PLACES {
            return Err(wrong());
        }
        let whole: u128 = whole.parse().map_err(|_| wrong())?;
        let part: u128 = format!("{part:0<PLACES$}").parse().map_err(|_| wrong())?;
        whole.checked_mul(PICO).and_then(|pico| pico.checked_add(part)).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Usd {
    type Error = UsdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Usd> for String {
    fn from(amount: Usd) -> Self {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_printed_exactly_and_read_back() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (19_449_450_000, "0.01944945"),
            (12_500_000_000_000, "12.5"),
            (u128::from(u64::MAX) * 1_000_000, "18446744073709.551615"),
        ] {
            assert_eq!(Usd::from_pico(pico).to_string(), text);
            assert_eq!(text.parse(), Ok(Usd::from_pico(pico)));
        }
        for text in ["", ".5", "1.", "-1", "1e3", "0.0000000000001", "999999999999999999999999999999999999999"] {
            assert!(text.parse::<Usd>().is_err(), "{text}");
        }
    }

    #[test]
    fn short_amounts_keep_what_is_significant() {
        for (text, short) in [
            ("0", "$0"),
            ("1234.567", "$1234.57"),
            ("12", "$12.00"),
            ("0.5", "$0.50"),
            ("0.0123", "$0.0123"),
            ("0.001234", "$0.00123"),
            ("0.578", "$0.578"),
            ("0.000004", "$0.000004"),
            ("0.000000000001", "$0.000000000001"),
        ] {
            assert_eq!(text.parse::<Usd>().expect("an amount").short(), short);
        }
        assert_eq!(Usd::from_pico(10).per(0), None);
        assert_eq!(Usd::from_pico(10).per(4), Some(Usd::from_pico(2)));
    }
}
