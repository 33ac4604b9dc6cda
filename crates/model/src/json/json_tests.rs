use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refused(text: &str, part: &str) {
    let message = read::<Value>(text.as_bytes()).expect_err(text).to_string();
    assert!(message.contains(part), "{text}: {message}");
}

#[test]
fn duplicate_key_is_refused_with_its_path() {
    refused(r#"{"a":1,"a":1}"#, "`a` appears twice");
    refused(r#"{"config":{"l":[{},{"x":1,"y":2,"x":3}]}}"#, "`config.l[1].x` appears twice");
    refused(r#"{"a b":{"c":{},"\u0063":null}}"#, r#"`["a b"].c` appears twice"#);
    refused(r#"{"":0,"":0}"#, r#"`[""]` appears twice"#);
    assert_eq!(read::<Value>(br#"{"a":{"a":{"a":1}},"b":{"a":2}}"#), Ok(json!({"a":{"a":{"a":1}},"b":{"a":2}})));
    assert!(read::<Value>(br#"{"A":1,"a":2,"\u0041\u0301":3}"#).is_ok(), "other keys");
}

#[test]
fn inexact_number_is_refused_with_its_path_and_text() {
    refused("9007199254740992", "the value is 9007199254740992, beyond 2^53 - 1");
    refused(r#"{"n":[-9007199254740993]}"#, "`n[0]` is -9007199254740993, beyond 2^53 - 1");
    refused("123456789012345678901234567890", "beyond 2^53 - 1");
    refused("18446744073709551616", "beyond 2^53 - 1");
    refused("9007199254740993.0", "which would become 9007199254740992.0");
    refused("0.1000000000000000055511151231257827", "which would become 0.1;");
    refused("3.14159265358979323846", "which would become 3.141592653589793;");
    refused("1e-400", "which would become 0.0");
    refused("1e400", "beyond the range");
    refused("-1e99999999999999999999999", "beyond the range");
    refused("1e-99999999999999999999999", "which would become 0.0");
    refused(&format!("0.{}1", "0".repeat(400)), "which would become 0.0");
    refused("-0", "write 0 or -0.0");
    for text in ["0", "-1", "9007199254740991", "-9007199254740991", "0.1", "-0.0", "1.0", "1e2", "1.50E+3", "5e-324"] {
        assert!(read::<Value>(text.as_bytes()).is_ok(), "{text}");
    }
    assert!(read::<Value>(b"0e99999999999999999999999").is_ok(), "zero is zero");
}

#[test]
fn invalid_json_is_refused() {
    for text in [
        "", "{", "[1", "01", "+1", "1.", ".5", "NaN", "Infinity", "0x10", "1_000", "{a:1}", "'a'", "[1,]", "\"\\",
        "nul",
    ] {
        let error = read::<Value>(text.as_bytes()).expect_err(text);
        assert!(matches!(error, JsonError::Form { .. }), "{text}: {error}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&deep, "recursion limit");
}

#[test]
fn numbers_are_laid_out_by_the_rule() {
    for (float, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-2.5, "-2.5"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e+21"),
        (123_456.789, "123456.789"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (0.1 + 0.2, "0.30000000000000004"),
    ] {
        assert_eq!(written(float), text);
        assert_eq!(encode(&float).expect("JSON"), text.as_bytes());
    }
    assert_eq!(
        encode(&json!({"b":1,"a":[1.0,"\u{e9}\u{1}\u{7f}/\""]})).expect("JSON"),
        "{\"b\":1,\"a\":[1.0,\"\u{e9}\\u0001\u{7f}/\\\"\"]}".as_bytes()
    );
}

#[test]
fn shortest_number_ties_are_written_with_the_even_digit() {
    for (exact, shortest) in [
        ("652868501553132.25", "652868501553132.2"),
        ("652868501553132.75", "652868501553132.8"),
        ("1529575015804966.25", "1529575015804966.2"),
        ("772250749854238.75", "772250749854238.8"),
        ("1106250950383684.75", "1106250950383684.8"),
        ("944593014243954.75", "944593014243954.8"),
        ("-988391760921650.75", "-988391760921650.8"),
        ("1549649289646338.25", "1549649289646338.2"),
    ] {
        assert_eq!(written(exact.parse().expect("a number")), shortest);
        assert!(read::<Value>(shortest.as_bytes()).is_ok(), "{shortest}");
        refused(exact, &format!("which would become {shortest};"));
    }
}

#[test]
fn order_of_keys_and_form_of_numbers_change_the_bytes() {
    let value = |text: &str| read::<Value>(text.as_bytes()).expect(text);
    assert!(same(&value(r#"{"b":[1,{"x":1,"y":2}]}"#), &value(r#"{"b":[1,{"x":1,"y":2}]}"#)));
    for (a, b) in
        [(r#"{"b":[1,{"x":1,"y":2}]}"#, r#"{"b":[1,{"y":2,"x":1}]}"#), (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#)]
    {
        assert!(!same(&value(a), &value(b)) && reordered(&value(a), &value(b)), "{a} {b}");
    }
    assert!(
        !same(&json!(1), &json!(1.0)) && !same(&json!(0.0), &json!(-0.0)) && !reordered(&json!([1, 2]), &json!([2, 1]))
    );
}

proptest! {
    #[test]
    fn every_float_reads_back_as_itself(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        let text = written(float);
        let back = number(&text).expect(&text);
        prop_assert_eq!(back.as_f64().map(f64::to_bits), Some(bits));
        prop_assert_eq!(read::<f64>(text.as_bytes()).map(f64::to_bits), Ok(bits));
    }

    #[test]
    fn encoded_json_reads_back_as_the_same_value(text in "\\PC{0,20}", numbers in prop::collection::vec(-1e9..1e9_f64, 0..4)) {
        let value = json!({ text.clone(): numbers, "z": { "b": text, "a": null } });
        let bytes = encode(&value).expect("JSON");
        let back = read::<Value>(&bytes).expect("what was encoded");
        prop_assert!(same(&back, &value));
        prop_assert_eq!(encode(&back).expect("JSON"), bytes);
    }
}

#[test]
fn leading_byte_order_mark_is_skipped_once() {
    assert_eq!(read::<Value>(b"\xef\xbb\xbf{\"a\":1}"), Ok(json!({"a": 1})));
    refused("\u{feff}{\"a\":1,\"a\":2}", "`a` appears twice");
    read::<Value>("\u{feff}\u{feff}1".as_bytes()).expect_err("two marks");
    read::<Value>("[\u{feff}1]".as_bytes()).expect_err("a mark inside");
}
