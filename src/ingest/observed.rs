//! Reads observed prompts, and makes a content of one.
//!
//! Their texts are recorded content that belongs to no prompt: they are for callers that can read every prompt.

use super::{IngestError, Recorder};
use crate::api::observed::{
    AdoptedVersion, OBSERVED_START_CHARACTERS, ObservedModel, ObservedPrompt, ObservedPrompts, ObservedUse,
};
use crate::model::content::{Content, Syntax};
use crate::model::count::count;
use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::resolve::ReadScope;
use crate::telemetry::observed::{self as store, Adopted, OTHER_MODEL, ObservedCounts};
use crate::telemetry::text_pattern::TextPattern;
use crate::template::marks::{Mark, marks};

/// Models that the message of an adopted version names.
const NAMED_MODELS: usize = 3;
/// Longest name of a model in it, in characters.
const MODEL_CHARACTERS: usize = 60;

/// What becomes of an observed prompt when it is adopted.
#[derive(Clone, Debug, PartialEq)]
pub struct Adoption {
    number: u64,
    /// The content of the version.
    pub content: Content,
    /// Where it comes from.
    pub message: String,
}

impl Recorder {
    /// The observed prompts with the most calls. Blocks.
    ///
    /// # Errors
    /// The reader cannot read every prompt, or the file cannot be read.
    pub fn observed(&self, scope: &ReadScope, limit: usize) -> Result<ObservedPrompts, IngestError> {
        check(scope)?;
        let (prompts, other) = self.store().observed()?;
        let more = u64::try_from(prompts.len().saturating_sub(limit)).unwrap_or(u64::MAX);
        let shown = prompts.into_iter().take(limit).map(|prompt| {
            let mut shown = view(prompt);
            if let Some((end, _)) = shown.text.char_indices().nth(OBSERVED_START_CHARACTERS) {
                shown.text.truncate(end);
            }
            shown
        });
        Ok(ObservedPrompts {
            recording: self.0.options.content.takes_any(),
            prompts: shown.collect(),
            more,
            other: (other.calls > 0).then(|| counted(other)),
        })
    }

    /// One observed prompt with its whole text. Blocks.
    ///
    /// # Errors
    /// The reader cannot read every prompt, or the file cannot be read.
    pub fn observed_prompt(&self, scope: &ReadScope, id: &str) -> Result<Option<ObservedPrompt>, IngestError> {
        check(scope)?;
        Ok(self.with_id(id)?.map(view))
    }

    /// What becomes of an observed prompt if it is adopted. Blocks.
    ///
    /// # Errors
    /// The reader cannot read every prompt, or the file cannot be read.
    pub fn adoption(&self, scope: &ReadScope, id: &str) -> Result<Option<Adoption>, IngestError> {
        check(scope)?;
        let adoption = |prompt: store::ObservedPrompt| Adoption {
            number: prompt.id,
            content: content(&prompt.pattern),
            message: provenance(&view(prompt)),
        };
        Ok(self.with_id(id)?.map(adoption))
    }

    /// Notes which version an observed prompt became.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn adopted(&self, adoption: &Adoption, prompt: PromptName, version: u64) -> Result<(), IngestError> {
        // It may have expired since: the version is there in any case.
        let _is_known = self.store().adopt(adoption.number, Adopted { prompt, version }).await?;
        Ok(())
    }

    fn with_id(&self, id: &str) -> Result<Option<store::ObservedPrompt>, IngestError> {
        let is_id = id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let Some(number) = is_id.then(|| u64::from_str_radix(id, 16).ok()).flatten() else { return Ok(None) };
        Ok(self.store().observed_prompt(number)?)
    }
}

fn check(scope: &ReadScope) -> Result<(), IngestError> {
    Ok(scope.check_everything("reading observed prompts")?)
}

/// The names of the variables of a pattern.
fn names(pattern: &TextPattern) -> Vec<String> {
    (1..=pattern.variables()).map(|number| format!("var{number}")).collect()
}

fn view(prompt: store::ObservedPrompt) -> ObservedPrompt {
    let store::ObservedPrompt { id, pattern, mut counts } = prompt;
    let adopted = counts.adopted.take().map(|Adopted { prompt, version }| AdoptedVersion { prompt, version });
    let text = pattern.template(&names(&pattern));
    ObservedPrompt {
        id: format!("{id:016x}"),
        text_bytes: u64::try_from(text.len()).unwrap_or(u64::MAX),
        text,
        variables: u64::try_from(pattern.variables()).unwrap_or(u64::MAX),
        counts: counted(counts),
        adopted,
    }
}

fn counted(counts: ObservedCounts) -> ObservedUse {
    let mut models: Vec<ObservedModel> =
        counts.models.into_iter().map(|(model, calls)| ObservedModel { model, calls }).collect();
    // What stands for several comes last.
    models.sort_by_key(|one| (one.model == OTHER_MODEL, u64::MAX - one.calls));
    ObservedUse {
        calls: counts.calls,
        errors: counts.errors,
        priced_calls: counts.priced,
        cost_usd: Usd::from_pico(counts.cost_pico_usd),
        input_tokens: counts.input_tokens,
        output_tokens: counts.output_tokens,
        models,
        first_seen: Timestamp::from_ms(counts.first_ms),
        last_seen: Timestamp::from_ms(counts.last_ms),
    }
}

/// A content whose text is this one: plain if it has no variables; otherwise mustache, or Jinja where literal text
/// looks like a tag of mustache.
fn content(pattern: &TextPattern) -> Content {
    if let [text] = pattern.literals() {
        return Content::text(Syntax::Plain, text.as_str());
    }
    let names = names(pattern);
    let template = pattern.template(&names);
    let read_back = marks(Syntax::Mustache, &template);
    let variables = read_back.iter().filter_map(|mark| match mark {
        Mark::Text(_) => None,
        Mark::Variable(tag) | Mark::Include(tag) | Mark::Logic(tag) => Some(*tag),
    });
    if variables.eq(names.iter().map(|name| format!("{{{{{name}}}}}"))) {
        return Content::text(Syntax::Mustache, template);
    }
    let braces = |literal: &String| {
        literal.chars().fold(String::new(), |mut text, character| {
            match character {
                '{' => text.push_str("{{ '{' }}"),
                '}' => text.push_str("{{ '}' }}"),
                other => text.push(other),
            }
            text
        })
    };
    let escaped = TextPattern::new(pattern.literals().iter().map(braces));
    Content::text(Syntax::Jinja, escaped.template(&names))
}

/// Where an adopted version comes from, as its message.
fn provenance(prompt: &ObservedPrompt) -> String {
    let ObservedUse { calls, models, cost_usd, priced_calls, first_seen, last_seen, .. } = &prompt.counts;
    let day = |at: &Timestamp| at.to_string().chars().take(10).collect::<String>();
    let shown = models.iter().filter(|one| one.model != OTHER_MODEL).take(NAMED_MODELS);
    let shown: Vec<String> = shown
        .map(|one| one.model.chars().filter(|character| !character.is_control()).take(MODEL_CHARACTERS).collect())
        .collect();
    let by = if shown.is_empty() { String::new() } else { format!(" of {}", shown.join(", ")) };
    let others = if models.len() > shown.len() && !shown.is_empty() { " and others" } else { "" };
    let cost = if *priced_calls > 0 { format!(", {}", cost_usd.short()) } else { String::new() };
    let (first, last) = (day(first_seen), day(last_seen));
    format!("Adopt observed prompt {}: {}{by}{others} from {first} to {last}{cost}", prompt.id, count(*calls, "call"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Cancellation;
    use crate::model::rendered::Rendered;
    use crate::template::render::{RenderInput, render};
    use crate::template::variables::complete;

    fn pattern(literals: &[&str]) -> TextPattern {
        TextPattern::new(literals.iter().map(|literal| (*literal).to_owned()))
    }

    #[test]
    fn adopted_content_renders_to_the_texts_that_were_observed() {
        for (literals, syntax) in [
            (&["Be kind. {{> a@1}} {{x}}"][..], Syntax::Plain),
            (&["Help ", " in {one} way."], Syntax::Mustache),
            (&["Help ", " and {{name}}."], Syntax::Jinja),
            (&["Help {", "} {% if x %} {# y #} }} -}}"], Syntax::Jinja),
            (&["{{> secret/plan@1}} ", " {{- x -}}"], Syntax::Jinja),
        ] {
            let mut content = content(&pattern(literals));
            assert_eq!(content.syntax, syntax, "{literals:?}");
            complete(&mut content).expect("a content that can be published");
            let variables = json!({"var1": "Ann"}).as_object().expect("an object").clone();
            let variables = if literals.len() > 1 { variables } else { serde_json::Map::new() };
            let input =
                RenderInput { variables: &variables, messages: &std::collections::BTreeMap::new(), strict: true };
            let rendered = render(&content, input, &Cancellation::never()).expect("a text").rendered;
            let Rendered::Text(text) = rendered else { panic!("a text") };
            assert_eq!(text, literals.join("Ann"), "{literals:?}");
        }
    }

    #[test]
    fn message_of_an_adopted_version_says_where_it_comes_from() {
        let mut prompt: ObservedPrompt = serde_json::from_value(json!({
            "id": "00000000000000ab", "text": "x", "text_bytes": 1, "variables": 0, "calls": 9, "errors": 0,
            "priced_calls": 9, "cost_usd": "1.5", "input_tokens": 1, "output_tokens": 1,
            "models": [{"model": "gpt-5", "calls": 5}, {"model": "a\u{7}b", "calls": 3}, {"model": "_other", "calls": 1}],
            "first_seen": "2026-11-01T10:00:00Z", "last_seen": "2026-11-29T10:00:00Z",
        }))
        .expect("an observed prompt");
        assert_eq!(
            provenance(&prompt),
            "Adopt observed prompt 00000000000000ab: 9 calls of gpt-5, ab and others from 2026-11-01 to 2026-11-29, $1.50"
        );
        prompt.counts = ObservedUse { calls: 1, priced_calls: 0, models: Vec::new(), ..prompt.counts };
        assert_eq!(provenance(&prompt), "Adopt observed prompt 00000000000000ab: 1 call from 2026-11-01 to 2026-11-29");
    }
}
