//! Scorers of markup: `is-xml`, `contains-xml`, `is-html` and `contains-html`.

mod candidates;
mod elements;
mod xml;

pub(super) use self::xml::{contains_xml, is_xml};
