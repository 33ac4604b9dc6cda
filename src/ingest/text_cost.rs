//! What share of a prompt's spend is its own text, and how the cost per call changed with its newest version.
//!
//! Models report how many tokens they read, not where each came from. The share of the text is an estimate from its length,
//! and from the prices of the average call of each version and model with and without it. It is a share of what was spent,
//! so it holds for reported costs, too. Models without a price are left out of both sides.

use std::collections::BTreeMap;

use crate::api::stats::{TextUsage, VersionChange};
use crate::model::content::{Body, Content, Message, MessageContent, Part};
use crate::model::name::PromptName;
use crate::model::reference::Selector;
use crate::model::usd::Usd;
use crate::resolve::{CatalogueView, ResolveError};
use crate::telemetry::event::{Response, Tokens};
use crate::telemetry::price::PriceBook;
use crate::telemetry::rollup::{Spend, Volume};
use crate::template::marks::{Mark, marks};

/// Bytes of text that are one token, about.
const TOKEN_BYTES: usize = 4;

/// What was counted of each version, by model.
#[derive(Debug, Default)]
pub(super) struct Volumes(BTreeMap<u64, BTreeMap<String, Volume>>);

impl Volumes {
    pub(super) fn add(&mut self, version: u64, model: &str, volume: &Volume) {
        let models = self.0.entry(version).or_default();
        match models.get_mut(model) {
            Some(sum) => sum.merge(volume),
            None => drop(models.insert(model.to_owned(), *volume)),
        }
    }

    /// What the text of the versions costs, at the prices that count at a time; none if that is unknown.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub(super) fn text_usage(
        &self,
        view: &CatalogueView,
        name: &PromptName,
        book: &PriceBook,
        at_ms: i64,
    ) -> Result<Option<TextUsage>, ResolveError> {
        let mut sum = TextSum::default();
        for (version, models) in &self.0 {
            let tokens = match view.version(name, &Selector::Version(*version)) {
                Ok(version) => u64::try_from(text_bytes(&version.content).div_ceil(TOKEN_BYTES)).unwrap_or(u64::MAX),
                Err(error @ ResolveError::Store(_)) => return Err(error),
                // The content is archived, or the prompt was removed.
                Err(_) => continue,
            };
            for (model, volume) in models {
                sum.add(book, model, volume, tokens, at_ms);
            }
        }
        Ok(sum.usage())
    }

    /// The newest two versions with calls of known cost, compared.
    pub(super) fn version_change(&self) -> Option<VersionChange> {
        let cost_per_call = |(version, models): (&u64, &BTreeMap<String, Volume>)| {
            let mut sum = Volume::default();
            for volume in models.values() {
                sum.merge(volume);
            }
            Some((*version, Usd::from_pico(sum.spend.cost_pico_usd).per(sum.spend.priced)?))
        };
        let mut newest = self.0.iter().rev().filter_map(cost_per_call);
        let ((version, cost_per_call_usd), (before, cost_per_call_before_usd)) = (newest.next()?, newest.next()?);
        Some(VersionChange { version, before, cost_per_call_usd, cost_per_call_before_usd })
    }
}

/// What the text of some calls costs.
#[derive(Debug, Default)]
struct TextSum {
    calls: u64,
    tokens: u64,
    cost_pico_usd: u128,
    of_pico_usd: u128,
}

impl TextSum {
    fn add(&mut self, book: &PriceBook, model: &str, volume: &Volume, text_tokens: u64, at_ms: i64) {
        let Spend { calls, cost_pico_usd, .. } = volume.spend;
        let Some((with, without)) = prices(book, model, volume, text_tokens, at_ms) else { return };
        let (part, whole) = (u128::from(with.saturating_sub(without)), u128::from(with));
        if whole == 0 || cost_pico_usd == 0 {
            return;
        }
        // In two steps, so that nothing overflows.
        let of_rest = (cost_pico_usd % whole).saturating_mul(part) / whole;
        let cost = (cost_pico_usd / whole).saturating_mul(part).saturating_add(of_rest);
        self.cost_pico_usd = self.cost_pico_usd.saturating_add(cost);
        self.of_pico_usd = self.of_pico_usd.saturating_add(cost_pico_usd);
        self.calls = self.calls.saturating_add(calls);
        self.tokens = self.tokens.saturating_add(text_tokens.saturating_mul(calls));
    }

    fn usage(&self) -> Option<TextUsage> {
        let (cost, of_cost) = (Usd::from_pico(self.cost_pico_usd), Usd::from_pico(self.of_pico_usd));
        Some(TextUsage {
            tokens_per_call: self.tokens.checked_div(self.calls)?,
            cost_usd: cost,
            of_cost_usd: of_cost,
            share: cost.dollars() / of_cost.dollars(),
            tenth_shorter_saves_usd: cost.per(10)?,
        })
    }
}

/// What the average call costs by the prices in force, and what it would without the text; none if that is unknown.
fn prices(book: &PriceBook, model: &str, volume: &Volume, text_tokens: u64, at_ms: i64) -> Option<(u64, u64)> {
    let Volume { counted_input, counted_output, tokens, .. } = volume;
    let mean = |sum: u64, calls: &u64| sum.checked_div(*calls).unwrap_or_default();
    let input = tokens.input.checked_div(*counted_input)?;
    let (cache_read, cache_write) = (mean(tokens.cache_read, counted_input), mean(tokens.cache_write, counted_input));
    let with = Tokens {
        input: Some(input),
        cache_read: Some(cache_read),
        cache_write: Some(cache_write),
        output: Some(mean(tokens.output, counted_output)),
        reasoning: Some(mean(tokens.reasoning, counted_output)),
        ..Tokens::default()
    };
    let text = text_tokens.min(input);
    let read = text.min(cache_read);
    let written = (text - read).min(cache_write);
    let without = Tokens {
        input: Some(input - text),
        cache_read: Some(cache_read - read),
        cache_write: Some(cache_write - written),
        ..with
    };
    let price = |tokens| {
        let model_used = Some(model.to_owned()).filter(|model| !model.is_empty());
        book.bill(&Response { model_used, tokens, ended_ms: at_ms, ..Response::default() }).ok()
    };
    Some((price(with)?.total(), price(without)?.total()))
}

/// Bytes of literal text, in a text or in messages.
fn text_bytes(content: &Content) -> usize {
    let literal = |text: &str| -> usize {
        let bytes = |mark: Mark<'_>| if let Mark::Text(text) = mark { text.len() } else { 0 };
        marks(content.syntax, text).into_iter().map(bytes).sum()
    };
    let of_message = |message: &Message| match message {
        Message::Said(said) => match &said.content {
            MessageContent::Text(text) => literal(text),
            MessageContent::Parts(parts) => {
                let texts = parts.iter().filter(|part| !part.is_image()).filter_map(Part::template);
                texts.map(literal).sum()
            }
            MessageContent::Null | MessageContent::Absent => 0,
        },
        Message::Placeholder { .. } => 0,
    };
    match &content.body {
        Body::Text(text) => literal(text),
        Body::Messages(messages) => messages.iter().map(of_message).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::content::Syntax;
    use crate::telemetry::rollup::TokenSums;

    /// Calls of gpt-5, which costs $1.25 for a million input tokens, $0.125 from a cache, and $10 for output.
    fn volume(calls: u64, cost_pico_usd: u128, cache_read: u64) -> Volume {
        Volume {
            spend: Spend { calls, errors: 0, priced: calls, cost_pico_usd },
            counted_input: calls,
            counted_output: calls,
            tokens: TokenSums { input: 2_000 * calls, cache_read, output: 100 * calls, ..TokenSums::default() },
        }
    }

    fn usage(model: &str, volume: &Volume, text_tokens: u64) -> Option<TextUsage> {
        let mut sum = TextSum::default();
        sum.add(&PriceBook::embedded(), model, volume, text_tokens, 1_790_000_000_000);
        sum.usage()
    }

    #[test]
    fn text_is_the_part_of_spend_that_its_tokens_are_at_the_price_of_the_model() {
        for (cache_read, text_tokens, share) in [
            // $0.00125 of $0.0035.
            (0, 1_000, 0.357_142),
            // What came from the cache is the text: $0.000125 of $0.002375.
            (10_000, 1_000, 0.052_631),
            // A text cannot be more than what was read: $0.0025 of $0.0035.
            (0, 9_000, 0.714_285),
            (0, 0, 0.0),
        ] {
            let found = usage("gpt-5", &volume(10, 7_000_000_000, cache_read), text_tokens).expect("a price");
            assert!((found.share - share).abs() < 1e-6, "{cache_read}, {text_tokens}: {found:?}");
            assert_eq!(found.of_cost_usd, Usd::from_pico(7_000_000_000));
            assert_eq!(found.tenth_shorter_saves_usd, Usd::from_pico(found.cost_usd.pico() / 10));
            assert_eq!(found.tokens_per_call, text_tokens);
        }
        assert_eq!(usage("made-up", &volume(10, 7, 0), 1_000), None, "no price is known");
        assert_eq!(usage("gpt-5", &volume(10, 0, 0), 1_000), None, "no cost is known");
    }

    #[test]
    fn newest_version_with_a_cost_is_compared_with_the_one_before() {
        let models = |volume| BTreeMap::from([("gpt-5".to_owned(), volume)]);
        let mut versions = Volumes(BTreeMap::from([(2, models(volume(2, 20, 0))), (5, models(volume(1, 15, 0)))]));
        let mut unpriced = volume(3, 0, 0);
        unpriced.spend.priced = 0;
        versions.0.insert(6, models(unpriced));
        let change = versions.version_change().expect("two versions");
        assert_eq!((change.version, change.before), (5, 2));
        assert_eq!(
            (change.cost_per_call_usd, change.cost_per_call_before_usd),
            (Usd::from_pico(15), Usd::from_pico(10))
        );
        versions.0.remove(&2);
        assert_eq!(versions.version_change(), None);
    }

    #[test]
    fn variables_and_logic_are_no_text() {
        for (syntax, text, bytes) in [
            (Syntax::Mustache, "Be {{how}}.", 4),
            (Syntax::Jinja, "{% if a %}Be kind.{% endif %}{# b #}", 8),
            (Syntax::Plain, "{{a}}", 5),
        ] {
            assert_eq!(text_bytes(&Content::text(syntax, text)), bytes, "{text}");
        }
        let json = br#"{"messages":[{"role":"system","content":"Be kind."},{"type":"placeholder","name":"history"},
            {"role":"user","content":[{"type":"text","text":"Be {{how}}."}]}]}"#;
        assert_eq!(text_bytes(&Content::from_json(json).expect("a content")), 12);
    }
}
