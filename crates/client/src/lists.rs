//! Paginated lists as streams of rows.
//!
//! A page is requested when the rows before it are consumed. Invariant: a server that repeats a cursor ends the stream
//! with an error.

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use reqwest::Method;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, paths};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::{Page, PromptView};
use crate::model::audit::AuditEntry;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::version::Version;

/// Which prompts.
#[derive(Clone, Debug, Default)]
pub struct PromptFilter {
    /// Only names with this prefix.
    pub prefix: Option<String>,
    /// Including removed ones.
    pub removed: bool,
}

/// Which deployments.
#[derive(Clone, Debug, Default)]
pub struct DeploymentFilter {
    /// Only of this prompt.
    pub name: Option<PromptName>,
    /// Only of this label.
    pub label: Option<Label>,
}

impl Client {
    /// Prompts by name; at most `rows` per request.
    pub fn prompts(
        &self,
        filter: &PromptFilter,
        rows: usize,
    ) -> impl Stream<Item = Result<PromptView, ClientError>> + Send + Unpin {
        let mut query = Vec::new();
        query.extend(filter.prefix.clone().map(|prefix| ("prefix", prefix)));
        query.extend(filter.removed.then(|| ("removed", true.to_string())));
        self.rows("/v1/prompts".to_owned(), query, rows)
    }

    /// Versions of a prompt, newest first.
    pub fn versions(
        &self,
        name: &PromptName,
        rows: usize,
    ) -> impl Stream<Item = Result<Version, ClientError>> + Send + Unpin {
        self.rows(paths::versions(name), Vec::new(), rows)
    }

    /// Deployments, newest first.
    pub fn deployments(
        &self,
        filter: &DeploymentFilter,
        rows: usize,
    ) -> impl Stream<Item = Result<Deployment, ClientError>> + Send + Unpin {
        let mut query = Vec::new();
        query.extend(filter.name.as_ref().map(|name| ("name", name.to_string())));
        query.extend(filter.label.as_ref().map(|label| ("label", label.to_string())));
        self.rows("/v1/deployments".to_owned(), query, rows)
    }

    /// Audit entries, oldest first.
    pub fn audit(&self, rows: usize) -> impl Stream<Item = Result<AuditEntry, ClientError>> + Send + Unpin {
        self.rows("/v1/audit".to_owned(), Vec::new(), rows)
    }

    pub(super) fn rows<T: DeserializeOwned + Send>(
        &self,
        path: String,
        mut query: Vec<(&'static str, String)>,
        rows: usize,
    ) -> impl Stream<Item = Result<T, ClientError>> + Send + Unpin {
        query.push(("limit", rows.clamp(1, PAGE_ROWS_MAX).to_string()));
        let pages = stream::try_unfold(Some(None::<String>), move |cursor| {
            let request = self.request(Method::GET, &path).query(&query);
            async move {
                let Some(cursor) = cursor else { return Ok::<_, ClientError>(None) };
                let page: Page<T> = self.call(request.query(&[("cursor", cursor.as_ref())])).await?;
                if page.next.is_some() && page.next == cursor {
                    return Err(self.answer("it returns the same page again and again"));
                }
                Ok(Some((page.items, page.next.map(Some))))
            }
        });
        pages.map_ok(|items| stream::iter(items.into_iter().map(Ok))).try_flatten().boxed()
    }
}
