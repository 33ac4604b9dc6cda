//! Detectors for what regexes cannot express well: hidden characters, look-alike letters, encoded blobs, variables
//! without delimiters.
//!
//! Each reads the text once and reports byte ranges.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::places::Place;
use super::validators::shannon;
use crate::model::content::Syntax;

/// Shortest run of base64 that is reported, in characters; a hash or key is shorter.
const BLOB_CHARS_MIN: usize = 200;
/// Least entropy of such a run, in bits per character: a line of equal characters has less.
const BLOB_ENTROPY_MIN: f64 = 4.0;
/// Most markup elements that are open at once in the search for variables.
const OPEN_ELEMENTS_MAX: usize = 64;
/// Most tag characters after the black flag of a flag emoji, including its end.
const FLAG_CHARS_MAX: usize = 7;

/// A detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Detector {
    /// Unicode tag characters and runs of variation selectors: text that only a model reads.
    HiddenText,
    /// Characters that change the direction of text.
    BidiControls,
    /// Zero-width characters, except where scripts and emoji need them.
    ZeroWidth,
    /// Control characters other than tab, line breaks and single separators of files and records.
    ControlCharacters,
    /// Latin words with Cyrillic or Greek letters that look Latin.
    MixedScripts,
    /// Long runs of base64 outside of a `data:` URL.
    EncodedBlob,
    /// A variable in a system message without delimiters around it.
    BareSystemVariable,
}

impl Detector {
    /// Calls `found` with every range, in order.
    pub fn find(self, place: &Place<'_>, found: &mut dyn FnMut(Range<usize>)) {
        let text: &str = &place.text;
        match self {
            Self::HiddenText => hidden_text(text, found),
            Self::BidiControls => {
                runs(text, |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'), found);
            }
            Self::ZeroWidth => zero_width(text, found),
            Self::ControlCharacters => control_characters(text, found),
            Self::MixedScripts => words(text, mixes_scripts, found),
            Self::EncodedBlob => blobs(text, found),
            Self::BareSystemVariable if place.system && place.syntax != Syntax::Plain => bare_variables(text, found),
            Self::BareSystemVariable => {}
        }
    }
}

/// Runs of characters that `belongs` accepts.
fn runs(text: &str, belongs: impl Fn(char) -> bool, found: &mut dyn FnMut(Range<usize>)) {
    let mut run: Option<Range<usize>> = None;
    for (at, character) in text.char_indices() {
        if belongs(character) {
            let end = at + character.len_utf8();
            run = Some(run.map_or(at..end, |run| run.start..end));
        } else if let Some(run) = run.take() {
            found(run);
        }
    }
    if let Some(run) = run {
        found(run);
    }
}

fn words(text: &str, fits: impl Fn(&str) -> bool, found: &mut dyn FnMut(Range<usize>)) {
    runs(text, char::is_alphabetic, &mut |span| {
        if text.get(span.clone()).is_some_and(&fits) {
            found(span);
        }
    });
}

/// A single information separator (U+001C to U+001F) is legitimate; a run of them may be a code.
fn control_characters(text: &str, found: &mut dyn FnMut(Range<usize>)) {
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    runs(text, control, &mut |span| {
        let separator = matches!(text.get(span.clone()).map(str::as_bytes), Some([0x1c..=0x1f]));
        if !separator {
            found(span);
        }
    });
}

fn hidden_text(text: &str, found: &mut dyn FnMut(Range<usize>)) {
    let tag = |c: char| matches!(c, '\u{e0000}'..='\u{e007f}');
    runs(text, tag, &mut |span| {
        let hidden = text.get(span.clone()).unwrap_or("");
        let flag = text.get(..span.start).is_some_and(|before| before.ends_with('\u{1f3f4}'))
            && hidden.ends_with('\u{e007f}')
            && hidden.chars().count() <= FLAG_CHARS_MAX;
        if !flag {
            found(span);
        }
    });
    let selector = |c: char| matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}');
    runs(text, selector, &mut |span| {
        if text.get(span.clone()).is_some_and(|run| run.chars().count() > 2) {
            found(span);
        }
    });
}

fn zero_width(text: &str, found: &mut dyn FnMut(Range<usize>)) {
    let width_less =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}' | '\u{061c}');
    let written_from_the_right = text.chars().any(is_from_the_right);
    runs(text, width_less, &mut |span| {
        let run = text.get(span.clone()).unwrap_or("");
        let before = text.get(..span.start).and_then(|before| before.chars().next_back());
        let after = text.get(span.end..).and_then(|after| after.chars().next());
        let mut characters = run.chars();
        let needed = match (characters.next(), characters.next()) {
            // A byte order mark at the very beginning.
            (Some('\u{feff}'), None) => span.start == 0,
            (Some('\u{200d}'), None) => {
                (before.is_some_and(is_pictorial) && after.is_some_and(is_pictorial)) || before.is_some_and(joins)
            }
            (Some('\u{200c}'), None) => before.is_some_and(joins),
            // Scripts without spaces mark word boundaries with it.
            (Some('\u{200b}'), None) => before.is_some_and(has_no_spaces) || after.is_some_and(has_no_spaces),
            // Direction marks in a text with right-to-left letters.
            (Some('\u{200e}' | '\u{200f}' | '\u{61c}'), None) => written_from_the_right,
            _ => false,
        };
        if !needed {
            found(span);
        }
    });
}

/// Emoji with modifiers and selectors, which a joiner combines into one picture.
const fn is_pictorial(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{a9}' | '\u{ae}')
}

/// Letters whose shape depends on joiners: Arabic, Indic and related scripts.
const fn joins(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{18af}'
        | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
}

/// Thai, Lao, Tibetan, Myanmar, Khmer.
const fn has_no_spaces(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Hebrew, Arabic and related scripts.
const fn is_from_the_right(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}')
}

/// At least two Latin letters, and all other letters foreign ones that look Latin.
fn mixes_scripts(word: &str) -> bool {
    const LOOK_ALIKES: &str = "аеорсухіјѕԁԛԝһАВЕКМНОРСТХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧοντρικυ";
    let latin = word.chars().filter(char::is_ascii_alphabetic).count();
    let mut others = word.chars().filter(|c| !c.is_ascii_alphabetic()).peekable();
    latin >= 2 && others.peek().is_some() && others.all(|c| LOOK_ALIKES.contains(c))
}

fn blobs(text: &str, found: &mut dyn FnMut(Range<usize>)) {
    let encoded = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    runs(text, encoded, &mut |span| {
        let Some(run) = text.get(span.clone()).filter(|run| run.len() > BLOB_CHARS_MIN) else { return };
        let before = text.get(..span.start).unwrap_or("");
        let has = |fits: fn(&u8) -> bool| run.bytes().any(|byte| fits(&byte));
        let varied = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
        // A path or a name has a separator every few letters.
        let separators = run.bytes().filter(|byte| matches!(byte, b'/' | b'-' | b'_')).count();
        if varied && separators * 12 < run.len() && !before.ends_with(";base64,") && shannon(run) >= BLOB_ENTROPY_MIN {
            found(span);
        }
    });
}

/// Variables (`{{name}}`, the first of each name) outside of quotes, brackets, fences and markup elements.
fn bare_variables(text: &str, found: &mut dyn FnMut(Range<usize>)) {
    let fenced = enclosed(text);
    let mut seen = BTreeSet::new();
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find("{{")).map(|found| at + found) {
        let Some(close) = text.get(open..).and_then(|rest| rest.find("}}")).map(|found| open + found + 2) else {
            return;
        };
        at = close;
        let inner = text.get(open + 2..close - 2).unwrap_or("").trim_matches(['{', '}', ' ']);
        if inner.is_empty() || inner.starts_with(['#', '/', '!', '>', '^']) || !seen.insert(inner) {
            continue;
        }
        let before = text.get(..open).and_then(|before| before.trim_end_matches([' ', '\n']).chars().next_back());
        let after = text.get(close..).and_then(|after| after.trim_start_matches([' ', '\n', '}']).chars().next());
        let quoted = matches!(
            (before, after),
            (Some('"'), Some('"'))
                | (Some('\''), Some('\''))
                | (Some('`'), Some('`'))
                | (Some('“'), Some('”'))
                | (Some('«'), Some('»'))
                | (Some('['), Some(']'))
                | (Some('<'), Some('>'))
                | (Some('>'), Some('<'))
        );
        let inside = fenced.iter().any(|range| range.start <= open && close <= range.end);
        if !quoted && !inside {
            found(open..close);
        }
    }
}

/// The text between two fences (three backticks or three quotes), and between `<name>` and `</name>`.
fn enclosed(text: &str) -> Vec<Range<usize>> {
    /// Most ranges that are stored.
    const RANGES_MAX: usize = 256;
    let mut ranges = Vec::new();
    for fence in ["```", "\"\"\""] {
        let mut marks = text.match_indices(fence).map(|(at, _)| at);
        while let (Some(start), Some(end)) = (marks.next(), marks.next()) {
            ranges.push(start..end);
            if ranges.len() >= RANGES_MAX {
                return ranges;
            }
        }
    }
    let mut open: Vec<(&str, usize)> = Vec::new();
    for (at, _) in text.match_indices('<') {
        let rest = text.get(at + 1..).unwrap_or("");
        let (closing, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
        let Some(name) = rest.get(..length).filter(|name| !name.is_empty()) else { continue };
        if !closing {
            if open.len() < OPEN_ELEMENTS_MAX {
                open.push((name, at));
            }
        } else if let Some(index) = open.iter().rposition(|(opened, _)| *opened == name) {
            let start = open.get(index).map_or(at, |(_, start)| *start);
            open.truncate(index);
            ranges.push(start..at);
            if ranges.len() >= RANGES_MAX {
                return ranges;
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(detector: Detector, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        detector.find(&Place::test(text), &mut |span| spans.push(span));
        spans
    }

    #[test]
    fn characters_needed_by_scripts_and_emoji_are_not_findings() {
        use Detector::{BidiControls, ControlCharacters, HiddenText, MixedScripts, ZeroWidth};
        let check = |detector: Detector, text: &str, count: usize| {
            assert_eq!(found(detector, text).len(), count, "{detector:?} {text:?}");
        };
        check(ZeroWidth, "pass\u{200b}word", 1);
        check(ZeroWidth, "a\u{200b}\u{200c}\u{200d}b", 1);
        check(ZeroWidth, "\u{feff}text", 0);
        check(ZeroWidth, "te\u{feff}xt", 1);
        check(ZeroWidth, "👩\u{200d}👩\u{200d}👧 and ❤\u{fe0f}\u{200d}🔥", 0);
        check(ZeroWidth, "می\u{200c}خواهم", 0);
        check(ZeroWidth, "क्\u{200d}ष", 0);
        check(ZeroWidth, "ភាសា\u{200b}ខ្មែរ", 0);
        check(ZeroWidth, "שלום\u{200f}!", 0);
        check(ZeroWidth, "hello\u{200f}!", 1);
        check(HiddenText, "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", 0);
        check(HiddenText, "hi\u{e0069}\u{e0067}\u{e006e}", 1);
        check(HiddenText, "☺\u{fe0f} fine", 0);
        check(HiddenText, "☺\u{fe01}\u{fe02}\u{fe03}\u{e0100}", 1);
        check(BidiControls, "a\u{202e}b\u{202c}c", 2);
        check(BidiControls, "plain", 0);
        check(ControlCharacters, "a\tb\r\nc", 0);
        check(ControlCharacters, "a\u{1b}[31mb", 1);
        check(ControlCharacters, "one\u{1e}\ntwo\u{1f}three", 0);
        check(ControlCharacters, "one\u{1e}\u{1f}\u{1e}two", 1);
        check(MixedScripts, "pаypal", 1);
        check(MixedScripts, "paypal", 0);
        check(MixedScripts, "Привет IT-отдел", 0);
        check(MixedScripts, "5 μm, Δx and naïve", 0);
        assert_eq!(found(ZeroWidth, "é\u{200b}a").first(), Some(&(2..5)));
    }

    #[test]
    fn base64_blob_finding_needs_length_and_variety_and_is_not_an_image() {
        let blob = "aGVsbG8gd29ybGQgMTIzNDU2Nzg5MCBBQkNERUZHSElKS0xNTk9Q".repeat(5);
        assert_eq!(found(Detector::EncodedBlob, &format!("decode {blob}==")).len(), 1);
        assert!(found(Detector::EncodedBlob, &format!("data:image/png;base64,{blob}")).is_empty());
        assert!(found(Detector::EncodedBlob, &"a".repeat(500)).is_empty());
        assert!(found(Detector::EncodedBlob, &"usr/Local/share1/".repeat(30)).is_empty());
    }

    #[test]
    fn undelimited_variable_in_a_system_message_is_a_finding() {
        let check = |text: &str, count: usize| {
            assert_eq!(found(Detector::BareSystemVariable, text).len(), count, "{text}");
        };
        check("Answer about {{topic}} and {{topic}}", 1);
        check("Answer about \"{{topic}}\"", 0);
        check("Read:\n```\n{{a}} and {{b}}\n```\nthen {{c}}", 1);
        check("<doc>\nText: {{a}}\n</doc> {{b}}", 1);
        check("<doc>{{a}}</doc>", 0);
        check("{{#each}}{{/each}}{{> part}}", 0);
        check("{{open", 0);
        let mut user = Place::test("Hi {{name}}");
        user.system = false;
        Detector::BareSystemVariable.find(&user, &mut |_| panic!("not said by the system"));
    }
}
