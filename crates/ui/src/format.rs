//! Formats text from others, times and durations.

use maud::{Markup, PreEscaped, Render, html};

use crate::model::count::count;
use crate::model::finding::is_hidden;
use crate::model::time::Timestamp;

/// Text from others: escaped, with invisible characters shown by their code points.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Render for Escaped<'_> {
    fn render_to(&self, buffer: &mut String) {
        let mut rest = self.0;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (before, after) = rest.split_at(at);
            before.render_to(buffer);
            let marked = html! { span.odd { "U+" (format!("{:04X}", u32::from(hidden))) } };
            marked.render_to(buffer);
            rest = after.get(hidden.len_utf8()..).unwrap_or_default();
        }
        rest.render_to(buffer);
    }
}

/// Plain text, as in a tooltip, with invisible characters replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// A text shortened to a width, counted in Latin letters; its end is kept, because it distinguishes names.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let widths = |c: char| if c.is_ascii() { 1 } else { 2 };
    let text = plain(text);
    if text.chars().map(widths).sum::<usize>() <= width {
        return text;
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let enough = left >= widths(*c);
        left = left.saturating_sub(widths(*c));
        enough
    };
    let kept: Vec<char> = text.chars().rev().take_while(fits).collect();
    std::iter::once('…').chain(kept.into_iter().rev()).collect()
}

/// A time in UTC, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or(text.clone(), |short| short.replace('T', " "))
}

/// A time for people: how long ago, or the date if that is long ago; the exact time is in the tooltip.
pub(super) fn when(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) title={ (moment(at)) " UTC" } { (ago(at, now)) } }
}

/// How long ago something was, in one unit; the date if it was more than a month.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.ms().saturating_sub(at.ms()) / 1_000;
    match seconds {
        ..-59 => moment(at).chars().take(16).collect(),
        -59..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..2_592_000 => format!("{} d ago", seconds / 86_400),
        _ => moment(at).chars().take(10).collect(),
    }
}

/// A duration in its two largest units, for example `3 d 4 h`.
pub(super) fn length(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = ms.max(0) / 1_000;
    let mut parts = Vec::new();
    for (seconds, unit) in UNITS {
        let count = left / seconds;
        left %= seconds;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// A number with a space as thousands separator.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of things, such as `1 call` or `1 200 calls`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    count(number, noun).replacen(&number.to_string(), &grouped(number), 1)
}

/// A message as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!', ':']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// The start of a text, on one line, with this many characters.
pub(super) fn start_of(text: &str, characters: usize) -> String {
    let line = plain(text.lines().next().unwrap_or_default());
    let mut rest = line.chars();
    let mut start: String = rest.by_ref().take(characters).collect();
    if rest.next().is_some() {
        start.push('…');
    }
    start
}

/// A text with names in backticks, as in errors: those are rendered as code.
pub(super) fn with_code(text: &str) -> Markup {
    let pieces: Vec<&str> = text.split('`').collect();
    // A backtick without a counterpart is literal.
    if pieces.len().is_multiple_of(2) {
        return html! { (Escaped(text)) };
    }
    html! {
        @for (index, piece) in pieces.into_iter().enumerate() {
            @if index.is_multiple_of(2) { (Escaped(piece)) } @else { code { (Escaped(piece)) } }
        }
    }
}

/// Joins pieces with a separator.
pub(super) fn between(pieces: impl IntoIterator<Item = Markup>, separator: &str) -> Markup {
    let pieces: Vec<String> = pieces.into_iter().map(|piece| piece.0).collect();
    PreEscaped(pieces.join(separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_shown() {
        for (text, expected) in [
            ("plain <b> & \"q\"", "plain &lt;b&gt; &amp; &quot;q&quot;"),
            ("a\u{202e}b", "a<span class=\"odd\">U+202E</span>b"),
            ("\u{1b}[31m", "<span class=\"odd\">U+001B</span>[31m"),
            ("two\nlines", "two\nlines"),
            ("\u{200b}", "<span class=\"odd\">U+200B</span>"),
            ("还是\u{e0041}", "还是<span class=\"odd\">U+E0041</span>"),
        ] {
            assert_eq!(Escaped(text).render().0, expected, "{text:?}");
        }
        assert_eq!(plain("a\u{202e}\0"), "a\u{fffd}\u{fffd}");
    }

    #[test]
    fn backticks_become_code_in_pairs_only() {
        for (text, expected) in [
            ("plain", "plain"),
            ("`a<b>` is not granted `deploy`.", "<code>a&lt;b&gt;</code> is not granted <code>deploy</code>."),
            ("one ` alone", "one ` alone"),
            ("`a` and ` alone", "`a` and ` alone"),
        ] {
            assert_eq!(with_code(text).0, expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_relative_to_now() {
        let now: Timestamp = "2026-03-20T15:00:00Z".parse().expect("a time");
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (7_199, "1 h ago"),
            (86_400 * 29, "29 d ago"),
            (86_400 * 31, "2026-02-17"),
            (-3_600, "2026-03-20 16:00"),
        ] {
            assert_eq!(ago(Timestamp::from_ms(now.ms() - seconds * 1_000), now), expected, "{seconds}");
        }
        let shown = when(now, now).0;
        assert_eq!(shown, "<time datetime=\"2026-03-20T15:00:00Z\" title=\"2026-03-20 15:00:00 UTC\">just now</time>");
    }

    #[test]
    fn lengths_names_and_numbers_are_short() {
        for (ms, expected) in [
            (0, "0 s"),
            (999, "0 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (3_601_000, "1 h"),
            (90_000_000, "1 d 1 h"),
            (-5, "0 s"),
        ] {
            assert_eq!(length(ms), expected, "{ms}");
        }
        assert_eq!(shorten("support/agent", 13), "support/agent");
        assert_eq!(shorten("support/agent", 6), "…agent");
        assert_eq!(shorten("还是维持", 5), "…维持");
        assert_eq!(grouped(4_529), "4\u{202f}529");
        assert_eq!((grouped(12), grouped(1_234_567)), ("12".to_owned(), "1\u{202f}234\u{202f}567".to_owned()));
    }
}
