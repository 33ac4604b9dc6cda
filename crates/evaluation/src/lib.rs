//! Evaluation: suites of cases run on models, their answers scored, and gates decided.
//!
//! A suite (`model::suite`) is data. A run renders each case with a version of a prompt, asks the models of
//! [`provider`]s, scores the answers ([`score`], and [`judge`] where a model judges), and decides its [`gate`] with
//! [`statistics`] that compare case by case. Nothing here knows the registry: it is given contents and returns results.

#![forbid(unsafe_code)]

pub mod calibration;
pub mod check;
pub mod gate;
pub mod import;
pub mod judge;
pub mod provider;
pub mod report;
pub mod run;
pub mod score;
pub mod statistics;
pub mod store;

use bookholder_model::{clock, json, model, yaml};
use bookholder_rules as rules;
use bookholder_rules::template;
