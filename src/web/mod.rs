//! HTML as plain values: what a page says, without knowing who asked for it or how it is sent.

pub mod docs;
pub mod report;
