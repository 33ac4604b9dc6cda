//! Calls for suites, runs and gates: one per route.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::evaluations::{
    ImportRunRequest, LabelRequest, ProviderView, PushSuiteRequest, ResultsPage, RunsPage, StartRunRequest, SuiteView,
};
use crate::model::calibration::{Calibration, HumanLabel};
use crate::model::evaluation::{CaseVerdict, GateResult, Run, Side};
use crate::model::name::PromptName;
use crate::model::suite::SuiteVersion;

impl Client {
    /// The latest version of each suite, by name.
    pub async fn suites(&self) -> Result<Vec<SuiteVersion>, ClientError> {
        self.call(self.request(Method::GET, "/v1/suites")).await
    }

    /// A suite with its cases: the latest version without a number.
    pub async fn suite(&self, name: &str, version: Option<u64>) -> Result<SuiteView, ClientError> {
        self.call_large(self.request(Method::GET, &paths::suite(name)).query(&[("version", version)])).await
    }

    /// The versions of a suite, newest first.
    pub async fn suite_versions(&self, name: &str) -> Result<Vec<SuiteVersion>, ClientError> {
        self.call(self.request(Method::GET, &format!("{}/versions", paths::suite(name)))).await
    }

    /// Pushes a suite; the answer is its latest version.
    pub async fn push_suite(&self, name: &str, request: &PushSuiteRequest) -> Result<SuiteVersion, ClientError> {
        self.call(self.request(Method::PUT, &paths::suite(name)).json(request)).await
    }

    /// Removes a suite.
    pub async fn remove_suite(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::suite(name))).await
    }

    /// Starts a run.
    pub async fn start_run(&self, request: &StartRunRequest) -> Result<Run, ClientError> {
        self.call(self.request(Method::POST, "/v1/runs").json(request)).await
    }

    /// Stores results of another tool as a run.
    pub async fn import_run(&self, request: &ImportRunRequest) -> Result<Run, ClientError> {
        self.call(self.request(Method::POST, "/v1/runs/import").json(request)).await
    }

    /// One run.
    pub async fn run(&self, id: u64) -> Result<Run, ClientError> {
        self.call(self.request(Method::GET, &paths::run(id))).await
    }

    /// Runs, newest first.
    pub async fn runs(
        &self,
        prompt: Option<&PromptName>,
        suite: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<RunsPage, ClientError> {
        let request = self.request(Method::GET, "/v1/runs");
        let request = request.query(&[("prompt", prompt.map(PromptName::as_str)), ("suite", suite)]);
        self.call(request.query(&[("before", before)]).query(&[("limit", limit)])).await
    }

    /// Results of a run, from a place on.
    pub async fn run_results(
        &self,
        id: u64,
        from: u32,
        verdict: Option<CaseVerdict>,
        side: Option<Side>,
        limit: usize,
    ) -> Result<ResultsPage, ClientError> {
        let request = self.request(Method::GET, &format!("{}/results", paths::run(id)));
        let words = [("verdict", verdict.map(CaseVerdict::as_str)), ("side", side.map(Side::as_str))];
        self.call_large(request.query(&words).query(&[("from", from)]).query(&[("limit", limit)])).await
    }

    /// Says whether an answer that a judge scored passes.
    pub async fn label_result(&self, id: u64, place: u32, request: LabelRequest) -> Result<HumanLabel, ClientError> {
        let path = format!("{}/results/{place}/label", paths::run(id));
        self.call(self.request(Method::PUT, &path).json(&request)).await
    }

    /// How far the judges of a suite agree with people.
    pub async fn calibration(&self, suite: &str) -> Result<Vec<Calibration>, ClientError> {
        self.call(self.request(Method::GET, &format!("{}/calibration", paths::suite(suite)))).await
    }

    /// Cancels a run.
    pub async fn cancel_run(&self, id: u64) -> Result<Run, ClientError> {
        self.call(self.request(Method::POST, &format!("{}/cancellation", paths::run(id)))).await
    }

    /// What runs decided about the content of a version.
    pub async fn gates(&self, prompt: &PromptName, version: u64) -> Result<Vec<GateResult>, ClientError> {
        self.call(self.request(Method::GET, &format!("{}/gates", paths::version(prompt, version)))).await
    }

    /// The providers of models of the primary.
    pub async fn providers(&self) -> Result<Vec<ProviderView>, ClientError> {
        self.call(self.request(Method::GET, "/v1/providers")).await
    }
}
