//! The error page.

use maud::html;

use crate::api::problem::Problem;
use crate::format::{sentence, with_code};
use crate::layout::{Frame, Page};

/// Renders an error.
pub fn page(frame: &Frame, problem: &Problem) -> String {
    let main = html! {
        div.problem {
            p.status { (problem.status) }
            h1 { (problem.title) }
            p { (with_code(&sentence(&problem.detail))) }
            @if !problem.errors.is_empty() {
                ul { @for error in &problem.errors { li { (with_code(error)) } } }
            }
            @if let Some(hint) = &problem.hint { p.quiet { (with_code(&sentence(hint))) } }
            p { a.button href="/ui/" { "All prompts" } }
        }
    };
    frame.page(&Page { title: &problem.title, above: &[], done: None, searches: false, main })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::ErrorCode;
    use crate::layout::{Who, sample};

    #[test]
    fn error_page_shows_error_and_hint_without_scripts() {
        let problem = Problem {
            title: "Permission denied".to_owned(),
            status: 403,
            code: ErrorCode::Forbidden,
            detail: "`<script>` may not".to_owned(),
            hint: Some("ask <b>".to_owned()),
            errors: vec!["one\u{202e}".to_owned()],
        };
        let page = page(&sample(Who::Stranger), &problem);
        for part in
            ["<code>&lt;script&gt;</code> may not.", "Ask &lt;b&gt;.", "one<span class=\"odd\">U+202E</span>", "<h1>"]
        {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
}
