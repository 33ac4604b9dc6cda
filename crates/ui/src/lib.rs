//! HTML as plain values: what a page says, without knowing who asked for it or how it is sent.

mod axis;
pub mod docs;
pub mod form;
mod format;
pub mod layout;
pub mod pages;
pub mod report;
pub mod typed;

use bookholder_model::{api, json, model};
use bookholder_rules::{experiment, governance, template};
use bookholder_trust::crypto;
