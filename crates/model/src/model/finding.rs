//! Findings of risk rules: the rule, the place and the severity, never the matched text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text is not a severity or category.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum FindingError {
    #[error("unknown severity `{0}`: use low, medium, high or critical")]
    Severity(String),
    #[error(
        "unknown category `{0}`: use medical, financial, legal, personal_data, secrets, injection, exfiltration or control_characters"
    )]
    Category(String),
}

/// The severity of a finding, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth a review before deployment.
    Medium,
    /// Needs someone who takes responsibility.
    High,
    /// Should not be deployed: a live secret, or text that is hidden from readers.
    Critical,
}

/// The category of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Diagnosis, dosage, treatment.
    Medical,
    /// Loans, credit, investments.
    Financial,
    /// Legal advice and documents.
    Legal,
    /// Data about a person.
    PersonalData,
    /// Credentials.
    Secrets,
    /// Text that turns a model against its instructions.
    Injection,
    /// Text that sends data elsewhere.
    Exfiltration,
    /// Characters that are invisible or mistaken for others.
    ControlCharacters,
}

/// A place in a content that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The rule's id, for example `secrets.github-token`.
    pub rule: String,
    /// The rule's version.
    pub rule_version: u32,
    /// The category.
    pub category: Category,
    /// The severity.
    pub severity: Severity,
    /// The text in the content: `text`, `messages[2]`, `variables.customer.default`, `config.endpoint`, …
    pub target: String,
    /// The first byte of the match in that text (UTF-8).
    pub start: u64,
    /// The byte behind the match.
    pub end: u64,
    /// The line of the match in that text, from 1.
    pub line: u64,
    /// Keyed BLAKE3 of the matched bytes, in hex: equal for equal matches, without revealing them.
    pub hash: String,
    /// The message of the rule.
    pub message: String,
}

impl Finding {
    /// Whether it is high or worse, so that deploying needs a confirmation.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.severity >= Severity::High
    }
}

impl Severity {
    /// All severities, in ascending order.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 8] = [
        Self::Medical,
        Self::Financial,
        Self::Legal,
        Self::PersonalData,
        Self::Secrets,
        Self::Injection,
        Self::Exfiltration,
        Self::ControlCharacters,
    ];

    /// Its name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Medical => "medical",
            Self::Financial => "financial",
            Self::Legal => "legal",
            Self::PersonalData => "personal_data",
            Self::Secrets => "secrets",
            Self::Injection => "injection",
            Self::Exfiltration => "exfiltration",
            Self::ControlCharacters => "control_characters",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl fmt::Display for Category {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = FindingError;

    fn from_str(text: &str) -> Result<Self, FindingError> {
        let found = Self::ALL.into_iter().find(|severity| severity.as_str() == text);
        found.ok_or_else(|| FindingError::Severity(shortened(text)))
    }
}

impl FromStr for Category {
    type Err = FindingError;

    fn from_str(text: &str) -> Result<Self, FindingError> {
        let found = Self::ALL.into_iter().find(|category| category.as_str() == text);
        found.ok_or_else(|| FindingError::Category(shortened(text)))
    }
}

/// An invalid word, as an error message shows it.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect()
}

/// Whether a character is invisible or changes the direction of text: controls other than line breaks and tabs,
/// direction marks, zero-width characters, and tags.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_and_categories_read_back_from_text_and_json() {
        for severity in Severity::ALL {
            assert_eq!(severity.to_string().parse(), Ok(severity));
            assert_eq!(serde_json::to_value(severity).expect("JSON"), severity.as_str());
        }
        for category in Category::ALL {
            assert_eq!(category.to_string().parse(), Ok(category));
            assert_eq!(serde_json::to_value(category).expect("JSON"), category.as_str());
        }
        assert!(Severity::Low < Severity::Medium && Severity::High < Severity::Critical);
        assert!("grave".parse::<Severity>().expect_err("no severity").to_string().contains("use low, medium"));
        assert!("Medical".parse::<Category>().expect_err("no category").to_string().contains("use medical"));
    }
}
