//! Prompt files: a content that has a canonical form is written as a file that reads back as the same content.
#![no_main]

use bookholder::files::compare;
use bookholder::files::prompt::{PROMPT_FILE_BYTES_MAX, parse, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(file) = parse(text) else { return };
    let Ok(id) = file.content.id() else { return };
    let written = write(&file.content);
    if written.len() <= PROMPT_FILE_BYTES_MAX {
        let again = parse(&written).expect("its own form");
        assert_eq!(again.content, file.content);
        assert_eq!(again.content.id().expect("it has one"), id);
        assert_eq!(write(&again.content), written);
    }
    let compared = compare::read(text).expect("the same file");
    assert!(compared.ids.contain(&compared.file.content.id().expect("it has one")));
});
