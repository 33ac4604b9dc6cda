use super::*;

fn import(json: &Value) -> Import {
    convert(json.to_string().as_bytes(), "2026-11-20").expect("an import")
}

fn tier<'t>(import: &'t Import, model: &str, input: u64, service_tier: Option<&str>) -> &'t Rate {
    let price = import.table.models().iter().find(|price| price.id == model).expect(model);
    price.rate(input, service_tier, 0).expect("a rate")
}

#[test]
fn rates_thresholds_and_service_tiers_come_over_to_the_pico_dollar() {
    let import = import(&serde_json::json!({
        "sample_spec": { "mode": "one of: chat, embedding" },
        "gemini/gemini-x": {
            "litellm_provider": "gemini", "mode": "chat", "source": "https://example.com/prices",
            "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 5.46875e-07,
            "input_cost_per_token_above_200k_tokens": 2.5e-06, "output_cost_per_token_above_200k_tokens": 1.5e-05,
            "input_cost_per_token_flex": 6e-07, "output_cost_per_token_flex": 5e-06,
            "cache_creation_input_token_cost": 1.5e-06, "cache_creation_input_token_cost_above_1hr": 3e-06,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 6e-06,
        },
    }));
    assert_eq!(import.left_out, []);
    let price = &import.table.models()[0];
    assert_eq!(
        (price.provider.as_deref(), price.source.as_deref()),
        (Some("gcp.gemini"), Some("https://example.com/prices"))
    );
    assert_eq!(price.names, ["gemini/gemini-x", "gemini-x"]);
    let standard = Rate {
        input: 1_250_000,
        output: Some(10_000_000),
        cache_read: Some(546_875),
        cache_write_5m: Some(1_500_000),
        cache_write_1h: Some(3_000_000),
        reasoning: None,
    };
    assert_eq!(tier(&import, "gemini/gemini-x", 200_000, None), &standard);
    let long = Rate { input: 2_500_000, output: Some(15_000_000), cache_write_1h: Some(6_000_000), ..standard };
    assert_eq!(tier(&import, "gemini/gemini-x", 200_001, None), &long);
    let flex = Rate { input: 600_000, output: Some(5_000_000), ..standard };
    assert_eq!(tier(&import, "gemini/gemini-x", 1, Some("flex")), &flex);
    // There is no flex price of long inputs, so they cost what they cost without.
    assert_eq!(tier(&import, "gemini/gemini-x", 200_001, Some("flex")), &long);
}

#[test]
fn reasoning_keeps_its_own_rate_where_it_differs_from_output() {
    let model = |reasoning: f64| {
        let import = import(&serde_json::json!({ "m": {
            "litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
            "output_cost_per_token_priority": 4e-6, "output_cost_per_reasoning_token": reasoning,
        }}));
        (tier(&import, "m", 1, None).reasoning(), tier(&import, "m", 1, Some("priority")).reasoning())
    };
    assert_eq!(model(3e-6), (Some(3_000_000), Some(3_000_000)));
    assert_eq!(model(2e-6), (Some(2_000_000), Some(4_000_000)));
}

#[test]
fn details_for_nothing_are_billed_as_what_they_are_part_of() {
    let import = import(&serde_json::json!({ "m": {
        "litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
        "cache_creation_input_token_cost": 0.0, "cache_read_input_token_cost": 0,
    }}));
    let rate = tier(&import, "m", 1, None);
    assert_eq!((rate.cache_read(), rate.cache_write_5m()), (1_000_000, 1_000_000));
}

#[test]
fn off_peak_hours_are_imported_within_one_utc_day() {
    let rates = |hours: Value, zone: Option<&str>| {
        let mut cheap = serde_json::json!({
            "input_cost_per_token": 1e-6, "windows": [{ "hours_utc": hours, "weekdays": [4, 5] }],
        });
        if let Some(zone) = zone {
            cheap["weekday_timezone"] = zone.into();
        }
        let import = import(&serde_json::json!({ "m": {
            "litellm_provider": "deepseek", "mode": "chat", "input_cost_per_token": 2e-6, "output_cost_per_token": 4e-6,
            "off_peak_pricing": cheap,
        }}));
        // 1970 began on a Thursday.
        let rates = [0, 11, 24, 47, 48].map(|hour| {
            let rate = import.table.models()[0].rate(1, None, hour * 3_600_000).expect("a rate");
            assert_eq!(rate.output, Some(4_000_000));
            rate.input
        });
        (rates, import.left_out.len())
    };
    let (low, high) = (1_000_000, 2_000_000);
    assert_eq!(rates("00:00-00:00".into(), None), ([low, low, low, low, high], 0));
    let two = serde_json::json!(["11:00-12:00", "22:00-00:00"]);
    assert_eq!(rates(two, None), ([high, low, high, low, high], 0));
    assert_eq!(rates("22:00-04:00".into(), None), ([high; 5], 1));
    assert_eq!(rates("00:00-00:00".into(), Some("Asia/Shanghai")), ([high; 5], 1));
}

#[test]
fn embeddings_have_no_rate_for_output() {
    let import = import(&serde_json::json!({ "e": {
        "litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-8, "output_cost_per_token": 0.0,
    }}));
    assert_eq!(tier(&import, "e", 1, None), &Rate { input: 20_000, ..Rate::default() });
}

#[test]
fn what_cannot_be_expressed_is_listed_with_its_reason() {
    let chat = |more: Value| {
        let mut entry = serde_json::json!({
            "litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
        });
        for (key, value) in more.as_object().expect("an object") {
            entry[key] = value.clone();
        }
        entry
    };
    let import = import(&serde_json::json!({
        "audio": chat(serde_json::json!({ "input_cost_per_audio_token": 1e-4, "off_peak_pricing": {} })),
        "free": chat(serde_json::json!({ "input_cost_per_token": 0, "output_cost_per_token": 0.0 })),
        "image": chat(serde_json::json!({ "mode": "image_generation" })),
        "modeless": chat(serde_json::json!({ "mode": null })),
        "negative": chat(serde_json::json!({ "input_cost_per_token": -1e-6 })),
        "odd": "text",
        "openai/audio": chat(serde_json::json!({})),
        "OPENAI/audio": chat(serde_json::json!({})),
        "outputless": chat(serde_json::json!({ "output_cost_per_token": null })),
        "priceless": chat(serde_json::json!({ "input_cost_per_token": null })),
        "rich": chat(serde_json::json!({ "output_cost_per_token": 2.0 })),
        "steps": chat(serde_json::json!({ "tiered_pricing": [] })),
        "text": chat(serde_json::json!({ "input_cost_per_token": "1e-6" })),
    }));
    let listed: Vec<_> =
        import.left_out.iter().map(|left| (left.model.as_str(), left.keys.join(" "), left.reason.as_str())).collect();
    let whole = String::new;
    assert_eq!(
        listed,
        [
            ("audio", "input_cost_per_audio_token off_peak_pricing".to_owned(), "a table has no rate for these"),
            ("free", whole(), "its prices are 0, as are those of models whose price is unknown"),
            ("image", whole(), "calls of mode image_generation are not priced by token"),
            ("modeless", whole(), "it has no mode"),
            ("negative", whole(), "input_cost_per_token is -1e-6, which is not a price"),
            ("odd", whole(), "it is not an object"),
            ("openai/audio", whole(), "another model has its name"),
            ("outputless", whole(), "it has no output_cost_per_token"),
            ("priceless", whole(), "it has no input_cost_per_token"),
            ("rich", whole(), "output_cost_per_token is 2.0, which is not a price"),
            ("steps", whole(), "its price changes by steps (tiered_pricing)"),
            ("text", whole(), "input_cost_per_token is \"1e-6\", which is not a price"),
        ]
    );
    let kept: Vec<_> = import.table.models().iter().map(|price| (price.id.as_str(), price.names.join(" "))).collect();
    assert_eq!(kept, [("audio", "audio".to_owned()), ("OPENAI/audio", "OPENAI/audio".to_owned())]);
}

#[test]
fn makers_of_models_keep_the_names_that_resellers_share() {
    let entry = |provider: &str, input: f64| {
        serde_json::json!({
            "litellm_provider": provider, "mode": "chat", "input_cost_per_token": input, "output_cost_per_token": 1e-6,
        })
    };
    let import = import(&serde_json::json!({
        "azure/gpt-x": entry("azure", 3e-6), "deepseek/d": entry("deepseek", 4e-6), "d": entry("deepseek", 5e-6),
        "gpt-x": entry("openai", 2e-6),
    }));
    let names = |id: &str| {
        let price = import.table.models().iter().find(|price| price.id == id).expect(id);
        price.names.join(" ")
    };
    assert_eq!((names("d"), names("deepseek/d")), ("d".to_owned(), "deepseek/d".to_owned()));
    assert_eq!((names("gpt-x"), names("azure/gpt-x")), ("gpt-x".to_owned(), "azure/gpt-x gpt-x".to_owned()));
}

#[test]
fn other_files_are_refused() {
    for (text, message) in [("[]", "not a file of LiteLLM"), ("{", "not a file of LiteLLM")] {
        let error = convert(text.as_bytes(), "2026-11-20").expect_err("no import").to_string();
        assert!(error.contains(message), "{error}");
    }
    assert!(convert(b"{}", "today").is_err());
    assert!(convert(" ".repeat(TABLE_BYTES_MAX + 1).as_bytes(), "2026-11-20").is_err());
}
