//! Suites and results of other tools, read; and any answer, scored: neither panics, and what was imported is a suite.
#![no_main]

use bookholder::evaluation::import::{
    self, ImportOptions, csv, jsonl, langfuse, openai_evals, promptfoo, promptfoo_results,
};
use bookholder::evaluation::score::{Scoring, score};
use bookholder::model::content::{Content, Syntax};
use bookholder::model::evaluation::Answer;
use bookholder::model::suite::{Case, Scorer, Suite};
use libfuzzer_sys::fuzz_target;
use serde_json::Map;

fuzz_target!(|data: (u8, &str, &str)| {
    let (kind, text, answer) = data;
    let options = ImportOptions { allow_unsupported: kind & 1 == 1, ..ImportOptions::default() };
    let none = |_: &str| Err(std::io::Error::other("no other files"));
    let imported = match kind >> 1 & 7 {
        0 => promptfoo(text, &none, options),
        1 => csv(text, "cases.csv", options),
        2 => jsonl(text, "cases.jsonl", options),
        3 => langfuse(text, "items.json"),
        4 => openai_evals(text, None, "rows.jsonl", options),
        5 => {
            let _ = promptfoo_results(text, None, &[]);
            return;
        }
        6 => {
            let _ = import::suite_file(text, "suite.yaml");
            return;
        }
        _ => {
            let Ok(scorer) = serde_json::from_str::<Scorer>(text) else { return };
            let (content, case, variables) = (Content::text(Syntax::Plain, ""), Case::default(), Map::new());
            let answer = Answer { text: answer.to_owned(), ..Answer::default() };
            let scoring = Scoring { content: &content, case: &case, variables: &variables, answer: &answer };
            if let Some(Ok(score)) = score(&scorer, scoring) {
                assert!((0.0..=1.0).contains(&score.score), "{score:?}");
            }
            return;
        }
    };
    let Ok(imported) = imported else { return };
    if let Ok(bytes) = imported.suite.to_canonical() {
        assert_eq!(Suite::from_json(&bytes).expect("what was encoded"), imported.suite);
    }
});
