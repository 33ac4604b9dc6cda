//! Tests of signed notes: invalid notes are refused and every altered byte is detected.

use super::*;

const TEXT: &str = "example.org/view/all\nroot 1\n";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

fn note_bytes() -> Vec<u8> {
    Note::sign(TEXT, &[("example.org+a", &key(1))]).unwrap().to_bytes()
}

/// The text for a reader who knows one key, if it verifies.
fn believed(bytes: &[u8]) -> Option<String> {
    let note = Note::parse(bytes, NOTE_BYTES_MAX).ok()?;
    match note.verify("example.org+a", &key(1).verifying_key()) {
        Ok(Signed::Yes) => Some(note.text().to_owned()),
        Ok(Signed::No) | Err(_) => None,
    }
}

#[test]
fn signed_note_reads_back_byte_for_byte() {
    let bytes = note_bytes();
    assert_eq!(believed(&bytes).as_deref(), Some(TEXT));
    let note = Note::parse(&bytes, bytes.len()).unwrap();
    assert_eq!(note.to_bytes(), bytes);
    let line = String::from_utf8(bytes).unwrap();
    assert!(line.starts_with("example.org/view/all\nroot 1\n\n\u{2014} example.org+a "));
}

#[test]
fn signed_note_layout_is_pinned() {
    assert_eq!(
        blake3::hash(&note_bytes()).to_hex().as_str(),
        "b269233bc99f4195cc506371f0648464aabd1afc604bf691cc5b27e3f2f30961"
    );
}

#[test]
fn truncated_note_is_refused() {
    let bytes = note_bytes();
    for len in 0..bytes.len() {
        assert_eq!(believed(&bytes[..len]), None, "cut to {len} bytes");
    }
}

#[test]
fn note_with_any_bit_flipped_is_refused() {
    let bytes = note_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert_eq!(believed(&flipped), None, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn note_with_an_inserted_or_removed_byte_is_rejected() {
    let bytes = note_bytes();
    for at in 0..=bytes.len() {
        for extra in [b'\n', b' ', b'=', b'A', b'\r', 0] {
            let mut longer = bytes.clone();
            longer.insert(at, extra);
            assert_eq!(believed(&longer), None, "byte {extra} put in at {at}");
        }
        if at < bytes.len() {
            let mut shorter = bytes.clone();
            shorter.remove(at);
            assert_eq!(believed(&shorter), None, "byte {at} taken out");
        }
    }
}

#[test]
fn base64_with_stray_last_bits_is_refused() {
    // 68 bytes end in `x=`: two bits of the last character are unused and must be zero.
    let text = String::from_utf8(note_bytes()).unwrap();
    let body = text.strip_suffix("=\n").unwrap();
    let (head, last) = body.split_at(body.len() - 1);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = alphabet.iter().position(|c| *c == last.as_bytes()[0]).unwrap();
    for stray in 1..4 {
        let other = char::from(alphabet[value + stray]);
        let altered = format!("{head}{other}=\n");
        assert_eq!(Note::parse(altered.as_bytes(), NOTE_BYTES_MAX), Err(NoteError::SignatureLine { line: 1 }));
    }
}

#[test]
fn invalid_note_gives_the_reason() {
    let line = "\u{2014} a AAAAAAA=\n";
    for (bytes, expected) in [
        (String::new(), NoteError::Unsigned),
        ("text\n".to_owned(), NoteError::Unsigned),
        ("text\n\n".to_owned(), NoteError::Unsigned),
        (format!("text\n{line}"), NoteError::Unsigned),
        ("text\n\n\u{2014} a AAAAAAA=".to_owned(), NoteError::Unsigned),
        (format!("t\u{eb}xt\n\n{line}"), NoteError::Text),
        (format!("te\txt\n\n{line}"), NoteError::Text),
        (format!("text\r\n\n{line}"), NoteError::Text),
        ("text\n\n- a AAAAAAA=\n".to_owned(), NoteError::SignatureLine { line: 1 }),
        (format!("text\n\n{line}\u{2014} AAAAAAA=\n"), NoteError::SignatureLine { line: 2 }),
        (format!("text\n\n{line} "), NoteError::Unsigned),
        ("text\n\n\u{2014} a AAAAAA==\n".to_owned(), NoteError::SignatureLine { line: 1 }),
        ("text\n\n\u{2014} a  AAAAAAA=\n".to_owned(), NoteError::SignatureLine { line: 1 }),
        (format!("text\n\n{line}{line}"), NoteError::SignedTwice { signer: "a".to_owned() }),
        ("x".repeat(NOTE_BYTES_MAX + 1), NoteError::TooLarge { bytes: 16_385, bytes_max: 16_384 }),
    ] {
        assert_eq!(Note::parse(bytes.as_bytes(), NOTE_BYTES_MAX), Err(expected), "{bytes:.60}");
    }
}

#[test]
fn note_has_at_most_sixteen_signatures() {
    let lines = |count: usize| {
        let each = (0..count).map(|n| format!("\u{2014} signer-{n} AAAAAAA=\n"));
        format!("text\n\n{}", each.collect::<String>())
    };
    let parse = |count| Note::parse(lines(count).as_bytes(), NOTE_BYTES_MAX);
    assert_eq!(parse(16).unwrap().signatures().len(), 16);
    assert_eq!(parse(17), Err(NoteError::TooManySignatures));
}

#[test]
fn unknown_signatures_are_ignored_and_bad_known_ones_are_not() {
    let mut note = Note::sign(TEXT, &[("witness", &key(9))]).unwrap();
    note.add_signature("example.org+a", &key(1)).unwrap();
    let public = key(1).verifying_key();
    let bytes = String::from_utf8(note.to_bytes()).unwrap();
    assert!(believed(bytes.as_bytes()).is_some(), "a stranger signed, too");

    let longer = bytes.replacen("\n\n", "\n\n\u{2014} ml-dsa AAAAAAAAAAAAAAAAAAAA\n", 1);
    assert!(believed(longer.as_bytes()).is_some(), "another algorithm");

    let other_key = Note::sign(TEXT, &[("example.org+a", &key(2))]).unwrap();
    assert_eq!(other_key.verify("example.org+a", &public), Ok(Signed::No));
    assert_eq!(note.verify("example.org+b", &public), Ok(Signed::No));

    let moved = Note::parse(bytes.replace("root 1", "root 2").as_bytes(), NOTE_BYTES_MAX).unwrap();
    assert_eq!(
        moved.verify("example.org+a", &public).unwrap_err().to_string(),
        "the signature of `example.org+a` does not match the text; discard the note and fetch it from another source"
    );
}

#[test]
fn known_key_with_a_signature_of_another_length_is_bad() {
    let id = key(1).verifying_key().id("a").0;
    let short = STANDARD.encode([id.as_slice(), &[0; 63]].concat());
    let bytes = format!("text\n\n\u{2014} a {short}\n");
    let note = Note::parse(bytes.as_bytes(), NOTE_BYTES_MAX).unwrap();
    let bad = NoteError::BadSignature { signer: "a".to_owned() };
    assert_eq!(note.verify("a", &key(1).verifying_key()), Err(bad));
}

#[test]
fn text_or_signer_that_a_note_cannot_contain_is_not_signed() {
    let key = key(1);
    for (text, signer, expected) in [
        ("", "a", NoteError::Text),
        ("no line end", "a", NoteError::Text),
        ("caf\u{e9}\n", "a", NoteError::Text),
        (TEXT, "", NoteError::Signer { signer: String::new() }),
        (TEXT, "a b", NoteError::Signer { signer: "a b".to_owned() }),
    ] {
        assert_eq!(Note::sign(text, &[(signer, &key)]), Err(expected));
    }
    assert_eq!(Note::sign(TEXT, &[]), Err(NoteError::Unsigned));
    let twice = Note::sign(TEXT, &[("a", &key), ("a", &key)]);
    assert_eq!(twice, Err(NoteError::SignedTwice { signer: "a".to_owned() }));
}
