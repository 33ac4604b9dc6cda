//! What tells which version produced a response: attributes for a span of OpenTelemetry, and the same as W3C baggage.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::name::{Label, PromptName};
use super::stamp::stamp;

/// Attribute with the prompt's name, by the semantic conventions of OpenTelemetry.
pub const PROMPT_NAME: &str = "gen_ai.prompt.name";
/// Attribute with the version, by the same conventions.
pub const PROMPT_VERSION: &str = "gen_ai.prompt.version";
/// Attribute with the stamp.
pub const STAMP: &str = "bookholder.stamp";
/// Attribute with the label that was asked for.
pub const LABEL: &str = "bookholder.label";
/// Attribute with the index of the rule that chose the version, from 0.
pub const RULE: &str = "bookholder.rule";
/// Attribute with the subject's slot in the split that chose the version.
pub const BUCKET: &str = "bookholder.bucket";

/// What a value of baggage can have unencoded. A `+` is encoded too: some libraries read it as a space.
const BAGGAGE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@').remove(b':');

/// What to put on the span of a model's call, or to report with its response, so that it is traced to this version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResponseTags {
    /// Span attributes: `gen_ai.prompt.name`, `gen_ai.prompt.version`, `bookholder.stamp`, and where they apply
    /// `bookholder.label`, `bookholder.rule` and `bookholder.bucket`.
    pub attributes: BTreeMap<String, String>,
    /// The same as the value of a W3C `baggage` header.
    #[schema(pattern = r"^[!-~]*$", max_length = 8192)]
    pub baggage: String,
}

impl ResponseTags {
    /// The tags of a version, as it is resolved for a label or by itself.
    #[must_use]
    pub fn new(name: &PromptName, version: u64, content: &ContentId, label: Option<&Label>) -> Self {
        let mut tags = Self::default();
        tags.add(PROMPT_NAME, name.as_str());
        tags.add(PROMPT_VERSION, &version.to_string());
        tags.add(STAMP, &stamp(name, version, content));
        if let Some(label) = label {
            tags.add(LABEL, label.as_str());
        }
        tags
    }

    /// Adds how a split or rules chose the version.
    #[must_use]
    pub fn chosen_by(mut self, rule: Option<usize>, bucket: Option<u16>) -> Self {
        if let Some(rule) = rule {
            self.add(RULE, &rule.to_string());
        }
        if let Some(bucket) = bucket {
            self.add(BUCKET, &bucket.to_string());
        }
        self
    }

    fn add(&mut self, key: &str, value: &str) {
        if !self.baggage.is_empty() {
            self.baggage.push(',');
        }
        self.baggage.push_str(key);
        self.baggage.push('=');
        self.baggage.extend(utf8_percent_encode(value, BAGGAGE));
        self.attributes.insert(key.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    /// The members of a `baggage` header, as a strict reader of <https://www.w3.org/TR/baggage/> finds them.
    fn members(baggage: &str) -> BTreeMap<String, String> {
        assert!(baggage.len() <= 8_192, "{} bytes", baggage.len());
        let member = |member: &str| {
            let (key, value) = member.split_once('=').expect("a key and a value");
            assert!(
                key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)),
                "{key}"
            );
            let octet = |byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
            assert!(value.bytes().all(octet), "{value}");
            (key.to_owned(), percent_decode_str(value).decode_utf8().expect("UTF-8").into_owned())
        };
        baggage.split(',').map(member).collect()
    }

    #[test]
    fn tags_name_the_version_its_label_and_how_it_was_chosen() {
        let (name, content) = ("support/agent".parse().expect("a name"), ContentId::of(b"text"));
        let by_label = ResponseTags::new(&name, 7, &content, Some(&Label::production())).chosen_by(Some(0), Some(42));
        let short = content.short();
        assert_eq!(
            by_label.baggage,
            format!(
                "gen_ai.prompt.name=support/agent,gen_ai.prompt.version=7,bookholder.stamp=support/agent@7%2B{short},\
                 bookholder.label=production,bookholder.rule=0,bookholder.bucket=42"
            )
        );
        let by_number = ResponseTags::new(&name, 7, &content, None);
        assert_eq!(by_number.attributes.keys().collect::<Vec<_>>(), [STAMP, PROMPT_NAME, PROMPT_VERSION]);
    }

    proptest! {
        #[test]
        fn baggage_of_any_name_is_valid_and_says_what_the_attributes_say(
            name in "[^@\\\\|\\p{Cc}/]{1,60}(/[^@\\\\|\\p{Cc}/]{1,30})?", version: u64, label in "[a-z0-9._-]{1,36}",
        ) {
            if let (Ok(name), Ok(label)) = (name.parse::<PromptName>(), label.parse::<Label>()) {
                let tags = ResponseTags::new(&name, version, &ContentId::of(b"text"), Some(&label)).chosen_by(Some(3), None);
                prop_assert_eq!(members(&tags.baggage), tags.attributes);
            }
        }
    }
}
