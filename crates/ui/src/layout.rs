//! The frame of every page, and small common parts.
//!
//! Pages work without scripts and load only their stylesheet and one script of this node; they contain no inline styles
//! or scripts, so that the content security policy can forbid both.

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::form::session;
use super::format::{Escaped, length, plain, with_code};
use crate::model::position::Position;
use crate::model::time::Timestamp;

/// The stylesheet of the pages.
pub const STYLE: &str = include_str!("ui.css");
/// Their optional script.
pub const SCRIPT: &str = include_str!("ui.js");
/// Characters that are not encoded in a path: `/` is more readable than `%2F`.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// The same in one segment of a path.
const SEGMENT: &AsciiSet = &PATH.add(b'/');
/// The same in a query.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A hash of the stylesheet and the script, so that browsers can cache them.
pub static ASSETS: LazyLock<String> =
    LazyLock::new(|| blake3::hash([STYLE, SCRIPT].concat().as_bytes()).to_hex().chars().take(12).collect());

/// What every page shows besides its own content.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The registry's name.
    pub registry: String,
    /// When the page was rendered.
    pub now: Timestamp,
    /// The visitor.
    pub who: Who,
    /// How this node follows another, if it is a replica.
    pub replica: Option<ReplicaStatus>,
    /// Number of open change requests that they can read; absent on a replica.
    pub open: Option<usize>,
    /// Whether they can read the audit log.
    pub audits: bool,
    /// The first access page for them; absent if there is none.
    pub access: Option<&'static str>,
    /// The position of the page, if it can refresh itself; absent for an answer to a form.
    pub from: Option<Position>,
}

/// The visitor of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Not signed in.
    Stranger,
    /// A local reader on this machine.
    Local,
    /// Signed in with an access token.
    Signed {
        /// The principal.
        name: String,
        /// The access token that they signed in with.
        token: String,
        /// The token of their forms.
        form: String,
    },
    /// A person who signed in with a link.
    SignInLink {
        /// The principal.
        name: String,
        /// The token of their forms.
        form: String,
    },
    /// Someone signed in by a proxy in front of this node.
    SingleSignOn {
        /// The principal.
        name: String,
        /// The token of their forms.
        form: String,
    },
    /// A client that sends an access token with each request.
    Bearer {
        /// The principal.
        name: String,
    },
}

/// The sections of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Prompts, and what is live.
    Prompts,
    /// Change requests.
    Review,
    /// Change requests and decisions.
    Audit,
    /// Access.
    Access,
    /// What prompts cost, and how often they are called.
    Usage,
    /// Suites and runs.
    Evaluations,
    /// The replicas of this node.
    Replicas,
}

/// How a replica follows its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The URL of its primary.
    pub upstream: Option<String>,
    /// Seconds since the last verified contact.
    pub age_s: u64,
    /// Whether that is too long ago.
    pub stale: bool,
}

/// A page: its title, breadcrumbs, and content.
pub struct Page<'a> {
    /// The window title, before the registry's name.
    pub title: &'a str,
    /// Breadcrumbs: names and paths of the pages above.
    pub above: &'a [(&'a str, String)],
    /// A confirmation.
    pub done: Option<&'a str>,
    /// Whether the page has its own search field for prompts.
    pub searches: bool,
    /// The content; includes the only `h1` of the page.
    pub main: Markup,
}

impl Frame {
    /// The token of forms of a session; absent if no one is signed in.
    pub fn form(&self) -> Option<&str> {
        match &self.who {
            Who::Signed { form, .. } | Who::SignInLink { form, .. } | Who::SingleSignOn { form, .. } => Some(form),
            Who::Stranger | Who::Local | Who::Bearer { .. } => None,
        }
    }

    /// Renders a page about prompts.
    pub fn page(&self, page: &Page<'_>) -> String {
        self.page_of(Part::Prompts, page)
    }

    /// Renders a page.
    pub fn page_of(&self, part: Part, page: &Page<'_>) -> String {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (plain(page.title)) " · " (plain(&self.registry)) }
                    link rel="icon" href="/ui/icon.svg" type="image/svg+xml";
                    link rel="stylesheet" href={ "/ui/app.css?v=" (*ASSETS) };
                    script src={ "/ui/app.js?v=" (*ASSETS) } defer {}
                }
                body data-from=[self.from] {
                    a.skip href="#main" { "Skip to the content" }
                    (self.header(part, page.searches))
                    @if let Some(following) = &self.replica { (note_of_replica(following)) }
                    @if let Some(done) = page.done { div.flash role="status" { (Escaped(done)) } }
                    main #main tabindex="-1" {
                        @if !page.above.is_empty() {
                            nav.crumbs aria-label="Breadcrumb" {
                                ol { @for (name, path) in page.above { li { a href=(path) { (Escaped(name)) } } } }
                            }
                        }
                        (page.main)
                    }
                    footer.foot {
                        span { "Registry " b { (Escaped(&self.registry)) } }
                        a href="/docs" { "API docs" }
                        span.keys aria-hidden="true" { kbd { "/" } " search  " kbd { "j" } " " kbd { "k" } " move" }
                    }
                }
            }
        }
        .into_string()
    }

    fn header(&self, part: Part, searches: bool) -> Markup {
        html! {
            header.top {
                a.brand href="/ui/" {
                    svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" {
                        path d="M3 3.5A1.5 1.5 0 0 1 4.500 2H9v15.500H4.500A1.500 1.500 0 0 1 3 16z" {}
                        path.thin d="M11 2h4.500A1.500 1.500 0 0 1 17 3.500V16a1.500 1.500 0 0 1-1.500 1.500H11z" {}
                    }
                    "Bookholder"
                }
                nav aria-label="Main" {
                    (entry(part == Part::Prompts, "/ui/", &html! { "Prompts" }))
                    @if let Some(open) = self.open {
                        (entry(part == Part::Review, "/ui/review", &html! {
                            "Review" @if open > 0 { " " span.count { (open) span.hidden { " open" } } }
                        }))
                    }
                    @if self.who != Who::Stranger && self.replica.is_none() {
                        (entry(part == Part::Evaluations, "/ui/evaluations", &html! { "Evaluations" }))
                        (entry(part == Part::Usage, "/ui/usage", &html! { "Usage" }))
                    }
                    @if self.audits { (entry(part == Part::Audit, "/ui/audit", &html! { "Audit" })) }
                    @if let Some(path) = self.access { (entry(part == Part::Access, path, &html! { "Settings" })) }
                    @if self.who != Who::Stranger {
                        (entry(part == Part::Replicas, "/ui/replicas", &html! { "Replicas" }))
                    }
                }
                @if searches { div.find {} } @else {
                    form.find action="/ui/" role="search" { (search_field("")) }
                }
                (self.person())
            }
        }
    }

    fn person(&self) -> Markup {
        match &self.who {
            Who::Stranger => html! {},
            Who::Local => html! {
                div.who {
                    span.quiet title="You are on the server itself, where reading needs no sign-in" {
                        "Read-only (local)"
                    }
                    a.button href="/ui/sign-in" { "Sign in" }
                }
            },
            Who::Bearer { name } => html! { div.who { span.quiet { (Escaped(name)) } } },
            Who::SingleSignOn { name, .. } => html! {
                details.who {
                    summary { span.face aria-hidden="true" { (initial(name)) } (Escaped(name)) }
                    div.menu {
                        p { "Signed in by single sign-on. To sign out, sign out there." }
                        p { a href=(principal_path(name)) { "Your permissions" } }
                    }
                }
            },
            Who::Signed { name, form, .. } | Who::SignInLink { name, form } => html! {
                details.who {
                    summary { span.face aria-hidden="true" { (initial(name)) } (Escaped(name)) }
                    div.menu {
                        @if let Who::Signed { token, .. } = &self.who {
                            p { "Signed in with the access token " b { (Escaped(token)) } "." }
                        } @else {
                            p { "Signed in with a sign-in link." }
                        }
                        @if self.replica.is_none() { p { a href=(principal_path(name)) { "Your permissions" } } }
                        form method="post" action="/ui/sign-out" {
                            (session(form))
                            button type="submit" { "Sign out" }
                            button type="submit" name="everywhere" value="yes" { "Sign out everywhere" }
                        }
                    }
                }
            },
        }
    }
}

/// The search field for prompts; one per page.
pub(super) fn search_field(words: &str) -> Markup {
    html! {
        label.hidden for="find" { "Search prompts" }
        input #find type="search" name="q" value=(plain(words)) placeholder="Search prompts" autocomplete="off"
            spellcheck="false" maxlength="200";
    }
}

fn entry(here: bool, path: &str, name: &Markup) -> Markup {
    html! { a href=(path) aria-current=[here.then_some("true")] { (name) } }
}

fn note_of_replica(following: &ReplicaStatus) -> Markup {
    let age = length(i64::try_from(following.age_s).unwrap_or(i64::MAX).saturating_mul(1_000));
    html! {
        div #replica .note.warn[following.stale] role="region" aria-label="This replica" data-live data-again="10000" {
            "Read-only replica. "
            @if following.stale { "Last contact with the primary: " (age) " ago. " }
            @if let Some(upstream) = &following.upstream { "Make changes at " code { (Escaped(upstream)) } "." }
        }
    }
}

fn initial(name: &str) -> String {
    plain(&name.chars().take(1).collect::<String>().to_uppercase())
}

/// One segment of a path, encoded.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The path of a prompt's page.
pub fn prompt_path(name: &str) -> String {
    path_about("prompts", name, &[])
}

/// The path of a page about a prompt, by the word for its kind, with a query.
pub fn path_about(kind: &str, name: &str, parameters: &[(&str, &str)]) -> String {
    format!("/ui/{kind}/{}{}", utf8_percent_encode(name, PATH), query(parameters))
}

/// A reference in the path of the API, where its slashes and its `@` stay.
pub fn reference_path(reference: &str) -> String {
    match reference.rsplit_once('@') {
        Some((name, selector)) => {
            format!("{}@{}", utf8_percent_encode(name, PATH), utf8_percent_encode(selector, VALUE))
        }
        None => utf8_percent_encode(reference, PATH).to_string(),
    }
}

/// The path of the form that rolls back a label.
pub fn back_path(name: &str, label: &str) -> String {
    format!("{}{}#back-{}", prompt_path(name), query(&[("back", label)]), utf8_percent_encode(label, VALUE))
}

/// The path of the diff between two versions of a prompt.
pub fn diff_path(name: &str, from: u64, to: u64) -> String {
    compare_path(name, &[("from", &from.to_string()), ("to", &to.to_string())])
}

/// The path of a comparison with these parameters.
pub fn compare_path(name: &str, parameters: &[(&str, &str)]) -> String {
    path_about("diff", name, parameters)
}

/// The path of a principal's page.
pub fn principal_path(name: &str) -> String {
    format!("/ui/access/who/{}", utf8_percent_encode(name, VALUE))
}

/// The path of a change request's page.
pub fn request_path(id: u64) -> String {
    format!("/ui/review/{id}")
}

/// The path of the page of a recorded response.
#[must_use]
pub fn response_path(id: &str) -> String {
    format!("/ui/responses/{}", utf8_percent_encode(id, SEGMENT))
}

/// The path of an alert's page.
#[must_use]
pub fn alert_path(name: &str) -> String {
    format!("/ui/alerts/{}", utf8_percent_encode(name, SEGMENT))
}

/// The path of the page of a session.
#[must_use]
pub fn session_path(id: &str) -> String {
    format!("/ui/sessions/{}", utf8_percent_encode(id, SEGMENT))
}

/// A query with these parameters and its question mark; empty ones are left out.
pub fn query(parameters: &[(&str, &str)]) -> String {
    let said: Vec<(&str, &str)> = parameters.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
    if said.is_empty() { String::new() } else { whole_query(&said) }
}

/// The same, including empty ones.
pub fn whole_query(parameters: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, VALUE));
    format!("?{}", parameters.iter().map(pair).collect::<Vec<String>>().join("&"))
}

/// A command to copy.
pub fn command(line: &str) -> Markup {
    html! { div.command { pre tabindex="0" { code { (Escaped(line)) } } button.copy type="button" hidden { "Copy" } } }
}

/// An empty state, and what to do.
pub fn empty(heading: &str, why: &str) -> Markup {
    html! { div.empty { h2 { (heading) } p { (with_code(why)) } } }
}

/// The colour of a version, the same in every chart.
pub(super) fn colour(version: u64) -> String {
    /// Colours of versions, in rotation.
    const COLOURS: u64 = 8;
    format!("k{}", version % COLOURS)
}

/// The colour of a version as a line or bar of a chart over time.
pub(super) fn series_colour(version: u64) -> String {
    colour(version).replace('k', "s")
}

#[cfg(test)]
pub(super) fn sample(who: Who) -> Frame {
    let now = Timestamp::from_ms(1_774_018_800_000);
    Frame {
        registry: "ex\u{202e}<b>".to_owned(),
        now,
        who,
        replica: None,
        open: Some(3),
        audits: false,
        access: None,
        from: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(frame: &Frame, main: Markup) -> String {
        frame.page(&Page { title: "</title><script>", above: &[], done: Some("<i>"), searches: false, main })
    }

    #[test]
    fn page_has_landmarks_and_no_inline_scripts_or_styles() {
        let signed = Who::Signed { name: "<img>".to_owned(), token: "a\u{200b}b".to_owned(), form: "f00".to_owned() };
        let mut frame = sample(signed);
        frame.replica = Some(ReplicaStatus { upstream: Some("http://<x>".to_owned()), age_s: 61, stale: true });
        let page = page(&frame, html! { h1 { "x" } });
        for part in [
            "<main id=\"main\"",
            "<header class=\"top\">",
            "href=\"#main\"",
            "a<span class=\"odd\">U+200B</span>b",
            "&lt;img&gt;",
            "name=\"form\" value=\"f00\"",
            "1 min 1 s ago",
            "ex\u{fffd}&lt;b&gt;</title>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        assert!(!page.contains(" style=") && !page.contains("<i>") && !page.contains(" on"), "{page}");
    }

    #[test]
    fn page_frame_shows_the_visitor() {
        for (who, part) in [
            (Who::Local, "Read-only (local)"),
            (Who::Bearer { name: "ci".to_owned() }, "ci"),
            (Who::Stranger, "Search prompts"),
        ] {
            let shown = page(&sample(who.clone()), html! {});
            assert!(shown.contains(part), "{who:?}: {shown}");
            assert!(!shown.contains("/ui/sign-out"), "{who:?}");
        }
    }

    #[test]
    fn paths_and_queries_encode_any_name() {
        assert_eq!(prompt_path("support/a b?#%\"<"), "/ui/prompts/support/a%20b%3F%23%25%22%3C");
        assert_eq!(diff_path("还/是", 1, 2), "/ui/diff/%E8%BF%98/%E6%98%AF?from=1&to=2");
        assert_eq!(query(&[("q", "a&b=c"), ("x", "")]), "?q=a%26b%3Dc");
        assert_eq!(query(&[("q", "")]), "");
    }

    #[test]
    fn stylesheet_and_script_load_nothing_from_other_hosts() {
        for text in [STYLE, SCRIPT] {
            for word in ["http:", "https:", "//cdn", "@import", "eval(", "innerHTML"] {
                assert!(!text.contains(word), "{word}");
            }
        }
    }
}
