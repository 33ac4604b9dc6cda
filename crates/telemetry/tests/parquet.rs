//! Files of Parquet, read back.

use bookholder_model::model::content_id::ContentId;
use bookholder_telemetry::event::{
    Arm, Attributed, AttributedBy, Attribution, Cost, CostSource, Response, Score, ScoreTarget, ScoreValue, Tokens,
};
use bookholder_telemetry::parquet::{write_responses, write_scores};
use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Value, json};

fn rows(file: Vec<u8>) -> Vec<Value> {
    let reader = SerializedFileReader::new(Bytes::from(file)).expect("a file");
    let rows = reader.get_row_iter(None).expect("rows");
    let row = |row: Row| row.get_column_iter().map(|(name, field)| (name.clone(), cell(field))).collect();
    rows.map(|one| Value::Object(row(one.expect("a row")))).collect()
}

fn cell(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => json!(flag),
        Field::Long(number) | Field::TimestampMillis(number) => json!(number),
        Field::Double(number) => json!(number),
        Field::Str(text) => json!(text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn responses_and_scores_are_read_back_as_they_were_written() {
    let found = Attributed {
        prompt: "support/größe".parse().expect("a name"),
        version: 7,
        content_id: ContentId::of(b"text"),
        label: Some("production".parse().expect("a label")),
        arm: Arm::new(Some(0), None),
        by: AttributedBy::Stamp,
    };
    let known = Response {
        id: Some("r-1".to_owned()),
        ended_ms: 1_774_018_800_000,
        tokens: Tokens { input: Some(1_000), output: Some(u64::MAX), ..Tokens::default() },
        latency_us: Some(1_240_500),
        cost: Some(Cost { pico_usd: 12_300_000_000, source: CostSource::Reported }),
        attribution: Attribution::Version(found),
        ..Response::default()
    };
    let responses = [known, Response { ended_ms: 1_774_018_800_001, ..Response::default() }];
    let mut file = Vec::new();
    write_responses(&responses, &mut file).expect("written");
    let mut again = Vec::new();
    write_responses(&responses, &mut again).expect("written");
    assert_eq!(file, again, "the same rows are the same file");
    let read = rows(file);
    assert_eq!(read.len(), 2);
    for (column, value) in [
        ("id", json!("r-1")),
        ("prompt", json!("support/größe")),
        ("version", json!(7)),
        ("label", json!("production")),
        ("rule", json!(0)),
        ("bucket", Value::Null),
        ("found_by", json!("stamp")),
        ("unattributed", Value::Null),
        ("input_tokens", json!(1_000)),
        ("output_tokens", Value::Null),
        ("latency_us", json!(1_240_500)),
        ("cost_pico_usd", json!(12_300_000_000_u64)),
        ("cost_usd", json!(0.0123)),
    ] {
        assert_eq!(read[0][column], value, "{column}: {}", read[0]);
    }
    assert_eq!(read[1]["unattributed"], json!("unknown_prompt"), "{}", read[1]);
    assert!(read[1]["prompt"].is_null());

    let score = |value| Score {
        target: ScoreTarget::Session("s".to_owned()),
        name: "helpful".to_owned(),
        value,
        evaluator: None,
        explanation: None,
        at_ms: 1_774_018_800_000,
        id: None,
    };
    let mut file = Vec::new();
    let scores = [score(ScoreValue::Boolean(true)), score(ScoreValue::Category("good".to_owned()))];
    write_scores(&scores, &mut file).expect("written");
    let read = rows(file);
    assert_eq!((&read[0]["passed"], &read[0]["category"]), (&json!(true), &Value::Null));
    assert_eq!((&read[1]["passed"], &read[1]["category"]), (&Value::Null, &json!("good")));
    assert_eq!((&read[0]["session"], &read[0]["response"]), (&json!("s"), &Value::Null));
}

#[test]
fn more_rows_than_a_group_are_all_there() {
    let responses: Vec<Response> = (0..20_000).map(|at| Response { ended_ms: at, ..Response::default() }).collect();
    let mut file = Vec::new();
    write_responses(&responses, &mut file).expect("written");
    assert_eq!(rows(file).len(), 20_000);
}
