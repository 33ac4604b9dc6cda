//! Calls of governance: access, label policies and risk rules.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::govern::{
    ArchiveRequest, Archived, CanAnswer, Classified, ClassifyRequest, GrantsRequest, PrincipalRequest, RoleRequest,
    RotationRequest, RuleSetRequest, RuleSetView, SignInLink, SignInLinkRequest, TokenView, WhoAmI,
};
use crate::model::about::About;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::policy::Policy;
use crate::model::principal::{Permission, Principal, Role};

const PRINCIPALS: &str = "/v1/principals";
const ROLES: &str = "/v1/roles";
const POLICIES: &str = "/v1/policies";
const RULES: &str = "/v1/rules";

impl Client {
    /// The principal of this access token, and its permissions.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.call(self.request(Method::GET, "/v1/whoami")).await
    }

    /// Whether a principal (by default the caller) is allowed to do something now, and why.
    pub async fn can(
        &self,
        who: Option<&str>,
        permission: Permission,
        prompt: Option<&PromptName>,
        label: Option<&Label>,
        version: Option<u64>,
    ) -> Result<CanAnswer, ClientError> {
        let mut query = vec![("permission", permission.to_string())];
        query.extend(who.map(|who| ("who", who.to_owned())));
        query.extend(prompt.map(|prompt| ("prompt", prompt.to_string())));
        query.extend(label.map(|label| ("label", label.to_string())));
        query.extend(version.map(|version| ("version", version.to_string())));
        self.call(self.request(Method::GET, "/v1/can").query(&query)).await
    }

    /// Every principal, by name.
    pub async fn principals(&self) -> Result<Vec<Principal>, ClientError> {
        self.call(self.request(Method::GET, PRINCIPALS)).await
    }

    /// Creates a principal.
    pub async fn create_principal(&self, what: &PrincipalRequest) -> Result<Principal, ClientError> {
        self.post(PRINCIPALS, what).await
    }

    /// Replaces the grants of a principal.
    pub async fn set_grants(&self, name: &str, what: &GrantsRequest) -> Result<Principal, ClientError> {
        self.put(&paths::grants(name), what).await
    }

    /// Disables a principal: its access tokens are rejected.
    pub async fn disable_principal(&self, name: &str) -> Result<Principal, ClientError> {
        self.call(self.request(Method::POST, &paths::suspension(name))).await
    }

    /// Enables a disabled principal.
    pub async fn enable_principal(&self, name: &str) -> Result<Principal, ClientError> {
        self.call(self.request(Method::DELETE, &paths::suspension(name))).await
    }

    /// Creates a link that signs a person in to the pages once.
    pub async fn create_sign_in_link(&self, name: &str, what: &SignInLinkRequest) -> Result<SignInLink, ClientError> {
        self.post(&paths::sign_in_link(name), what).await
    }

    /// Every role, by name.
    pub async fn roles(&self) -> Result<Vec<Role>, ClientError> {
        self.call(self.request(Method::GET, ROLES)).await
    }

    /// Creates or replaces a custom role.
    pub async fn put_role(&self, name: &str, what: &RoleRequest) -> Result<Role, ClientError> {
        self.put(&paths::below(ROLES, name), what).await
    }

    /// Removes a custom role.
    pub async fn remove_role(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::below(ROLES, name))).await
    }

    /// Replaces an access token by a new one with the same name; only the answer contains it.
    pub async fn rotate_token(&self, name: &str, what: &RotationRequest) -> Result<TokenView, ClientError> {
        self.post(&paths::rotation(name), what).await
    }

    /// Every label policy, by name.
    pub async fn policies(&self) -> Result<Vec<Policy>, ClientError> {
        self.call(self.request(Method::GET, POLICIES)).await
    }

    /// Creates or replaces a label policy.
    pub async fn put_policy(&self, policy: &Policy) -> Result<Policy, ClientError> {
        self.put(&paths::below(POLICIES, &policy.name), policy).await
    }

    /// Removes a label policy.
    pub async fn remove_policy(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::below(POLICIES, name))).await
    }

    /// The details of a prompt: owner, tags and description.
    pub async fn about(&self, name: &PromptName) -> Result<About, ClientError> {
        self.call(self.request(Method::GET, &paths::about(name))).await
    }

    /// Replaces the owner, tags and description of a prompt.
    pub async fn describe(&self, name: &PromptName, about: &About) -> Result<About, ClientError> {
        self.put(&paths::about(name), about).await
    }

    /// Every rule set, without the rules themselves.
    pub async fn rule_sets(&self) -> Result<Vec<RuleSetView>, ClientError> {
        self.call(self.request(Method::GET, RULES)).await
    }

    /// One custom rule set, with its rules.
    pub async fn rule_set(&self, name: &str) -> Result<RuleSetView, ClientError> {
        self.call(self.request(Method::GET, &paths::below(RULES, name))).await
    }

    /// Creates or replaces a rule set.
    pub async fn put_rule_set(&self, name: &str, what: &RuleSetRequest) -> Result<RuleSetView, ClientError> {
        self.put(&paths::below(RULES, name), what).await
    }

    /// Removes a rule set.
    pub async fn remove_rule_set(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::below(RULES, name))).await
    }

    /// Runs the risk rules on an unpublished content.
    pub async fn classify(&self, what: &ClassifyRequest) -> Result<Classified, ClientError> {
        self.post("/v1/classify", what).await
    }

    /// The findings in a version when it was published.
    pub async fn findings(&self, name: &PromptName, number: u64) -> Result<Vec<Finding>, ClientError> {
        self.call(self.request(Method::GET, &paths::findings(name, number))).await
    }

    /// Archives unused versions, or lists those that it would archive.
    pub async fn archive(&self, what: &ArchiveRequest) -> Result<Archived, ClientError> {
        self.post("/v1/archive", what).await
    }
}
