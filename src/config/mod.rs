//! Settings: flags, then environment variables, then `bookholder.toml`, then defaults; validated before a port is
//! bound.
//!
//! Each source is one [`Layer`]; merging is a pure function, which makes it testable. Unknown keys are rejected in
//! every source.

mod error;
mod layer;
mod settings;

pub use error::ConfigError;
pub use layer::{Layer, LogFormat, listen_address};
pub use settings::{
    ParquetOptions, ParquetPlace, PrimarySettings, ProviderOptions, ReplicaSettings, Settings, TlsFiles, merge,
    primary, replica,
};
