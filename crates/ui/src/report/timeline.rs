//! The timeline of a report: a lane for each label of a prompt, a bar for each period in which it served something.
//!
//! SVG without scripts; the meaning of a bar is in its tooltip. Lanes are in panels that fit on a printed page.
//! Invariant: the number of lanes is bounded, and the chart says how many it leaves out.

use std::collections::BTreeMap;
use std::io::Write;

use maud::{Markup, PreEscaped, html};

use super::put;
use crate::axis::{marks, offset};
use crate::format::{length, moment, plain, shorten};
use crate::governance::report::{Report, ReportRow, ReportScope, Source, Span};
use crate::model::audit::{AuditEntry, Decision};
use crate::model::deployment::Action;
use crate::model::finding::Severity;
use crate::model::name::{Label, PromptName};
use crate::model::time::Timestamp;

/// Most lanes: more are not useful for comparison, and the table has all of them.
const LANES_MAX: usize = 60;
/// Lanes per panel: as many as fit on a landscape page.
const PANEL_LANES: usize = 20;
/// Most denials that are marked on one lane.
const REFUSALS_MAX: usize = 200;
/// Most lanes with marked denials, in case there are more denied names than labels.
const REFUSED_LANES_MAX: usize = 500;
/// Dimensions in the chart's own units.
const WIDTH: i64 = 1_200;
const PLOT_X: i64 = 268;
const PLOT_WIDTH: i64 = WIDTH - PLOT_X - 12;
const AXIS_HEIGHT: i64 = 26;
const LANE_HEIGHT: i64 = 24;
const BAR_HEIGHT: i64 = 15;
/// Number of characters that fit beside the plot.
const NAME_LETTERS: usize = 41;
/// A narrower bar is combined with its neighbours, in tenths of a unit.
const NARROW_TENTHS: i64 = 30;
/// Width of a character on a bar, in tenths.
const LETTER_TENTHS: i64 = 65;
/// Colours of bars, in rotation by version.
const COLOURS: u64 = 8;

/// A length in tenths of the chart's units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TenthsOfUnit(i64);

impl std::fmt::Display for TenthsOfUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 10, self.0 % 10);
        if part == 0 { write!(f, "{whole}") } else { write!(f, "{whole}.{part}") }
    }
}

/// The period of the chart, in milliseconds.
#[derive(Clone, Copy)]
struct Window {
    from_ms: i64,
    to_ms: i64,
}

impl Window {
    /// The report's period, without the time before the first change and after the report was made.
    fn of<S>(report: &Report<'_, S>, first_ms: Option<i64>) -> Self {
        let (from, to) = (report.question.from.ms(), report.question.to.ms());
        let from_ms = from.max(first_ms.unwrap_or(from));
        let to_ms = to.min(report.heading.generated_at.ms()).max(from_ms.saturating_add(1_000));
        Self { from_ms, to_ms }
    }

    /// The position of a time, in tenths; times outside are clamped.
    fn x(self, ms: i64) -> TenthsOfUnit {
        TenthsOfUnit(PLOT_X * 10 + offset(ms, (self.from_ms, self.to_ms), PLOT_WIDTH * 10))
    }

    fn bar(self, span: &Span) -> (TenthsOfUnit, TenthsOfUnit) {
        (self.x(span.from.ms()), self.x(span.until.map_or(i64::MAX, Timestamp::ms)))
    }
}

/// A denied command, as a mark.
#[derive(Clone, Copy)]
struct Refusal {
    at_ms: i64,
    seq: u64,
}

/// The denials of one lane.
#[derive(Default)]
struct Refused {
    marks: Vec<Refusal>,
    /// Whether the lane has periods, too.
    served: bool,
}

/// Prompt and label.
type Named = (String, String);

/// Data collected in advance: the number of changes decides which lanes are drawn.
#[derive(Default)]
pub(super) struct Timeline {
    first_ms: Option<i64>,
    /// The current lane, and its number of periods so far.
    current: Option<(Named, usize)>,
    /// The lanes with the most changes, among those that served something.
    busiest: Vec<(Named, usize)>,
    /// Number of lanes.
    lanes: usize,
    refused: BTreeMap<Named, Refused>,
}

impl Timeline {
    /// Adds a decision; all of them come before the periods.
    pub(super) fn row(&mut self, row: &ReportRow, question: &ReportScope) {
        self.begins(row.occurred_at);
        if row.entry.decision != Decision::Denied {
            return;
        }
        for asked in row.moves.iter().filter(|asked| question.prompts.matches(&asked.prompt)) {
            let lane = (asked.prompt.clone(), asked.label.clone());
            if self.refused.len() >= REFUSED_LANES_MAX && !self.refused.contains_key(&lane) {
                continue;
            }
            let marks = &mut self.refused.entry(lane).or_default().marks;
            if marks.len() < REFUSALS_MAX {
                marks.push(Refusal { at_ms: row.occurred_at.ms(), seq: row.entry.seq });
            }
        }
    }

    /// Adds a period in which a label served something, ordered by prompt and label.
    pub(super) fn span(&mut self, span: &Span) {
        self.begins(span.from);
        match &mut self.current {
            Some(((name, label), count)) if *name == span.name.as_str() && *label == span.label.as_str() => *count += 1,
            _ => {
                self.end_lane();
                self.current = Some(((span.name.to_string(), span.label.to_string()), 1));
            }
        }
    }

    fn begins(&mut self, at: Timestamp) {
        self.first_ms = Some(self.first_ms.map_or(at.ms(), |first| first.min(at.ms())));
    }

    fn end_lane(&mut self) {
        let Some((lane, spans)) = self.current.take() else { return };
        let refused = self.refused.get_mut(&lane).map_or(0, |refused| {
            refused.served = true;
            refused.marks.len()
        });
        self.rank(lane, spans.saturating_add(refused));
    }

    fn rank(&mut self, lane: Named, changes: usize) {
        self.lanes += 1;
        self.busiest.push((lane, changes));
        if self.busiest.len() >= 2 * LANES_MAX {
            self.keep_busiest();
        }
    }

    fn keep_busiest(&mut self) {
        self.busiest.sort_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
        self.busiest.truncate(LANES_MAX);
    }

    /// Renders the chart; a sentence if there is nothing to draw.
    pub(super) fn write<S: Source>(mut self, report: &Report<'_, S>, out: &mut dyn Write) -> Result<(), S::Error> {
        let lanes = self.choose();
        if lanes.is_empty() {
            return Ok(put(out, &html! { p.quiet { "Nothing was deployed in this period." } })?);
        }
        let window = Window::of(report, self.first_ms);
        out.write_all(b"<div class=\"wide\">")?;
        for panel in lanes.chunks(PANEL_LANES) {
            put(out, &head(panel.len(), window))?;
            for ((name, label), y) in panel.iter().zip((0..).map(|row| AXIS_HEIGHT + LANE_HEIGHT * row)) {
                let mut lane = Lane { y, window, bars: String::new(), narrow: None };
                if let (Ok(of), Ok(label)) = (name.parse::<PromptName>(), label.parse::<Label>()) {
                    report.spans_of(&of, &mut |span| {
                        if span.label == label {
                            lane.add(span);
                        }
                        Ok(())
                    })?;
                }
                put(out, &lane.drawn((name.as_str(), label.as_str())))?;
                let refused = self.refused.get(&(name.clone(), label.clone()));
                for refusal in refused.into_iter().flat_map(|refused| &refused.marks) {
                    if let Some(entry) = report.source.entry(refusal.seq)? {
                        put(out, &mark(*refusal, &entry, y, window))?;
                    }
                }
            }
            out.write_all(b"</svg>")?;
        }
        out.write_all(b"</div>")?;
        put(out, &legend())?;
        let left_out = self.lanes.saturating_sub(LANES_MAX);
        if left_out > 0 {
            let note = html! {
                p.quiet {
                    "The " (LANES_MAX) " most active labels are drawn; " (left_out)
                    " more are in the table below only."
                }
            };
            put(out, &note)?;
        }
        Ok(())
    }

    /// The drawn lanes, by prompt and label.
    fn choose(&mut self) -> Vec<Named> {
        self.end_lane();
        let only_asked = self.refused.iter().filter(|(_, refused)| !refused.served);
        let only_asked: Vec<_> = only_asked.map(|(lane, refused)| (lane.clone(), refused.marks.len())).collect();
        for (lane, changes) in only_asked {
            self.rank(lane, changes);
        }
        self.keep_busiest();
        let mut lanes: Vec<Named> = self.busiest.iter().map(|(lane, _)| lane.clone()).collect();
        lanes.sort();
        lanes
    }
}

/// The start of a panel with this many lanes: its axis.
fn head(lanes: usize, window: Window) -> Markup {
    let height = AXIS_HEIGHT + LANE_HEIGHT * i64::try_from(lanes).unwrap_or(0) + 6;
    let mut marks = marks(window.from_ms, window.to_ms);
    // A mark at the very end would be cut.
    marks.retain(|(at, _)| window.x(*at) < TenthsOfUnit((WIDTH - 40) * 10));
    let what = "What each label served over time; the table below lists the same deployments";
    let mut started = html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(what) {
            @for (at, label) in &marks {
                @let x = window.x(*at);
                line.grid x1=(x) y1=(AXIS_HEIGHT - 8) x2=(x) y2=(height) {}
                text.axis x=(x) y="12" { (label) }
            }
        }
    }
    .into_string();
    started.truncate(started.len().saturating_sub("</svg>".len()));
    PreEscaped(started)
}

/// One label of one prompt, while its periods are added.
struct Lane {
    y: i64,
    window: Window,
    bars: String,
    narrow: Option<Cluster>,
}

impl Lane {
    const fn bar_y(&self) -> i64 {
        self.y + (LANE_HEIGHT - BAR_HEIGHT) / 2
    }

    fn add(&mut self, span: &Span) {
        let (from, to) = self.window.bar(span);
        if to.0 - from.0 < NARROW_TENTHS {
            match &mut self.narrow {
                Some(cluster) => cluster.add(span),
                none => *none = Some(Cluster::of(span)),
            }
            return;
        }
        self.end_cluster();
        self.bars.push_str(&bar(span, self.bar_y(), self.window).0);
    }

    fn end_cluster(&mut self) {
        if let Some(cluster) = self.narrow.take() {
            self.bars.push_str(&cluster.drawn(self.bar_y(), self.window).0);
        }
    }

    fn drawn(mut self, (name, label): (&str, &str)) -> Markup {
        self.end_cluster();
        let label_letters = label.chars().count() + 1;
        html! {
            text x="0" y=(self.bar_y() + 11) {
                title { (plain(name)) "@" (plain(label)) }
                (shorten(name, NAME_LETTERS.saturating_sub(label_letters).max(8)))
                tspan.label { "@" (shorten(label, 20)) }
            }
            (PreEscaped(self.bars))
        }
    }
}

fn mark(refusal: Refusal, entry: &AuditEntry, y: i64, window: Window) -> Markup {
    html! {
        path.no d={ "M" (TenthsOfUnit(window.x(refusal.at_ms).0 - 40)) " " (y) "h8l-4 6z" } {
            title {
                "denied: " (plain(&entry.actor)) ", " (entry.command) ", "
                (moment(Timestamp::from_ms(refusal.at_ms)))
                " (commit " (entry.seq) ")"
            }
        }
    }
}

/// A period in which a label served something.
fn bar(span: &Span, y: i64, window: Window) -> Markup {
    let (from, to) = window.bar(span);
    let width = TenthsOfUnit(to.0 - from.0 - 5);
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
                text.number x=(TenthsOfUnit(from.0 + width.0 / 2)) y=(y + 11) { (words) }
            }
            @if span.action == Action::Rollback {
                path.back d={ "M" (TenthsOfUnit(from.0 + 70)) " " (y + 3) "v9l-6-4.5z" } {}
            }
            @if ended && to < window.x(i64::MAX) {
                path.gone d={ "M" (TenthsOfUnit(to.0 - 20)) " " (y + 4) "l7 7m0-7l-7 7" } {}
            }
        }
    }
}

/// Several periods that are too short to be drawn individually.
struct Cluster {
    first: Span,
    last: Span,
    count: usize,
    rollbacks: usize,
    risk: Option<Severity>,
}

impl Cluster {
    fn of(span: &Span) -> Self {
        let rollbacks = usize::from(span.action == Action::Rollback);
        Self { first: span.clone(), last: span.clone(), count: 1, rollbacks, risk: span.risk }
    }

    fn add(&mut self, span: &Span) {
        self.last = span.clone();
        self.count += 1;
        self.rollbacks += usize::from(span.action == Action::Rollback);
        self.risk = self.risk.max(span.risk);
    }

    fn drawn(&self, y: i64, window: Window) -> Markup {
        let Self { first, last, count, rollbacks, risk } = self;
        if *count == 1 && risk.is_none() {
            let (from, _) = window.bar(first);
            let colour = first.serving.versions().first().copied().unwrap_or_default() % COLOURS;
            let class = if *rollbacks > 0 { "back".to_owned() } else { format!("k{colour} busy") };
            return html! {
                rect class=(class) x=(from) y=(y) width="2" height=(BAR_HEIGHT) { title { (title(first)) } }
            };
        }
        let (from, to) = (window.bar(first).0, window.bar(last).1);
        let width = TenthsOfUnit((to.0 - from.0).max(20));
        html! {
            g {
                title {
                    (count) " changes from " (moment(first.from)) " on: versions " (words(first)) " to " (words(last))
                    @if *rollbacks > 0 { ", rolled back " (rollbacks) " times" }
                }
                rect.busy x=(from) y=(y) width=(width) height=(BAR_HEIGHT) rx="1" {}
                @if let Some(risk) = risk {
                    rect class=(risk) x=(from) y=(y + BAR_HEIGHT - 2) width=(width) height="2" {}
                }
            }
        }
    }
}

/// The text of a bar: a version, or the versions of a split; `…` if rules choose.
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
            li { svg viewBox="0 0 14 10" { rect.busy width="14" height="10" rx="1" {} } "several short ones" }
            li { svg viewBox="0 0 14 10" { path.back d="M10 0v10l-6-5z" {} } "rollback" }
            li { svg viewBox="0 0 14 10" { path.gone d="M4 2l6 6m0-6l-6 6" {} } "removed" }
            li { svg viewBox="0 0 14 10" { path.no d="M3 2h8l-4 6z" {} } "denied" }
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
    use crate::governance::report::samples::{self, Sample};

    fn timeline(report: &Report<'_, Sample>) -> String {
        let (_, timeline) = super::super::read(report).expect("in memory");
        let mut picture = Vec::new();
        timeline.write(report, &mut picture).expect("in memory");
        String::from_utf8(picture).expect("text")
    }

    #[test]
    fn timeline_has_lanes_bars_and_denial_marks() {
        let picture = timeline(&samples::incident().report());
        assert_eq!(picture.matches("<svg viewBox=\"0 0 1200 56\"").count(), 1, "one lane");
        assert_eq!(picture.matches("@production served ").count(), 3, "three bars");
        for part in [
            "served 2 from 2026-03-20 14:00:00 until 2026-03-20 15:00:00, 1 h (deploy 5, by rel), risk high",
            "denied: bo, deploy, 2026-03-20 12:30:00 (commit 3)",
            "class=\"back\"",
            "class=\"high\"",
            "support/agent<tspan class=\"label\">@production",
        ] {
            assert!(picture.contains(part), "{part} in {picture}");
        }
        let sample = samples::incident();
        let none = timeline(&sample.report_of("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z", "**"));
        assert!(none.contains("Nothing was deployed"), "{none}");
    }

    #[test]
    fn many_lanes_come_in_panels_and_the_rest_is_counted() {
        let sample = samples::many(3_000);
        let picture = timeline(&sample.whole_report());
        assert_eq!(picture.matches("role=\"img\"").count(), LANES_MAX / PANEL_LANES);
        let all = sample.prompts.values().filter(|history| !history.deployments.is_empty()).count();
        assert!(all > LANES_MAX);
        assert!(picture.contains(&format!("; {} more are in the table", all - LANES_MAX)));
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
