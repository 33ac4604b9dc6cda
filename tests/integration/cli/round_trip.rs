//! Folders of any shape go to a registry and come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bookholder::files::path::path_of;
use bookholder::model::name::PromptName;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::command::bookholder;
use crate::support::node::Node;

/// Valid names for new prompts.
fn name() -> impl Strategy<Value = PromptName> {
    let segment = "[a-z0-9_][a-z0-9_-]{0,4}(\\.[a-z0-9_-]{1,3})?";
    prop::collection::vec(segment, 1..4).prop_filter_map("a device of Windows", |segments| {
        segments.join("/").parse::<PromptName>().ok().filter(|name| name.check_new().is_ok())
    })
}

/// The bytes of a prompt file, as editors on every system leave them.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let matter = prop::sample::select(vec![
        "",
        "---\nsyntax: plain\n---\n",
        "---\nsyntax: jinja\nmodel: {name: m, parameters: {stop: [\"\\n\"], top_p: 1.0}}\n---\n",
        "---\nvariables:\n  who: {type: string, default: \"a: b\"}\nconfig: {z: 1, a: [true, null]}\n---\n{{who}}",
        "---\nresponse_schema: {type: object, properties: {z: {}, a: {}}}\n---\n{{role \"user\"}}\n",
    ]);
    let line = prop_oneof![
        4 => "[a-zA-Z0-9 .,#:\u{e9}\u{df}\u{1f680}-]{0,20}",
        1 => prop::sample::select(vec!["---", "\u{feff}", "\t", " x ", "\u{2028}", "e\u{301}"]).prop_map(str::to_owned),
    ];
    let text = ("[a-z]{1,9}", prop::collection::vec(line, 0..6))
        .prop_map(|(first, lines)| std::iter::once(first).chain(lines).collect::<Vec<_>>().join("\n"));
    let end = prop::sample::select(vec!["", "\n", "\n\n"]);
    (matter, text, end, 0..4_u8).prop_map(|(matter, text, end, encoding)| {
        let unix = format!("{matter}{text}{end}");
        match encoding {
            0 => unix.into_bytes(),
            1 => format!("\u{feff}{unix}").into_bytes(),
            2 => unix.replace('\n', "\r\n").into_bytes(),
            // Line ends of both systems in one text.
            _ => format!("{matter}{}{end}", text.replacen('\n', "\r\n", 1)).into_bytes(),
        }
    })
}

/// Every file below a folder that a registry has a prompt for.
fn files(folder: &Path, tree: &BTreeMap<PromptName, Vec<u8>>) -> Vec<Vec<u8>> {
    tree.keys()
        .map(|name| fs::read(folder.join(path_of(name))).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(10) })]

    #[test]
    fn push_pull_push_is_a_no_op(
        tree in prop::collection::btree_map(name(), file(), 1..12)
    ) {
        let (node, home) = (Node::primary(), tempfile::tempdir().expect("a folder"));
        let [from, to, again] = ["from", "to", "again"].map(|name| home.path().join(name));
        for (name, bytes) in &tree {
            let file = from.join(path_of(name));
            fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
            fs::write(file, bytes).expect("a file");
        }
        let push = |folder: &Path| {
            let pushed = bookholder(["push", "--json", "--label", "production", "-m", "why"]).arg(folder).server(&node).ok();
            let all: Vec<Value> = pushed.json()["prompts"].as_array().expect("prompts").clone();
            all.iter().map(|one| one["what"].as_str().expect("a word").to_owned()).collect::<Vec<_>>()
        };
        let pull = |folder: &Path| {
            let _said = bookholder(["pull", "--label", "production", "--out"]).arg(folder).server(&node).ok();
        };
        prop_assert_eq!(push(&from), vec!["published"; tree.len()]);
        let before = node.status()["position"].clone();
        let unchanged = vec!["unchanged"; tree.len()];
        prop_assert_eq!(push(&from), unchanged.clone());
        pull(&from);
        prop_assert_eq!(files(&from, &tree), tree.values().cloned().collect::<Vec<_>>(), "a pull leaves files that say the same");
        pull(&to);
        prop_assert_eq!(push(&to), unchanged.clone());
        fs::remove_file(to.join("bookholder.lock")).expect("a lock file");
        prop_assert_eq!(push(&to), unchanged, "without what was done");
        pull(&again);
        prop_assert_eq!(files(&again, &tree), files(&to, &tree));
        prop_assert_eq!(&node.status()["position"], &before, "the registry never changed");
    }
}
