//! What browsers get of the stylesheet and the script: without what only people read, so that pages stay small.

/// A stylesheet without comments and needless spaces; strings stay as they are.
#[must_use]
pub(super) fn style(text: &str) -> String {
    let mut lean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let (mut quote, mut space) = (None, false);
    while let Some(one) = characters.next() {
        if quote.is_none() && one == '/' && characters.next_if_eq(&'*').is_some() {
            let mut last = ' ';
            while let Some(inner) = characters.next().filter(|inner| !(last == '*' && *inner == '/')) {
                last = inner;
            }
            continue;
        }
        if quote.is_none() && one.is_whitespace() {
            space = true;
            continue;
        }
        if space && !lean.ends_with(['{', '}', ';', ':', ',']) && !['{', '}', ';'].contains(&one) && !lean.is_empty() {
            lean.push(' ');
        }
        space = false;
        if quote.is_none() && one == '}' && lean.ends_with(';') {
            lean.pop();
        }
        match quote {
            Some(open) if open == one => quote = None,
            None if matches!(one, '"' | '\'') => quote = Some(one),
            _ => {}
        }
        lean.push(one);
    }
    lean
}

/// A script without lines that are comments, and without what lines are indented by.
#[must_use]
pub(super) fn script(text: &str) -> String {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_people_read_is_left_out() {
        let table = [
            (
                "a { b: c; d: e f; }\n\n/* x { */ g > h:is(i, j) { k: \" ; } \" l(' /* ') }",
                "a{b:c;d:e f}g > h:is(i,j){k:\" ; } \" l(' /* ')}",
            ),
            (
                "@media (max-width: 9px) { :root { --a: calc(1px + 2px); } }",
                "@media (max-width:9px){:root{--a:calc(1px + 2px)}}",
            ),
            ("a :hover { b: c }", "a :hover{b:c}"),
            ("/* never ends", ""),
        ];
        for (text, expected) in table {
            assert_eq!(style(text), expected);
        }
        assert_eq!(script("// a\n\n  b(\"// c\"); // d\n"), "b(\"// c\"); // d\n");
    }
}
