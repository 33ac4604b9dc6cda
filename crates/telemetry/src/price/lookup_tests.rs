use super::*;
use crate::price::{PriceBook, PriceTable};

const AT: i64 = 1_795_132_800_000;

/// A model: its id, provider, names, globs and rate of input.
type Model<'t> = (&'t str, &'t str, &'t [&'t str], &'t [&'t str], u64);

fn table(models: &[Model]) -> PriceTable {
    let models = models.iter().map(|(id, provider, names, globs, input)| {
        let provider = (!provider.is_empty()).then_some(provider);
        let tiers = serde_json::json!([{ "when": {}, "rate": { "input": input, "output": 1 } }]);
        serde_json::json!({ "id": id, "provider": provider, "match": names, "match_glob": globs, "tiers": tiers })
    });
    let models: Vec<_> = models.collect();
    let table = serde_json::json!({
        "schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token", "models": models
    });
    PriceTable::read(table.to_string().as_bytes()).expect("a table")
}

/// The id of the price that a model gets.
fn found(table: &PriceTable, provider: &str, model: &str) -> Option<String> {
    let provider = (!provider.is_empty()).then_some(provider);
    Index::new(table).find(table, &Wanted::new(model, provider, AT)).map(|price| price.id.clone())
}

#[test]
fn embedded_models_are_found_under_the_names_of_gateways_and_clouds() {
    let table = PriceTable::embedded();
    for (provider, model, id) in [
        ("openai", "gpt-5", "gpt-5"),
        ("openai", "GPT-5-2025-08-07", "gpt-5"),
        ("openai", "gpt-5-2027-01-31", "gpt-5"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("", "openai/gpt-5", "gpt-5"),
        ("", "openrouter/openai/gpt-5", "gpt-5"),
        ("azure.ai.openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("azure", "azure/gpt-4o", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("vertex_ai", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("", "anthropic/claude-haiku-4-5", "claude-haiku-4-5"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("", "openrouter/anthropic/claude-sonnet-4.5:thinking", "claude-sonnet-4-5"),
        ("aws.bedrock", "anthropic.claude-opus-5", "claude-opus-5"),
        ("aws.bedrock", "global.anthropic.claude-opus-5-v1:0", "claude-opus-5"),
        ("aws.bedrock", "us.anthropic.claude-opus-5-v1:0", "claude-opus-5 (bedrock regional)"),
        ("aws.bedrock", "bedrock/eu.anthropic.claude-opus-5", "claude-opus-5 (bedrock regional)"),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5",
            "claude-sonnet-5 (bedrock regional)",
        ),
        ("aws.bedrock", "us.meta.llama3-3-70b-instruct-v1:0", "llama3-3-70b-instruct (bedrock)"),
        ("gcp.gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google.generative-ai", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("mistral_ai", "mistral-small-latest", "mistral-small"),
        ("xai.chat", "grok-4.5-latest", "grok-4.5"),
        ("groq", "openai/gpt-oss-120b", "gpt-oss-120b (groq)"),
        ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "llama-3.3-70b-instruct-turbo (together)"),
        ("together", "together_ai/openai/gpt-oss-120b", "gpt-oss-120b (together)"),
    ] {
        assert_eq!(found(table, provider, model).as_deref(), Some(id), "{provider} {model}");
    }
}

#[test]
fn similar_names_are_unknown() {
    let table = PriceTable::embedded();
    for model in [
        "",
        "/",
        "gpt",
        "gpt-5-ultra",
        "my-gpt-5",
        "gpt-5:free",
        "ft:gpt-4o-mini-2024-07-18:ours::id",
        "ap.anthropic.claude-opus-5",
        "us-gov.anthropic.claude-opus-5",
        "claude-opus-5-20",
        "deepseek/deepseek-v4-pro:free",
    ] {
        assert_eq!(found(table, "", model), None, "{model}");
    }
}

#[test]
fn provider_price_precedes_the_generic_one() {
    let table =
        table(&[("a", "groq", &["m"], &[], 1), ("b", "together_ai", &["m"], &[], 2), ("c", "", &["m"], &[], 3)]);
    assert_eq!(found(&table, "groq", "m").as_deref(), Some("a"));
    assert_eq!(found(&table, "Together", "m").as_deref(), Some("b"));
    assert_eq!(found(&table, "", "groq/m").as_deref(), Some("a"));
    assert_eq!(found(&table, "", "m").as_deref(), Some("c"));
    assert_eq!(found(&table, "elsewhere", "m").as_deref(), Some("c"));
}

#[test]
fn name_with_several_prices_needs_a_provider() {
    let differ = table(&[("a", "groq", &["m"], &[], 1), ("b", "together_ai", &["m"], &[], 2)]);
    assert_eq!(found(&differ, "", "m"), None);
    let agree = table(&[("a", "groq", &["m"], &[], 1), ("b", "together_ai", &["m"], &[], 1)]);
    assert_eq!(found(&agree, "", "m").as_deref(), Some("a"));
    let named = table(&[("a", "groq", &["m"], &[], 1), ("m", "together_ai", &["m"], &[], 2)]);
    assert_eq!(found(&named, "", "m").as_deref(), Some("m"));
}

#[test]
fn globs_come_last_and_the_one_with_most_letters_counts() {
    let table = table(&[
        ("any", "", &[], &["*"], 1),
        ("claude", "", &[], &["*Claude*"], 2),
        ("sonnet", "", &[], &["*claude-sonnet*"], 3),
        ("exact", "", &["claude-sonnet-5"], &[], 4),
    ]);
    assert_eq!(found(&table, "", "gateway/CLAUDE-sonnet-9").as_deref(), Some("sonnet"));
    assert_eq!(found(&table, "", "x/y-claude").as_deref(), Some("claude"));
    assert_eq!(found(&table, "", "x").as_deref(), Some("any"));
    assert_eq!(found(&table, "", "gateway/claude-sonnet-5").as_deref(), Some("exact"));
}

#[test]
fn globs_of_the_provider_come_before_those_of_others() {
    let table = table(&[("long", "groq", &[], &["llama-3*"], 1), ("short", "together_ai", &[], &["llama*"], 2)]);
    assert_eq!(found(&table, "together_ai", "llama-3.3").as_deref(), Some("short"));
    assert_eq!(found(&table, "", "llama-3.3").as_deref(), Some("long"));
}

#[test]
fn providers_have_one_spelling() {
    for (given, name) in [
        ("OpenAI", "openai"),
        ("openai.chat", "openai"),
        ("azure-openai.chat", "azure.ai.openai"),
        ("az.ai.openai", "azure.ai.openai"),
        ("anthropic.messages", "anthropic"),
        ("amazon-bedrock", "aws.bedrock"),
        ("google.vertex.chat", "gcp.vertex_ai"),
        ("vertex_ai-anthropic_models", "gcp.vertex_ai"),
        ("gcp.gemini", "gcp.gemini"),
        ("mistralai", "mistral_ai"),
        ("xai", "x_ai"),
        ("a.local.one", "a.local.one"),
    ] {
        assert_eq!(provider_name(given), name, "{given}");
    }
}

#[test]
fn name_with_many_slashes_is_matched_from_its_end() {
    let model = "a/".repeat(1_000) + "gpt-5";
    assert_eq!(found(PriceTable::embedded(), "", &model).as_deref(), Some("gpt-5"));
    assert!(forms(&model).len() <= (SEGMENTS_MAX + 1) * 7);
    assert_eq!(PriceBook::embedded().tables().count(), 1);
}
