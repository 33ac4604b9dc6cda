//! Which version is found by a text, where several fit.

use std::cmp::Reverse;
use std::sync::Arc;

use super::texts::{Index, Known, Rank, ReadVersion, Served};
use super::version_text::{VersionText, text_of};
use crate::model::content_id::ContentId;
use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::telemetry::system_text::SystemText;

fn version(number: u64, served: Served, text: &str) -> ReadVersion {
    let name: PromptName = "replaced/later".parse().expect("a name");
    let rank = Rank { served, newest: Reverse(Timestamp::from_ms(i64::try_from(number).expect("a number"))) };
    let known = Known { name: Arc::new(name), version: number, content_id: ContentId::of(b"x"), rank };
    let content = serde_json::json!({ "text": text }).to_string();
    ReadVersion { known, text: text_of(content.as_bytes()).expect("a text") }
}

fn name(name: &str) -> PromptName {
    name.parse().expect("a name")
}

fn found(index: &Index, text: &str) -> Option<String> {
    let VersionText::Whole(hash) = version(1, Served::Nowhere, text).text else { panic!("{text} has variables") };
    assert_eq!(hash, SystemText::of([text]).expect("a text").hash);
    let known = index.exact.get(&hash).and_then(|list| list.first()).or_else(|| index.filled_in(text))?;
    Some(format!("{}@{}", known.name, known.version))
}

#[test]
fn ambiguous_text_means_the_version_on_production_then_labelled_then_newest() {
    let mut index = Index::default();
    let text = "You are the support agent of Globe.";
    index.replace(name("a"), vec![version(1, Served::Nowhere, text), version(9, Served::Nowhere, text)]);
    assert_eq!(found(&index, text).as_deref(), Some("a@9"));
    index.replace(name("b"), vec![version(2, Served::OtherLabel, text)]);
    assert_eq!(found(&index, text).as_deref(), Some("b@2"));
    index.replace(name("c"), vec![version(1, Served::Production, text), version(3, Served::OtherLabel, text)]);
    assert_eq!(found(&index, text).as_deref(), Some("c@1"));
    index.replace(name("aa"), vec![version(1, Served::Production, text)]);
    assert_eq!(found(&index, text).as_deref(), Some("aa@1"), "the first by name of those that are alike");
    for gone in ["c", "aa", "b"] {
        index.replace(name(gone), Vec::new());
    }
    assert_eq!(found(&index, text).as_deref(), Some("a@9"));
    index.replace(name("a"), Vec::new());
    assert_eq!((found(&index, text), index.versions, index.pattern_bytes), (None, 0, 0));
    assert!(index.exact.is_empty() && index.patterns.is_empty() && index.places.is_empty());
}

#[test]
fn filled_in_text_means_the_version_with_the_most_literal_text() {
    let mut index = Index::default();
    let shop = "You are the support agent of {{shop}}.";
    index.replace(name("shop"), vec![version(1, Served::Nowhere, shop)]);
    index.replace(name("any"), vec![version(1, Served::Production, "You are the support agent {{what}}")]);
    index.replace(name("tone"), vec![version(1, Served::Production, "{{who}} answers in one friendly sentence.")]);
    index.replace(name("all"), vec![version(1, Served::Production, "{{system}}")]);
    index.replace(name("whole"), vec![version(1, Served::Nowhere, "You are the support agent of Atlas.")]);
    for (text, expected) in [
        ("You are the support agent of Globe.", Some("shop@1")),
        ("You are the support agent of Atlas.", Some("whole@1")),
        ("You are the support agent of Globe!", Some("any@1")),
        ("Ann answers in one friendly sentence.", Some("tone@1")),
        ("You are the sales agent.", None),
        ("You", None),
    ] {
        assert_eq!(found(&index, text).as_deref(), expected, "{text}");
    }
    index.replace(name("shop"), Vec::new());
    assert_eq!(found(&index, "You are the support agent of Globe.").as_deref(), Some("any@1"));
}

#[test]
fn each_beginning_of_a_text_is_looked_up() {
    let mut index = Index::default();
    let beginnings = ["", "Ä", "Äb", "Äba", "Äbb", "Äbc", "Ä c", "Z"];
    for (number, beginning) in beginnings.iter().enumerate() {
        let text = format!("{beginning}{{{{x}}}} and then enough literal text to count {number}.");
        index.replace(name(&format!("p{number}")), vec![version(1, Served::Nowhere, &text)]);
    }
    for (number, beginning) in beginnings.iter().enumerate() {
        let text = format!("{beginning}… and then enough literal text to count {number}.");
        assert_eq!(found(&index, &text), Some(format!("p{number}@1")), "{text}");
    }
}
