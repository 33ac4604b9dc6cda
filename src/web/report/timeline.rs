//! The picture of what was live when: a lane for each label of a prompt, a bar for each time that it served something.
//!
//! It is SVG without scripts; what a bar means stands in its title. Lanes come in panels that fit on a printed page.
//! Invariant: a picture leaves lanes out rather than growing without bound, and says how many.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use crate::governance::report::{Report, Row, Span};
use crate::model::audit::Decision;
use crate::model::deployment::Action;
use crate::model::time::Timestamp;
use crate::web::axis::{marks, offset};
use crate::web::words::{length, moment, plain, shorten};

/// Most lanes that are drawn: beyond them nobody compares, and the table has them all.
const LANES_MAX: usize = 60;
/// Lanes of one panel: as many as fit on a landscape page.
const PANEL_LANES: usize = 20;
/// Most refusals that are marked on one lane.
const REFUSALS_MAX: usize = 200;
/// Sizes in the picture's own units.
const WIDTH: i64 = 1_200;
const PLOT_X: i64 = 268;
const PLOT_WIDTH: i64 = WIDTH - PLOT_X - 12;
const AXIS_HEIGHT: i64 = 26;
const LANE_HEIGHT: i64 = 24;
const BAR_HEIGHT: i64 = 15;
/// Letters that fit beside the plot.
const NAME_LETTERS: usize = 41;
/// A bar that is narrower is drawn together with its neighbours, in tenths of a unit.
const NARROW_TENTHS: i64 = 30;
/// What one letter on a bar takes, in tenths.
const LETTER_TENTHS: i64 = 65;
/// Colours of bars, taken in turn by version.
const COLOURS: u64 = 8;

/// A length in tenths of the picture's units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tenths(i64);

impl std::fmt::Display for Tenths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 10, self.0 % 10);
        if part == 0 { write!(f, "{whole}") } else { write!(f, "{whole}.{part}") }
    }
}

/// The stretch of time that the picture shows, in milliseconds.
#[derive(Clone, Copy)]
struct Window {
    from_ms: i64,
    to_ms: i64,
}

impl Window {
    /// The report's range, without what lies before the first change and after the report was made.
    fn of(report: &Report) -> Self {
        let (from, to) = (report.question.from.ms(), report.question.to.ms());
        let spans = report.spans.iter().map(|span| span.from.ms());
        let first = spans.chain(report.rows.iter().map(|row| row.occurred_at.ms())).min().unwrap_or(from);
        let from_ms = from.max(first);
        let to_ms = to.min(report.heading.generated_at.ms()).max(from_ms.saturating_add(1_000));
        Self { from_ms, to_ms }
    }

    /// Where a moment stands, in tenths; moments outside stand at the edge.
    fn x(self, ms: i64) -> Tenths {
        Tenths(PLOT_X * 10 + offset(ms, (self.from_ms, self.to_ms), PLOT_WIDTH * 10))
    }

    fn bar(self, span: &Span) -> (Tenths, Tenths) {
        (self.x(span.from.ms()), self.x(span.until.map_or(i64::MAX, Timestamp::ms)))
    }
}

/// One label of one prompt.
#[derive(Default)]
struct Lane<'a> {
    spans: Vec<&'a Span>,
    refused: Vec<&'a Row>,
}

impl Lane<'_> {
    fn changes(&self) -> usize {
        self.spans.len() + self.refused.len()
    }
}

/// A lane with what names it: prompt and label.
type Named<'a> = ((&'a str, &'a str), Lane<'a>);

/// Draws the picture; a sentence where there is nothing to draw.
pub(super) fn timeline(report: &Report) -> Markup {
    let window = Window::of(report);
    let mut lanes = lanes(report);
    if lanes.is_empty() {
        return html! { p.quiet { "No label served anything in this time." } };
    }
    let left_out = lanes.len().saturating_sub(LANES_MAX);
    if left_out > 0 {
        lanes.sort_by_key(|(_, lane)| std::cmp::Reverse(lane.changes()));
        lanes.truncate(LANES_MAX);
        lanes.sort_by_key(|(name, _)| *name);
    }
    html! {
        div.wide { @for panel in lanes.chunks(PANEL_LANES) { (draw(panel, window)) } }
        (legend())
        @if left_out > 0 {
            p.quiet {
                "Drawn are the " (LANES_MAX) " labels that changed most; " (left_out)
                " more stand in the table below and are not drawn."
            }
        }
    }
}

/// Every lane, by prompt and label.
fn lanes(report: &Report) -> Vec<Named<'_>> {
    let mut lanes: BTreeMap<(&str, &str), Lane<'_>> = BTreeMap::new();
    for span in &report.spans {
        lanes.entry((span.name.as_str(), span.label.as_str())).or_default().spans.push(span);
    }
    for row in report.rows.iter().filter(|row| row.entry.decision == Decision::Denied) {
        for asked in row.moves.iter().filter(|asked| report.question.prompts.matches(&asked.prompt)) {
            let lane = lanes.entry((&asked.prompt, &asked.label)).or_default();
            if lane.refused.len() < REFUSALS_MAX {
                lane.refused.push(row);
            }
        }
    }
    lanes.into_iter().collect()
}

fn draw(panel: &[Named<'_>], window: Window) -> Markup {
    let height = AXIS_HEIGHT + LANE_HEIGHT * i64::try_from(panel.len()).unwrap_or(0) + 6;
    let mut marks = marks(window.from_ms, window.to_ms);
    // A mark at the very end would be cut.
    marks.retain(|(at, _)| window.x(*at) < Tenths((WIDTH - 40) * 10));
    let what = "What each label served over time; the table below says the same in words";
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(what) {
            @for (at, label) in &marks {
                @let x = window.x(*at);
                line.grid x1=(x) y1=(AXIS_HEIGHT - 8) x2=(x) y2=(height) {}
                text.axis x=(x) y="12" { (label) }
            }
            @for (row, (name, lane)) in panel.iter().enumerate() {
                (draw_lane(*name, lane, AXIS_HEIGHT + LANE_HEIGHT * i64::try_from(row).unwrap_or(0), window))
            }
        }
    }
}

fn draw_lane((name, label): (&str, &str), lane: &Lane<'_>, y: i64, window: Window) -> Markup {
    let bar_y = y + (LANE_HEIGHT - BAR_HEIGHT) / 2;
    let mut bars = String::new();
    let mut narrow: Vec<&Span> = Vec::new();
    for span in &lane.spans {
        let (from, to) = window.bar(span);
        if to.0 - from.0 < NARROW_TENTHS {
            narrow.push(span);
            continue;
        }
        bars.push_str(&cluster(&narrow, bar_y, window).0);
        narrow.clear();
        bars.push_str(&bar(span, bar_y, window).0);
    }
    bars.push_str(&cluster(&narrow, bar_y, window).0);
    let label_letters = label.chars().count() + 1;
    html! {
        text x="0" y=(bar_y + 11) {
            title { (plain(name)) "@" (plain(label)) }
            (shorten(name, NAME_LETTERS.saturating_sub(label_letters).max(8)))
            tspan.label { "@" (shorten(label, 20)) }
        }
        (PreEscaped(bars))
        @for row in &lane.refused {
            @let x = window.x(row.occurred_at.ms());
            path.no d={ "M" (Tenths(x.0 - 40)) " " (y) "h8l-4 6z" } {
                title {
                    "refused: " (plain(&row.entry.actor)) ", " (plain(&row.entry.command)) ", "
                    (moment(row.occurred_at))
                    " (commit " (row.entry.seq) ")"
                }
            }
        }
    }
}

/// One time that a label served something.
fn bar(span: &Span, y: i64, window: Window) -> Markup {
    let (from, to) = window.bar(span);
    let width = Tenths(to.0 - from.0 - 5);
    let first = span.serving.versions().first().copied().unwrap_or_default();
    let class = format!("k{}{}", first % COLOURS, if span.serving.fixed().is_none() { " several" } else { "" });
    let words = words(span);
    let letters = i64::try_from(words.chars().count()).unwrap_or(i64::MAX / LETTER_TENTHS);
    let ended = matches!(span.ended_by, Some(Action::Unlabel | Action::Remove));
    html! {
        g {
            title { (title(span)) }
            rect class=(class) x=(from) y=(y) width=(width) height=(BAR_HEIGHT) rx="2" {}
            @if let Some(risk) = span.risk {
                rect class=(risk) x=(from) y=(y + BAR_HEIGHT - 2) width=(width) height="2" {}
            }
            @if letters * LETTER_TENTHS < width.0 - 60 {
                text.number x=(Tenths(from.0 + width.0 / 2)) y=(y + 11) { (words) }
            }
            @if span.action == Action::Rollback {
                path.back d={ "M" (Tenths(from.0 + 70)) " " (y + 3) "v9l-6-4.5z" } {}
            }
            @if ended && to < window.x(i64::MAX) {
                path.gone d={ "M" (Tenths(to.0 - 20)) " " (y + 4) "l7 7m0-7l-7 7" } {}
            }
        }
    }
}

/// Several times that are too short to be drawn one by one.
fn cluster(spans: &[&Span], y: i64, window: Window) -> Markup {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return html! {} };
    if let ([span], true) = (spans, first.risk.is_none()) {
        let (from, _) = window.bar(span);
        let colour = span.serving.versions().first().copied().unwrap_or_default() % COLOURS;
        let class = if span.action == Action::Rollback { "back".to_owned() } else { format!("k{colour} busy") };
        return html! {
            rect class=(class) x=(from) y=(y) width="2" height=(BAR_HEIGHT) { title { (title(span)) } }
        };
    }
    let (from, to) = (window.bar(first).0, window.bar(last).1);
    let width = Tenths((to.0 - from.0).max(20));
    let rollbacks = spans.iter().filter(|span| span.action == Action::Rollback).count();
    let risk = spans.iter().filter_map(|span| span.risk).max();
    html! {
        g {
            title {
                (spans.len()) " changes from " (moment(first.from)) " on: versions " (words(first)) " to " (words(last))
                @if rollbacks > 0 { ", rolled back " (rollbacks) " times" }
            }
            rect.busy x=(from) y=(y) width=(width) height=(BAR_HEIGHT) rx="1" {}
            @if let Some(risk) = risk {
                rect class=(risk) x=(from) y=(y + BAR_HEIGHT - 2) width=(width) height="2" {}
            }
        }
    }
}

/// What a bar says: a version, or the versions of a split; `…` where rules choose.
fn words(span: &Span) -> String {
    let numbers: Vec<String> = span.serving.versions().iter().map(u64::to_string).collect();
    let rules = if span.serving.rules.is_empty() { "" } else { "…" };
    format!("{}{rules}", numbers.join("+"))
}

fn title(span: &Span) -> String {
    let until = span.until.map_or_else(|| "still".to_owned(), moment);
    let lasted = span.until.map_or_else(String::new, |until| format!(", {}", length(until.ms() - span.from.ms())));
    let risk = span.risk.map_or_else(String::new, |risk| format!(", risk {risk}"));
    let text = format!(
        "{}@{} served {} from {} until {until}{lasted} ({} {}, by {}){risk}",
        span.name,
        span.label,
        span.serving,
        moment(span.from),
        span.action,
        span.deployment,
        span.by
    );
    plain(&text)
}

fn legend() -> Markup {
    html! {
        ul.legend {
            li { svg viewBox="0 0 14 10" { rect.k0 width="14" height="10" rx="2" {} } "a version being served" }
            li { svg viewBox="0 0 14 10" { rect.k1.several x="1" y="1" width="12" height="8" {} } "a split or rules" }
            li { svg viewBox="0 0 14 10" { rect.busy width="14" height="10" rx="1" {} } "short ones together" }
            li { svg viewBox="0 0 14 10" { path.back d="M10 0v10l-6-5z" {} } "rollback" }
            li { svg viewBox="0 0 14 10" { path.gone d="M4 2l6 6m0-6l-6 6" {} } "taken away" }
            li { svg viewBox="0 0 14 10" { path.no d="M3 2h8l-4 6z" {} } "refused" }
            li {
                svg viewBox="0 0 14 10" { rect.k0 width="14" height="10" {} rect.high y="7" width="14" height="3" {} }
                "with a risk"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::report::samples;

    #[test]
    fn a_picture_has_a_lane_a_bar_and_a_mark_for_what_happened() {
        let picture = timeline(&samples::incident()).0;
        assert_eq!(picture.matches("<svg viewBox=\"0 0 1200 56\"").count(), 1, "one lane");
        assert_eq!(picture.matches("@production served ").count(), 3, "three bars");
        for part in [
            "served 2 from 2026-03-20 14:00:00 until 2026-03-20 15:00:00, 1 h (deploy 5, by rel), risk high",
            "refused: bo, deploy, 2026-03-20 12:30:00 (commit 3)",
            "class=\"back\"",
            "class=\"high\"",
            "support/agent<tspan class=\"label\">@production",
        ] {
            assert!(picture.contains(part), "{part} in {picture}");
        }
        let none = timeline(&samples::report_of("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "**")).0;
        assert!(none.contains("No label served anything"), "{none}");
    }

    #[test]
    fn many_lanes_come_in_panels_and_the_rest_is_counted() {
        let report = samples::many(3_000);
        let picture = timeline(&report).0;
        assert_eq!(picture.matches("role=\"img\"").count(), LANES_MAX / PANEL_LANES);
        let all = lanes(&report).len();
        assert!(all > LANES_MAX);
        assert!(picture.contains(&format!("; {} more stand in the table", all - LANES_MAX)));
    }

    #[test]
    fn bars_stay_within_the_plot() {
        let window = Window { from_ms: 1_000, to_ms: 2_000 };
        for (ms, x) in [(i64::MIN, "268"), (1_000, "268"), (1_500, "728"), (2_000, "1188"), (i64::MAX, "1188")] {
            assert_eq!(window.x(ms).to_string(), x, "{ms}");
        }
        let wide = Window { from_ms: i64::MIN, to_ms: i64::MAX };
        assert_eq!(wide.x(i64::MAX).to_string(), "1188");
    }
}
