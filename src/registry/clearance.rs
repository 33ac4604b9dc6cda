//! Why a command was allowed, as a value: each decision returns one, and the audit entry consumes it.

use std::collections::BTreeSet;

use crate::governance::risk::worst;
use crate::model::finding::{Finding, Severity};

/// Why a command, or a part of it, was allowed.
#[must_use = "the audit entry of a command says why it was allowed"]
#[derive(Clone, Debug, Default)]
pub(super) struct Clearance {
    /// The grants, policies and other reasons.
    pub(super) reasons: BTreeSet<String>,
    /// Whose approvals counted.
    pub(super) approved_by: BTreeSet<String>,
    /// The requirements that were overridden, and why.
    pub(super) overrode: Vec<String>,
    /// The change request behind it.
    pub(super) change_request: Option<u64>,
    /// The highest risk of the findings in it.
    pub(super) risk: Option<Severity>,
}

impl Clearance {
    /// Allowed for one reason.
    pub(super) fn because(reason: String) -> Self {
        Self { reasons: BTreeSet::from([reason]), ..Self::default() }
    }

    /// With these findings.
    pub(super) fn of_findings(findings: &[Finding]) -> Self {
        Self { risk: worst(findings), ..Self::default() }
    }

    /// For this change request.
    pub(super) fn of_request(id: u64) -> Self {
        Self { change_request: Some(id), ..Self::default() }
    }

    /// Both decisions; the later one names the change request.
    pub(super) fn and(mut self, later: Self) -> Self {
        self.reasons.extend(later.reasons);
        self.approved_by.extend(later.approved_by);
        self.overrode.extend(later.overrode);
        self.change_request = later.change_request.or(self.change_request);
        self.risk = self.risk.max(later.risk);
        self
    }

    /// Ends without an entry: the audit log records only denials of this command.
    pub(super) fn unrecorded(self) {
        drop(self);
    }
}
