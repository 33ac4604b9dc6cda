//! Scorers of markup: `is-xml`, `contains-xml`, `is-html` and `contains-html`.

mod candidates;
mod elements;
mod html;
mod tree;
mod xml;

pub(super) use self::html::{contains_html, is_html};
pub(super) use self::xml::{contains_xml, is_xml, required};
