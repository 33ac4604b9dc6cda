//! Label policies: the requirements for deploying to a label.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding::{Category, Severity};
use super::name::Label;
use super::pattern::Pattern;
use super::time::Timestamp;
use crate::json;

/// Most roles, gates, windows or categories that one list of a policy may have.
pub const POLICY_LIST_MAX: usize = 50;
/// Most policies of a registry; every deployment checks each.
pub const POLICIES_MAX: usize = 500;
/// Most approvals that a policy can require.
pub const APPROVALS_MAX: u32 = 20;

/// Requirements for deploying to matching labels. Every matching policy has to be met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Unique.
    pub name: String,
    /// The prompts.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// The labels.
    pub labels: Pattern,
    /// Roles, one of which is needed to deploy; empty if the permission `deploy` is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployers: Vec<String>,
    /// Number of required approvals.
    #[serde(default, deserialize_with = "json::whole")]
    pub approvals: u32,
    /// Roles, one of which each approver needs; empty if the permission `review` is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Whether authors can approve their own changes; default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_approval: bool,
    /// Where, and for how long, a version must be deployed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Soak>,
    /// Times without deployments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Freeze>,
    /// A regular expression that the message must contain a match of, for example `OPS-[0-9]+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Suites whose gate must have passed for exactly this content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Whether a gate that became stale must pass again; default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh_gates: bool,
    /// Whether the gates of the prompts that it feeds must have passed with this version: for what they serve on the same
    /// label, those that the policies of that label demand; default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downstream_gates: bool,
    /// The risk from which an approval is needed, and the approvers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskRule>,
}

/// Deployed to another label for some time first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Soak {
    /// The label.
    pub label: Label,
    /// Seconds in total.
    #[serde(default, deserialize_with = "json::whole")]
    pub for_s: u64,
}

/// A time without deployments: from one moment to another, or every week (UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a freeze must have `from` and `to` as times, or `days` with `from` and `to` as HH:MM (UTC)"
)]
pub enum Freeze {
    /// On these days of every week.
    Weekly {
        /// `mon` to `sun`.
        days: Vec<Weekday>,
        /// First minute, `HH:MM` in UTC.
        from: ClockTime,
        /// First minute after it; `24:00` for the end of the day.
        to: ClockTime,
        /// The reason.
        #[serde(default)]
        why: String,
    },
    /// Once.
    Once {
        /// First moment.
        from: Timestamp,
        /// First moment after it.
        to: Timestamp,
        /// The reason.
        #[serde(default)]
        why: String,
    },
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the seven days")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// Every day, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// Its name in JSON, for example `mon`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mon => "mon",
            Self::Tue => "tue",
            Self::Wed => "wed",
            Self::Thu => "thu",
            Self::Fri => "fri",
            Self::Sat => "sat",
            Self::Sun => "sun",
        }
    }
}

/// A minute of the day in UTC, `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", example = "08:00")]
pub struct ClockTime(u16);

impl ClockTime {
    /// Minutes since midnight.
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl TryFrom<String> for ClockTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = |text: &&str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let two = |text: &str| Some(text).filter(digits)?.parse::<u16>().ok();
        let parts = text.split_once(':').and_then(|(hours, minutes)| Some((two(hours)?, two(minutes)?)));
        match parts {
            Some((hours, minutes)) if minutes < 60 && hours * 60 + minutes <= 24 * 60 => Ok(Self(hours * 60 + minutes)),
            _ => Err(format!("invalid time of day `{}`: use HH:MM", text.chars().take(16).collect::<String>())),
        }
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> Self {
        format!("{:02}:{:02}", time.0 / 60, time.0 % 60)
    }
}

/// Requirements for risky changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RiskRule {
    /// The severity from which an approval by one of the roles is needed.
    pub from: Severity,
    /// The roles; `compliance` by default.
    #[serde(default = "compliance")]
    pub approvers: Vec<String>,
    /// Categories whose findings of this severity can never be deployed at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block: Vec<Category>,
}

fn compliance() -> Vec<String> {
    vec!["compliance".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_of_the_fuzz_target_is_a_policy() {
        let seed = include_str!("../../../../fuzz/seeds/http/policy");
        let (_, body) = seed.split_once("\n\n").expect("a request");
        serde_json::from_str::<Policy>(body).expect("a policy");
    }
}
