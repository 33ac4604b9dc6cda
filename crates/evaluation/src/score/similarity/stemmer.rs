//! Porter's stemmer of English words (1980), with the deviations of `natural`, which promptfoo uses for METEOR.
//!
//! Consonants and vowels are marked by three replacements instead of Porter's definition, so a `y` between them may
//! count as two vowels; each table replaces by its first fitting entry in turn, but measures the unchanged word.

/// The stem of a word in lower case.
pub(super) fn stem(word: &str) -> String {
    if word.encode_utf16().count() < 3 {
        return word.to_owned();
    }
    let word = y_to_i(&past(&plural(word)));
    let word = replaced(&word, DERIVED, Some(0));
    let word = replaced(&word, ADJECTIVES, Some(0));
    double_l(&final_e(&suffix(&word)))
}

/// Endings, and what replaces them.
type Table = &'static [(&'static str, &'static str)];

const DERIVED: Table = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("abli", "able"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

const ADJECTIVES: Table =
    &[("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

const SUFFIXES: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ou", "ism", "ate", "iti", "ous",
    "ive", "ize",
];

const fn is_vowel(character: char) -> bool {
    matches!(character, 'a' | 'e' | 'i' | 'o' | 'u')
}

/// Each letter as a vowel (`true`) or a consonant: `y` is a vowel after a consonant.
fn letters(word: &str) -> Vec<bool> {
    let mut letters = Vec::with_capacity(word.len());
    // A `y` that was made a vowel is not there any more to be the consonant before another.
    let mut may_precede = false;
    for character in word.chars() {
        let is_y = character == 'y';
        letters.push(is_vowel(character) || is_y && may_precede);
        may_precede = !is_vowel(character) && !is_y;
    }
    letters
}

/// Groups of consonants and of vowels, as `true` for vowels.
fn groups(word: &str) -> Vec<bool> {
    // A group of consonants before `y` and these `y` are one consonant and one vowel.
    let mut marked: Vec<char> = Vec::with_capacity(word.len());
    let mut consonants: Vec<char> = Vec::new();
    for character in word.chars() {
        if is_vowel(character) {
            marked.append(&mut consonants);
            marked.push(character);
        } else if character == 'y' && !consonants.is_empty() {
            consonants.clear();
            marked.extend(['C', 'V']);
        } else if character == 'y' {
            marked.push(character);
        } else {
            consonants.push(character);
        }
    }
    marked.append(&mut consonants);
    // A run of vowels is one; a `V` from before stands for itself.
    let mut groups = Vec::new();
    let mut in_vowels = false;
    for character in marked {
        if is_vowel(character) {
            if !in_vowels {
                groups.push(true);
            }
            in_vowels = true;
            continue;
        }
        in_vowels = false;
        if character == 'V' {
            groups.push(true);
        } else if groups.last() != Some(&false) {
            groups.push(false);
        }
    }
    groups
}

/// Twice Porter's measure: the number of groups without a first one of consonants and a last one of vowels. Negative
/// for no word.
fn twice_measure(word: &str) -> i64 {
    if word.is_empty() {
        return -2;
    }
    let mut groups = groups(word);
    if groups.first() == Some(&false) {
        groups.remove(0);
    }
    if groups.last() == Some(&true) {
        groups.pop();
    }
    i64::try_from(groups.len()).unwrap_or(i64::MAX)
}

/// Replaces endings, each if the word without it measures more than `above`.
fn replaced(word: &str, table: Table, above: Option<i64>) -> String {
    let mut result = word.to_owned();
    for (ending, replacement) in table {
        let measures =
            above.is_none_or(|above| word.strip_suffix(ending).is_some_and(|stem| twice_measure(stem) > above));
        if let (true, Some(stem)) = (measures, result.strip_suffix(ending)) {
            let replaced = format!("{stem}{replacement}");
            if !replaced.is_empty() {
                result = replaced;
            }
        }
    }
    result
}

fn plural(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("es").filter(|stem| stem.ends_with("ss") || stem.ends_with('i')) {
        return stem.to_owned();
    }
    word.strip_suffix('s').filter(|stem| !stem.ends_with('s') && !stem.is_empty()).unwrap_or(word).to_owned()
}

fn past(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("eed") {
        return if twice_measure(stem) > 0 { format!("{stem}ee") } else { word.to_owned() };
    }
    let stem = word.strip_suffix("ed").or_else(|| word.strip_suffix("ing"));
    let Some(stem) = stem.filter(|stem| !stem.is_empty() && groups(stem).contains(&true)) else {
        return word.to_owned();
    };
    let restored = replaced(stem, &[("at", "ate"), ("bl", "ble"), ("iz", "ize")], None);
    if restored != stem {
        return restored;
    }
    let mut last = stem.chars().rev();
    if let (Some(one), Some(two)) = (last.next(), last.next())
        && one == two
        && !is_vowel(one)
        && !matches!(one, 'l' | 's' | 'z')
    {
        return stem.strip_suffix(one).unwrap_or(stem).to_owned();
    }
    let short = letters(stem).ends_with(&[false, true, false]) && !stem.ends_with(['w', 'x', 'y']);
    if twice_measure(stem) == 2 && short { format!("{stem}e") } else { stem.to_owned() }
}

fn y_to_i(word: &str) -> String {
    let mut groups = groups(word);
    groups.pop();
    match word.strip_suffix('y') {
        Some(stem) if groups.contains(&true) => format!("{stem}i"),
        _ => word.to_owned(),
    }
}

/// Removes a suffix of a long word.
fn suffix(word: &str) -> String {
    let stems = SUFFIXES.iter().filter_map(|suffix| word.strip_suffix(suffix)).filter(|stem| !stem.is_empty());
    if let Some(stem) = stems.min_by_key(|stem| stem.len()).filter(|stem| twice_measure(stem) > 2) {
        return stem.to_owned();
    }
    let stem = word.strip_suffix("ion").filter(|stem| stem.len() > 1 && stem.ends_with(['s', 't']));
    stem.filter(|stem| twice_measure(stem) > 2).unwrap_or(word).to_owned()
}

fn final_e(word: &str) -> String {
    let stem = word.strip_suffix('e').unwrap_or(word);
    let measure = twice_measure(stem);
    let letters = letters(word);
    let before_last = letters.len().saturating_sub(1).min(3);
    let start = letters.len().saturating_sub(4);
    let short = before_last == 3
        && letters.get(start..start.saturating_add(3)) == Some(&[false, true, false])
        && !word.chars().rev().nth(1).is_some_and(|letter| matches!(letter, 'w' | 'x' | 'y'));
    if measure > 2 || measure == 2 && !short { stem.to_owned() } else { word.to_owned() }
}

fn double_l(word: &str) -> String {
    match word.strip_suffix("ll") {
        Some(stem) if twice_measure(word) > 2 => format!("{stem}l"),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stems by `natural` 8.1.0.
    const STEMS: &str = include_str!("../../../../../fixtures/evaluation/stems.txt");

    #[test]
    fn words_have_the_stems_of_natural() {
        let mut wrong = Vec::new();
        for line in STEMS.lines() {
            let (word, expected) = line.split_once(' ').expect("a word and its stem");
            if stem(word) != expected {
                wrong.push(format!("{word}: {} instead of {expected}", stem(word)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
