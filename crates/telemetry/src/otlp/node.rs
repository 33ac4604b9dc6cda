//! What one span or log record adds to its trace.

use crate::event::{Claim, Response, SpanContext};
use crate::system_text::SystemText;

/// What a body says about one span.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) context: SpanContext,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) inherited: Option<Box<Inherited>>,
    /// A system text that was recorded apart from its span.
    pub(super) system: Option<Box<SystemText>>,
    pub(super) call: Option<Box<Call>>,
    /// Whether the span itself has come, not just a log record of it.
    pub(super) is_span: bool,
}

/// A call of a model, as far as its own span says.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) response: Box<Response>,
    pub(super) has_usage: bool,
}

/// What a span says that holds for the calls in it too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inherited {
    pub(super) claim: Claim,
    pub(super) session: Option<String>,
    pub(super) user: Option<String>,
    pub(super) environment: Option<String>,
}

impl Inherited {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn bytes(&self) -> usize {
        let Claim { prompt, version, stamp, label, arm: _, system: _, subject } = &self.claim;
        let texts = [prompt, version, stamp, label, subject, &self.session, &self.user, &self.environment];
        size_of::<Self>() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// Says of a call what its own span does not.
    pub(super) fn fill(&self, response: &mut Response) {
        let claim = &mut response.claim;
        if !claim.names_prompt() && self.claim.names_prompt() {
            claim.prompt.clone_from(&self.claim.prompt);
            claim.version.clone_from(&self.claim.version);
            claim.stamp.clone_from(&self.claim.stamp);
            claim.label.clone_from(&self.claim.label);
            claim.arm = self.claim.arm;
        }
        let pairs = [
            (&mut claim.subject, &self.claim.subject),
            (&mut response.session, &self.session),
            (&mut response.user, &self.user),
            (&mut response.environment, &self.environment),
        ];
        for (missing, inherited) in pairs {
            if missing.is_none() {
                missing.clone_from(inherited);
            }
        }
    }
}
