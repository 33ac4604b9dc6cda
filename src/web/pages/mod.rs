//! The pages for people: one file a page, each a function from plain values to HTML.

mod conversation;
pub mod diff;
pub mod first_run;
pub mod problem;
pub mod prompt;
pub mod prompts;
mod serving;
pub mod sign_in;
mod timeline;
