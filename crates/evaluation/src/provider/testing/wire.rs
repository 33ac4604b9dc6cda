//! Replies in the words of each API, in parts or in one.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::rules::Reply;

/// Which API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Openai,
    Anthropic,
}

/// The snapshot that models answer with.
const SNAPSHOT: &str = "2026-11-01";
const HUGE_BYTES: usize = 50_000_000;

pub(super) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    typed(status, "application/json", Body::from(body.to_string()))
}

fn typed(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static(kind));
    response
}

pub(super) async fn respond(wire: Wire, reply: Reply, body: &Value) -> Response<Body> {
    let streams = body.get("stream") == Some(&Value::Bool(true));
    let text = |text: &str| {
        if streams {
            events(text_events(wire, text, body).into_iter().map(|event| Ok(Bytes::from(event))))
        } else {
            json(StatusCode::OK, &whole(wire, text, body))
        }
    };
    match reply {
        Reply::Text(answer) => text(&answer),
        Reply::Slow(milliseconds, answer) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            text(&answer)
        }
        Reply::Whole(answer) => json(StatusCode::OK, &whole(wire, &answer, body)),
        Reply::Tool(arguments) => events(tool_events(wire, &arguments, body).into_iter().map(|event| Ok(event.into()))),
        Reply::Refusal => events(refusal_events(wire).into_iter().map(|event| Ok(event.into()))),
        Reply::Status { status, header, body } => {
            let mut response = json(StatusCode::from_u16(status).unwrap_or_default(), &body);
            if let Some((name, value)) = header.and_then(|(name, value)| Some((name, value.parse().ok()?))) {
                response.headers_mut().insert(name, value);
            }
            response
        }
        Reply::StreamError { text } => {
            let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
            let mut all = if text.is_empty() { Vec::new() } else { vec![piece(wire, text)] };
            all.push(event(&error));
            events(all.into_iter().map(|event| Ok(event.into())))
        }
        Reply::Raw { kind, body } => typed(StatusCode::OK, kind, Body::from(body)),
        Reply::Hangs => std::future::pending().await,
        Reply::HangsLate => {
            let begin = stream::iter([Ok::<_, std::io::Error>(Bytes::from(piece(wire, "half an")))]);
            typed(StatusCode::OK, "text/event-stream", Body::from_stream(begin.chain(stream::pending())))
        }
        Reply::Cut => {
            let begin = stream::iter([Ok(Bytes::from(piece(wire, "half an")))]);
            // What is written goes out while the rest is not there yet.
            let broken = stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            typed(StatusCode::OK, "text/event-stream", Body::from_stream(begin.chain(broken)))
        }
        Reply::Endless => events(std::iter::repeat_with(move || Ok(piece(wire, &"on and ".repeat(100)).into()))),
        Reply::Huge => {
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let begin = Bytes::from_static(br#"{"choices":[{"message":{"content":""#);
            let all = std::iter::once(begin).chain(std::iter::repeat_n(chunk, HUGE_BYTES / (64 * 1024)));
            let all = all.map(Ok::<_, std::io::Error>);
            typed(StatusCode::OK, "application/json", Body::from_stream(stream::iter(all)))
        }
    }
}

fn events(all: impl Iterator<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Response<Body> {
    typed(StatusCode::OK, "text/event-stream; charset=utf-8", Body::from_stream(stream::iter(all)))
}

fn event(value: &Value) -> String {
    match value.get("type").and_then(Value::as_str) {
        Some(name) => format!("event: {name}\r\ndata: {value}\r\n\r\n"),
        None => format!("data: {value}\n\n"),
    }
}

fn model(body: &Value) -> String {
    format!("{}-{SNAPSHOT}", body.get("model").and_then(Value::as_str).unwrap_or_default())
}

/// About one token for four bytes, so that the same request always uses the same.
fn tokens(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(4)).unwrap_or(u64::MAX)
}

fn input_tokens(body: &Value) -> u64 {
    tokens(&body.get("messages").map(Value::to_string).unwrap_or_default())
}

fn openai_usage(text: &str, body: &Value) -> Value {
    json!({
        "prompt_tokens": input_tokens(body), "prompt_tokens_details": { "cached_tokens": 2 },
        "completion_tokens": tokens(text), "completion_tokens_details": { "reasoning_tokens": 1 },
    })
}

fn whole(wire: Wire, text: &str, body: &Value) -> Value {
    match wire {
        Wire::Openai => json!({
            "model": model(body),
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
            "usage": openai_usage(text, body),
        }),
        Wire::Anthropic => json!({
            "type": "message", "model": model(body), "content": [{ "type": "text", "text": text }],
            "stop_reason": "end_turn", "usage": { "input_tokens": input_tokens(body), "output_tokens": tokens(text) },
        }),
    }
}

fn piece(wire: Wire, text: &str) -> String {
    event(&match wire {
        Wire::Openai => json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }),
        Wire::Anthropic => {
            json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } })
        }
    })
}

fn openai_end(reason: &str, usage: &Value) -> Vec<String> {
    vec![
        event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })),
        event(&json!({ "choices": [], "usage": usage })),
        "data: [DONE]\n\n".to_owned(),
    ]
}

fn anthropic_start(body: &Value) -> Vec<String> {
    let usage = json!({
        "input_tokens": input_tokens(body), "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3,
        "output_tokens": 1,
    });
    let message = json!({ "type": "message", "model": model(body), "content": [], "usage": usage });
    vec![event(&json!({ "type": "message_start", "message": message })), event(&json!({ "type": "ping" }))]
}

fn anthropic_end(reason: &str, output_tokens: u64) -> Vec<String> {
    let delta = json!({ "stop_reason": reason });
    vec![
        event(&json!({ "type": "content_block_stop", "index": 0 })),
        event(&json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": output_tokens } })),
        event(&json!({ "type": "message_stop" })),
    ]
}

fn text_events(wire: Wire, text: &str, body: &Value) -> Vec<String> {
    let words: Vec<String> = text.split_inclusive(' ').map(|word| piece(wire, word)).collect();
    match wire {
        Wire::Openai => {
            let begin = json!({ "model": model(body), "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" } }] });
            [vec![": welcome\n\n".to_owned(), event(&begin)], words, openai_end("stop", &openai_usage(text, body))]
                .concat()
        }
        Wire::Anthropic => {
            let block =
                json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
            [anthropic_start(body), vec![event(&block)], words, anthropic_end("end_turn", tokens(text))].concat()
        }
    }
}

fn tool_events(wire: Wire, arguments: &Value, body: &Value) -> Vec<String> {
    let tool = body.get("tools").and_then(|tools| tools.get(0)).cloned().unwrap_or_default();
    let name = tool.get("function").unwrap_or(&tool).get("name").cloned().unwrap_or_default();
    let arguments = arguments.to_string();
    let (left, right) = arguments.split_at_checked(3).unwrap_or_default();
    match wire {
        Wire::Openai => {
            let call = |call: Value| event(&json!({ "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] }));
            let begin = json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": left } });
            let rest = json!({ "index": 0, "function": { "arguments": right } });
            [vec![call(begin), call(rest)], openai_end("tool_calls", &openai_usage(&arguments, body))].concat()
        }
        Wire::Anthropic => {
            let block = json!({ "type": "tool_use", "id": "call_1", "name": name, "input": {} });
            let begin = event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }));
            let delta = |part: &str| {
                let delta = json!({ "type": "input_json_delta", "partial_json": part });
                event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
            };
            [
                anthropic_start(body),
                vec![begin, delta(left), delta(right)],
                anthropic_end("tool_use", tokens(&arguments)),
            ]
            .concat()
        }
    }
}

fn refusal_events(wire: Wire) -> Vec<String> {
    match wire {
        Wire::Openai => {
            let delta = json!({ "choices": [{ "index": 0, "delta": { "refusal": "I cannot help with that." } }] });
            [vec![event(&delta)], openai_end("stop", &Value::Null)].concat()
        }
        Wire::Anthropic => anthropic_end("refusal", 1),
    }
}
