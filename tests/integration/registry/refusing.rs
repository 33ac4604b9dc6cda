//! Refusals of publishing and importing, and the audit log that only success extends.

use bookholder::api::write::{ImportChange, ImportRequest, PublishRequest};
use bookholder::model::content::{Content, Syntax, Variable, VariableType};
use bookholder::model::time::Timestamp;

use crate::support::primary::{BEGIN_MS, Primary, content, label, name, request};

fn change(id: &str, at_ms: i64, prompt: &str, text: Option<&str>) -> ImportChange {
    ImportChange {
        id: id.to_owned(),
        at: Timestamp::from_ms(at_ms),
        author: "contributor-0001".to_owned(),
        message: "an edit".to_owned(),
        name: name(prompt),
        text: text.map(str::to_owned),
        original: None,
    }
}

fn import(changes: Vec<ImportChange>) -> ImportRequest {
    ImportRequest { changes, syntax: Syntax::Plain, label: label("production") }
}

#[tokio::test]
async fn invalid_publication_is_rejected_without_changes() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let before = primary.state();
    let variable = |name: &str| Variable {
        name: name.to_owned(),
        required: true,
        kind: VariableType::Any,
        default: None,
        description: None,
    };
    let with = |message: &str| PublishRequest { message: message.to_owned(), ..request("two") };
    let declared = |variables| content(Content { variables, ..Content::text(Syntax::Mustache, "{{a}}") });
    for (publish, part) in [
        (with(""), "a message is required (--message)"),
        (with(" \n\t"), "a message is required (--message)"),
        (with(&"é".repeat(2_001)), "the message has 2001 characters; the limit is 2,000"),
        (
            PublishRequest { labels: vec![label("latest")], ..request("two") },
            "the label `latest` always serves the latest version",
        ),
        (request(&"x".repeat(1024 * 1024)), "the limit is 1048576 bytes"),
        (content(Content::text(Syntax::Jinja, "{% if %}")), "line 1"),
        (declared(vec![variable("a"), variable("b")]), "declared but not used: `b`"),
        (declared(vec![variable("a"), variable("a")]), "the variable `a` is declared twice"),
        (declared(vec![variable("a b")]), "for a variable or placeholder"),
    ] {
        let error = primary.registry.publish(&primary.admin, name("a"), publish).await.expect_err(part).to_string();
        assert!(error.contains(part), "{part}: {error}");
        assert_eq!(primary.state(), before, "{part}");
    }
    let longest = with(&"é".repeat(2_000));
    assert!(primary.registry.publish(&primary.admin, name("a"), longest).await.expect("at the limit").created);
}

#[tokio::test]
async fn numeric_labels_are_refused() {
    for text in ["3", "2024-01", "", "Production"] {
        assert!(text.parse::<bookholder::model::name::Label>().is_err(), "{text}");
    }
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let error = primary.text("a@0").expect_err("versions count from 1").to_string();
    assert!(error.contains("versions count from 1"), "{error}");
}

#[tokio::test]
async fn import_skips_known_changes_and_lists_rejected_ones() {
    let primary = Primary::found();
    let history = || {
        vec![
            change("1", BEGIN_MS - 5_000, "a", Some("one")),
            change("2", BEGIN_MS - 4_000, "a", Some("one")),
            change("3", BEGIN_MS - 3_000, "a", Some("two")),
            change("4", BEGIN_MS - 2_000, "b", None),
            change("5", BEGIN_MS - 2_000, "a", None),
            change("6", BEGIN_MS - 1_000, "a", Some("one")),
        ]
    };
    let first = primary.registry.import(&primary.admin, import(history())).await.expect("an import");
    let counts = (first.imported.published, first.imported.removed, first.imported.known);
    assert_eq!(counts, (3, 1, 1));
    let refused: Vec<String> = first.refused.iter().map(|(id, error)| format!("{id}: {error}")).collect();
    assert_eq!(refused, ["4: there is no prompt `b`"]);
    let before = primary.state();
    let again = primary.registry.import(&primary.admin, import(history())).await.expect("an import");
    assert_eq!(again.imported.known, 5, "the edit that changed nothing is known, too");
    assert_eq!(again.refused.len(), 1);
    assert_eq!(primary.state(), before);
    assert_eq!(primary.text("a").expect("back"), "one");
    let log = primary.view().versions(&name("a"), None, 10).expect("a log").items;
    assert_eq!(log.iter().map(|version| version.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(log.iter().all(|version| version.author == "contributor-0001"));
    primary.verify();
}

#[tokio::test]
async fn import_without_changes_is_recorded() {
    let primary = Primary::found();
    let same = |id: &str, at| import(vec![change(id, at, "a", Some("one"))]);
    primary.registry.import(&primary.admin, same("1", BEGIN_MS - 9_000)).await.expect("an import");
    primary.registry.import(&primary.admin, same("2", BEGIN_MS - 8_000)).await.expect("an import");
    primary.publish("a", "two").await;
    let again = primary.registry.import(&primary.admin, same("2", BEGIN_MS - 8_000)).await.expect("an import");
    assert_eq!((again.imported.known, again.refused.len()), (1, 0));
}

#[tokio::test]
async fn rejected_import_changes_have_reasons() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    let before = primary.state();
    let anonymous = |author: String| ImportChange { author, ..change("x", BEGIN_MS, "b", Some("t")) };
    for (bad, message) in [
        (
            change("x", BEGIN_MS - 1, "a", Some("old")),
            "the change at 2026-03-20T14:59:59.999Z is older than the latest change to `a` (2026-03-20T15:00:00Z); \
                import changes in order of time",
        ),
        (
            change(&"i".repeat(65), BEGIN_MS, "b", Some("t")),
            "the id of an imported change is 65 bytes long; the limit is 64",
        ),
        (anonymous("n".repeat(201)), "an author's name is 201 bytes long; the limit is 200"),
        (
            ImportChange { message: " ".to_owned(), ..change("x", BEGIN_MS, "b", Some("t")) },
            "a message is required (--message)",
        ),
    ] {
        let outcome = primary.registry.import(&primary.admin, import(vec![bad])).await.expect("an import");
        assert_eq!(outcome.refused[0].1.to_string(), message);
        assert_eq!(primary.state(), before);
    }
    let many = (0..1_001).map(|id| change(&id.to_string(), BEGIN_MS, "b", Some("t"))).collect();
    let error = primary.registry.import(&primary.admin, import(many)).await.err().expect("too many");
    assert_eq!(error.to_string(), "there are 1001 changes in one import; the limit is 1000");
}

#[tokio::test]
async fn every_command_leaves_one_audit_entry_and_the_chain_is_whole() {
    let primary = Primary::found();
    primary.publish("a", "one").await;
    primary.deploy("a", 1, "production").await;
    primary.publish("a", "two").await;
    primary.deploy("a", 2, "production").await;
    primary.rollback("a", "production", None).await.expect("one was before");
    primary.unlabel("a", "production").await.expect("a label");
    primary.remove("a").await.expect("it is there");
    let page = primary.view().audit(None, 100).expect("a log");
    let log: Vec<(u64, &str, String)> =
        page.items.iter().map(|entry| (entry.seq, entry.command.as_str(), entry.subject_texts().join(", "))).collect();
    let expected = [
        (1, "found", "example, admin"),
        (2, "publish", "a@1"),
        (3, "deploy", "a@production → 1"),
        (4, "publish", "a@2"),
        (5, "deploy", "a@production → 2"),
        (6, "rollback", "a@production → 1"),
        (7, "unlabel", "a@production"),
        (8, "remove", "a"),
    ];
    assert_eq!(log, expected.map(|(seq, command, subjects)| (seq, command, subjects.to_owned())));
    assert!(page.items.windows(2).all(|pair| pair[1].previous == pair[0].hash));
    let verdict = primary.view().verify_audit().expect("a log");
    assert_eq!((verdict.whole, verdict.entries, verdict.broken_at), (true, 8, None));
    assert_eq!(verdict.head, page.items.last().expect("an entry").hash);
}
