//! Moments: what is read is printed in UTC, and reads back as the same.
#![no_main]

use bookholder::model::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(moment) = text.parse::<Timestamp>() else { return };
    let shown = moment.to_string();
    assert_eq!(shown.parse::<Timestamp>().expect("its own form"), moment);
    assert!(shown.ends_with('Z'));
    assert_eq!(moment.seconds(), moment.ms().div_euclid(1_000));
});
