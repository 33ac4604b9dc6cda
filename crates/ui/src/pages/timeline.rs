//! The timeline of one prompt: what was live on each label; each bar links to what was served then.
//!
//! SVG without scripts. Invariant: bars that are too narrow are combined and counted, never left out, and the number of
//! bars is bounded for any history.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::axis::{marks, offset};
use crate::format::{length, moment, plain, shorten};
use crate::layout::{colour, query};
use crate::model::deployment::{Action, Deployment};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;

/// Dimensions in the chart's own units.
const WIDTH: i64 = 1_000;
const PLOT_X: i64 = 132;
/// Space for the text of the last bar, however narrow it is.
const PLOT_WIDTH: i64 = WIDTH - PLOT_X - 44;
const AXIS_HEIGHT: i64 = 22;
const LANE_HEIGHT: i64 = 32;
const BAR_HEIGHT: i64 = 22;
/// A narrower bar is combined with its neighbours.
const NARROW: i64 = 5;
/// Width of a character on a bar.
const LETTER: i64 = 7;
/// Number of characters that fit beside the plot.
const LABEL_LETTERS: usize = 18;

/// A period in which a label served something.
#[derive(Clone, Debug, PartialEq)]
struct Span<'a> {
    from: Timestamp,
    until: Option<Timestamp>,
    serving: &'a Serving,
    made_by: &'a Deployment,
}

/// What each label served, oldest first.
fn lanes(deployments: &[Deployment]) -> BTreeMap<&str, Vec<Span<'_>>> {
    let mut lanes: BTreeMap<&str, Vec<Span<'_>>> = BTreeMap::new();
    let mut ordered: Vec<&Deployment> = deployments.iter().filter(|one| !one.label.is_latest()).collect();
    ordered.sort_by_key(|one| one.id);
    for one in ordered {
        let lane = lanes.entry(one.label.as_str()).or_default();
        if let Some(last) = lane.last_mut().filter(|last| last.until.is_none()) {
            last.until = Some(one.at);
        }
        if let Some(serving) = &one.to {
            lane.push(Span { from: one.at, until: None, serving, made_by: one });
        }
    }
    lanes.retain(|_, spans| !spans.is_empty());
    lanes
}

/// The period of the chart.
#[derive(Clone, Copy)]
struct Window {
    from_ms: i64,
    to_ms: i64,
}

impl Window {
    fn x(self, at: Timestamp) -> i64 {
        PLOT_X + offset(at.ms(), (self.from_ms, self.to_ms), PLOT_WIDTH)
    }

    fn bar(self, span: &Span<'_>) -> (i64, i64) {
        (self.x(span.from), self.x(span.until.unwrap_or(Timestamp::from_ms(i64::MAX))))
    }
}

/// Renders the chart; nothing if no label ever served anything.
pub(super) fn timeline(deployments: &[Deployment], now: Timestamp, at: Option<Timestamp>) -> Markup {
    let lanes = lanes(deployments);
    let Some(first) = lanes.values().flatten().map(|span| span.from.ms()).min() else { return html! {} };
    let window = Window { from_ms: first, to_ms: now.ms().max(first.saturating_add(60_000)) };
    let height = AXIS_HEIGHT + LANE_HEIGHT * i64::try_from(lanes.len()).unwrap_or_default();
    let mut axis = marks(window.from_ms, window.to_ms);
    // Marks at the very ends would be cut, or overlap the labels.
    axis.retain(|(ms, _)| (PLOT_X..WIDTH - 90).contains(&window.x(Timestamp::from_ms(*ms))));
    html! {
        div.wide tabindex="0" role="region" aria-label="Timeline" {
            svg.timeline viewBox={ "0 0 " (WIDTH) " " (height) } role="group"
                aria-label="What each label served over time; each bar links to what was served then" {
                @for (ms, words) in &axis {
                    @let x = window.x(Timestamp::from_ms(*ms));
                    line.grid x1=(x) y1=(AXIS_HEIGHT - 6) x2=(x) y2=(height) {}
                    text.axis x=(x + 3) y="13" { (words) }
                }
                @for (row, (label, spans)) in lanes.iter().enumerate() {
                    @let y = AXIS_HEIGHT + LANE_HEIGHT * i64::try_from(row).unwrap_or_default();
                    text.label x="0" y=(y + 21) { (shorten(label, LABEL_LETTERS)) title { (plain(label)) } }
                    @for (group, place) in places(groups(spans, window), window) { (bar(label, &group, place, y + 5)) }
                }
                @if let Some(at) = at {
                    @let x = window.x(at);
                    line.at x1=(x) y1="2" x2=(x) y2=(height) {}
                }
            }
        }
    }
}

/// Adjacent bars that are too narrow, combined; all others alone.
fn groups<'s, 'a>(spans: &'s [Span<'a>], window: Window) -> Vec<Vec<&'s Span<'a>>> {
    let mut groups: Vec<Vec<&Span<'_>>> = Vec::new();
    // Where the open group can take more.
    let mut open = false;
    for span in spans {
        let (from, to) = window.bar(span);
        let narrow = to - from < NARROW;
        match groups.last_mut() {
            Some(last) if open && narrow => last.push(span),
            _ => groups.push(vec![span]),
        }
        let begun = groups.last().and_then(|last| last.first()).map_or(from, |first| window.x(first.from));
        // A group ends when it is wide enough, so that a busy month is many small bars and not one.
        open = narrow && to - begun < NARROW * 2;
    }
    groups
}

/// Each group with the position and width of its bar, without overlaps.
fn places<'s, 'a>(groups: Vec<Vec<&'s Span<'a>>>, window: Window) -> Vec<(Vec<&'s Span<'a>>, (i64, i64))> {
    let mut free = PLOT_X;
    let place = |group: Vec<&'s Span<'a>>| {
        let from = group.first().map_or(free, |first| window.bar(first).0).max(free);
        let to = group.last().map_or(free, |last| window.bar(last).1);
        let width = (to - from - 1).max(2);
        free = from + width + 1;
        (group, (from, width))
    };
    groups.into_iter().map(place).collect()
}

fn bar(label: &str, group: &[&Span<'_>], (from, width): (i64, i64), y: i64) -> Markup {
    let Some(last) = group.last() else { return html! {} };
    let alone = group.len() == 1;
    let at = query(&[("at", &last.from.to_string()), ("label", label)]);
    let class = if alone {
        let version = last.serving.versions().first().copied().unwrap_or_default();
        format!("{}{}", colour(version), if last.serving.fixed().is_none() { " several" } else { "" })
    } else {
        "busy".to_owned()
    };
    let words = words(last.serving);
    let fits = i64::try_from(words.chars().count()).unwrap_or(i64::MAX / LETTER) * LETTER + 8 < width;
    let back = group.iter().any(|span| span.made_by.action == Action::Rollback);
    html! {
        a href=(at) {
            title { (title(label, group)) }
            rect class=(class) x=(from) y=(y) width=(width) height=(BAR_HEIGHT) rx="3" {}
            @if alone && fits { text.number x=(from + width / 2) y=(y + 15) { (words) } }
            @else if last.until.is_none() { text.number.last x=(from + width + 4) y=(y + 15) { (words) } }
            @if back { path.back d={ "M" (from + 1) " " (y) "h7l-7 7z" } {} }
        }
    }
}

/// The text of a bar: a version, or the versions of a split; `…` if rules choose.
fn words(serving: &Serving) -> String {
    let numbers: Vec<String> = serving.versions().iter().map(|number| format!("v{number}")).collect();
    let rules = if serving.rules.is_empty() { "" } else { "…" };
    format!("{}{rules}", numbers.join("+"))
}

fn title(label: &str, group: &[&Span<'_>]) -> String {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return String::new() };
    let until = last.until.map_or_else(|| "now".to_owned(), moment);
    let made = last.made_by;
    let text = if group.len() > 1 {
        format!(
            "{label}: {} changes from {} to {until} UTC, the last to {}",
            group.len(),
            moment(first.from),
            last.serving
        )
    } else {
        let lasted = last.until.map_or_else(String::new, |until| format!(" ({})", length(until.ms() - last.from.ms())));
        format!(
            "{label} served {} from {} to {until} UTC{lasted}: {} by {}: {}",
            last.serving,
            moment(last.from),
            made.action,
            made.actor,
            made.message
        )
    };
    plain(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(id: u64, at_ms: i64, action: Action, to: Option<u64>) -> Deployment {
        Deployment {
            id,
            name: "a".parse().expect("a name"),
            label: "production".parse().expect("a label"),
            at: Timestamp::from_ms(at_ms),
            actor: "<b>ann".to_owned(),
            message: "why\u{202e}".to_owned(),
            action,
            from: None,
            to: to.map(Serving::version),
            approved_by: Vec::new(),
            change_request: None,
        }
    }

    #[test]
    fn each_serving_is_a_bar_that_leads_to_it() {
        let day = 86_400_000;
        let made = [
            moved(9, 8 * day, Action::Unlabel, None),
            moved(7, 5 * day, Action::Rollback, Some(1)),
            moved(5, 3 * day, Action::Deploy, Some(2)),
            moved(3, day, Action::Deploy, Some(1)),
        ];
        let shown = timeline(&made, Timestamp::from_ms(10 * day), Some(Timestamp::from_ms(4 * day))).0;
        assert_eq!(shown.matches("<a href").count(), 3, "{shown}");
        for part in [
            "href=\"?at=1970-01-04T00%3A00%3A00Z&amp;label=production\"",
            "production served 2 from 1970-01-04 00:00:00 to 1970-01-06 00:00:00 UTC (2 d)",
            "deploy by &lt;b&gt;ann: why\u{fffd}",
            "class=\"back\"",
            "class=\"at\"",
            ">v2</text>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }

    #[test]
    fn recent_window_is_not_covered_by_a_long_one() {
        let made = [moved(1, 1_000, Action::Deploy, Some(1)), moved(2, 1_001, Action::Deploy, Some(2))];
        let shown = timeline(&made, Timestamp::from_ms(100_000_000), None).0;
        let next = PLOT_X + 3;
        assert!(shown.contains(&format!("x=\"{PLOT_X}\" y=\"27\" width=\"2\"")), "{shown}");
        assert!(shown.contains(&format!("x=\"{next}\" y=\"27\"")), "{shown}");
    }

    #[test]
    fn however_many_changes_there_are_the_picture_stays_small() {
        let made: Vec<Deployment> = (1..5_000)
            .map(|id| moved(id, i64::try_from(id).expect("small") * 1_000, Action::Deploy, Some(id)))
            .collect();
        let shown = timeline(&made, Timestamp::from_ms(5_000_000), None).0;
        let bars = shown.matches("<a href").count();
        assert!((50..=200).contains(&bars), "{bars}");
        assert!(timeline(&[], Timestamp::from_ms(0), None).0.is_empty());
    }
}
