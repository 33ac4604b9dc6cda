//! Calls for change requests and drafts.

use reqwest::Method;

use super::{BATCH_ANSWER_BYTES_MAX, Client, ClientError, paths};
use crate::api::govern::{
    AmendRequest, ApplyRequest, DraftMerge, DraftRequest, ProposeRequest, PublishDraftRequest, RequestPage,
    RequestView, ReviewRequest, ReviewedRequest,
};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::write::{Deployed, Published};
use crate::model::change_request::{ChangeRequest, RequestState};
use crate::model::draft::{Draft, DraftSummary};
use crate::model::name::PromptName;

const REQUESTS: &str = "/v1/requests";

impl Client {
    /// Opens a change request.
    pub async fn propose(&self, what: &ProposeRequest) -> Result<ChangeRequest, ClientError> {
        self.post(REQUESTS, what).await
    }

    /// Replaces the proposal of a change request.
    pub async fn amend(&self, id: u64, what: &AmendRequest) -> Result<ChangeRequest, ClientError> {
        self.post(&format!("{REQUESTS}/{id}/amendments"), what).await
    }

    /// Approves, rejects, comments on or withdraws a change request.
    pub async fn review(&self, id: u64, what: &ReviewRequest) -> Result<ReviewedRequest, ClientError> {
        self.post(&format!("{REQUESTS}/{id}/reviews"), what).await
    }

    /// Deploys a change request.
    pub async fn apply_request(&self, id: u64, what: &ApplyRequest) -> Result<Deployed, ClientError> {
        self.post(&format!("{REQUESTS}/{id}/application"), what).await
    }

    /// One page of change requests, newest first; `cursor` is the `next` of the previous page, `limit` at most
    /// [`PAGE_ROWS_MAX`] rows.
    pub async fn change_requests(
        &self,
        state: Option<RequestState>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<RequestPage, ClientError> {
        let mut query = vec![("limit", limit.clamp(1, PAGE_ROWS_MAX).to_string())];
        query.extend(state.map(|state| ("state", state.to_string())));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.call_limited(self.request(Method::GET, REQUESTS).query(&query), BATCH_ANSWER_BYTES_MAX).await
    }

    /// One change request, with everything a reviewer needs.
    pub async fn change_request(&self, id: u64) -> Result<RequestView, ClientError> {
        self.call(self.request(Method::GET, &format!("{REQUESTS}/{id}"))).await
    }

    /// Every draft of a prompt, by name and without content.
    pub async fn drafts(&self, name: &PromptName) -> Result<Vec<DraftSummary>, ClientError> {
        self.call(self.request(Method::GET, &paths::drafts(name))).await
    }

    /// One draft.
    pub async fn draft(&self, name: &PromptName, draft: &str) -> Result<Draft, ClientError> {
        self.call(self.request(Method::GET, &paths::draft(name, draft))).await
    }

    /// Saves a draft, creating it if needed.
    pub async fn save_draft(&self, name: &PromptName, draft: &str, what: &DraftRequest) -> Result<Draft, ClientError> {
        self.put(&paths::draft(name, draft), what).await
    }

    /// The saved revisions of a draft, newest first and without content.
    pub async fn draft_saves(&self, name: &PromptName, draft: &str) -> Result<Vec<DraftSummary>, ClientError> {
        self.call(self.request(Method::GET, &format!("{}/saves", paths::draft(name, draft)))).await
    }

    /// One saved revision of a draft.
    pub async fn draft_save(&self, name: &PromptName, draft: &str, revision: u64) -> Result<Draft, ClientError> {
        self.call(self.request(Method::GET, &format!("{}/saves/{revision}", paths::draft(name, draft)))).await
    }

    /// A draft merged with what was published since it began; nothing is saved.
    pub async fn merge_draft(&self, name: &PromptName, draft: &str) -> Result<DraftMerge, ClientError> {
        self.call(self.request(Method::GET, &format!("{}/merge", paths::draft(name, draft)))).await
    }

    /// Publishes a draft and deletes it.
    pub async fn publish_draft(
        &self,
        name: &PromptName,
        draft: &str,
        what: &PublishDraftRequest,
    ) -> Result<Published, ClientError> {
        self.post(&format!("{}/publication", paths::draft(name, draft)), what).await
    }

    /// Deletes a draft with all its revisions.
    pub async fn discard_draft(&self, name: &PromptName, draft: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::draft(name, draft))).await
    }
}
