//! The list of prompts: what each serves, since when and by whom, open change requests, and recent deployments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use maud::{Markup, html};

use super::hits::{hits, marked};
use super::promote::promote_path;
use super::serving;
use crate::form::hidden;
use crate::format::{Escaped, counted, plain, when};
use crate::layout::{Frame, Page, back_path, empty, prompt_path, query, request_path, search_field};
use crate::model::about::About;
use crate::model::deployment::{Action, Deployment};
use crate::model::finding::Severity;
use crate::model::hit::{Hit, Place};
use crate::model::name::{Label, PRODUCTION};
use crate::model::prompt::{LabelState, Prompt};
use crate::model::time::Timestamp;

/// The period of a row's chart: 90 days, in milliseconds.
const STRIP_MS: i64 = 90 * 24 * 3_600 * 1_000;
/// Its width, in its own units.
const STRIP_WIDTH: i64 = 120;
/// Rows per page: few enough that a first visit loads less than 100 KiB in total.
pub const ROWS: usize = 50;
/// Most folders shown by default.
const FOLDERS_OPEN: usize = 12;
/// Most folders shown at all.
const FOLDERS_MAX: usize = 60;

/// The contents of the page.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The prefix of names.
    pub folder: String,
    /// The search text.
    pub words: String,
    /// Whether the text of older versions was searched.
    pub history: bool,
    /// The label filter.
    pub label: String,
    /// The filter by owner, tag or risk; absent on a replica.
    pub kind: Option<Kind>,
    /// One page of rows.
    pub rows: Vec<PromptRow>,
    /// Subfolders, with the number of prompts in each.
    pub folders: BTreeMap<String, usize>,
    /// The total on all pages.
    pub total: usize,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub continued: bool,
    /// Whether the limit of searched text was reached.
    pub cut: bool,
    /// A confirmation.
    pub done: Option<&'static str>,
}

/// A filter that only a primary supports.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// By owner.
    pub owner: String,
    /// By tag.
    pub tag: String,
    /// By minimum risk.
    pub risk: Option<Severity>,
}

/// One prompt of the list.
#[derive(Clone, Debug)]
pub struct PromptRow {
    /// The prompt.
    pub prompt: Prompt,
    /// What its labels serve.
    pub labels: Vec<LabelState>,
    /// Its newest deployments, newest first.
    pub recent: Vec<Deployment>,
    /// Its open change requests.
    pub pending: Vec<u64>,
    /// Whether the visitor can roll production back.
    pub back: bool,
    /// Its details.
    pub about: About,
    /// The highest risk in its latest version and in the one that production serves.
    pub risk: Option<Severity>,
    /// Where the search words were found.
    pub hits: Vec<Hit>,
}

/// Renders the page.
pub fn page(frame: &Frame, listing: &Listing) -> String {
    let here = if listing.folder.is_empty() { "Prompts" } else { listing.folder.as_str() };
    let above = above(&listing.folder);
    let main = html! {
        div.head {
            h1 { (Escaped(here)) }
            p.quiet.count { (count(listing)) }
            @if frame.form().is_some() && listing.kind.is_some() {
                div.inline.end {
                    a.button href=(promote_path(&pattern_of(&listing.folder), "", "")) { "Promote" }
                    a.button href="/ui/bring" { "Import" } a.button.primary href="/ui/new" { "New prompt" }
                }
            }
        }
        (filters(listing))
        (folders(listing))
        @if listing.rows.is_empty() {
            (empty("No prompts match", "Try fewer words, clear the filters, or turn on “Include older versions”."))
        } @else {
            (table(listing, frame.now))
            @if let Some(next) = &listing.next {
                nav.pages aria-label="Pages" {
                    @if listing.continued { a href=(address(listing, &[])) { "First page" } }
                    a.button rel="next" href=(address(listing, &[("cursor", next)])) { "Next page" }
                }
            } @else if listing.continued {
                nav.pages aria-label="Pages" { a href=(address(listing, &[])) { "First page" } }
            }
        }
    };
    frame.page(&Page { title: here, above: &above, done: listing.done, searches: true, main })
}

/// What every name in a folder matches; nothing for all prompts.
fn pattern_of(folder: &str) -> String {
    if folder.ends_with('/') { format!("{folder}**") } else { String::new() }
}

fn count(listing: &Listing) -> Markup {
    let total = u64::try_from(listing.total).unwrap_or(u64::MAX);
    html! {
        (counted(total, "prompt"))
        @if listing.cut { " (search limit reached; narrow your filters)" }
    }
}

/// The parent folders, and the list.
fn above(folder: &str) -> Vec<(&str, String)> {
    let mut above = Vec::new();
    let inner = folder.trim_end_matches('/');
    if !inner.is_empty() {
        above.push(("Prompts", "/ui/".to_owned()));
    }
    for (at, _) in inner.match_indices('/') {
        let begin = inner.get(..at).unwrap_or_default();
        let name = begin.rsplit('/').next().unwrap_or_default();
        above.push((name, format!("/ui/{}", query(&[("folder", &format!("{begin}/"))]))));
    }
    above
}

/// The URL of the same list with other parameters.
fn address(listing: &Listing, changed: &[(&str, &str)]) -> String {
    let history = if listing.history { "yes" } else { "" };
    let nothing = Kind::default();
    let kind = listing.kind.as_ref().unwrap_or(&nothing);
    let mut all = [
        ("folder", listing.folder.as_str()),
        ("q", &listing.words),
        ("history", history),
        ("label", &listing.label),
        ("owner", &kind.owner),
        ("tag", &kind.tag),
        ("risk", kind.risk.map_or("", Severity::as_str)),
        ("cursor", ""),
    ];
    for (name, value) in &mut all {
        if let Some((_, other)) = changed.iter().find(|(changed, _)| changed == name) {
            *value = other;
        }
    }
    format!("/ui/{}", query(&all))
}

fn filters(listing: &Listing) -> Markup {
    let labels = listing.rows.iter().flat_map(|row| row.labels.iter().map(|one| one.label.as_str()));
    let mut labels: Vec<&str> = labels.chain([PRODUCTION]).chain([listing.label.as_str()]).collect();
    labels.retain(|label| !label.is_empty());
    labels.sort_unstable();
    labels.dedup();
    html! {
        form.search action="/ui/" role="search" {
            @if !listing.folder.is_empty() { (hidden("folder", &listing.folder)) }
            div.words { (search_field(&listing.words)) button type="submit" { "Search" } }
            details.act open[is_filtered(listing)] {
                summary { "Filters" }
                div.filters {
                    label {
                        span { "Label" }
                        select name="label" {
                            option value="" { "any" }
                            @for label in labels {
                                option value=(label) selected[label == listing.label] { (plain(label)) }
                            }
                        }
                    }
                    @if let Some(kind) = &listing.kind { (kinds(listing, kind)) }
                    label.check {
                        input type="checkbox" name="history" value="yes" checked[listing.history];
                        span { "Include older versions" }
                    }
                    button type="submit" { "Apply" }
                    @if is_filtered(listing) || !listing.words.is_empty() {
                        a.clear href={ "/ui/" (query(&[("folder", &listing.folder)])) } { "Clear filters" }
                    }
                }
            }
        }
    }
}

fn is_filtered(listing: &Listing) -> bool {
    let of_kind = |kind: &Kind| !kind.owner.is_empty() || !kind.tag.is_empty() || kind.risk.is_some();
    !listing.label.is_empty() || listing.history || listing.kind.as_ref().is_some_and(of_kind)
}

/// The filters that only a primary supports. The choices are taken from the page.
fn kinds(listing: &Listing, kind: &Kind) -> Markup {
    let owners: BTreeSet<&str> = listing.rows.iter().filter_map(|row| row.about.owner.as_deref()).collect();
    let tags: BTreeSet<&str> = listing.rows.iter().flat_map(|row| row.about.tags.iter().map(String::as_str)).collect();
    html! {
        label {
            span { "Owner" }
            input.short name="owner" list="owners" value=(plain(&kind.owner)) maxlength="64" autocomplete="off"
                spellcheck="false";
        }
        datalist #owners { @for owner in owners { option value=(owner) {} } }
        label {
            span { "Tag" }
            input.short name="tag" list="tags" value=(plain(&kind.tag)) maxlength="40" autocomplete="off"
                spellcheck="false";
        }
        datalist #tags { @for tag in tags { option value=(tag) {} } }
        label {
            span { "Minimum risk" }
            select name="risk" {
                option value="" { "any" }
                @for severity in [Severity::Low, Severity::Medium, Severity::High, Severity::Critical] {
                    option value=(severity) selected[kind.risk == Some(severity)] { (severity) }
                }
            }
        }
    }
}

fn folders(listing: &Listing) -> Markup {
    let count = listing.folders.len();
    html! {
        @if count > FOLDERS_OPEN {
            details.folders { summary { (count) " folders" } (folder_links(listing)) }
        } @else if count > 0 { div.folders { (folder_links(listing)) } }
    }
}

fn folder_links(listing: &Listing) -> Markup {
    let more = listing.folders.len().saturating_sub(FOLDERS_MAX);
    html! {
        nav aria-label="Folders" {
            ul {
                @for (folder, count) in listing.folders.iter().take(FOLDERS_MAX) {
                    @let name = folder.strip_prefix(&listing.folder).unwrap_or(folder);
                    li {
                        a href=(address(listing, &[("folder", folder)])) { (Escaped(name)) " " span.quiet { (count) } }
                    }
                }
                @if more > 0 { li.quiet { "and " (more) " more" } }
            }
        }
    }
}

fn table(listing: &Listing, now: Timestamp) -> Markup {
    html! {
        table.list.cards {
            thead {
                tr {
                    th scope="col" { "Prompt" }
                    th scope="col" { "Production" }
                    th scope="col" { "Other labels" }
                    th scope="col" { "Updated" }
                    th scope="col" { "90 days" }
                }
            }
            tbody { @for row in &listing.rows { (prompt_row(row, listing, now)) } }
        }
    }
}

fn prompt_row(row: &PromptRow, listing: &Listing, now: Timestamp) -> Markup {
    let name = row.prompt.name.as_str();
    let shown = name.strip_prefix(&listing.folder).unwrap_or(name);
    let (path, last) = shown.rsplit_once('/').map_or(("", shown), |(path, last)| (path, last));
    let of_name = |hit: &&Hit| hit.place == Place::Name;
    let words: Vec<&str> = row.hits.iter().filter(of_name).map(|hit| hit.word.as_str()).collect();
    let (live, others): (Vec<_>, Vec<_>) = row.labels.iter().partition(|one| one.label.as_str() == PRODUCTION);
    html! {
        tr {
            th scope="row" {
                a.name href=(prompt_path(name)) {
                    @if !path.is_empty() { span.quiet { (marked(path, &words)) "/" } } (marked(last, &words))
                }
                @for id in &row.pending { " " a.tag.wait href=(request_path(*id)) { "request " (id) " open" } }
                (row_about(row, listing))
                (hits(&row.hits))
            }
            td data-label="Production" {
                @if let Some(state) = live.first() { (serving::brief(&state.serving)) }
                @else { span.quiet { "Not deployed · latest v" (row.prompt.latest) } }
            }
            td data-label="Other labels" {
                @for state in others {
                    span.tag title=(told(row, state)) {
                        (Escaped(state.label.as_str())) " " (serving::brief(&state.serving))
                    }
                    " "
                }
            }
            td {
                @match live.first() { Some(state) => (since(row, state, now)), None => (when(row.prompt.changed, now)) }
                @if row.back && !live.is_empty() {
                    " " a.back href=(back_path(name, PRODUCTION)) { "Roll back" span.hidden { " " (Escaped(name)) } }
                }
            }
            td { (strip(&row.recent, now)) }
        }
    }
}

/// Its owner, tags and risk, as links to filters.
fn row_about(row: &PromptRow, listing: &Listing) -> Markup {
    let about = &row.about;
    html! {
        @if about.owner.is_some() || !about.tags.is_empty() || row.risk.is_some() {
            div.inline.kinds {
                @if let Some(owner) = &about.owner {
                    a href=(address(listing, &[("owner", owner)])) { (Escaped(owner)) }
                }
                @for tag in &about.tags {
                    a.tag href=(address(listing, &[("tag", tag)])) { (Escaped(tag)) }
                }
                @if let Some(risk) = row.risk {
                    span.tag.(risk.as_str()) { (risk) " risk" }
                }
            }
        }
    }
}

fn made_by<'a>(row: &'a PromptRow, state: &LabelState) -> Option<&'a Deployment> {
    row.recent.iter().find(|one| one.id == state.deployment && one.label == state.label)
}

fn since(row: &PromptRow, state: &LabelState, now: Timestamp) -> Markup {
    html! { (when(state.since, now)) @if let Some(made) = made_by(row, state) { " by " (Escaped(&made.actor)) } }
}

fn told(row: &PromptRow, state: &LabelState) -> String {
    let by = made_by(row, state).map_or_else(String::new, |made| format!(" by {}", made.actor));
    plain(&format!("since {}{by}", state.since))
}

/// Recent deployments, as marks on a line.
fn strip(recent: &[Deployment], now: Timestamp) -> Markup {
    let (mut marks, mut back, mut count) = (String::new(), String::new(), 0);
    let latest = Label::latest();
    for one in recent.iter().filter(|one| one.label != latest) {
        let ago = now.ms().saturating_sub(one.at.ms()).max(0);
        if ago < STRIP_MS {
            count += 1;
            let x = (STRIP_WIDTH - 2) - ago.saturating_mul(STRIP_WIDTH - 2) / STRIP_MS;
            let line = if one.action == Action::Deploy { &mut marks } else { &mut back };
            let _ = write!(line, "M{x} 2v12");
        }
    }
    let words = format!("{count} {} in the last 90 days", if count == 1 { "change" } else { "changes" });
    html! {
        @if count > 0 {
            svg.strip viewBox={ "0 0 " (STRIP_WIDTH) " 16" } width=(STRIP_WIDTH) height="16" role="img"
                aria-label=(words) {
                path.base d={ "M0 15h" (STRIP_WIDTH) } {}
                @if !marks.is_empty() { path d=(marks) {} }
                @if !back.is_empty() { path.back d=(back) {} }
            }
        } @else { span.quiet.none aria-label=(words) { "–" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Who, sample};
    use crate::model::serving::Serving;

    fn row(name: &str) -> PromptRow {
        let frame = sample(Who::Local);
        let since = Timestamp::from_ms(frame.now.ms() - 3 * 86_400_000);
        let label: Label = PRODUCTION.parse().expect("a label");
        let made = Deployment {
            id: 4,
            name: name.parse().expect("a name"),
            label: label.clone(),
            at: since,
            actor: "ann<b>\u{200b}".to_owned(),
            message: "why".to_owned(),
            action: Action::Rollback,
            from: None,
            to: Some(Serving::version(3)),
            approved_by: Vec::new(),
            change_request: None,
        };
        PromptRow {
            prompt: Prompt {
                name: name.parse().expect("a name"),
                created: since,
                changed: since,
                latest: 3,
                removed: None,
            },
            labels: vec![LabelState { label, serving: Serving::version(3), deployment: 4, since }],
            recent: vec![made],
            back: true,
            pending: vec![7],
            about: About { owner: Some("ann".to_owned()), tags: ["chat".to_owned()].into(), ..About::default() },
            risk: Some(Severity::High),
            hits: Vec::new(),
        }
    }

    #[test]
    fn prompt_row_shows_live_version_time_author_and_open_requests() {
        let listing = Listing {
            rows: vec![row("support/<script>"), row("b")],
            total: 1_234,
            folders: BTreeMap::from([("support/".to_owned(), 1)]),
            next: Some("b&c".to_owned()),
            words: "x\"y".to_owned(),
            kind: Some(Kind { tag: "other".to_owned(), ..Kind::default() }),
            ..Listing::default()
        };
        let shown = page(&sample(Who::Local), &listing);
        for part in [
            "support/</span>&lt;script&gt;",
            "/ui/prompts/support/%3Cscript%3E",
            "<b class=\"version\">v3</b>",
            "3 d ago",
            "ann&lt;b&gt;<span class=\"odd\">U+200B</span>",
            "request 7 open",
            "1 change in the last 90 days",
            "1\u{202f}234 prompts",
            "cursor=b%26c",
            "href=\"/ui/?folder=support/&amp;q=x%22y&amp;tag=other\"",
            "href=\"/ui/?q=x%22y&amp;owner=ann&amp;tag=other\"",
            "href=\"/ui/?q=x%22y&amp;tag=chat\"",
            "<span class=\"tag high\">high risk</span>",
            "<option value=\"critical\">critical</option>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert_eq!(shown.matches("<script").count(), 1, "only the page's own");
        assert!(!page(&sample(Who::Local), &Listing { kind: None, ..listing }).contains("name=\"risk\""));
    }

    #[test]
    fn prompt_row_highlights_each_match() {
        let hit = |place, word: &str, excerpt: &str| Hit { place, word: word.to_owned(), excerpt: excerpt.to_owned() };
        let hits = vec![
            hit(Place::Name, "Ref", "support/Refund"),
            hit(Place::Text(2), "<b>", "…a <b>bold</b> refund"),
            hit(Place::Text(2), "bold", "bold"),
            hit(Place::Message(1), "Refund", "Refunds"),
            hit(Place::Request(7), "x", "x"),
        ];
        let rows = vec![PromptRow { hits, ..row("support/Refund") }];
        let shown = page(&sample(Who::Local), &Listing { rows, words: "ref".to_owned(), ..Listing::default() });
        for part in [
            "support/</span><mark>Ref</mark>und</a>",
            "text of v2</span> …a <mark>&lt;b&gt;</mark><mark>bold</mark>&lt;/b&gt; refund</div>",
            "message of v1</span> <mark>Refund</mark>s</div>",
            "<a href=\"/ui/review/7\">request 7</a> <mark>x</mark></div>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert_eq!(shown.matches("text of v2").count(), 1, "{shown}");
    }

    #[test]
    fn full_page_of_prompts_stays_small() {
        let rows = (0..ROWS).map(|n| row(&format!("support/some-team/an-ordinary-name-{n}"))).collect();
        let shown = page(&sample(Who::Local), &Listing { rows, total: 10_000, ..Listing::default() });
        let all = shown.len() + crate::layout::STYLE.len() + crate::layout::SCRIPT.len();
        assert!(all < 104 * 1024, "{all} bytes");
    }

    #[test]
    fn breadcrumbs_include_every_folder() {
        assert_eq!(above(""), []);
        let names: Vec<(&str, String)> = above("a/b c/d/");
        assert_eq!(
            names,
            [
                ("Prompts", "/ui/".to_owned()),
                ("a", "/ui/?folder=a/".to_owned()),
                ("b c", "/ui/?folder=a/b%20c/".to_owned()),
            ]
        );
    }
}
