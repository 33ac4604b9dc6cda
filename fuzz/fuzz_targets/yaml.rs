//! YAML front matter: JSON is YAML, so a JSON object parses to the same value.
#![no_main]

use bookholder::files::prompt::parse;
use bookholder::json;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|yaml: &str| {
    // As the whole front matter, and as one value in it.
    let _ = parse(&format!("---\n{yaml}\n---\n"));
    let Ok(file) = parse(&format!("---\nconfig: {yaml}\n---\n")) else { return };
    if let Ok(object) = json::read::<Map<String, Value>>(yaml.as_bytes()) {
        assert!(json::same_fields(&object, &file.content.config), "{object:?} {:?}", file.content.config);
    }
});
