//! The pages: one file per page, each a function from plain values to HTML.

mod about;
pub mod access;
pub mod audit;
mod conversation;
pub mod deploy;
pub mod diff;
mod diff_view;
pub mod editor;
mod editor_data;
mod editor_fields;
pub mod first_run;
mod hits;
mod impact;
pub mod import;
mod lifecycle;
pub mod merge;
pub mod new;
pub mod problem;
pub mod prompt;
pub mod prompts;
pub mod queue;
pub mod replicas;
pub mod review;
mod serving;
pub mod sign_in;
mod timeline;
