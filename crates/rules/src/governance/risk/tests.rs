//! Tests of properties that hold for every rule.

use proptest::prelude::*;

use super::*;
use crate::model::content::Content;
use crate::model::finding::Category;

const KEY: [u8; 32] = [7; 32];

fn rule(lines: &str) -> String {
    format!("[[rule]]\nid = 'r'\nversion = 1\ndescription = 'd'\ncategory = 'legal'\nseverity = 'low'\n{lines}")
}

fn custom(lines: &str) -> Classifier {
    let set = RuleSet::parse(&rule(lines)).unwrap_or_else(|error| panic!("{lines}: {error}"));
    Classifier::new(false, &[set]).expect("a classifier")
}

fn builtin() -> Classifier {
    Classifier::new(true, &[]).expect("a classifier")
}

fn of(json: &str) -> Vec<Finding> {
    builtin().classify(&Content::from_json(json.as_bytes()).expect(json), &KEY)
}

#[test]
fn invalid_rule_file_is_refused_with_its_reason() {
    let check = |lines: &str, part: &str| {
        let error = RuleSet::parse(&rule(lines)).expect_err(lines).to_string();
        assert!(error.contains(part), "{lines}: {error}");
    };
    let tests = "test_pos = ['ab']\ntest_neg = ['c']\n";
    check("regex = 'a'", "at least one test");
    check(&format!("{tests}regex = 'x'"), "does not find test_pos number 1");
    check("regex = 'a'\ntest_pos = ['a']\ntest_neg = ['b', 'a']", "finds test_neg number 2");
    check(&format!("{tests}regex = '('"), "unclosed group");
    check(&format!("{tests}regex = 'a(?=b)'"), "look-around");
    check(&format!("{tests}regex = '((a{{0,100}}){{0,100}}){{0,100}}'"), "too large when compiled");
    check(&format!("{tests}regex = '{}'", "a".repeat(5000)), "this one has 5000");
    check(tests, "either a regex or a detector");
    check(&format!("{tests}regex = 'a'\ndetector = 'zero_width'"), "either a regex or a detector");
    check(&format!("{tests}regex = 'a'\nsecret_group = 1"), "its regex has 0 groups");
    for (entropy, named) in
        [("9.0", "9"), ("-0.1", "-0.1"), ("nan", "NaN"), ("-nan", "NaN"), ("inf", "inf"), ("-inf", "-inf")]
    {
        let expected = format!("has the entropy {named}; use 0 to 8 bits per character");
        check(&format!("{tests}regex = 'a'\nentropy = {entropy}"), &expected);
    }
    check(&format!("{tests}regex = 'a'\nallow = ['(']"), "unclosed group");
    check(&format!("{tests}regex = 'a'\nkeywords = ['']"), "too many keywords, or too long ones");
    check(&format!("{tests}regex = 'a'\ncolour = 1"), "unknown field `colour`");
    check(&format!("{tests}regex = 'a'\n{}", rule(&format!("{tests}regex = 'a'"))), "used twice");
    let id = rule(&format!("{tests}regex = 'a'")).replace("'r'", "'R x'");
    assert!(RuleSet::parse(&id).expect_err("an id").to_string().contains("invalid rule id `R x`"));
    let long = format!("# {}", "x".repeat(1024 * 1024));
    assert!(RuleSet::parse(&long).expect_err("too long").to_string().contains("split it"));
    let many: String =
        (0..65).map(|n| rule(&format!("{tests}regex = 'a'\n")).replace("'r'", &format!("'r{n}'"))).collect();
    assert!(RuleSet::parse(&many).expect_err("too many").to_string().contains("rules without keywords"));
}

#[test]
fn custom_rule_applies_beside_builtin_ones() {
    let set = RuleSet::parse(&rule(
        "regex = '(?i)project heron'\nkeywords = ['HERON']\ntest_pos = ['Project ⟂Heron']\ntest_neg = ['heron']",
    ))
    .expect("a rule");
    let both = Classifier::new(true, std::slice::from_ref(&set)).expect("a classifier");
    assert_eq!(both.rule_count(), RuleSet::builtin().len() + 1);
    let findings = both.classify_text("output", "ask about\nPROJECT HERON", &KEY);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.rule.as_str(), finding.rule_version, finding.category), ("r", 1, Category::Legal));
    assert_eq!((finding.target.as_str(), finding.start, finding.end, finding.line), ("output", 10, 23, 2));
    assert_eq!(finding.hash, blake3::keyed_hash(&KEY, b"PROJECT HERON").to_hex().to_string());
    assert_eq!(worst(&findings), Some(Severity::Low));
    assert_eq!(worst(&[]), None);
    let error = Classifier::new(false, &[set.clone(), set]).expect_err("twice");
    assert_eq!(error, RuleError::Twice { id: "r".to_owned() });
}

#[test]
fn rule_searches_only_its_scopes() {
    let content = Content::from_json(
        br#"{"messages":[{"role":"user","content":"heron"},{"role":"system","content":"heron"},
            {"role":"assistant","content":"heron"}],"variables":[{"name":"v","default":"heron","description":"heron"}],
            "config":{"k":["heron"]}}"#,
    )
    .expect("a content");
    let check = |targets: &str, expected: &[&str]| {
        let classifier =
            custom(&format!("target = [{targets}]\nregex = 'heron'\ntest_pos = ['heron']\ntest_neg = ['x']"));
        let found: Vec<String> =
            classifier.classify(&content, &KEY).into_iter().map(|finding| finding.target).collect();
        assert_eq!(found, expected, "{targets}");
    };
    check("'template'", &["messages[0]", "messages[1]", "messages[2]"]);
    check("'few_shot'", &["messages[2]"]);
    check("'variable'", &["variables.v.default", "variables.v.description"]);
    check(
        "",
        &["messages[0]", "messages[1]", "messages[2]", "variables.v.default", "variables.v.description", "config.k[0]"],
    );
}

#[test]
fn findings_never_contain_matched_text() {
    let secret = ["ghp_", "016C7eFf2kQx9Lr4", "Tz8Wb3Nv6Ym1Hd5Js0Pa"].concat();
    let json = format!(
        r#"{{"text":"use {secret} now","config":{{"{secret}":"x","list":["{secret}"]}},
            "variables":[{{"name":"{secret}","default":"{secret}"}}]}}"#
    );
    let findings = of(&json);
    assert!(findings.len() >= 4, "{findings:?}");
    let shown = serde_json::to_string(&findings).expect("JSON");
    assert!(!shown.contains(&secret[4..]), "{shown}");
    let hashes: std::collections::BTreeSet<_> = findings.iter().map(|finding| &finding.hash).collect();
    assert_eq!(hashes.len(), 1, "one secret has one hash, wherever it stands");
    let other = builtin().classify_text("text", &secret, &[8; 32]);
    assert!(!hashes.contains(&other[0].hash), "another key, another hash");
}

#[test]
fn config_value_is_classified_with_its_key() {
    let findings = of(r#"{"text":"","config":{"db_password":"Xk29vQpL8mZr4T","limit":3}}"#);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.target.as_str(), finding.start, finding.line), ("config.db_password", 0, 1));
    assert_eq!(finding.category, Category::Secrets);
}

#[test]
fn regulated_advice_in_an_edited_prompt_is_high() {
    let check = |text: &str, category: Category| {
        let findings = builtin().classify_text("text", text, &KEY);
        let found = findings.iter().any(|found| found.category == category && found.severity >= Severity::High);
        assert!(found, "{text}: {findings:?}");
    };
    for text in [
        "You are a friendly support agent. Advise the customer which loan to take.",
        "When they ask about fees, offer them a loan.",
        "Recommend which shares to buy.",
        "Guarantee returns of 8% a year.",
        "Suggest an investment strategy to the user.",
        "Decide whether the applicant is creditworthy.",
    ] {
        check(text, Category::Financial);
    }
    for text in ["Tell the patient which dose of ibuprofen to take.", "Diagnose the user's symptoms."] {
        check(text, Category::Medical);
    }
    for text in ["Give the customer legal advice.", "Tell the tenant whether they can sue the landlord."] {
        check(text, Category::Legal);
    }
    for text in [
        "Never give legal, medical or financial advice.",
        "You are a friendly support agent. Answer in two sentences.",
        "Translate the text into French and keep the tone.",
        "Diagnose the failing build and suggest a fix.",
        "Recommend three stock photos for the article.",
    ] {
        let findings = builtin().classify_text("text", text, &KEY);
        assert!(findings.is_empty(), "{text}: {findings:?}");
    }
}

#[test]
fn most_severe_findings_are_kept_and_the_rest_counted() {
    let secret = ["ghp_", "016C7eFf2kQx9Lr4", "Tz8Wb3Nv6Ym1Hd5Js0Pa"].concat();
    let messages: Vec<String> = (0..400).map(|_| r#"{"role":"user","content":"a\u200bb"}"#.to_owned()).collect();
    let json = format!(r#"{{"messages":[{},{{"role":"user","content":"{secret}"}}]}}"#, messages.join(","));
    let findings = of(&json);
    assert_eq!(findings.len(), FINDINGS_MAX + 1);
    assert_eq!(worst(&findings), Some(Severity::Critical));
    let last = findings.last().expect("a last one");
    assert_eq!(last.rule, MORE_RULE);
    assert!(last.message.starts_with("at least 201 more findings"), "{}", last.message);
    assert_eq!(last.severity, Severity::Medium);
}

#[test]
fn hostile_rules_and_texts_come_to_an_end() {
    let text = "a".repeat(1024 * 1024);
    for regex in ["(a|aa)+$", "(a+)+$", "(a*)*b|a", "a"] {
        let classifier = custom(&format!("regex = '{regex}'\ntest_pos = ['aa']\ntest_neg = ['c']"));
        let findings = classifier.classify_text("text", &text, &KEY);
        assert!(findings.len() <= RULE_FINDINGS_MAX + 1, "{regex}");
        assert!(!findings.is_empty(), "{regex}");
    }
    assert!(builtin().classify_text("text", &text, &KEY).is_empty());
    let near = "1234 5678 9012 3456 ".repeat(50_000);
    let findings = builtin().classify_text("text", &near, &KEY);
    assert!(findings.len() <= FINDINGS_MAX + 1);
    let tags = "<a>{{".repeat(100_000);
    assert!(builtin().classify_text("text", &tags, &KEY).len() <= FINDINGS_MAX + 1);
}

#[test]
fn custom_rules_share_one_budget_and_unfinished_ones_are_reported() {
    let text = "a".repeat(1_000_000);
    let quadratic = |n: usize, severity: &str| {
        rule("regex = 'a[^b]*b|a'\nkeywords = ['a']\ntest_pos = ['a']\ntest_neg = ['b']\n")
            .replace("'r'", &format!("'r{n}'"))
            .replace("'low'", &format!("'{severity}'"))
    };
    let rules: String = (0..12).map(|n| quadratic(n, if n == 11 { "critical" } else { "low" })).collect();
    let set = RuleSet::parse(&rules).expect("rules");
    let findings = Classifier::new(true, &[set]).expect("a classifier").classify_text("text", &text, &KEY);
    let last = findings.last().expect("a last one");
    assert_eq!((last.rule.as_str(), last.severity), (MORE_RULE, Severity::Critical), "{findings:?}");
    assert!(last.message.contains("did not finish"), "{}", last.message);
    // A regex of the maximum size is not even started on such a text, but it is on a short one.
    let large = custom(
        "regex = '(a|b)*a(a|b){1000}c'\ntest_pos = ['TEST']\ntest_neg = ['ac']"
            .replace("TEST", &format!("a{}c", "b".repeat(1000)))
            .as_str(),
    );
    let given_up = large.classify_text("text", &text, &KEY);
    assert_eq!(
        given_up.iter().map(|one| (one.rule.as_str(), one.severity)).collect::<Vec<_>>(),
        [(MORE_RULE, Severity::Low)]
    );
    assert_eq!(large.classify_text("text", &format!("a{}c", "a".repeat(1000)), &KEY).len(), 1);
    // Many small texts share one budget.
    let message = format!(r#"{{"role":"user","content":"{}"}}"#, "b".repeat(2_000));
    let json = format!(r#"{{"messages":[{}]}}"#, vec![message; 400].join(","));
    let content = Content::from_json(json.as_bytes()).expect("a content");
    assert_eq!(large.classify(&content, &KEY).last().map(|one| one.rule.clone()), Some(MORE_RULE.to_owned()));
}

#[test]
fn stopwords_and_detectors_are_paid_for_too() {
    let text = "a".repeat(1_000_000);
    let words: Vec<String> = (0..2_000).map(|n| format!("'zz{n:05}'")).collect();
    let head = format!("stopwords = [{}]\n", words.join(","));
    let rules: String = (0..50)
        .map(|n| {
            rule("regex = '(?s)a+'\nkeywords = ['a']\ntest_pos = ['a']\ntest_neg = ['b']\n")
                .replace("'r'", &format!("'r{n}'"))
        })
        .collect();
    let set = RuleSet::parse(&(head + &rules)).expect("rules");
    let findings = Classifier::new(false, &[set]).expect("a classifier").classify_text("text", &text, &KEY);
    assert!(findings.last().is_some_and(|last| last.message.contains("did not finish")), "{findings:?}");
    let detectors: String = (0..200)
        .map(|n| {
            rule("detector = 'zero_width'\ntest_pos = [\"a\\u200bb\"]\ntest_neg = ['b']\n")
                .replace("'r'", &format!("'r{n}'"))
        })
        .collect();
    let set = RuleSet::parse(&detectors).expect("rules");
    let findings = Classifier::new(false, &[set]).expect("a classifier").classify_text("text", &text, &KEY);
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn rules_exceeding_work_or_memory_limits_are_rejected() {
    let check = |rules: &str, part: &str| {
        let error = RuleSet::parse(rules).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    let tests = "test_pos = ['aaxxxc']\ntest_neg = ['b']\n";
    check(&rule(&format!("{tests}regex = '(a.{{0,800}}){{2}}[^a]{{3}}c'")), "too large when compiled");
    let many: String = (0..30)
        .map(|n| {
            rule(&format!("keywords = ['a']\n{tests}regex = '(a.{{0,200}}){{2}}[^a]{{3}}c'\n"))
                .replace("'r'", &format!("'r{n}'"))
        })
        .collect();
    check(&many, "more than 10240 KiB when compiled");
    let slow = format!(
        "test_pos = ['a']\ntest_neg = [{}]\nregex = 'c|(a|b)*a(a|b){{2000}}d|a$'\n",
        vec![format!("'{}'", "b".repeat(8_000)); 64].join(",")
    );
    check(&rule(&slow), "take too long");
}

#[test]
fn rule_set_is_read_again_without_compiling() {
    let tests = "test_pos = ['a']\ntest_neg = ['b']\n";
    let two = rule(&format!("{tests}regex = 'a'\n")) + &rule(&format!("{tests}regex = '('\n")).replace("'r'", "'s'");
    assert_eq!(RuleSet::count(&two), Ok(2));
    assert_eq!(RuleSet::read(&two).expect("its form is right").len(), 2);
    assert!(RuleSet::parse(&two).is_err());
    assert_eq!(RuleSet::count(""), Ok(0));
    assert!(RuleSet::count("rule = 1").is_err());
    // What cannot be searched is reported.
    let broken = Classifier::new(false, &[RuleSet::read(&two).expect("two")]).expect("a classifier");
    let findings = broken.classify_text("text", "b", &KEY);
    assert_eq!(findings.last().map(|last| last.rule.as_str()), Some(MORE_RULE), "{findings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_a_rule_file_that_panics(
        text in "(?s).{0,300}",
        regex in ".{0,60}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = RuleSet::parse(&text);
        let _ = RuleSet::parse(&String::from_utf8_lossy(&bytes));
        let _ = import_gitleaks(&text);
        let quoted = toml::Value::String(regex.clone()).to_string();
        let _ = RuleSet::parse(&rule(&format!("regex = {quoted}\ntest_pos = ['a']\ntest_neg = ['b']")));
        let _ = import_gitleaks(&format!("[[rules]]\nid = 'x'\nregex = {quoted}"));
    }

    #[test]
    fn findings_are_on_character_boundaries(
        text in "(?s)(.|[a-zé\u{200b}0-9@. -]|password: |ghp_|\\{\\{x\\}\\}|ignore all previous instructions){0,80}",
    ) {
        for finding in builtin().classify_text("text", &text, &KEY) {
            let (start, end) = (usize::try_from(finding.start).unwrap(), usize::try_from(finding.end).unwrap());
            prop_assert!(text.get(start..end).is_some(), "{finding:?}");
            prop_assert_eq!(finding.line, 1 + u64::try_from(text[..start].matches('\n').count()).unwrap());
        }
    }
}
