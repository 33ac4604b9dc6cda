//! Finds the price of a model by the name that an application or provider uses for it.
//!
//! First the name as it is, for its provider and then for any; then without what gateways and clouds put around it:
//! a provider before a slash, a region, a version, a date; last by globs. The first that has a price at that time
//! counts. A name that several providers have at different prices, none of which is the one of the response, has none.

use std::collections::HashMap;

use super::check::pattern;
use super::table::{ModelPrice, PriceTable};
use crate::model::pattern::Pattern;

/// Most parts between slashes that are looked at; those before are left out.
const SEGMENTS_MAX: usize = 8;
/// What Bedrock puts before the names of models for its lowest prices; behind other regions they cost more.
const REGIONS: [&str; 2] = ["us.", "global."];
/// What Bedrock puts before the names of models of others.
const VENDORS: [&str; 8] = ["anthropic.", "openai.", "meta.", "mistral.", "cohere.", "deepseek.", "google.", "qwen."];
/// What `OpenRouter` puts behind the names of models without changing their price.
const VARIANTS: [&str; 3] = [":thinking", ":extended", ":beta"];
/// Names of providers: how OpenTelemetry spells them now, and how its past versions and other tools do.
const PROVIDERS: [(&str, &[&str]); 12] = [
    ("openai", &[]),
    ("anthropic", &[]),
    ("azure.ai.openai", &["azure", "az.ai.openai", "azure-openai", "azure_openai", "azure_ai"]),
    ("aws.bedrock", &["bedrock", "bedrock_converse", "amazon-bedrock", "aws", "aws_bedrock"]),
    ("gcp.vertex_ai", &["vertex_ai", "vertexai", "google.vertex", "google-vertex"]),
    ("gcp.gemini", &["gemini", "google", "google.generative-ai", "gcp.gen_ai", "google_genai"]),
    ("mistral_ai", &["mistral", "mistralai"]),
    ("x_ai", &["xai"]),
    ("deepseek", &[]),
    ("groq", &[]),
    ("together_ai", &["together", "togetherai"]),
    ("cohere", &["cohere_chat"]),
];

/// The name of a provider as OpenTelemetry spells it, in lower case; unknown ones stay as they are.
///
/// What clients put behind a name, such as `.chat` in `openai.chat`, is left out where the rest is known.
#[must_use]
pub fn provider_name(provider: &str) -> String {
    let provider = provider.trim().to_ascii_lowercase();
    let known = |name: &str| {
        PROVIDERS.iter().find(|(known, others)| *known == name || others.contains(&name)).map(|(known, _)| *known)
    };
    let head = || provider.rsplit_once('.').and_then(|(head, _)| known(head));
    let vertex = || provider.starts_with("vertex_ai-").then_some("gcp.vertex_ai");
    known(&provider).or_else(head).or_else(vertex).map_or(provider.clone(), str::to_owned)
}

/// What a price is wanted for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Names of the model, the whole one first, each with the provider that it says itself.
    forms: Vec<(Option<String>, String)>,
    provider: Option<String>,
    at_ms: i64,
}

impl Wanted {
    pub(super) fn new(model: &str, provider: Option<&str>, at_ms: i64) -> Self {
        Self { forms: forms(model), provider: provider.map(provider_name), at_ms }
    }
}

/// Names of a table, so that most models are found without looking through it.
#[derive(Debug)]
pub(super) struct Index {
    names: HashMap<String, Vec<Entry>>,
    /// Those with most letters first.
    globs: Vec<(Pattern, Entry)>,
}

#[derive(Clone, Debug)]
struct Entry {
    provider: Option<String>,
    /// Where the model is in the table.
    at: usize,
}

impl Index {
    pub(super) fn new(table: &PriceTable) -> Self {
        let mut names: HashMap<String, Vec<Entry>> = HashMap::new();
        let mut globs = Vec::new();
        for (at, model) in table.models().iter().enumerate() {
            let entry = Entry { provider: model.provider.as_deref().map(provider_name), at };
            for name in &model.names {
                names.entry(name.to_ascii_lowercase()).or_default().push(entry.clone());
            }
            globs.extend(model.globs.iter().filter_map(|glob| Some((pattern(glob)?, entry.clone()))));
        }
        let letters = |pattern: &Pattern| pattern.as_str().bytes().filter(|byte| *byte != b'*').count();
        globs.sort_by_key(|(pattern, _)| std::cmp::Reverse(letters(pattern)));
        Self { names, globs }
    }

    pub(super) fn find<'t>(&self, table: &'t PriceTable, wanted: &Wanted) -> Option<&'t ModelPrice> {
        let named = |(provider, name): &(Option<String>, String)| {
            let entries = self.names.get(name)?.iter();
            choose(table, entries, wanted.provider.as_ref().or(provider.as_ref()), name, wanted.at_ms)
        };
        wanted.forms.iter().find_map(named).or_else(|| {
            let (_, whole) = wanted.forms.first()?;
            let matching = self.globs.iter().filter(|(pattern, _)| pattern.matches(whole));
            let mut valid = matching.filter_map(|(_, entry)| Some((entry, price(table, entry, wanted.at_ms)?)));
            let (entry, first) = valid.next()?;
            if entry.provider == wanted.provider {
                return Some(first);
            }
            Some(valid.find(|(entry, _)| entry.provider == wanted.provider).map_or(first, |(_, price)| price))
        })
    }
}

/// The price of an entry, if it is valid at a time.
fn price<'t>(table: &'t PriceTable, entry: &Entry, at_ms: i64) -> Option<&'t ModelPrice> {
    table.models().get(entry.at).filter(|price| price.valid_at(at_ms))
}

/// Among prices of one name: the one of the provider, then the one of no provider, then the one that all others agree
/// with or that has the name as its id.
fn choose<'t, 'e>(
    table: &'t PriceTable,
    entries: impl Iterator<Item = &'e Entry>,
    provider: Option<&String>,
    name: &str,
    at_ms: i64,
) -> Option<&'t ModelPrice> {
    let valid: Vec<_> = entries.filter_map(|entry| Some((entry, price(table, entry, at_ms)?))).collect();
    let of = |provider: Option<&String>| valid.iter().find(|(entry, _)| entry.provider.as_ref() == provider);
    let same = |(_, first): &&(&Entry, &ModelPrice)| valid.iter().all(|(_, price)| price.tiers == first.tiers);
    let called = || valid.iter().find(|(_, price)| price.id.eq_ignore_ascii_case(name));
    of(provider).or_else(|| of(None)).or_else(|| valid.first().filter(same)).or_else(called).map(|(_, price)| *price)
}

/// The names that a model may be known by, the whole one first.
fn forms(model: &str) -> Vec<(Option<String>, String)> {
    let whole = model.trim().to_ascii_lowercase();
    let mut tails = vec![(None, whole.as_str())];
    let slashes: Vec<_> = whole.match_indices('/').map(|(at, _)| at).collect();
    for at in slashes.iter().rev().take(SEGMENTS_MAX).rev() {
        let (head, tail) = whole.split_at(*at);
        let provider = head.rsplit('/').next().map(provider_name);
        tails.push((provider, tail.strip_prefix('/').unwrap_or(tail)));
    }
    let mut forms: Vec<(Option<String>, String)> = Vec::new();
    // What costs the same without comes first: a region may have its own price.
    let strips: [fn(&str) -> Option<&str>; 6] =
        [without_at, without_version, without_variant, without_date, without_region, without_vendor];
    for (provider, tail) in &tails {
        forms.push((provider.clone(), (*tail).to_owned()));
    }
    for strip in strips {
        for (provider, tail) in &mut tails {
            if let Some(shorter) = strip(tail).filter(|shorter| !shorter.is_empty()) {
                forms.push((provider.clone(), shorter.to_owned()));
                *tail = shorter;
            }
        }
    }
    // Gateways such as OpenRouter write `claude-sonnet-4.5`.
    let dashed = |(provider, name): &(Option<String>, String)| {
        (name.starts_with("claude-") && name.contains('.')).then(|| (provider.clone(), name.replace('.', "-")))
    };
    let dashed: Vec<_> = forms.iter().filter_map(dashed).collect();
    forms.extend(dashed);
    forms
}

/// `us.anthropic.claude-sonnet-5` without `us.`.
fn without_region(name: &str) -> Option<&str> {
    REGIONS.iter().find_map(|region| name.strip_prefix(region))
}

/// `anthropic.claude-sonnet-5` without `anthropic.`.
fn without_vendor(name: &str) -> Option<&str> {
    VENDORS.iter().find_map(|vendor| name.strip_prefix(vendor))
}

/// `claude-sonnet-4-5@20250929` without what follows `@`.
fn without_at(name: &str) -> Option<&str> {
    name.split_once('@').map(|(name, _)| name)
}

/// `claude-opus-4-5-20251101-v1:0` without `-v1:0`.
fn without_version(name: &str) -> Option<&str> {
    let (name, version) = name.rsplit_once("-v")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (major, minor) = version.split_once(':').unwrap_or((version, "0"));
    (digits(major) && digits(minor)).then_some(name)
}

/// `deepseek-r1:thinking` without `:thinking`. One that is `:free` is not what the model costs elsewhere.
fn without_variant(name: &str) -> Option<&str> {
    VARIANTS.iter().find_map(|variant| name.strip_suffix(variant))
}

/// `gpt-5-2025-08-07` and `claude-haiku-4-5-20251001` without the date, `x-latest` without `-latest`.
fn without_date(name: &str) -> Option<&str> {
    if let Some(name) = name.strip_suffix("-latest") {
        return Some(name);
    }
    let date = |form: &[u8]| {
        let at = name.len().checked_sub(form.len())?;
        let (name, end) = name.split_at_checked(at)?;
        let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
        end.bytes().zip(form).all(fits).then_some(name)
    };
    date(b"-2000-00-00").or_else(|| date(b"-20000000"))
}

#[cfg(test)]
#[path = "lookup_tests.rs"]
mod tests;
