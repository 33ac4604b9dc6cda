use proptest::prelude::*;

use super::*;
use crate::event::{Operation, Tokens};
use crate::model::time::Timestamp;

/// 2026-11-20T00:00:00Z.
const AT: i64 = 1_795_132_800_000;

fn response(provider: &str, model: &str, tokens: Tokens) -> Response {
    Response {
        provider: (!provider.is_empty()).then(|| provider.to_owned()),
        model_used: Some(model.to_owned()),
        tokens,
        ended_ms: AT,
        ..Response::default()
    }
}

fn tokens(input: u64, output: u64) -> Tokens {
    Tokens { input: Some(input), output: Some(output), ..Tokens::default() }
}

fn table(models: &str) -> Result<PriceTable, PriceError> {
    let table = format!(
        r#"{{ "schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token", "models": [{models}] }}"#
    );
    PriceTable::read(table.as_bytes())
}

fn flat(id: &str, more: &str, input: u64) -> String {
    format!(r#"{{ "id": "{id}"{more}, "tiers": [{{ "when": {{}}, "rate": {{ "input": {input}, "output": 1 }} }}] }}"#)
}

fn book(models: &str) -> PriceBook {
    PriceBook::new([(PriceSource::Overrides, table(models).expect("a table"))])
}

/// What one token of input costs, in pico-dollars.
fn input_price(book: &PriceBook, provider: &str, model: &str) -> Option<u64> {
    book.cost(&response(provider, model, tokens(1, 0))).map(|cost| cost.pico_usd)
}

fn fault(models: &str) -> String {
    table(models).expect_err("no table").to_string()
}

#[test]
fn anthropic_input_with_both_caches_costs_what_the_provider_bills() {
    // Reported as 7 apart from the caches, so 7 + 2,089 + 16,399 in all.
    let tokens = Tokens { cache_read: Some(16_399), cache_write: Some(2_089), ..tokens(18_495, 445) };
    let cost =
        PriceBook::embedded().cost(&response("anthropic", "claude-sonnet-4-5-20250929", tokens)).expect("a cost");
    assert_eq!(cost.pico_usd, 19_449_450_000); // 0.01944945 USD
    assert_eq!(cost.source, PriceBook::embedded().source());
}

#[test]
fn cached_input_and_reasoning_are_not_billed_twice() {
    let tokens = Tokens { cache_read: Some(600), reasoning: Some(320), ..tokens(1_000, 500) };
    let book = PriceBook::embedded();
    let bill = book.bill(&response("openai", "gpt-5", tokens)).expect("a bill");
    assert_eq!(bill.total(), 5_575_000_000); // 0.005575 USD; overlapping parts would come to 0.009525
    let parts = Bill {
        input: 500_000_000,
        cache_read: 75_000_000,
        cache_write: 0,
        output: 1_800_000_000,
        reasoning: 3_200_000_000,
    };
    assert_eq!(bill, parts);
}

#[test]
fn one_hour_cache_writes_fall_back_to_five_minute_then_input_rate() {
    let cost = |rates: &str| {
        let model =
            format!(r#"{{ "id": "m", "tiers": [{{ "when": {{}}, "rate": {{ "input": 10, "output": 0{rates} }} }}] }}"#);
        let tokens = Tokens { cache_write_1h: Some(4), ..tokens(4, 0) };
        book(&model).cost(&response("", "m", tokens)).expect("a cost").pico_usd
    };
    assert_eq!(cost(r#", "cache_write_5m": 12, "cache_write_1h": 20"#), 80);
    assert_eq!(cost(r#", "cache_write_5m": 12"#), 48);
    assert_eq!(cost(""), 40);
}

#[test]
fn reasoning_has_its_own_rate_where_there_is_one() {
    let model = r#"{ "id": "m", "tiers": [{ "when": {}, "rate": { "input": 1, "output": 10, "reasoning": 3 } }] }"#;
    let tokens = Tokens { reasoning: Some(6), ..tokens(0, 10) };
    assert_eq!(book(model).cost(&response("", "m", tokens)).expect("a cost").pico_usd, 4 * 10 + 6 * 3);
}

#[test]
fn details_above_their_total_are_cut_to_it() {
    let huge = Some(u64::MAX);
    let details =
        Tokens { cache_read: huge, cache_write: huge, cache_write_1h: huge, reasoning: huge, ..tokens(1_000, 500) };
    let bill = PriceBook::embedded().bill(&response("openai", "gpt-5", details)).expect("a bill");
    assert_eq!((bill.input, bill.cache_read, bill.cache_write), (0, 125_000_000, 0));
    assert_eq!((bill.output, bill.reasoning), (0, 5_000_000_000));
}

#[test]
fn request_above_a_threshold_is_billed_whole_at_the_higher_rate() {
    let book = PriceBook::embedded();
    let cost =
        |input| book.cost(&response("gcp.gemini", "gemini-2.5-pro", tokens(input, 1_000))).expect("a cost").pico_usd;
    assert_eq!(cost(200_000), 200_000 * 1_250_000 + 1_000 * 10_000_000);
    assert_eq!(cost(200_001), 200_001 * 2_500_000 + 1_000 * 15_000_000);
}

#[test]
fn tokens_from_caches_count_towards_a_threshold() {
    let book = PriceBook::embedded();
    let tokens = Tokens { cache_read: Some(200_000), ..tokens(200_001, 0) };
    let cost = book.cost(&response("gcp.gemini", "gemini-2.5-pro", tokens)).expect("a cost").pico_usd;
    assert_eq!(cost, 2_500_000 + 200_000 * 250_000);
}

#[test]
fn unknown_service_tier_is_billed_as_standard() {
    let book = PriceBook::embedded();
    let cost = |tier: Option<&str>| {
        let response = Response { service_tier: tier.map(str::to_owned), ..response("openai", "gpt-5", tokens(1, 0)) };
        book.cost(&response).expect("a cost").pico_usd
    };
    assert_eq!((cost(Some("priority")), cost(Some("Flex"))), (2_500_000, 625_000));
    assert_eq!((cost(None), cost(Some("default")), cost(Some("scale"))), (1_250_000, 1_250_000, 1_250_000));
}

#[test]
fn off_peak_response_is_billed_at_the_off_peak_rate() {
    let book = PriceBook::embedded();
    let cost = |at: &str| {
        let ended_ms = at.parse::<Timestamp>().expect("a time").ms();
        let response = Response { ended_ms, ..response("deepseek", "deepseek-v4-pro", tokens(1, 0)) };
        book.cost(&response).expect("a cost").pico_usd
    };
    assert_eq!(cost("2026-11-20T03:00:00Z"), 1_320_000);
    assert_eq!(cost("2026-11-20T05:00:00Z"), 660_000);
    assert_eq!(cost("2026-11-21T03:00:00Z"), 660_000);
}

#[test]
fn reported_cost_overrides_a_known_model() {
    let reported = Cost { pico_usd: 42, source: CostSource::Reported };
    let given = |model: &str| Response { cost: Some(reported), ..response("openai", model, tokens(1_000, 1_000)) };
    let book = PriceBook::embedded();
    assert_eq!(book.cost(&given("gpt-5")), Some(reported));
    assert_eq!(book.cost(&given("unheard-of")), Some(reported));
}

#[test]
fn cost_from_another_table_is_recomputed() {
    let cost = Some(Cost { pico_usd: 42, source: CostSource::Table([7; 8]) });
    let book = PriceBook::embedded();
    let again = book.cost(&Response { cost, ..response("openai", "gpt-5", tokens(1, 0)) }).expect("a cost");
    assert_eq!(again, Cost { pico_usd: 1_250_000, source: book.source() });
    assert_eq!(book.cost(&Response { cost, ..response("openai", "unheard-of", tokens(1, 0)) }), None);
}

#[test]
fn what_is_unknown_has_a_reason_and_no_cost() {
    let book = PriceBook::embedded();
    let nameless = Response { tokens: tokens(1, 1), ended_ms: AT, ..Response::default() };
    let no_output = Tokens { output: None, ..tokens(1, 1) };
    let no_input = Tokens { input: None, ..tokens(1, 1) };
    for (response, reason) in [
        (nameless, Unpriced::NoModel),
        (response("openai", "unheard-of", tokens(1, 1)), Unpriced::UnknownModel),
        (response("openai", "gpt-5", Tokens::default()), Unpriced::NoTokens),
        (response("openai", "gpt-5", no_output), Unpriced::NoTokens),
        (response("openai", "gpt-5", no_input), Unpriced::NoTokens),
        (response("openai", "gpt-5", tokens(u64::MAX, 1)), Unpriced::TooLarge),
        (response("openai", "text-embedding-3-small", tokens(1, 1)), Unpriced::NoRate),
    ] {
        assert_eq!(book.bill(&response), Err(reason), "{response:?}");
        assert_eq!(book.cost(&response), None);
    }
}

#[test]
fn embeddings_need_no_output() {
    let tokens = Tokens { output: None, ..tokens(1_000, 0) };
    let response =
        Response { operation: Operation::Embeddings, ..response("openai", "text-embedding-3-small", tokens) };
    assert_eq!(PriceBook::embedded().cost(&response).expect("a cost").pico_usd, 20_000_000);
}

#[test]
fn price_uses_the_response_model_not_the_requested_one() {
    let book = PriceBook::embedded();
    let mut response = response("openai", "gpt-4o-mini-2024-07-18", tokens(1, 0));
    response.model_requested = Some("gpt-5".to_owned());
    assert_eq!(book.cost(&response).expect("a cost").pico_usd, 150_000);
    response.model_used = None;
    assert_eq!(book.cost(&response).expect("a cost").pico_usd, 1_250_000);
    response.model_used = Some("unheard-of".to_owned());
    assert_eq!(book.cost(&response), None);
}

#[test]
fn price_interval_is_half_open() {
    let models = [
        flat("m", r#", "valid_to": "2026-01-01T00:00:00Z""#, 10),
        flat("m", r#", "valid_from": "2026-01-01T00:00:00Z", "valid_to": "2026-06-01T00:00:00Z""#, 20),
    ];
    let book = book(&models.join(","));
    let cost = |at: &str| {
        let ended_ms = at.parse::<Timestamp>().expect("a time").ms();
        book.cost(&Response { ended_ms, ..response("", "m", tokens(1, 0)) }).map(|cost| cost.pico_usd)
    };
    assert_eq!(cost("2025-12-31T23:59:59.999Z"), Some(10));
    assert_eq!(cost("2026-01-01T00:00:00Z"), Some(20));
    assert_eq!(cost("2026-05-31T23:59:59.999Z"), Some(20));
    assert_eq!(cost("2026-06-01T00:00:00Z"), None);
}

fn sourced(table: PriceTable) -> (PriceSource, PriceTable) {
    (PriceSource::File, table)
}

#[test]
fn prices_in_force_are_those_that_a_name_leads_to_with_their_source() {
    let file = table(&format!("{},{}", flat("gpt-5", "", 7), flat("ours", "", 8))).expect("a table");
    let overrides = table(&flat("ours", "", 9)).expect("a table");
    let embedded = PriceTable::embedded().clone();
    let known = embedded.models().len();
    let book = PriceBook::new([
        (PriceSource::Embedded, embedded),
        (PriceSource::File, file),
        (PriceSource::Overrides, overrides),
    ]);
    let at_ms = "2026-11-20T00:00:00Z".parse::<Timestamp>().expect("a time").ms();
    let found = book.in_force(at_ms);
    let of = |id: &str| found.iter().filter(|(_, price)| price.id == id).map(|(from, _)| *from).collect::<Vec<_>>();
    assert_eq!(of("ours"), [PriceSource::Overrides]);
    assert!(of("gpt-5").contains(&PriceSource::File) && !of("gpt-5").contains(&PriceSource::Embedded));
    assert_eq!(of("gpt-5-mini"), [PriceSource::Embedded]);
    assert!((known / 2..=known + 2).contains(&found.len()), "{} of {known}", found.len());
    assert_eq!(book.short_id().len(), 16);
}

#[test]
fn later_tables_override_earlier_ones_and_the_id_covers_all() {
    let embedded = || PriceTable::embedded().clone();
    let file = || table(&flat("gpt-5", "", 7)).expect("a table");
    let api = || table(&format!("{},{}", flat("gpt-5", "", 8), flat("ours", "", 9))).expect("a table");
    let two = PriceBook::new([embedded(), file()].map(sourced));
    let three = PriceBook::new([embedded(), file(), api()].map(sourced));
    assert_eq!(input_price(&two, "openai", "gpt-5-2025-08-07"), Some(7));
    assert_eq!(input_price(&three, "openai", "gpt-5"), Some(8));
    assert_eq!(input_price(&three, "", "ours"), Some(9));
    assert_eq!(input_price(&three, "openai", "gpt-5-mini"), Some(250_000));
    let ids =
        [PriceBook::embedded(), two, three, PriceBook::new([file(), embedded()].map(sourced))].map(|book| *book.id());
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[at + 1..].contains(id));
    }
}

#[test]
fn table_id_does_not_depend_on_layout() {
    let one = r#"{ "id": "m", "provider": "p", "tiers": [{ "when": {}, "rate": { "input": 1, "output": 2 } }] }"#;
    let other = r#"{"tiers":[{"rate":{"output":2,"input":1},"when":{}}],"match":["m"],"provider":"p","id":"m"}"#;
    let (one, other) = (table(one).expect("a table"), table(other).expect("a table"));
    assert_eq!(one.id(), other.id());
    assert_ne!(one.id(), table(&flat("m", "", 1)).expect("a table").id());
    let json = serde_json::to_vec(&one).expect("JSON");
    assert_eq!(PriceTable::read(&json), Ok(one));
}

#[test]
fn free_is_a_price_in_a_table_of_ones_own() {
    assert_eq!(input_price(&book(&flat("local", "", 0)), "", "local"), Some(0));
}

#[test]
fn faults_of_a_table_say_what_is_wrong_and_what_to_do() {
    let rate = |rate: &str| format!(r#"{{ "id": "m", "tiers": [{{ "when": {{}}, "rate": {{ {rate} }} }}] }}"#);
    let tiers = |tiers: &str| format!(r#"{{ "id": "m", "tiers": [{tiers}] }}"#);
    let tier = |when: &str| format!(r#"{{ "when": {{ {when} }}, "rate": {{ "input": 1 }} }}"#);
    let twice = |one: &str, other: &str| format!("{},{}", flat("m", one, 1), flat("m", other, 2));
    let names: Vec<_> = (0..65).map(|number| format!("\"m{number}\"")).collect();
    for (models, message) in [
        (rate(r#""input": -3"#), "invalid price of \"m\": the rate of input is negative, -3"),
        (
            rate(r#""input": 0.5"#),
            "invalid price of \"m\": the rate of input is 0.5: use a whole number of pico-dollars per token, from 0 to \
             1000000000000",
        ),
        (
            rate(r#""input": 1000000000001"#),
            "invalid price of \"m\": the rate of input is 1000000000001: use a whole number of pico-dollars per token, \
             from 0 to 1000000000000",
        ),
        (rate(r#""output": 1"#), "invalid price of \"m\": it has no rate for input"),
        (
            rate(r#""input": 1, "image": 1"#),
            "invalid price of \"m\": unknown rate \"image\": use input, output, cache_read, cache_write_5m, \
             cache_write_1h, reasoning",
        ),
        (tiers(""), "invalid price of \"m\": it has 0 tiers: use 1 to 32"),
        (
            tiers(&tier(r#""service_tier": "flex""#)),
            "invalid price of \"m\": its last tier has a condition: add one with an empty `when` for all other responses",
        ),
        (
            tiers(&[tier(""), tier("")].join(",")),
            "invalid price of \"m\": tier 2 comes after one that fits every response of it: put the narrower one first",
        ),
        (
            tiers(&[tier(r#""input_tokens_gt": 100"#), tier(r#""input_tokens_gt": 200"#), tier("")].join(",")),
            "invalid price of \"m\": tier 2 comes after one that fits every response of it: put the narrower one first",
        ),
        (
            tiers(&[tier(r#""utc": [{ "days": [8], "from": "00:00", "to": "01:00" }]"#), tier("")].join(",")),
            "invalid price of \"m\": it has a time of the week without a day from 1 to 7, or that ends before it begins: \
             begin at 00:00 after midnight",
        ),
        (
            flat("m", r#", "valid_from": "2026-01-01T00:00:00Z", "valid_to": "2026-01-01T00:00:00Z""#, 1),
            "invalid price of \"m\": `valid_from` is not before `valid_to`",
        ),
        (
            twice("", r#", "match": ["M"], "valid_from": "2026-01-01T00:00:00Z""#),
            "invalid price of \"m\": another price of \"M\" is valid at the same time: let one end where the other begins",
        ),
        (
            twice(r#", "provider": "azure""#, r#", "provider": "azure.ai.openai""#),
            "invalid price of \"m\": another price of \"m\" is valid at the same time: let one end where the other begins",
        ),
        (
            flat("m", r#", "match_glob": ["a\u0007"]"#, 1),
            "invalid price of \"m\": invalid glob \"a\u{7}\": use letters and `*`",
        ),
        (
            flat("m", &format!(r#", "match": [{}]"#, names.join(",")), 1),
            "invalid price of \"m\": it has 65 names: use 1 to 64",
        ),
        (flat("m", r#", "match": [""]"#, 1), "invalid price of \"m\": a name is 0 bytes long: use 1 to 200"),
    ] {
        assert_eq!(fault(&models), message, "{models}");
    }
}

#[test]
fn tables_of_another_form_or_over_a_limit_are_refused() {
    let read = |text: &str| PriceTable::read(text.as_bytes()).expect_err("no table").to_string();
    let head = |change: (&str, &str)| {
        let empty = serde_json::to_string(&table("").expect("a table")).expect("JSON");
        read(&empty.replace(change.0, change.1))
    };
    assert_eq!(head((r#""schema":1"#, r#""schema":2"#)), "unknown schema 2 of a price table: use 1");
    assert_eq!(head(("USD", "EUR")), "unknown currency \"EUR\" of a price table: use USD");
    let unit = "unknown unit \"usd_per_token\" of a price table: use pico_usd_per_token";
    assert_eq!(head(("pico_usd_per_token", "usd_per_token")), unit);
    assert_eq!(
        head(("2026-11-20", "20 November")),
        "invalid date \"20 November\" of a price table: use a date such as 2026-11-20"
    );
    assert!(head((r#""models""#, r#""model""#)).starts_with("invalid price table: unknown field `model`"));
    assert!(read("{").starts_with("invalid price table: "));
    assert!(read(&flat("m", r#", "id": "n""#, 1)).contains("appears twice"));
    let long = " ".repeat(TABLE_BYTES_MAX + 1);
    assert_eq!(read(&long), "the price table is 16777217 bytes long: use at most 16777216");
    let many: Vec<_> = (0..=MODELS_MAX).map(|number| flat(&format!("m{number}"), "", 1)).collect();
    assert_eq!(fault(&many.join(",")), "too many models in a price table, 10001: use at most 10000");
    let globs: Vec<_> =
        (0..=GLOBS_MAX).map(|number| flat("m", &format!(r#", "match_glob": ["a{number}*"]"#), 1)).collect();
    let message = "too many globs in a price table, 513: use at most 512, and exact names for the rest";
    assert_eq!(fault(&globs.join(",")), message);
}

#[test]
fn every_embedded_price_is_positive_and_says_where_it_is_published() {
    let table = PriceTable::embedded();
    let models = table.models();
    assert!(models.len() > 60);
    for model in models {
        assert!(model.provider.is_some(), "{}", model.id);
        assert!(model.source.as_ref().is_some_and(|source| source.starts_with("https://")), "{}", model.id);
        for Tier { rate, .. } in &model.tiers {
            let Rate { input, output, cache_read, cache_write_5m, cache_write_1h, reasoning } = *rate;
            let rates = [Some(input), output, cache_read, cache_write_5m, cache_write_1h, reasoning];
            assert!(rates.iter().flatten().all(|price| *price > 0), "{}", model.id);
            assert!(output.is_some() || model.id.contains("embed"), "{}", model.id);
            assert!(cache_read.is_none_or(|price| price <= input), "{}", model.id);
        }
    }
    for model in models {
        for name in &model.names {
            let tokens = Tokens { output: model.tiers[0].rate.output.map(|_| 1), ..tokens(1, 0) };
            let response = Response {
                operation: Operation::Embeddings,
                ..response(model.provider.as_deref().unwrap(), name, tokens)
            };
            assert_eq!(PriceBook::embedded().price(&response), Some(model), "{name}");
            assert!(PriceBook::embedded().cost(&response).is_some_and(|cost| cost.pico_usd > 0), "{name}");
        }
    }
}

#[test]
fn embedded_prices_are_those_that_litellm_has() {
    let book = PriceBook::embedded();
    // Input, output and input from a cache, in dollars per million tokens.
    for (provider, model, dollars) in [
        ("openai", "gpt-6-sol", ["2", "10", "0.2"]),
        ("openai", "gpt-5-mini", ["0.25", "2", "0.025"]),
        ("openai", "gpt-4o", ["2.5", "10", "1.25"]),
        ("anthropic", "claude-opus-5-5", ["4", "20", "0.2"]),
        ("anthropic", "claude-haiku-4-5", ["1", "5", "0.1"]),
        ("gemini", "gemini-2.5-flash", ["0.3", "2.5", "0.03"]),
        ("mistral", "mistral-large-latest", ["0.5", "1.5", "0.05"]),
        ("xai", "grok-4.3", ["1.25", "2.5", "0.2"]),
        ("groq", "openai/gpt-oss-120b", ["0.15", "0.6", "0.075"]),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", ["3.3", "16.5", "0.33"]),
        ("bedrock", "eu.amazon.nova-lite-v1:0", ["0.078", "0.312", "0.0195"]),
    ] {
        let price = book.price(&response(provider, model, tokens(1, 1))).expect(model);
        let rate = price.rate(1, None, AT).expect(model);
        let per_million = |price: u64| {
            let dollars = format!("{}.{:06}", price / 1_000_000, price % 1_000_000);
            dollars.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let found = [Some(rate.input), rate.output, rate.cache_read].map(|price| per_million(price.expect(model)));
        assert_eq!(found, dollars, "{model}");
    }
}

proptest! {
    #[test]
    fn overlapping_details_never_bill_more_than_the_totals_at_the_base_rates(
        totals in (0..1_000_000_u64, 0..1_000_000_u64),
        details in prop::array::uniform4(prop::option::of(0..2_000_000_u64)),
        base in (0..100_000_000_u64, 0..100_000_000_u64),
        shares in prop::array::uniform4(prop::option::of(0..=100_u64)),
    ) {
        let part = |base: u64, share: Option<u64>| share.map(|share| base * share / 100);
        let rate = Rate {
            input: base.0,
            output: Some(base.1),
            cache_read: part(base.0, shares[0]),
            cache_write_5m: part(base.0, shares[1]),
            cache_write_1h: part(base.0, shares[2]),
            reasoning: part(base.1, shares[3]),
        };
        let [cache_read, cache_write, cache_write_1h, reasoning] = details;
        let tokens = Tokens { cache_read, cache_write, cache_write_1h, reasoning, ..tokens(totals.0, totals.1) };
        let bill = Bill::new(&tokens, Operation::Chat, &rate).expect("a bill");
        prop_assert!(bill.total() <= totals.0 * base.0 + totals.1 * base.1);
        let no_details = Tokens { input: tokens.input, output: tokens.output, ..Tokens::default() };
        let plain = Bill::new(&no_details, Operation::Chat, &rate).expect("a bill");
        prop_assert_eq!(plain.total(), totals.0 * base.0 + totals.1 * base.1);
    }

    #[test]
    fn any_model_and_any_tokens_are_priced_or_not_without_a_fault(
        provider in ".{0,20}",
        model in "[a-z0-9@:/.*-]{0,40}",
        counts in prop::array::uniform6(prop::option::of(any::<u64>())),
        ended_ms: i64,
    ) {
        let [input, cache_read, cache_write, cache_write_1h, output, reasoning] = counts;
        let tokens = Tokens { input, cache_read, cache_write, cache_write_1h, output, reasoning, input_was_exclusive: false };
        let book = book(&flat("any", r#", "match_glob": ["*"]"#, 3));
        let response = Response { ended_ms, ..response(&provider, &model, tokens) };
        prop_assert_eq!(book.cost(&response).is_some(), book.bill(&response).is_ok());
    }
}
