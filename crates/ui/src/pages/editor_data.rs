//! The contents of the editor's page.

use crate::form::FormError;
use crate::model::comparison::Diff;
use crate::model::content::Content;
use crate::model::draft::DraftSummary;
use crate::model::finding::Finding;
use crate::model::time::Timestamp;
use crate::model::version::{Include, InterfaceChange};
use crate::model::warning::Warning;
use crate::typed::Fields;
use crate::typed::content::TypedContent;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct EditorPageData {
    /// The prompt.
    pub name: String,
    /// The draft's name.
    pub draft: String,
    /// The version that it is based on; 0 for none.
    pub parent: u64,
    /// The latest version; 0 for none.
    pub latest: u64,
    /// The revision; 0 if it was not saved yet.
    pub revision: u64,
    /// When and by whom it was saved.
    pub saved: Option<(Timestamp, String)>,
    /// The input.
    pub typed: TypedContent,
    /// Fields with invalid values.
    pub wrong: Fields,
    /// The sample values, as typed, by variable and placeholder.
    pub samples: Fields,
    /// The evaluation.
    pub meaning: Meaning,
    /// Drafts of others.
    pub others: Vec<DraftSummary>,
    /// Existing labels.
    pub labels: Vec<String>,
    /// The labels to which the visitor can deploy a new version at once, without a review.
    pub direct: Vec<String>,
    /// The result of an action, and why it stopped.
    pub refused: Option<(&'static str, FormError)>,
    /// Whether someone else saved since.
    pub overtaken: bool,
    /// The message for the version, as typed.
    pub message: String,
    /// The label to deploy to, as typed; empty for none.
    pub label: String,
    /// A confirmation.
    pub done: Option<&'static str>,
}

/// The evaluation of a draft.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    /// The rendered samples; or why that failed.
    pub rendered: Option<Result<Content, String>>,
    /// Names of missing samples.
    pub missing: Vec<String>,
    /// Warnings about the content as written, by text.
    pub warnings: Vec<Warning>,
    /// Findings in the content as written.
    pub findings: Vec<Finding>,
    /// Further findings in the content as served.
    pub served_findings: Vec<Finding>,
    /// The versions that its includes resolve to now.
    pub includes: Vec<Include>,
    /// The effect on callers.
    pub interface: Option<InterfaceChange>,
    /// The diff from its base version.
    pub changes: Option<Diff>,
    /// Why it cannot be published.
    pub refused: Option<String>,
}
