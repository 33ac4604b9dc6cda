//! How a model answers, by its name:
//!
//! | model | answer |
//! |---|---|
//! | `echo`, `upper` | the text of the last message, as it is or in upper case |
//! | `sum` | the sum of `A + B` in the last message; one too much if a system text says `guess` |
//! | `slow-MS` | `echo` after so many milliseconds |
//! | `whole` | `echo`, in one JSON object although a stream was asked for |
//! | `tool` | a call of the first tool with the arguments `{"city": LAST MESSAGE}` |
//! | `refuses` | a refusal |
//! | `control` | a text with control characters |
//! | `fails-STATUS` | that status, each time |
//! | `fails-STATUS-then-ok` | that status with `retry-after-ms: 1`, then `echo` |
//! | `waits-SECONDS` | 429 with `retry-after`, then `echo` |
//! | `no-money` | 429 with `insufficient_quota` |
//! | `shows-key` | 401 with the key in its message |
//! | `overloaded`, `overloaded-late` | an error in the stream, the first time before any text; then `echo` |
//! | `html`, `nonsense`, `empty` | 200 with HTML, with broken JSON, with nothing |
//! | `redirects` | 307 |
//! | `hangs`, `hangs-late` | nothing, from the start or after some text |
//! | `cut` | the connection breaks in the middle of a text |
//! | `endless` | text without an end |
//! | `huge` | 50 MB of JSON |
//! | `judge` | for a rubric with a text in double quotes: whether the graded text contains it |
//! | `nonsense-judge`, `nonsense-once-judge` | prose in place of a verdict, always or the first time |
//! | `no-pass-judge` | a score and a reason, without `pass` |
//! | `first-judge` | prefers what is shown first, whatever it is |
//! | `cold-judge` | `judge` that refuses the parameter `temperature` |

use serde_json::{Value, json};

/// What the server does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Text(String),
    Whole(String),
    Slow(u64, String),
    Tool(Value),
    Refusal,
    Status { status: u16, header: Option<(&'static str, String)>, body: Value },
    StreamError { text: &'static str },
    Raw { kind: &'static str, body: &'static str },
    Hangs,
    HangsLate,
    Cut,
    Endless,
    Huge,
}

impl Reply {
    pub(super) fn is_paid(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::StreamError { text: "" } | Self::Hangs)
    }
}

/// What a model answers to a request that is there for the so-many-th time.
pub(super) fn reply(body: &Value, tries: usize, key: &str) -> Reply {
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let last = last_text(body);
    let number = |prefix: &str| model.strip_prefix(prefix).and_then(|rest| rest.split('-').next()?.parse::<u64>().ok());
    let error = |status: u64, header, error: Value| Reply::Status {
        status: u16::try_from(status).unwrap_or(500),
        header,
        body: json!({ "error": error }),
    };
    if let Some(status) = number("fails-") {
        if model.ends_with("-then-ok") && tries > 1 {
            return Reply::Text(last);
        }
        let header = model.ends_with("-then-ok").then(|| ("retry-after-ms", "1".to_owned()));
        return error(status, header, json!({ "message": format!("as asked: {status}") }));
    }
    if let Some(seconds) = number("waits-") {
        if tries > 1 {
            return Reply::Text(last);
        }
        return error(429, Some(("retry-after", seconds.to_string())), json!({ "message": "slow down" }));
    }
    if let Some(milliseconds) = number("slow-") {
        return Reply::Slow(milliseconds, last);
    }
    match model {
        "upper" => Reply::Text(last.to_uppercase()),
        "sum" => Reply::Text(sum(&last, &system_text(body))),
        "whole" => Reply::Whole(last),
        "tool" => Reply::Tool(json!({ "city": last })),
        "refuses" => Reply::Refusal,
        "control" => Reply::Text("a\u{0}b\u{1b}[31mc\r\nd\u{202e}e".to_owned()),
        "no-money" => error(429, None, json!({ "code": "insufficient_quota", "message": "You exceeded your quota" })),
        "shows-key" => error(401, None, json!({ "message": format!("the key {key} is wrong") })),
        "overloaded" if tries == 1 => Reply::StreamError { text: "" },
        "overloaded-late" => Reply::StreamError { text: "half" },
        "html" => Reply::Raw { kind: "text/html", body: "<!doctype html>\n<title>Sign in\u{7}</title>" },
        "nonsense" => Reply::Raw { kind: "application/json", body: "{\"choices\": [" },
        "empty" => Reply::Raw { kind: "application/json", body: "" },
        "redirects" => Reply::Status {
            status: 307,
            header: Some(("location", "http://127.0.0.1:1/".to_owned())),
            body: Value::Null,
        },
        "hangs" => Reply::Hangs,
        "hangs-late" => Reply::HangsLate,
        "cut" => Reply::Cut,
        "endless" => Reply::Endless,
        "huge" => Reply::Huge,
        "nonsense-judge" => Reply::Text("I think that it is quite good.".to_owned()),
        "nonsense-once-judge" if !repairs(body) => Reply::Text("{\"reason\": \"cut of".to_owned()),
        "cold-judge" if body.get("temperature").is_some() => {
            error(400, None, json!({ "message": "Unsupported value: 'temperature' does not support 0" }))
        }
        "no-pass-judge" => Reply::Text(json!({ "reason": "as asked", "score": 0.9 }).to_string()),
        "first-judge" => Reply::Text(json!({ "reason": "as asked", "choice": "first" }).to_string()),
        "judge" | "nonsense-once-judge" | "cold-judge" => Reply::Text(judge(&all_text(body)).to_string()),
        _ => Reply::Text(last),
    }
}

/// Embeddings that count the letters of each text.
pub(super) fn embeddings(body: &Value) -> Value {
    let texts = body.get("input").and_then(Value::as_array).cloned().unwrap_or_default();
    let embed = |text: &Value| {
        let text = text.as_str().unwrap_or_default().to_lowercase();
        let count = |letter: char| text.chars().filter(|character| *character == letter).count();
        ('a'..='z').map(count).map(Value::from).collect::<Value>()
    };
    // Not in order: each says which text it belongs to.
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .rev()
        .map(|(index, text)| json!({ "index": index, "embedding": embed(text) }))
        .collect();
    json!({ "data": data, "model": body.get("model"), "usage": { "prompt_tokens": 3, "total_tokens": 3 } })
}

/// Scores as an endpoint: whether the output is the expected one.
pub(super) fn score(body: &Value) -> Value {
    if let Some(answer) = body.get("config").and_then(|config| config.get("answer")) {
        return answer.clone();
    }
    let pass = body.get("expected").is_none_or(|expected| Some(expected) == body.get("output"));
    json!({ "pass": pass, "score": if pass { 1.0 } else { 0.25 }, "reason": "compared by the endpoint" })
}

fn messages(body: &Value) -> Vec<&Value> {
    body.get("messages").and_then(Value::as_array).into_iter().flatten().collect()
}

fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text").or_else(|| part.get("content"))?.as_str());
            texts.collect::<Vec<_>>().join("")
        }
        _ => String::new(),
    }
}

fn last_text(body: &Value) -> String {
    messages(body).last().map(|message| text(message.get("content"))).unwrap_or_default()
}

fn system_text(body: &Value) -> String {
    let is_system = |message: &&&Value| message.get("role") == Some(&"system".into());
    let texts = messages(body).iter().filter(is_system).map(|message| text(message.get("content"))).collect::<String>();
    texts + &text(body.get("system"))
}

fn all_text(body: &Value) -> String {
    system_text(body) + &messages(body).iter().map(|message| text(message.get("content"))).collect::<String>()
}

/// Whether the judge was asked to repair its answer.
fn repairs(body: &Value) -> bool {
    messages(body).iter().any(|message| message.get("role") == Some(&"assistant".into()))
}

fn sum(question: &str, system: &str) -> String {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let digits = |character: char| !character.is_ascii_digit();
    let (left, right) = question.split_once('+').unwrap_or_default();
    let left = number(left.rsplit(digits).find(|part| !part.is_empty()));
    let right = number(right.split(digits).find(|part| !part.is_empty()));
    let wrong = i64::from(system.contains("guess"));
    match left.zip(right) {
        Some((left, right)) => (left + right + wrong).to_string(),
        None => "I do not know".to_owned(),
    }
}

/// Judges every fenced text of a judge's prompt by its first text in double quotes within the criteria.
fn judge(prompt: &str) -> Value {
    let fenced = |name: &str| {
        let (_, rest) = prompt.rsplit_once(&format!("<{name} "))?;
        let (fence, rest) = rest.split_once(">\n")?;
        Some(rest.split_once(&format!("\n</{name} {fence}>"))?.0)
    };
    if prompt.contains("\"steps\"") {
        return json!({ "steps": ["Read the text.", "Compare it with the criteria."] });
    }
    let wanted = fenced("criteria").and_then(|criteria| criteria.split('"').nth(1)).unwrap_or_default().to_lowercase();
    let has = |name: &str| fenced(name).is_some_and(|text| text.to_lowercase().contains(&wanted));
    let reason = format!("looked for: {wanted}");
    if fenced("second").is_some() {
        let choice = match (has("first"), has("second")) {
            (true, false) => "first",
            (false, true) => "second",
            _ => "tie",
        };
        return json!({ "reason": reason, "choice": choice });
    }
    if let Some(expected) = fenced("expected") {
        let same = fenced("output") == Some(expected);
        return json!({ "reason": "compared", "category": if same { "C" } else { "D" } });
    }
    let pass = has("output");
    let score =
        if prompt.contains("0 to 10") { json!(if pass { 9 } else { 1 }) } else { json!(if pass { 1.0 } else { 0.1 }) };
    json!({ "reason": reason, "score": score, "pass": pass })
}
