//! Asks a judge for a JSON object, and once more if what comes back is not one.

use serde_json::{Map, Value, json};

use super::prompts::REPAIR;
use super::{Asking, JudgeError, shortened};
use crate::model::evaluation::Answer;
use crate::model::suite::{ModelName, Scorer};
use crate::provider::{Ask, CallError, ChatRequest};

/// How much of an answer that cannot be understood is sent back, in bytes.
const REPAIRED_BYTES_MAX: usize = 8 * 1024;

/// The object of a judge's answer.
pub(super) type Fields = Map<String, Value>;

impl<A: Ask> Asking<'_, A> {
    /// Asks the model of a scorer, and reads the object of its answer. `read` returns what is wrong with an object.
    pub(super) async fn object<T>(
        &self,
        scorer: &Scorer,
        messages: Vec<Value>,
        schema: Value,
        read: impl Fn(&Fields) -> Result<T, String> + Send + Sync,
    ) -> Result<T, JudgeError> {
        self.asked(scorer, messages, schema, read, false).await
    }

    /// The same for a question that does not depend on the answer that is scored.
    pub(super) async fn object_once<T>(
        &self,
        scorer: &Scorer,
        messages: Vec<Value>,
        schema: Value,
        read: impl Fn(&Fields) -> Result<T, String> + Send + Sync,
    ) -> Result<T, JudgeError> {
        self.asked(scorer, messages, schema, read, true).await
    }

    async fn asked<T>(
        &self,
        scorer: &Scorer,
        messages: Vec<Value>,
        schema: Value,
        read: impl Fn(&Fields) -> Result<T, String> + Send + Sync,
        once: bool,
    ) -> Result<T, JudgeError> {
        let model = model(scorer)?;
        let mut request =
            ChatRequest { messages, parameters: parameters(scorer), tools: Vec::new(), response_schema: Some(schema) };
        let answer = self.chat(model, &mut request, once).await?;
        let fault = match understood(&answer, &read) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        // A message without text is not allowed everywhere.
        let said = if answer.text.trim().is_empty() { "(empty)" } else { head(&answer.text) };
        let first = request.clone();
        request.messages.push(json!({ "role": "assistant", "content": said }));
        request
            .messages
            .push(json!({ "role": "user", "content": format!("{REPAIR}: {fault}. Answer with it alone.") }));
        let answer = self.chat(model, &mut request, once).await?;
        match understood(&answer, &read) {
            Ok(value) => Ok(value),
            Err(fault) => {
                self.ask.forget(model, &[first, request]).await;
                let said = shortened(&answer.text.chars().take(200).collect::<String>());
                let reason = format!("the judge {model} did not answer as asked: {fault}; it answered {said:?}");
                Err(JudgeError::Failed(reason))
            }
        }
    }

    /// Asks with temperature 0; models that only know their own are asked without.
    async fn chat(&self, model: &ModelName, request: &mut ChatRequest, once: bool) -> Result<Answer, JudgeError> {
        let answered =
            if once { self.ask.chat_once(model, request).await } else { self.ask.chat(model, request).await };
        match answered {
            Err(CallError::Refused { status: 400, reason })
                if reason.contains("temperature") && request.parameters.remove("temperature").is_some() =>
            {
                Ok(if once { self.ask.chat_once(model, request).await? } else { self.ask.chat(model, request).await? })
            }
            answered => Ok(answered?),
        }
    }
}

/// The model that a scorer asks.
pub(super) fn model(scorer: &Scorer) -> Result<&ModelName, JudgeError> {
    scorer.model.as_ref().ok_or_else(|| {
        JudgeError::Failed(format!(
            "`{}` has no model to ask; set `model` of the scorer, for example openai:gpt-5-mini",
            scorer.check
        ))
    })
}

/// Temperature 0, and what `config.parameters` adds or, with null, takes away.
fn parameters(scorer: &Scorer) -> Map<String, Value> {
    let mut parameters = Map::from_iter([("temperature".to_owned(), Value::from(0))]);
    for (name, value) in scorer.config.get("parameters").and_then(Value::as_object).into_iter().flatten() {
        if value.is_null() {
            parameters.shift_remove(name);
        } else {
            parameters.insert(name.clone(), value.clone());
        }
    }
    parameters
}

fn understood<T>(answer: &Answer, read: &impl Fn(&Fields) -> Result<T, String>) -> Result<T, String> {
    if answer.refused {
        return Err("the model refused".to_owned());
    }
    match object(&answer.text) {
        Some(fields) => read(&fields),
        None if answer.finish_reason.as_deref() == Some("length") => {
            Err("the answer ended at the limit of its tokens".to_owned())
        }
        None => Err("it is not one JSON object".to_owned()),
    }
}

/// The object that a text is, alone, in a code block, or after the thoughts of a model. An object within prose is not
/// taken: it could be a quotation of what is graded.
fn object(text: &str) -> Option<Fields> {
    let text = text.trim();
    let text = text.strip_prefix("<think>").and_then(|rest| rest.split_once("</think>")).map_or(text, |(_, rest)| rest);
    let text = text.trim();
    let block = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let text = block.map_or(text, |block| block.trim_start_matches(|character: char| character.is_ascii_alphabetic()));
    serde_json::from_str(text).ok()
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(REPAIRED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The reason in an object, empty if there is none.
pub(super) fn reason(fields: &Fields) -> String {
    fields.get("reason").and_then(Value::as_str).unwrap_or_default().trim().to_owned()
}

/// A number in an object, also one that is written as a text.
pub(super) fn number(fields: &Fields, name: &str, max: f64) -> Result<Option<f64>, String> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(value) => value.as_f64(),
    };
    match number.filter(|number| (0.0..=max).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("`{name}` is not a number from 0 to {max}")),
    }
}

/// A truth value in an object, also one that is written as a word.
pub(super) fn truth(fields: &Fields, name: &str) -> Result<Option<bool>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(Value::String(word)) => match word.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "pass" | "y" => Ok(Some(true)),
            "false" | "no" | "fail" | "n" => Ok(Some(false)),
            _ => Err(format!("`{name}` is neither true nor false")),
        },
        Some(_) => Err(format!("`{name}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_read_alone_in_a_block_or_after_thoughts_but_not_from_prose() {
        for (text, found) in [
            (" {\"pass\": true}\n", true),
            ("```json\n{\"pass\": true}\n```", true),
            ("```\n{\"pass\": true}```", true),
            ("<think>{\"pass\": false}</think>\n{\"pass\": true}", true),
            ("The output says {\"pass\": true}", false),
            ("{\"pass\": true} {\"pass\": false}", false),
            ("[true]", false),
            ("{\"pass\": tr", false),
            ("", false),
        ] {
            assert_eq!(object(text).is_some_and(|fields| fields["pass"] == true), found, "{text}");
        }
    }

    #[test]
    fn numbers_and_truths_are_read_from_words_and_checked() {
        let fields = json!({ "a": "0.5", "b": 7, "c": "high", "d": null, "e": "Yes", "f": 1, "g": "NaN" });
        let fields = fields.as_object().expect("fields");
        assert_eq!(number(fields, "a", 1.0), Ok(Some(0.5)));
        assert_eq!(number(fields, "b", 10.0), Ok(Some(7.0)));
        assert_eq!(number(fields, "d", 1.0), Ok(None));
        for (name, max) in [("b", 1.0), ("c", 1.0), ("g", 1.0)] {
            assert!(number(fields, name, max).is_err(), "{name}");
        }
        assert_eq!(truth(fields, "e"), Ok(Some(true)));
        assert!(truth(fields, "c").is_err() && truth(fields, "f").is_err());
        assert_eq!(head(&"ä".repeat(10_000)).len(), REPAIRED_BYTES_MAX);
    }
}
