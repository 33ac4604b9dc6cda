//! The actions for an old version, and for the whole prompt.

use maud::{Markup, html};

use crate::form::{hidden, session};
use crate::format::{Escaped, plain};
use crate::model::version::Version;

/// Retires a version, or allows it to be deployed again.
pub(super) fn retiring(name: &str, version: &Version, form: &str) -> Markup {
    let (word, summary, means) = if version.retired.is_some() {
        ("reinstate", "Reinstate", "It can be deployed again.")
    } else {
        ("retire", "Retire", "It can no longer be deployed. It stays readable and can be reinstated.")
    };
    html! {
        details.act {
            summary { (summary) " version " (version.number) " …" }
            form.stack method="post" action="/ui/retire" {
                (session(form))
                (hidden("name", plain(name)))
                (hidden("version", version.number))
                p.quiet { (means) }
                label for="retire-why" { "Reason" }
                input #retire-why name="message" required maxlength="2000" autocomplete="off";
                button.danger type="submit" name="do" value=(word) { (summary) " version " (version.number) }
            }
        }
    }
}

/// Removes a prompt, after its name was typed.
pub(super) fn removing(name: &str, form: &str) -> Markup {
    html! {
        details.act #removing {
            summary { "Remove this prompt …" }
            form.stack method="post" action="/ui/remove" {
                (session(form))
                (hidden("name", plain(name)))
                p.quiet { "Its labels stop serving, and requests for them fail. Versions and history are kept." }
                label for="remove-name" { "Type " b { (Escaped(name)) } " to confirm" }
                input #remove-name name="confirm" required maxlength="512" autocomplete="off" spellcheck="false";
                label for="remove-why" { "Reason" }
                input #remove-why name="message" required maxlength="2000" autocomplete="off";
                button.danger type="submit" { "Remove this prompt" }
            }
        }
    }
}
