//! Links between Markdown files lead to files and headings that exist, and the site has every page once.
//!
//! mdBook is not needed for it: it renders links that lead nowhere without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use super::page::{Page, files, markdown_files, root};

/// The folder of the site.
const SITE: &str = "docs/";
/// Its table of contents.
const SUMMARY: &str = "docs/SUMMARY.md";

/// A link: the line, and where it leads.
struct Link {
    line: usize,
    target: String,
}

fn links(page: &Page) -> Vec<Link> {
    let code = Regex::new("`[^`]*`").expect("a pattern");
    let link = Regex::new(r"\]\(([^()\s]+)\)|^\[[^\]]+\]: (\S+)$").expect("a pattern");
    let mut found = Vec::new();
    for (line, text) in page.prose() {
        let text = code.replace_all(text, "code");
        for captures in link.captures_iter(&text) {
            let target = captures.get(1).or_else(|| captures.get(2)).map(|target| target.as_str().to_owned());
            found.extend(target.map(|target| Link { line, target }));
        }
    }
    found
}

/// The names of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let linked = Regex::new(r"\[([^\]]*)\]\([^)]*\)").expect("a pattern");
    let mut found = BTreeSet::new();
    for (_, line) in page.prose() {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let title = linked.replace_all(title.trim(), "$1").to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = counts.entry(slug.clone()).or_insert(0);
        found.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    found
}

/// The path of a link's target in the repository; `None` where it leaves it.
fn resolved(page: &str, target: &str) -> Option<String> {
    let mut path = PathBuf::from(page).parent().map(Path::to_owned).unwrap_or_default();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path.to_string_lossy().into_owned())
}

/// What is wrong with a link.
fn check(page: &Page, link: &Link) -> Result<(), String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.target.starts_with(scheme)) {
        return Ok(());
    }
    let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
    let target = if path.is_empty() { Some(page.path.clone()) } else { resolved(&page.path, path) };
    let target = target.filter(|target| root().join(target).exists()).ok_or("the file does not exist")?;
    if page.path.starts_with(SITE) && !(target.starts_with(SITE) && root().join(&target).is_file()) {
        return Err("a page of the site links to files in docs/ only: others are not on the site".to_owned());
    }
    if !anchor.is_empty() && !anchors(&Page::read(&target)).contains(anchor) {
        return Err(format!("{target} has no such heading"));
    }
    Ok(())
}

#[test]
fn links_between_markdown_files_lead_to_files_and_headings_that_exist() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in markdown_files("") {
        let page = Page::read(&path);
        for link in links(&page) {
            count += 1;
            if let Err(why) = check(&page, &link) {
                wrong.push(format!("{path}:{}: {}: {why}", link.line, link.target));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 100, "{count} links");
}

#[test]
fn pages_that_other_files_name_exist() {
    let named = Regex::new(r"\bdocs/[\w./-]+\.(?:md|png)\b").expect("a pattern");
    let kinds = ["rs", "yaml", "py", "mjs", "ts", "sh", "toml", "service", "conf", "json", "md", "txt"];
    let (mut missing, mut count) = (Vec::new(), 0);
    let wanted = |path: &Path| {
        let is_text = path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known));
        is_text && !path.starts_with("tests/integration/documentation")
    };
    for path in files("", &wanted) {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for found in named.find_iter(&text) {
            count += 1;
            if !root().join(found.as_str()).exists() {
                missing.push(format!("{path}: {}", found.as_str()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 10, "{count} pages");
}

#[test]
fn table_of_contents_has_every_page_once() {
    let linked = links(&Page::read(SUMMARY)).into_iter().map(|link| format!("{SITE}{}", link.target));
    let mut linked: Vec<String> = linked.collect();
    linked.sort_unstable();
    let pages: Vec<String> = markdown_files("docs").into_iter().filter(|page| page != SUMMARY).collect();
    assert_eq!(linked, pages, "{SUMMARY} on the left, the files on the right");
}

#[test]
fn every_page_has_one_title() {
    for path in markdown_files("docs").into_iter().filter(|path| path != SUMMARY) {
        let page = Page::read(&path);
        let titles = page.prose().iter().filter(|(_, line)| line.starts_with("# ")).count();
        assert_eq!(titles, 1, "{path}");
    }
}

#[test]
fn a_link_that_leads_nowhere_or_leaves_the_site_is_found() {
    let page = |text: &str| Page { path: "docs/start.md".to_owned(), text: text.to_owned(), parts: Vec::new() };
    for (text, expected) in [
        ("[a](https://example.com/x)", None),
        ("[a](concepts.md)", None),
        ("[a](concepts.md#nowhere)", Some("no such heading")),
        ("[`a`](nowhere.md)", Some("does not exist")),
        ("[a](../../../etc/passwd)", Some("does not exist")),
        ("[a](../Cargo.toml)", Some("not on the site")),
        ("[a](../docs)", Some("not on the site")),
    ] {
        let page = page(text);
        let found = links(&page).iter().map(|link| check(&page, link)).next().expect("a link");
        assert_eq!(found.is_err(), expected.is_some(), "{text}: {found:?}");
        assert!(found.err().is_none_or(|why| why.contains(expected.unwrap_or_default())), "{text}");
    }
    assert!(links(&page("`[a](nowhere.md)`\n```\n[a](nowhere.md)\n```\n")).is_empty(), "code has no links");
    assert!(anchors(&page("# A `b` c\n## Who, what?\n## Who what")).contains("who-what-1"));
}
