//! Settings: flags over environment over `bookholder.toml` over defaults, checked before a port is bound.
//!
//! One [`Layer`] is what each of the three can say; merging is a pure function, so that a test can
//! say everything. Unknown keys are refused, wherever they stand.

mod error;
mod layer;
mod settings;

pub use error::ConfigError;
pub use layer::{Layer, LogFormat, listen_address};
pub use settings::{PrimarySettings, ReplicaSettings, Settings, TlsFiles, merge, primary, replica};
