//! Why a replica is stale: every reason in its status, log and metrics, in one table.
//!
//! `docs/reference/stale-replicas.md` shows the table, and a test compares both. Reasons never change: alerts depend on them.

/// What failed; each has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Received data was rejected: `bookholder_verify_failures_total`.
    Data,
    /// The upstream did not answer as it should: `bookholder_upstream_failures_total`.
    Upstream,
    /// The disk, the inbox or a setting of this node: `bookholder_local_failures_total`.
    Local,
}

use Cause::{Data, Local, Upstream};

/// Each reason, what failed, what it means, and what to do.
#[rustfmt::skip]
pub const REASONS: &[(&str, Cause, &str)] = &[
    ("unreachable", Upstream, "No connection to the upstream, or its certificate is not trusted: check the address, network and `upstream_ca`."),
    ("denied", Upstream, "The upstream refused the access token (401 or 403): set `BOOKHOLDER_UPSTREAM_TOKEN` to a valid token of the role `replica`."),
    ("unknown_view", Upstream, "The upstream answered 404: `upstream` is not a Bookholder primary, or a proxy changes the path."),
    ("busy", Upstream, "The upstream asked to come back later (429 or 503): it has too many connections, or is starting or stopping."),
    ("slow", Upstream, "An answer took too long: check the network."),
    ("malformed", Upstream, "The answer does not belong to this protocol, for example a 5xx or the page of a proxy, or it could not be written to this node's disk."),
    ("stale_answer", Upstream, "No signature received is later than the one held: a cache repeats them, or the primary's clock was set back."),
    ("size", Data, "A checkpoint, delta or bundle is larger than allowed."),
    ("syntax", Data, "The checkpoint is not a signed note, or not in a known form."),
    ("wrong_registry", Data, "The checkpoint belongs to another registry: check the address of the upstream."),
    ("wrong_view", Data, "The checkpoint is for another view: check the address and any cache."),
    ("wrong_definition", Data, "The checkpoint has another definition of the view."),
    ("unknown_root", Data, "A bundle needs root documents that it does not have: export it again."),
    ("unknown_epoch", Data, "A bundle needs an epoch record that it does not have: export it again."),
    ("wrong_key", Data, "Another key signed the checkpoint than the root document lists: an old primary is still running, or the upstream cannot be trusted."),
    ("bad_signature", Data, "The checkpoint was changed on the way."),
    ("future", Data, "The checkpoint was issued more than 10 minutes after this machine's time: correct the clock of this machine or of the primary."),
    ("lifetime", Data, "The checkpoint is valid for longer than the root document allows."),
    ("rollback", Data, "The upstream has an older state than this replica: it was restored or set back, or a cache answers."),
    ("fenced", Data, "The upstream is a primary that was replaced: stop it."),
    ("fork", Data, "The upstream signed another history: see \"One history\" in the security model."),
    ("expired", Data, "The checkpoint has expired by this machine's clock: correct the clocks, or fetch a newer bundle."),
    ("upgrade_required", Data, "The checkpoint needs a newer program on this node: upgrade it."),
    ("root", Data, "A root document does not verify against the root key."),
    ("epoch", Data, "An epoch record does not verify."),
    ("parse", Data, "A delta, or the manifest of a bundle, cannot be read."),
    ("hash", Data, "A file of a bundle was changed: copy the bundle again."),
    ("order", Data, "The keys of a delta are duplicated or out of order."),
    ("sequence", Data, "A delta has an entry from outside its range."),
    ("scope", Data, "A delta is of another registry, view or position."),
    ("state", Data, "Applying the delta does not lead to the signed state: the whole state is fetched instead."),
    ("no_delta", Data, "The upstream sent a newer checkpoint without its data."),
    ("inbox", Local, "The inbox cannot be read: check that the folder exists and is readable."),
    ("missing", Local, "A folder in the inbox has no complete bundle, or a file of it cannot be read."),
    ("slow_medium", Local, "Reading a bundle took too long: check the medium."),
    ("store", Local, "The database of this node failed: check its disk."),
    ("damaged", Local, "Stored data of this node is damaged: it is fetched again from the upstream or a bundle."),
    ("held_damaged", Local, "Stored data is damaged, and `hold` or `pin` prevents fetching it: import a bundle of that position, or start without them."),
];

/// What failed.
pub fn cause(reason: &str) -> Cause {
    REASONS.iter().find(|(known, ..)| *known == reason).map_or(Data, |(_, cause, _)| *cause)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The files that name reasons.
    const SOURCES: [&str; 10] = [
        include_str!("applying.rs"),
        include_str!("bundle.rs"),
        include_str!("engine.rs"),
        include_str!("exchange.rs"),
        include_str!("follower.rs"),
        include_str!("health.rs"),
        include_str!("importing.rs"),
        include_str!("inbox.rs"),
        include_str!("../../crates/store/src/delta_error.rs"),
        include_str!("../../crates/trust/src/trust/refusal.rs"),
    ];

    /// The words in quotes after this text.
    fn quoted<'a>(source: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        source.split(before).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn table_has_exactly_the_reasons_of_the_source() {
        let mut used = BTreeSet::new();
        for source in SOURCES {
            for before in ["reason: \"", "trouble(\"", "pub const DAMAGED: &str = \"", "pub const FORK: &str = \""] {
                used.extend(quoted(source, before));
            }
            for function in source.split("fn reason(").skip(1) {
                used.extend(quoted(function.split("\n    }\n").next().unwrap_or_default(), "=> \""));
            }
            used.extend(quoted(source, "continue_with_trust(now, \""));
        }
        let listed: BTreeSet<&str> = REASONS.iter().map(|(reason, ..)| *reason).collect();
        assert_eq!(listed.len(), REASONS.len(), "one row each");
        let is_word = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert_eq!(used.into_iter().filter(is_word).collect::<BTreeSet<_>>(), listed);
    }

    #[test]
    fn page_about_stale_replicas_has_the_table() {
        let page = include_str!("../../docs/reference/stale-replicas.md");
        let rows: Vec<String> = REASONS
            .iter()
            .map(|(reason, cause, meaning)| {
                let cause = match cause {
                    Data => "verify",
                    Upstream => "upstream",
                    Local => "local",
                };
                format!("| `{reason}` | {cause} | {meaning} |")
            })
            .collect();
        let rows = rows.join("\n");
        assert!(page.contains(&rows), "docs/reference/stale-replicas.md must have these rows:\n{rows}");
    }
}
