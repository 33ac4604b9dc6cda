//! Keys, signatures, and what a replica of a registry believes.

#![forbid(unsafe_code)]
pub mod crypto;
pub mod trust;

use bookholder_model::model;
