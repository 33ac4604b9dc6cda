//! JSON bodies, numbers and contents: what is taken survives, and a content has one encoding.
#![no_main]

use bookholder::json::{self, JsonError};
use bookholder::model::content::Content;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let plain = serde_json::from_slice::<Value>(json::without_mark(bytes));
    match (json::read::<Value>(bytes), plain) {
        (Ok(value), plain) => {
            assert!(json::same(&value, &plain.expect("JSON")));
            let encoded = json::encode(&value).expect("JSON");
            let again = json::read::<Value>(&encoded).expect("its own form");
            assert!(json::same(&value, &again));
            assert_eq!(json::encode(&again).expect("JSON"), encoded);
        }
        (Err(JsonError::Form { reason }), Ok(_)) => panic!("{reason}"),
        (Err(_), _) => {}
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(number) = json::number(text)
        && let Some(float) = number.as_f64().filter(|_| number.is_f64())
    {
        let written = json::written(float);
        let again = json::number(&written).expect("its own form");
        assert_eq!(again.as_f64().map(f64::to_bits), Some(float.to_bits()));
    }
    let Ok(content) = Content::from_json(bytes) else { return };
    let Ok(canonical) = content.to_canonical() else { return };
    let again = Content::from_json(&canonical).expect("its own form");
    assert_eq!(again.to_canonical().expect("it has one"), canonical);
    assert_eq!(again.id().expect("it has one"), content.id().expect("it has one"));
});
