//! Every scorer that asks, against what promptfoo says where the model answers the same: written by `tests/promptfoo`.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::{Map, json};

use super::*;
use crate::model::content::{Content, Syntax};
use crate::model::suite::{Case, ModelName};
use crate::provider::{ChatRequest, Embeddings};

const TABLE: &str = include_str!("../../../../fixtures/evaluation/promptfoo.json");
/// The largest difference of scores.
const TOLERANCE: f64 = 1e-9;

/// Where ours differs on purpose: parts of the row, and why.
const DIFFERENCES: &[(&[&str], &str)] = &[
    (&[r#""not-factuality""#], "promptfoo ignores `not-` before these"),
    (&[r#""not-model-graded-closedqa""#], "the same"),
    (&["I said that it is."], "a judge that answers nonsense gives no verdict; promptfoo lets the answer fail"),
    (&[r#"\"score\":11"#], "the same"),
    (&[r#"\"category\":\"F\""#], "the same"),
    (
        &["no pass", r#"kind","model""#],
        "without `pass` and a threshold nothing is decided; promptfoo lets the answer pass",
    ),
];

#[derive(Deserialize)]
struct Table {
    judged: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    scorer: Scorer,
    answer: Answered,
    judge: Replies,
    #[serde(default)]
    other: Option<String>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Answered {
    text: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Replies {
    Same(VecDeque<String>),
    Each { suite: VecDeque<String> },
}

#[derive(Deserialize)]
struct Expected {
    pass: bool,
    score: f64,
}

/// A model that answers what the row says, and embeds texts by their letters.
struct Recorded(Mutex<VecDeque<String>>);

impl Ask for Recorded {
    async fn chat(&self, _: &ModelName, _: &ChatRequest) -> Result<Answer, CallError> {
        let text = self.0.lock().expect("a lock").pop_front();
        let text = text.ok_or_else(|| CallError::Failed("there is no answer left".to_owned()))?;
        Ok(Answer { text, ..Answer::default() })
    }

    async fn forget(&self, _: &ModelName, _: &[ChatRequest]) {}

    async fn embed(&self, _: &ModelName, texts: &[String]) -> Result<Embeddings, CallError> {
        let embed = |text: &String| -> Vec<f64> {
            let count = |letter: char| text.to_lowercase().chars().filter(|one| *one == letter).count();
            ('a'..='z').map(|letter| f64::from(u32::try_from(count(letter)).expect("a short text"))).collect()
        };
        Ok(Embeddings { vectors: texts.iter().map(embed).collect(), ..Embeddings::default() })
    }

    async fn post(&self, _: &str, _: &Value) -> Result<Value, CallError> {
        Err(CallError::Failed("no endpoint".to_owned()))
    }
}

#[tokio::test]
async fn every_scorer_that_asks_has_the_verdict_and_the_score_of_promptfoo() {
    let table: Table = serde_json::from_str(TABLE).expect("the table");
    let content = Content::text(Syntax::Plain, "Hello");
    let (case, variables) = (Case::default(), Map::new());
    let (mut wrong, mut kinds) = (Vec::new(), std::collections::BTreeSet::new());
    for Row { scorer, answer: Answered { text }, judge, other, expected } in &table.judged {
        let (Replies::Same(replies) | Replies::Each { suite: replies }) = judge;
        let ask = Recorded(Mutex::new(replies.clone()));
        let answer = Answer { text: text.clone(), ..Answer::default() };
        let scoring = Scoring { content: &content, case: &case, variables: &variables, answer: &answer };
        let found = score_all(&[scorer], scoring, other.as_deref(), &ask).await.pop().expect("a result");
        let verdict = if expected.pass { CaseVerdict::Passed } else { CaseVerdict::Failed };
        let agrees = found.verdict == verdict && (found.score - expected.score).abs() <= TOLERANCE;
        let row = format!("{} on {text} with {}", json!(scorer), json!(replies));
        if agrees == DIFFERENCES.iter().any(|(parts, _)| parts.iter().all(|part| row.contains(part))) {
            let ours = format!("{} {} ({})", found.verdict, found.score, found.reason);
            wrong.push(format!("{row}: {ours}; promptfoo: {verdict} {}", expected.score));
        }
        kinds.insert(scorer.check.kind.as_str());
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), table.judged.len(), wrong.join("\n"));
    let all = ["factuality", "g-eval", "llm-rubric", "model-graded-closedqa", "select-best", "similar"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
}
