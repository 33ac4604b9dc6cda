//! The replicas of this node, from their reports and the positions of their polls.
//!
//! A report arrives periodically; a poll arrives as soon as a replica has applied the previous answer, so polls show
//! progress within moments. Both are claims of clients that are allowed to follow, and nothing is decided by them. Kept
//! in memory for a limited time and number: if there is no room, the replicas of one access token do not displace those
//! of another.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::status::ReplicaReport;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::store::read::Head;

/// The header in which a polling replica identifies itself.
pub const REPLICA: &str = "bookholder-replica";
/// Longest id of a replica, in bytes.
pub const ID_BYTES_MAX: usize = 200;
/// Most tracked replicas, and how long one is kept after it was last seen, in milliseconds.
const REPLICAS_MAX: usize = 20_000;
const SILENT_MS_MAX: i64 = 120_000;
/// Interval of the search for expired replicas, in milliseconds: it visits all of them.
const FORGET_EVERY_MS: i64 = 1_000;
/// Number of IDs in a [`Propagation`].
const NAMED_MAX: usize = 20;

/// Whether a text is a valid ID of a replica.
#[must_use]
pub fn is_replica_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The principal of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaIdentity {
    /// The principal.
    pub principal: String,
    /// The access token, by name.
    pub token: String,
}

/// A replica that was seen recently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectedReplica {
    /// Its ID.
    pub replica: String,
    /// Its principal; absent without an access token.
    pub follows_as: Option<ReplicaIdentity>,
    /// Its position.
    pub position: Position,
    /// When it was last seen.
    pub heard: Timestamp,
    /// Its last report, if recent.
    pub report: Option<ReplicaReport>,
}

impl ConnectedReplica {
    /// Number of commits behind the primary; absent if it is ahead, which no honest replica is.
    ///
    /// Commits without changes are not sent separately, so a replica that lacks only those is up to date.
    pub fn commits_behind(&self, head: Head) -> Option<u64> {
        if self.position > head.position {
            None
        } else if self.position >= altered(head) {
            Some(0)
        } else {
            // Commit numbers continue across epochs.
            Some(head.position.seq.saturating_sub(self.position.seq).max(1))
        }
    }
}

/// How far a position has propagated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Propagation {
    /// How many of the recently seen replicas have it.
    pub holding: usize,
    /// How many were seen recently.
    pub known: usize,
    /// The IDs of those that do not have it; the first 20.
    pub missing: Vec<String>,
}

/// The recently seen replicas.
#[derive(Default)]
pub(super) struct ConnectedReplicas(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By access token and id, so that a replica is not affected by reports with another token.
    known: BTreeMap<(String, Token), ConnectedReplica>,
    /// Number of replicas of each access token.
    shares: HashMap<Token, usize>,
    looked_ms: i64,
}

/// The name of an access token; absent for all without one.
type Token = Option<String>;

impl Table {
    fn forget(&mut self, now: Timestamp) {
        self.looked_ms = now.ms();
        self.known.retain(|_, one| is_recent(one.heard, now));
        self.shares.clear();
        for (_, token) in self.known.keys() {
            *self.shares.entry(token.clone()).or_default() += 1;
        }
    }

    /// Makes room for one more replica of an access token in a full table: the token with the most replicas loses one,
    /// unless it would then have fewer.
    fn has_room(&mut self, token: &Token) -> bool {
        if self.known.len() < REPLICAS_MAX {
            return true;
        }
        let own = self.shares.get(token).copied().unwrap_or_default();
        let Some((most, count)) = self.shares.iter().max_by_key(|(_, count)| **count) else { return false };
        if *count <= own + 1 {
            return false;
        }
        let theirs = self.known.iter().filter(|((_, token), _)| token == most);
        let Some(silent) = theirs.min_by_key(|(_, one)| one.heard).map(|(key, _)| key.clone()) else { return false };
        self.known.remove(&silent);
        if let Some(count) = self.shares.get_mut(&silent.1) {
            *count = count.saturating_sub(1);
        }
        true
    }
}

impl ConnectedReplicas {
    /// Records a report of a replica.
    pub(super) fn report(&self, report: ReplicaReport, follows_as: Option<ReplicaIdentity>, now: Timestamp) {
        let report = ReplicaReport { at: Some(now), ..report };
        let (replica, position) = (report.replica.clone(), report.position);
        self.record(ConnectedReplica { replica, follows_as, position, heard: now, report: Some(report) });
    }

    /// Records the position of a polling replica.
    pub(super) fn poll(&self, replica: &str, position: Position, follows_as: Option<ReplicaIdentity>, now: Timestamp) {
        self.record(ConnectedReplica { replica: replica.to_owned(), follows_as, position, heard: now, report: None });
    }

    fn record(&self, heard: ConnectedReplica) {
        if !is_replica_id(&heard.replica) {
            return;
        }
        let now = heard.heard;
        let mut table = self.lock();
        if !(0..FORGET_EVERY_MS).contains(&now.ms().saturating_sub(table.looked_ms)) {
            table.forget(now);
        }
        let token = heard.follows_as.as_ref().map(|who| who.token.clone());
        let key = (heard.replica.clone(), token);
        if let Some(known) = table.known.get_mut(&key) {
            let report = heard.report.or_else(|| known.report.take());
            *known = ConnectedReplica { report, ..heard };
        } else if table.has_room(&key.1) {
            *table.shares.entry(key.1.clone()).or_default() += 1;
            table.known.insert(key, heard);
        }
    }

    /// All recently seen replicas, by id.
    pub(super) fn all(&self, now: Timestamp) -> Vec<ConnectedReplica> {
        let table = self.lock();
        let recent = table.known.values().filter(|one| is_recent(one.heard, now)).cloned();
        let current = |one: ConnectedReplica| {
            let report = one.report.filter(|report| report.at.is_some_and(|at| is_recent(at, now)));
            ConnectedReplica { report, ..one }
        };
        recent.map(current).collect()
    }

    /// How far a position has propagated.
    pub(super) fn arrival(&self, position: Position, head: Head, now: Timestamp) -> Propagation {
        // Commits after the last change are not sent to replicas.
        let needed = position.min(altered(head));
        let mut arrival = Propagation::default();
        for one in self.lock().known.values().filter(|one| is_recent(one.heard, now)) {
            arrival.known += 1;
            if (needed..=head.position).contains(&one.position) {
                arrival.holding += 1;
            } else if arrival.missing.len() < NAMED_MAX {
                arrival.missing.push(one.replica.clone());
            }
        }
        arrival
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last commit that changed the replicated state.
fn altered(head: Head) -> Position {
    Position { seq: head.changed.min(head.position.seq), ..head.position }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.ms().saturating_sub(at.ms()) < SILENT_MS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::Freshness;

    fn position(text: &str) -> Position {
        text.parse().expect(text)
    }

    fn head(at: &str, changed: u64) -> Head {
        Head { position: position(at), changed, ..Head::default() }
    }

    fn report(replica: &str, at: &str) -> ReplicaReport {
        ReplicaReport {
            replica: replica.to_owned(),
            position: position(at),
            freshness: Freshness::Fresh,
            version: "0.1.0".to_owned(),
            uses: Vec::new(),
            telemetry: None,
            at: None,
        }
    }

    #[test]
    fn arrival_counts_replicas_at_or_beyond_the_position() {
        let followers = ConnectedReplicas::default();
        let now = Timestamp::from_ms(1_000_000);
        for (replica, at) in [("a", "1.9"), ("b", "1.10"), ("c", "1.12"), ("old", "0.0")] {
            followers.poll(replica, position(at), None, now);
        }
        for (asked, at, changed, holding, missing) in [
            ("1.9", "1.12", 12, 3, vec!["old"]),
            ("1.10", "1.12", 12, 2, vec!["a", "old"]),
            ("1.12", "1.12", 12, 1, vec!["a", "b", "old"]),
            // Nothing changed after the tenth commit, so a replica at that position is up to date.
            ("1.12", "1.12", 10, 2, vec!["a", "old"]),
            ("1.99", "1.12", 12, 1, vec!["a", "b", "old"]),
            ("0.0", "1.12", 12, 4, vec![]),
            // The next epoch continued from the same commits.
            ("2.12", "2.12", 12, 0, vec!["a", "b", "c", "old"]),
            ("1.12", "2.13", 13, 1, vec!["a", "b", "old"]),
            // A replica ahead of its primary has another history.
            ("1.9", "1.11", 11, 2, vec!["c", "old"]),
        ] {
            let arrival = followers.arrival(position(asked), head(at, changed), now);
            let expected = Propagation { holding, known: 4, missing: missing.into_iter().map(str::to_owned).collect() };
            assert_eq!(arrival, expected, "{asked} at {at}, changed at {changed}");
        }
    }

    #[test]
    fn arrival_lists_the_first_twenty_replicas() {
        let followers = ConnectedReplicas::default();
        let now = Timestamp::from_ms(0);
        for number in 0..30 {
            followers.poll(&format!("r{number:02}"), position("1.1"), None, now);
        }
        let arrival = followers.arrival(position("1.2"), head("1.2", 2), now);
        assert_eq!((arrival.holding, arrival.known, arrival.missing.len()), (0, 30, 20));
        assert_eq!(arrival.missing.last().map(String::as_str), Some("r19"));
    }

    #[test]
    fn replica_lag_counts_only_commits_with_changes() {
        for (holds, at, changed, behind) in [
            ("1.12", "1.12", 12, Some(0)),
            ("1.10", "1.12", 10, Some(0)),
            ("1.9", "1.12", 10, Some(3)),
            ("0.0", "1.12", 12, Some(12)),
            ("1.12", "2.12", 12, Some(1)),
            ("1.13", "1.12", 12, None),
            ("2.1", "1.12", 12, None),
        ] {
            let follower = ConnectedReplica {
                replica: "a".to_owned(),
                follows_as: None,
                position: position(holds),
                heard: Timestamp::from_ms(0),
                report: None,
            };
            assert_eq!(follower.commits_behind(head(at, changed)), behind, "{holds} at {at}, changed at {changed}");
        }
    }

    #[test]
    fn polls_and_reports_are_combined_and_expire() {
        let followers = ConnectedReplicas::default();
        let at = Timestamp::from_ms;
        let edge = ReplicaIdentity { principal: "edge".to_owned(), token: "edge-7".to_owned() };
        followers.poll("berlin", position("1.1"), Some(edge.clone()), at(0));
        assert_eq!(followers.all(at(1))[0].report, None, "it polled before it reported");
        followers.report(report("berlin", "1.1"), Some(edge.clone()), at(10));
        followers.poll("berlin", position("1.2"), Some(edge.clone()), at(90_000));
        let [berlin] = followers.all(at(90_001)).try_into().expect("one");
        assert_eq!((berlin.position, berlin.heard, berlin.follows_as), (position("1.2"), at(90_000), Some(edge)));
        assert_eq!(berlin.report.expect("its report").at, Some(at(10)));
        let [berlin] = followers.all(at(130_000)).try_into().expect("one");
        assert_eq!(berlin.report, None, "an old report says nothing of now");
        assert_eq!(followers.arrival(position("1.1"), head("1.2", 2), at(209_999)).known, 1);
        assert_eq!(followers.arrival(position("1.1"), head("1.2", 2), at(210_000)).known, 0);
        assert!(followers.all(at(210_000)).is_empty());
        followers.poll("paris", position("1.2"), None, at(300_000));
        assert_eq!(followers.lock().known.len(), 1, "who fell silent is forgotten");
    }

    #[test]
    fn invalid_replica_ids_are_ignored() {
        let followers = ConnectedReplicas::default();
        for id in ["", "a\nb", "\u{7f}", &"x".repeat(ID_BYTES_MAX + 1)] {
            followers.poll(id, position("1.1"), None, Timestamp::from_ms(0));
            followers.report(report(id, "1.1"), None, Timestamp::from_ms(0));
        }
        assert!(followers.all(Timestamp::from_ms(0)).is_empty());
        followers.poll(&"x".repeat(ID_BYTES_MAX), position("1.1"), None, Timestamp::from_ms(0));
        assert_eq!(followers.all(Timestamp::from_ms(0)).len(), 1);
    }

    #[test]
    fn one_access_token_neither_crowds_out_nor_speaks_for_the_replicas_of_another() {
        let followers = ConnectedReplicas::default();
        let by = |token: &str| Some(ReplicaIdentity { principal: token.to_owned(), token: token.to_owned() });
        let at = |ms: i64| Timestamp::from_ms(1_000_000 + ms);
        followers.poll("berlin", position("1.7"), by("honest"), at(0));
        for number in 0..REPLICAS_MAX + 10 {
            followers.poll(&format!("f{number:05}"), position("9.9"), by("flood"), at(1));
        }
        followers.poll("berlin", position("9.9"), by("flood"), at(2));
        followers.poll("paris", position("1.8"), by("honest"), at(2));
        followers.poll("rome", position("1.8"), None, at(2));
        let all = followers.all(at(3));
        assert_eq!(all.len(), REPLICAS_MAX);
        let honest = |one: &&ConnectedReplica| one.follows_as != by("flood");
        let kept: Vec<_> = all.iter().filter(honest).map(|one| (one.replica.as_str(), one.position)).collect();
        let expected = [("berlin", position("1.7")), ("paris", position("1.8")), ("rome", position("1.8"))];
        assert_eq!(kept, expected);
    }

    #[test]
    fn replica_table_is_bounded_and_keeps_known_replicas() {
        let followers = ConnectedReplicas::default();
        let now = Timestamp::from_ms(5);
        for number in 0..=REPLICAS_MAX {
            followers.poll(&number.to_string(), position("1.1"), None, now);
        }
        followers.poll("0", position("1.2"), None, now);
        let arrival = followers.arrival(position("1.2"), head("1.2", 2), now);
        assert_eq!((arrival.holding, arrival.known), (1, REPLICAS_MAX));
    }
}
