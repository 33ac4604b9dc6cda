//! Why an evaluation cannot be started or read.

use crate::evaluation::store::EvaluationStoreError;
use crate::model::name::{Label, PromptName};
use crate::model::suite::ModelName;
use crate::registry::RegistryError;
use crate::resolve::ResolveError;
use crate::telemetry::store::TelemetryError;

/// Why an evaluation cannot be started or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum EvaluationError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Store(#[from] EvaluationStoreError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error("evaluations are off: their file cannot be used")]
    Off,
    #[error("run `{0}` does not exist")]
    NoRun(u64),
    #[error("run {run} has no result at the place {place}")]
    NoResult { run: u64, place: u32 },
    #[error("the run {0} is over")]
    Over(u64),
    #[error("{0}")]
    Unfit(String),
    #[error("unknown provider in `{model}`: {}", which(.known))]
    NoProvider { model: ModelName, known: Vec<String> },
    #[error("the provider `{provider}` has no key: the environment of the primary does not have {variable}")]
    NoKey { provider: String, variable: String },
    #[error(
        "`{prompt}@{label}` serves the versions {}; name one of them, such as @{}",
        listed(.versions),
        .versions.first().copied().unwrap_or_default()
    )]
    Split { prompt: PromptName, label: Label, versions: Vec<u64> },
    #[error("too many runs are waiting; try again when some have ended")]
    TooManyRuns,
    #[error("no thread can be created for runs")]
    NoThread,
}

fn listed(versions: &[u64]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn which(names: &[String]) -> String {
    if names.is_empty() {
        "no provider is set; add [providers.NAME] to bookholder.toml (in the folder where the primary is started, or named by \
         --config), and restart it"
            .to_owned()
    } else {
        format!("the settings of the primary have {}", names.join(", "))
    }
}
