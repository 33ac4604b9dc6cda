//! Rewrites error messages of serde in the terms of a format: names of Rust types mean nothing to the author of a file
//! or a request.

/// How serde names types of this program, and the kind of value that is expected; the first is what each format calls
/// an object.
const NAMED: [(&str, Option<&str>); 9] = [
    ("expected internally tagged enum ", None),
    ("expected struct variant ", None),
    ("expected tuple struct ", Some("a list")),
    ("expected tuple variant ", Some("a list")),
    ("expected newtype struct ", Some("a value")),
    ("expected newtype variant ", Some("a value")),
    ("expected unit struct ", Some("null")),
    ("expected struct ", None),
    ("expected enum ", Some("one of the known words")),
];
const UNTAGGED: &str = "data did not match any variant of untagged enum ";

/// The message without names of types; `object` is what the format calls an object ("an object", "a map", "a table").
pub fn plain_reason(reason: &str, object: &str) -> String {
    for (named, kind) in NAMED {
        if let Some((before, after)) = split_at_type(reason, named) {
            return format!("{before}expected {}{after}", kind.unwrap_or(object));
        }
    }
    match split_at_type(reason, UNTAGGED) {
        Some((before, after)) => format!("{before}it has none of the forms that this field takes{after}"),
        // A word without quotes, of which JSON has three.
        None => reason.replace("expected ident", "expected true, false, null or a quoted text"),
    }
}

/// The text before `named` and after the name of a type that follows it.
fn split_at_type<'a>(reason: &'a str, named: &str) -> Option<(&'a str, &'a str)> {
    let (before, rest) = reason.split_once(named)?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':')).unwrap_or(rest.len());
    Some((before, rest.get(end..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::plain_reason;

    #[test]
    fn reason_names_kinds_of_values_and_no_types() {
        for (reason, expected) in [
            (
                "invalid type: string \"x\", expected struct VariableForm at line 1 column 3",
                "invalid type: string \"x\", expected a map at line 1 column 3",
            ),
            (
                "invalid length 1, expected struct Pair with 2 elements",
                "invalid length 1, expected a map with 2 elements",
            ),
            ("expected internally tagged enum Part", "expected a map"),
            ("invalid type: map, expected tuple struct Position", "invalid type: map, expected a list"),
            (
                "invalid type: integer `1`, expected enum Role",
                "invalid type: integer `1`, expected one of the known words",
            ),
            (
                "data did not match any variant of untagged enum ModelForm",
                "it has none of the forms that this field takes",
            ),
            ("missing field `text`", "missing field `text`"),
            ("expected ident at line 1 column 2", "expected true, false, null or a quoted text at line 1 column 2"),
        ] {
            assert_eq!(plain_reason(reason, "a map"), expected);
        }
    }
}
