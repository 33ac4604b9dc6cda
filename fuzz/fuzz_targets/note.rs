//! Signed notes and keys: what is read is written back as the same bytes.
#![no_main]

use bookholder::crypto::key::{SigningKey, VerifyingKey};
use bookholder::crypto::note::{NOTE_BYTES_MAX, Note};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = Note::parse(bytes, NOTE_BYTES_MAX) {
        assert_eq!(note.to_bytes(), bytes);
        let key = SigningKey::from_seed([7; 32]).verifying_key();
        for signature in note.signatures() {
            let _ = note.verify(signature.signer(), &key);
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<VerifyingKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = SigningKey::from_key_file(text) {
        let again = SigningKey::from_key_file(&key.to_key_file()).expect("its own form");
        assert_eq!(again.verifying_key(), key.verifying_key());
    }
});
