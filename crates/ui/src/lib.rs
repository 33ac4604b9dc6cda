//! HTML as plain values: what a page shows, independent of the request and the transport.

mod axis;
mod chart;
pub mod docs;
pub mod figures;
pub mod form;
mod format;
pub mod layout;
pub mod pages;
pub mod report;
pub mod traced;
pub mod typed;

use bookholder_model::{api, json, model};
use bookholder_rules::{experiment, governance, template};
use bookholder_trust::crypto;
