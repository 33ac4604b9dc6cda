//! Words as the Penn Treebank separates them, by the rules of js-rouge, which promptfoo uses.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::super::javascript::is_space;

/// The rules after quotes and the full stop at the end, in order.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (r"([^'])' ", "$1 ' "),
        (r"'([sSmMdD]) ", " '$1 "),
        (r"('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", " $1 "),
        (r"(?i)\b(can)(not)\b", " $1 $2 "),
        (r"(?i)\b(d)('ye)\b", " $1 $2 "),
        (r"(?i)\b(gim)(me)\b", " $1 $2 "),
        (r"(?i)\b(gon)(na)\b", " $1 $2 "),
        (r"(?i)\b(got)(ta)\b", " $1 $2 "),
        (r"(?i)\b(lem)(me)\b", " $1 $2 "),
        (r"(?i)\b(more)('n)\b", " $1 $2 "),
        (r"(?i)\b(wan)(na) ", " $1 $2 "),
        (r"(?i)\B('t)(is)\b", " $1 $2 "),
        (r"(?i)\B('t)(was)\b", " $1 $2 "),
    ];
    rules.into_iter().filter_map(|(rule, words)| Some((Regex::new(rule).ok()?, words))).collect()
});
static QUOTES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("``|''|\"").ok());
static BEFORE_QUOTE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\s\p{P}<]$").ok());
static OPENING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\s\p{Ps}<]$").ok());
static QUOTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{N}\p{Sc}\p{Ps}]").ok());
static SEPARATORS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[:,](\p{Nd})?").ok());

fn matches(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// The words and signs of a text.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let space = |character: char| is_space(character) || character == '\u{85}';
    let text: Vec<&str> = text.split(space).filter(|part| !part.is_empty()).collect();
    if text.is_empty() {
        return Vec::new();
    }
    let mut text = end_separated(&separators_spaced(&quotes_spaced(&text.join(" ")).replace("...", " ... ")));
    for sign in ["?", "!", "]", "[", "(", ")", "{", "}", "<", ">", "--"] {
        text = text.replace(sign, &format!(" {sign} "));
    }
    text = format!(" {text} ");
    for (rule, words) in RULES.iter() {
        text = rule.replace_all(&text, *words).into_owned();
    }
    text.split(' ').filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

/// Quotes as opening ones or closing ones.
fn quotes_spaced(text: &str) -> String {
    let Some(quotes) = QUOTES.as_ref() else { return text.to_owned() };
    let mut inside = false;
    let mut spaced = String::with_capacity(text.len());
    let mut from = 0;
    for quote in quotes.find_iter(text) {
        let (before, after) = (text.get(..quote.start()).unwrap_or(""), text.get(quote.end()..).unwrap_or(""));
        let opens = || {
            (!after.is_empty() || before.is_empty() || matches(&OPENING, before))
                && !inside
                && (before.is_empty() || matches(&BEFORE_QUOTE, before))
                && !before.ends_with(['.', '!', '?'])
        };
        let paired = || {
            !before.is_empty()
                && matches(&QUOTED, after)
                && quotes.find(after).is_some_and(|next| next.as_str() == "''")
        };
        inside = match quote.as_str() {
            "``" => true,
            "\"" => opens(),
            _ => opens() && paired(),
        };
        spaced.push_str(text.get(from..quote.start()).unwrap_or(""));
        spaced.push_str(if inside { " `` " } else { " '' " });
        from = quote.end();
    }
    spaced.push_str(text.get(from..).unwrap_or(""));
    spaced
}

/// Colons and commas that are not within numbers, and other signs, as words.
fn separators_spaced(text: &str) -> String {
    let text = match SEPARATORS.as_ref() {
        Some(separators) => separators.replace_all(text, |found: &Captures<'_>| {
            let sign = found.get(0).map_or("", |sign| sign.as_str());
            if found.get(1).is_some() { sign.to_owned() } else { format!(" {sign} ") }
        }),
        None => text.into(),
    };
    let mut spaced = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, ';' | '@' | '#' | '$' | '%' | '&') {
            spaced.extend([' ', character, ' ']);
        } else {
            spaced.push(character);
        }
    }
    spaced
}

/// The full stop at the end as a word, but for that of an abbreviation such as `e.g.`
fn end_separated(text: &str) -> String {
    let closing = |character: char| matches!(character, ']' | ')' | '}' | '>' | '\'') || is_space(character);
    let sentence = text.trim_end_matches(closing);
    let Some(words) = sentence.strip_suffix('.').filter(|words| !words.is_empty() && !words.ends_with('.')) else {
        return text.to_owned();
    };
    let mut last = words.chars().rev();
    let is_letter = |character: Option<char>| character.is_some_and(|letter| letter.is_ascii_alphabetic());
    let is_abbreviation = is_letter(last.next())
        && last.next() == Some('.')
        && is_letter(last.next())
        && !last.next().is_some_and(|before| before.is_ascii_alphanumeric() || before == '_');
    if is_abbreviation {
        return text.to_owned();
    }
    let end = text.strip_prefix(sentence).unwrap_or("");
    format!("{words} .{end} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_separated_as_in_the_penn_treebank() {
        for (text, expected) in [
            ("Good muffins cost $3.88 in New York.", "Good|muffins|cost|$|3.88|in|New|York|."),
            ("They'll save and can't say \"no\".", "They|'ll|save|and|ca|n't|say|``|no|''|."),
            ("I cannot, you're gonna (see): 1,000", "I|can|not|,|you|'re|gon|na|(|see|)|:|1,000"),
            ("e.g.", "e.g."),
            ("well... no", "well|...|no"),
            ("", ""),
        ] {
            assert_eq!(tokens(text).join("|"), expected, "{text}");
        }
    }
}
