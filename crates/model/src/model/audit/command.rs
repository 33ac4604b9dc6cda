//! The commands of the audit log: one list, and everything that depends on the command alone.
//!
//! To add a command, add a line here. Command words and event names must not change, because webhooks and reports
//! filter by them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::decision::Decision;
use crate::model::principal::Permission;

/// A label serves something else, whatever command caused it.
pub const LABEL_MOVED: &str = "prompt.label.moved";
/// A prompt has a new version.
pub const VERSION_CREATED: &str = "prompt.version.created";
/// A prompt was removed.
pub const PROMPT_REMOVED: &str = "prompt.removed";

/// What an alert watches exceeds its threshold.
pub const ALERT_FIRING: &str = "alert.firing";
/// It no longer does.
pub const ALERT_RESOLVED: &str = "alert.resolved";

/// A run decided a gate.
pub const GATE_DECIDED: &str = "gate.decided";
/// What a gate decided does not hold any more: its suite or a model has changed.
pub const GATE_STALE: &str = "gate.stale";

/// What depends on the command alone.
struct Traits {
    permission: Option<Permission>,
    granted: Option<&'static str>,
    denied: Option<&'static str>,
    only_effects: bool,
    stops_harm: bool,
    reads_uses: bool,
}

/// A command without an event of its own that checks permissions itself.
const PLAIN: Traits =
    Traits { permission: None, granted: None, denied: None, only_effects: false, stops_harm: false, reads_uses: false };

const fn needs(permission: Permission) -> Traits {
    Traits { permission: Some(permission), ..PLAIN }
}

macro_rules! commands {
    ($($name:ident $word:literal = $traits:expr;)*) => {
        /// A command, as named in the audit log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        #[schema(as = AuditCommand)]
        #[allow(missing_docs, reason = "each variant is documented by its word")]
        pub enum Command { $($name,)* }

        impl Command {
            /// Every command.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its word, for example `put-policy`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            const fn traits(self) -> Traits {
                match self { $(Self::$name => $traits,)* }
            }
        }
    };
}

commands! {
    // Commands on prompts. They check permissions for each prompt and label.
    Publish "publish" = Traits {
        granted: Some(VERSION_CREATED), denied: Some("prompt.version.blocked"), only_effects: true, reads_uses: true,
        ..PLAIN
    };
    Deploy "deploy" = Traits {
        granted: Some(LABEL_MOVED), denied: Some("prompt.label.blocked"), only_effects: true, reads_uses: true,
        ..PLAIN
    };
    Rollback "rollback" = Traits {
        granted: Some("prompt.rollback.executed"), denied: Some("prompt.rollback.blocked"), only_effects: true,
        stops_harm: true, reads_uses: true, ..PLAIN
    };
    Unlabel "unlabel" = Traits {
        granted: Some("prompt.label.removed"), only_effects: true, stops_harm: true, ..PLAIN
    };
    Remove "remove" = Traits { granted: Some(PROMPT_REMOVED), only_effects: true, ..PLAIN };
    Retire "retire" = Traits { granted: Some("prompt.version.retired"), stops_harm: true, ..PLAIN };
    Reinstate "reinstate" = Traits { granted: Some("prompt.version.reinstated"), ..PLAIN };
    Import "import" = Traits {
        granted: Some("prompt.change.imported"), only_effects: true, reads_uses: true, ..PLAIN
    };
    Describe "describe" = PLAIN;
    KeepSamples "keep-samples" = PLAIN;
    SaveDraft "save-draft" = PLAIN;
    DiscardDraft "discard-draft" = PLAIN;
    Archive "archive" = needs(Permission::Policy);
    // About change requests.
    Propose "propose" = PLAIN;
    Amend "amend" = PLAIN;
    Approve "approve" = PLAIN;
    Reject "reject" = PLAIN;
    Comment "comment" = PLAIN;
    Withdraw "withdraw" = PLAIN;
    Apply "apply" = Traits { only_effects: true, reads_uses: true, ..PLAIN };
    Expire "expire" = PLAIN;
    // About access.
    CreatePrincipal "create-principal" = needs(Permission::Access);
    SetGrants "set-grants" = needs(Permission::Access);
    DisablePrincipal "disable-principal" = needs(Permission::Access);
    EnablePrincipal "enable-principal" = needs(Permission::Access);
    PutRole "put-role" = needs(Permission::Access);
    RemoveRole "remove-role" = needs(Permission::Access);
    CreateToken "create-token" = needs(Permission::Access);
    RevokeToken "revoke-token" = Traits { stops_harm: true, ..needs(Permission::Access) };
    // A token can rotate itself without a permission.
    RotateToken "rotate-token" = PLAIN;
    CreateSignInLink "create-sign-in-link" = needs(Permission::Access);
    // The holder of the link needs no permission.
    UseSignInLink "use-sign-in-link" = PLAIN;
    // About policies, rules and webhooks.
    PutPolicy "put-policy" = needs(Permission::Policy);
    RemovePolicy "remove-policy" = needs(Permission::Policy);
    PutRules "put-rules" = needs(Permission::Policy);
    RemoveRules "remove-rules" = needs(Permission::Policy);
    PutWebhook "put-webhook" = needs(Permission::Webhooks);
    RotateWebhook "rotate-webhook" = needs(Permission::Webhooks);
    RemoveWebhook "remove-webhook" = needs(Permission::Webhooks);
    EnableWebhook "enable-webhook" = needs(Permission::Webhooks);
    DisableWebhook "disable-webhook" = needs(Permission::Webhooks);
    TestWebhook "test-webhook" = needs(Permission::Webhooks);
    RedeliverWebhook "redeliver-webhook" = needs(Permission::Webhooks);
    // About alerts. They fire and are resolved by the node itself.
    PutAlert "put-alert" = needs(Permission::Webhooks);
    RemoveAlert "remove-alert" = needs(Permission::Webhooks);
    FireAlert "fire-alert" = Traits { granted: Some(ALERT_FIRING), ..PLAIN };
    ResolveAlert "resolve-alert" = Traits { granted: Some(ALERT_RESOLVED), ..PLAIN };
    // About prices of models.
    PutPrices "put-prices" = needs(Permission::Operate);
    RemovePrices "remove-prices" = needs(Permission::Operate);
    Recost "recost" = needs(Permission::Operate);
    // About evaluations. A run checks the prompt; gates are recorded by the node itself.
    PutSuite "put-suite" = needs(Permission::Suites);
    RemoveSuite "remove-suite" = needs(Permission::Suites);
    StartRun "start-run" = PLAIN;
    CancelRun "cancel-run" = PLAIN;
    AskModel "ask-model" = PLAIN;
    LabelResult "label-result" = PLAIN;
    RecordGate "record-gate" = Traits { granted: Some(GATE_DECIDED), ..PLAIN };
    MarkGateStale "mark-gate-stale" = Traits { granted: Some(GATE_STALE), ..PLAIN };
    // Copies of everything.
    Report "report" = needs(Permission::Audit);
    Backup "backup" = needs(Permission::Operate);
    Bundle "bundle" = needs(Permission::Operate);
    // About telemetry.
    TrustTelemetryKey "trust-telemetry-key" = needs(Permission::Operate);
    ForgetReplica "forget-replica" = needs(Permission::Operate);
    EraseTelemetry "erase-telemetry" = needs(Permission::Audit);
    // Commands of the operator at the machine.
    Found "found" = PLAIN;
    InstallRoot "install-root" = PLAIN;
    BeginEpoch "begin-epoch" = PLAIN;
    RepairDates "repair-dates" = PLAIN;
    // By the node itself, when the clock of its machine was set back.
    ClockSetBack "clock-set-back" = PLAIN;
}

impl Command {
    /// The one permission that it needs, whatever its subjects; absent if it checks prompts and labels itself.
    pub const fn permission(self) -> Option<Permission> {
        self.traits().permission
    }

    /// The event of an entry, for example `prompt.label.moved` or `create_token.granted`.
    pub fn event_type(self, decision: Decision) -> String {
        let known = match decision {
            Decision::Granted => self.traits().granted,
            Decision::Denied => self.traits().denied,
        };
        known.map_or_else(|| format!("{}.{decision}", self.as_str().replace('-', "_")), str::to_owned)
    }

    /// Whether its changes have their own events: then an entry with changes has no event of its own.
    #[must_use]
    pub const fn is_told_by_its_changes(self) -> bool {
        self.traits().only_effects
    }

    /// Whether it stops something harmful; such commands may use the last space of a full disk.
    #[must_use]
    pub const fn stops_harm(self) -> bool {
        self.traits().stops_harm
    }

    /// Whether its decision depends on who used a version recently: uses that are buffered in memory are written before
    /// it runs.
    #[must_use]
    pub const fn reads_uses(self) -> bool {
        self.traits().reads_uses
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_serializes_as_its_word() {
        for command in Command::ALL {
            let json = format!("\"{command}\"");
            assert_eq!(serde_json::to_string(command).expect("a word"), json);
            assert_eq!(serde_json::from_str::<Command>(&json).expect("a command"), *command);
        }
        assert!(serde_json::from_str::<Command>("\"dance\"").is_err());
    }

    #[test]
    fn commands_have_the_event_types_that_others_filter_by() {
        let check = |command: Command, decision, expected: &str| {
            assert_eq!(command.event_type(decision), expected, "{command} {decision}");
        };
        check(Command::Publish, Decision::Granted, "prompt.version.created");
        check(Command::Deploy, Decision::Granted, "prompt.label.moved");
        check(Command::Rollback, Decision::Granted, "prompt.rollback.executed");
        check(Command::Rollback, Decision::Denied, "prompt.rollback.blocked");
        check(Command::BeginEpoch, Decision::Granted, "begin_epoch.granted");
        check(Command::Remove, Decision::Denied, "remove.denied");
    }
}
