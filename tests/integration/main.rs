//! The program from inside, whole and in parts: one binary, so that it links once.

#![allow(
    clippy::indexing_slicing,
    reason = "clippy spares test functions and not their helpers; a wrong index fails the test"
)]

mod alerts;
mod attacks;
mod bad_input;
mod cli;
mod clocks;
mod contract;
mod documentation;
mod door;
mod doors;
mod durability;
mod engine;
mod evaluation;
mod hidden;
mod history;
mod http;
mod incident;
mod keys;
mod matching;
mod process;
mod prompt_files;
mod registry;
mod resolving;
mod shares;
mod slow_download;
mod stats;
mod storage;
mod support;
mod telemetry;
mod tls;
mod ui;
mod ui_access;
mod ui_deploy;
mod ui_editor;
mod ui_library;
mod ui_promote;
mod ui_replicas;
mod ui_review;
mod ui_sessions;
mod ui_sign_in_links;
mod ui_sign_on;
mod units;
mod upgrade;
mod values;
mod watch;
mod webhooks;
mod words;
