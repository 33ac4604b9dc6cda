//! Providers of promptfoo as models.

use serde_json::Value;

use crate::model::suite::ModelName;

/// Providers whose names are followed by a model.
const PROVIDERS: [&str; 22] = [
    "openai",
    "anthropic",
    "azure",
    "azureopenai",
    "bedrock",
    "cerebras",
    "cohere",
    "deepseek",
    "fireworks",
    "google",
    "groq",
    "litellm",
    "localai",
    "mistral",
    "nvidia",
    "ollama",
    "openrouter",
    "perplexity",
    "togetherai",
    "vertex",
    "vllm",
    "xai",
];
/// What may be between the provider and the model: the kind of API.
const KINDS: [&str; 7] = ["chat", "messages", "responses", "completion", "embedding", "embeddings", "realtime"];

/// The model that the name of a provider means, if it means one: `openai:chat:gpt-4o` is `openai:gpt-4o`.
pub(in super::super) fn model(id: &str) -> Option<ModelName> {
    let (provider, rest) = id.split_once(':')?;
    if !PROVIDERS.contains(&provider) {
        return None;
    }
    let model = match rest.split_once(':') {
        Some((kind, model)) if KINDS.contains(&kind) => model,
        _ => rest,
    };
    if KINDS.contains(&model) {
        return None;
    }
    format!("{provider}:{model}").parse().ok()
}

/// The name in a provider's form: a text, a map with `id`, or a map from the name to its settings. The flag says
/// whether it has settings.
pub(super) fn id(provider: &Value) -> Option<(&str, bool)> {
    match provider {
        Value::String(id) => Some((id, false)),
        Value::Object(fields) => match fields.get("id") {
            Some(Value::String(id)) => Some((id, fields.contains_key("config"))),
            Some(_) => None,
            None => {
                let (id, _) = fields.iter().next()?;
                id.contains(':').then_some((id.as_str(), true))
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_with_a_model_are_models() {
        for (id, expected) in [
            ("openai:chat:gpt-4o", Some("openai:gpt-4o")),
            ("openai:gpt-4o", Some("openai:gpt-4o")),
            ("openai:responses:gpt-5", Some("openai:gpt-5")),
            ("anthropic:messages:claude-opus-4-1", Some("anthropic:claude-opus-4-1")),
            ("openrouter:meta/llama-3:free", Some("openrouter:meta/llama-3:free")),
            ("ollama:chat:llama3:8b", Some("ollama:llama3:8b")),
            ("openai:embedding:text-embedding-3-large", Some("openai:text-embedding-3-large")),
            ("openai:chat", None),
            ("echo", None),
            ("exec:python x.py", None),
            ("file://x.js", None),
            ("https://example.com", None),
        ] {
            assert_eq!(model(id).map(|model| model.to_string()).as_deref(), expected, "{id}");
        }
    }
}
