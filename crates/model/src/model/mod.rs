//! The domain types: prompts, versions, labels, deployments, and their names.
//!
//! Values are validated on construction, so no layer above checks them again. Their `serde` forms are the public JSON
//! contract; the stored forms are in `store::record`, frozen separately. Nothing here does I/O, reads the time or draws
//! a random number.

pub mod about;
pub mod alert;
pub mod as_of;
pub mod audit;
pub mod calibration;
pub mod change_request;
pub mod commit_message;
pub mod comparison;
pub mod content;
pub mod content_id;
pub mod count;
pub mod deployment;
pub mod draft;
pub mod evaluation;
pub mod finding;
pub mod handle;
pub mod hit;
pub mod message;
pub mod name;
pub mod pattern;
pub mod policy;
pub mod position;
pub mod principal;
pub mod prompt;
pub mod public_url;
pub mod reference;
pub mod rendered;
pub mod response_tags;
pub mod schema;
pub mod serving;
pub mod since;
pub mod source;
pub mod stamp;
pub mod suite;
pub mod time;
pub mod usd;
pub mod verdict;
pub mod version;
pub mod warning;
pub mod webhook;
