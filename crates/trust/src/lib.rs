//! Keys, signatures, and what a replica trusts.

#![forbid(unsafe_code)]
pub mod crypto;
pub mod trust;

use bookholder_model::model;
