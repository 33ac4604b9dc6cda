//! Replicas: position, freshness and version of each; on a replica, its own status.

use maud::{Markup, html};

use crate::api::status::{Freshness, NodeRole, Status, Trouble};
use crate::format::{Escaped, counted, grouped, length, when};
use crate::layout::{Frame, Page, Part, command, empty, principal_path};
use crate::model::position::Position;
use crate::model::time::Timestamp;

/// Most rows of the page.
const ROWS_MAX: usize = 200;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct ReplicasPageData {
    /// The status of this node.
    pub status: Status,
    /// Its recently seen replicas; absent on a replica.
    pub rows: Option<Vec<ReplicaRow>>,
    /// Whether the visitor can see the principal of each.
    pub names: bool,
}

/// A replica, as seen by its primary.
#[derive(Clone, Debug)]
pub struct ReplicaRow {
    /// Its ID.
    pub replica: String,
    /// Its principal and access token.
    pub follows_as: Option<(String, String)>,
    /// Its position.
    pub position: Position,
    /// Number of commits behind; absent if it is ahead.
    pub behind: Option<u64>,
    /// When it was last seen.
    pub heard: Timestamp,
    /// Its reported freshness and program version; absent before its first report.
    pub said: Option<(Freshness, String)>,
}

/// Renders the page.
pub fn page(frame: &Frame, matter: &ReplicasPageData) -> String {
    let primary = matter.status.role == NodeRole::Primary;
    let main = html! {
        div.head { h1 { "Replicas" } p.quiet { "Version, freshness and last contact of each replica" } }
        @if !primary { (own(frame, &matter.status)) }
        @if let Some(rows) = &matter.rows {
            @if primary || !rows.is_empty() { (followers(frame, matter, rows)) }
        }
    };
    frame.page_of(Part::Replicas, &Page { title: "Replicas", above: &[], done: None, searches: false, main })
}

fn followers(frame: &Frame, matter: &ReplicasPageData, rows: &[ReplicaRow]) -> Markup {
    let mut sorted: Vec<&ReplicaRow> = rows.iter().collect();
    // Those furthest behind come first.
    sorted.sort_by_key(|row| std::cmp::Reverse(row.behind.map_or(u64::MAX, |behind| behind)));
    let behind = rows.iter().any(|row| row.behind != Some(0));
    let left = sorted.len().saturating_sub(ROWS_MAX);
    html! {
        @if rows.is_empty() {
            (empty("No connected replicas", "Replicas of this node appear here once they connect."))
            (command("bookholder replica --upstream URL --root-key KEY --data DIRECTORY"))
        } @else {
            p.note[behind].warn[behind].state[!behind] role="status" { (summary(rows)) }
            table.list.cards {
                thead { tr {
                    th scope="col" { "Replica" } th scope="col" { "State" } th scope="col" { "Freshness" }
                    @if matter.names { th scope="col" { "Follows as" } }
                    th scope="col" { "Version" } th scope="col" { "Last seen" }
                } }
                tbody { @for row in sorted.iter().take(ROWS_MAX) { (follower(frame, matter.names, row)) } }
            }
            @if left > 0 { p.quiet { "and " (grouped(count(left))) " more, no further behind." } }
        }
        p.quiet {
            "Position " b { (matter.status.position) } " · v" (Escaped(&matter.status.version))
            ". Shows replicas seen in the last two minutes. Not listed: replicas that send no reports, that use only "
            "bundles, or that are behind a cache."
        }
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// A summary sentence.
fn summary(rows: &[ReplicaRow]) -> String {
    let all = rows.len();
    let behind: Vec<u64> = rows.iter().filter_map(|row| row.behind).filter(|behind| *behind > 0).collect();
    let ahead = rows.iter().filter(|row| row.behind.is_none()).count();
    let holding = all - behind.len() - ahead;
    let mut parts = vec![match (holding == all, all) {
        (true, 1) => "The replica is up to date".to_owned(),
        (true, _) => format!("All {all} replicas are up to date"),
        (false, _) => format!("{holding} of {all} replicas are up to date"),
    }];
    let most = behind.iter().copied().max().unwrap_or_default();
    match behind.len() {
        0 => {}
        1 => parts.push(format!("1 is {} behind", commits(most))),
        several => parts.push(format!("{several} are behind, at most {}", commits(most))),
    }
    if ahead > 0 {
        parts.push(format!("{ahead} ahead of this node, which is not possible for its replicas"));
    }
    format!("{}.", parts.join(", "))
}

fn commits(number: u64) -> String {
    counted(number, "commit")
}

fn follower(frame: &Frame, names: bool, row: &ReplicaRow) -> Markup {
    html! {
        tr {
            th scope="row" { (Escaped(&row.replica)) }
            td data-label="State" {
                @match row.behind {
                    Some(0) => span.tag.live { "up to date" },
                    Some(behind) => span.tag.wait { (commits(behind)) " behind" },
                    None => span.tag.high { "ahead of this node" },
                }
                " " span.quiet { (row.position) }
            }
            td data-label="Freshness" {
                @match &row.said {
                    Some((freshness, _)) => (freshness_tag(*freshness)),
                    None => span.quiet { "no report yet" },
                }
            }
            @if names {
                td data-label="Follows as" {
                    @match &row.follows_as {
                        Some((principal, token)) => { a href=(principal_path(principal)) { (Escaped(principal)) }
                            @if principal != token { " " span.quiet { "access token " (Escaped(token)) } } },
                        None => span.quiet { "no token (open access)" },
                    }
                }
            }
            td data-label="Version" {
                @match &row.said { Some((_, version)) => (Escaped(version)), None => span.quiet { "no report yet" } }
            }
            td data-label="Last seen" { (when(row.heard, frame.now)) }
        }
    }
}

/// The style of a freshness.
fn freshness_tag(freshness: Freshness) -> Markup {
    let (class, says) = match freshness {
        Freshness::Empty => ("high", "empty"),
        Freshness::Fresh => ("live", "fresh"),
        Freshness::Stale => ("wait", "stale"),
        Freshness::Expired => ("high", "expired"),
    };
    html! { span.tag.(class) { (says) } }
}

/// A replica's own status.
fn own(frame: &Frame, status: &Status) -> Markup {
    let class = match status.freshness {
        Freshness::Fresh => "state",
        Freshness::Stale => "note warn",
        Freshness::Empty | Freshness::Expired => "note bad",
    };
    let upstream = frame.replica.as_ref().and_then(|following| following.upstream.as_deref());
    html! {
        p class=(class) role="status" {
            (freshness_tag(status.freshness)) " " (standing(status.freshness))
        }
        @if let Some(trouble) = &status.trouble { (troubled(frame, trouble)) }
        @if let Some(trouble) = &status.inbox { (troubled(frame, trouble)) }
        @if status.held {
            p.note.warn { "Held at this position by its operator. It keeps answering but does not update." }
        }
        @if status.automation_held {
            p.note.warn {
                "Automation is held: no change request is deployed or expires by itself, no alert fires, and no "
                "webhook is sent."
            }
        }
        @if status.clock_untrusted {
            p.note.bad { "This machine’s clock does not match the signed state and is being ignored. Fix the clock." }
        }
        section {
            h2 { "This replica" }
            dl.pairs {
                dt { "Follows" }
                dd {
                    @match upstream { Some(upstream) => code { (Escaped(upstream)) }, None => "bundles (no upstream)" }
                }
                dt { "Position" } dd { (status.position) }
                dt { "Signed entries" }
                dd { (grouped(status.entries)) " " span.quiet { "prompts, versions, contents, labels, deployments" } }
                dt { "State" } dd { code { (Escaped(&status.state)) } }
                dt { (freshness_word(status.freshness)) " since" } dd { (when(status.since, frame.now)) }
                dt { "Last verified contact" }
                dd { @if status.age_s == 0 { "just now" } @else { (length(milliseconds(status.age_s))) " ago" } }
                @if let Some(issued) = status.issued { dt { "Signed" } dd { (when(issued, frame.now)) } }
                @if let Some(expires) = status.expires {
                    dt { "Expires" }
                    dd { (when(expires, frame.now)) @if expires < frame.now { " " span.tag.high { "expired" } } }
                }
                dt { "Version" } dd { (Escaped(&status.version)) }
            }
            p.quiet {
                "Nodes at the same position have the same state. Compare with the primary’s " code { "/v1/status" } "."
            }
        }
    }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
}

const fn freshness_word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Empty => "Empty",
        Freshness::Fresh => "Fresh",
        Freshness::Stale => "Stale",
        Freshness::Expired => "Expired",
    }
}

const fn standing(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Empty => "No verified state yet, so it cannot answer.",
        Freshness::Fresh => "Verified state, in contact with the primary.",
        Freshness::Stale => "Answers from verified state, but has no contact with the primary.",
        Freshness::Expired => "Answers from verified state whose signed lifetime has expired.",
    }
}

fn troubled(frame: &Frame, trouble: &Trouble) -> Markup {
    let times = trouble.times;
    html! {
        div.note.bad {
            p { b { "Problem: " (Escaped(&trouble.reason)) } }
            p { (Escaped(&trouble.detail)) }
            p { "Since " (when(trouble.since, frame.now)) @if times > 1 { ", " (grouped(times)) " times" } "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{ReplicaStatus, Who, sample};

    fn status(role: NodeRole, freshness: Freshness) -> Status {
        Status {
            role,
            registry: "ex".to_owned(),
            version: "0.1.0".to_owned(),
            position: "1.40".parse().expect("a position"),
            state: "c3RhdGU=".to_owned(),
            entries: 1_234,
            freshness,
            stale: freshness != Freshness::Fresh,
            since: "2026-03-20T14:00:00Z".parse().expect("a time"),
            age_s: 61,
            issued: Some("2026-03-20T14:00:00Z".parse().expect("a time")),
            expires: Some("2026-03-20T14:30:00Z".parse().expect("a time")),
            clock_untrusted: false,
            held: false,
            automation_held: false,
            trouble: None,
            storage: None,
            inbox: None,
            watch: None,
            alerts: Vec::new(),
            telemetry: None,
            replicas: Vec::new(),
        }
    }

    fn row(replica: &str, behind: Option<u64>) -> ReplicaRow {
        ReplicaRow {
            replica: replica.to_owned(),
            follows_as: Some(("edge<b>".to_owned(), "edge-7".to_owned())),
            position: "1.28".parse().expect("a position"),
            behind,
            heard: "2026-03-20T14:59:50Z".parse().expect("a time"),
            said: Some((Freshness::Stale, "0.1.0<i>".to_owned())),
        }
    }

    fn primary(rows: Vec<ReplicaRow>, names: bool) -> String {
        let status = status(NodeRole::Primary, Freshness::Fresh);
        page(&sample(Who::Local), &ReplicasPageData { status, rows: Some(rows), names })
    }

    #[test]
    fn summary_counts_replicas_by_state() {
        let check = |behind: &[Option<u64>], expected: &str| {
            let rows: Vec<ReplicaRow> = behind.iter().map(|behind| row("r", *behind)).collect();
            assert_eq!(summary(&rows), expected, "{behind:?}");
        };
        check(&[Some(0)], "The replica is up to date.");
        check(&[Some(0), Some(0)], "All 2 replicas are up to date.");
        check(&[Some(0), Some(0), Some(12), Some(0)], "3 of 4 replicas are up to date, 1 is 12 commits behind.");
        check(&[Some(1), Some(3)], "0 of 2 replicas are up to date, 2 are behind, at most 3 commits.");
        check(
            &[Some(1), None],
            "0 of 2 replicas are up to date, 1 is 1 commit behind, 1 ahead of this node, which is not possible for its replicas.",
        );
    }

    #[test]
    fn replicas_furthest_behind_come_first_and_names_are_escaped() {
        let fresh = ReplicaRow { said: None, ..row("new", Some(0)) };
        let shown = primary(vec![fresh, row("<script>\u{202e}", Some(12))], true);
        for part in [
            "1 of 2 replicas are up to date, 1 is 12 commits behind.",
            "&lt;script&gt;<span class=\"odd\">U+202E</span>",
            "12 commits behind",
            "<span class=\"tag wait\">stale</span>",
            "href=\"/ui/access/who/edge%3Cb%3E\"",
            "access token edge-7",
            "0.1.0&lt;i&gt;",
            "no report yet",
            "aria-current=\"true\">Replicas",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(shown.find("&lt;script&gt;") < shown.find(">new<"), "{shown}");
        assert!(
            !primary(vec![row("r", Some(0))], false).contains("edge-7"),
            "who keeps access knows as whom they follow"
        );
        let many: Vec<ReplicaRow> = (0..=ROWS_MAX).map(|number| row(&format!("r{number}"), Some(0))).collect();
        assert!(primary(many, false).contains("and 1 more"));
        let none = primary(Vec::new(), true);
        assert!(none.contains("No connected replicas") && !none.contains("<table"), "{none}");
    }

    #[test]
    fn replica_page_shows_its_status_and_problem() {
        let mut frame = sample(Who::Local);
        frame.replica = Some(ReplicaStatus { upstream: Some("http://<x>".to_owned()), age_s: 61, stale: true });
        let since = "2026-03-20T14:00:00Z".parse().expect("a time");
        let trouble = Trouble { reason: "unreachable".to_owned(), detail: "refused <b>".to_owned(), since, times: 7 };
        let status = Status {
            trouble: Some(trouble),
            held: true,
            clock_untrusted: true,
            ..status(NodeRole::Replica, Freshness::Expired)
        };
        let shown = page(&frame, &ReplicasPageData { status, rows: None, names: false });
        for part in [
            "<span class=\"tag high\">expired</span>",
            "Problem: unreachable",
            "refused &lt;b&gt;",
            "7 times",
            "Held at this position",
            "is being ignored",
            "http://&lt;x&gt;",
            "1 min 1 s ago",
            "Expires",
            "c3RhdGU=",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("<table"), "nobody follows it: {shown}");
    }
}
