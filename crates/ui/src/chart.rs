//! Charts over time, as SVG without scripts: bars that are stacked, or lines, with deployments as vertical marks.
//!
//! Behind each chart is a table of the same figures. Invariant: a chart has as many elements as lines and marks, however
//! many points there are, and lines can be told apart without colours, by the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use maud::{Markup, html};

use crate::axis::marks;
use crate::figures::{UNKNOWN, compact, duration, percent, score};
use crate::format::{Escaped, moment, plain};
use crate::model::time::Timestamp;
use crate::model::usd::Usd;

/// Dimensions in the chart's own units.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 208.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 26.0;
/// Least distance of two labels of the time axis.
const LABEL_WIDTH: f64 = 96.0;
/// Least distance of two texts of marks.
const MARK_WIDTH: f64 = 30.0;
/// Steps of the value axis, about.
const STEPS: f64 = 4.0;
/// Up to this many points each has a dot.
const DOTTED_MAX: usize = 40;
/// Most rows of the table; the newest of more.
const ROWS_MAX: usize = 400;
/// Dimensions of a small chart in a table.
const SPARK: (f64, f64) = (96.0, 18.0);

/// What the values of a chart are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Whole numbers.
    Count,
    /// US dollars.
    Usd,
    /// Milliseconds.
    Ms,
    /// Shares, from 0 to 1.
    Share,
    /// Scores.
    Score,
}

impl Unit {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and for display")]
    fn show(self, value: f64) -> String {
        match self {
            Self::Count => compact(value.max(0.0).round() as u64),
            Self::Usd => Usd::from_pico((value.max(0.0) * 1e12).round() as u128).short(),
            Self::Ms => duration(Some(value)),
            Self::Share => percent(Some(value)),
            Self::Score => score(Some(value)),
        }
    }
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Bars, on top of each other.
    Bars,
    /// Lines; those of small gaps go on.
    Lines,
}

/// One thing over time.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its name.
    pub name: String,
    /// The class of its colour.
    pub colour: String,
    /// Whether a line is dashed.
    pub is_dashed: bool,
    /// Starts of buckets in milliseconds since 1970, in order, with values.
    pub points: Vec<(i64, f64)>,
}

/// Something that happened at a time.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// A few letters.
    pub short: String,
    /// All of it.
    pub text: String,
    /// Whether its letters go before those of others, where there is no room for all.
    pub is_main: bool,
}

/// The time of a chart.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "each says its unit")]
pub(super) struct Period {
    /// Its start, in milliseconds since 1970.
    pub from_ms: i64,
    /// Its end.
    pub to_ms: i64,
    /// The length of a bucket.
    pub bucket_ms: i64,
}

impl Period {
    #[allow(clippy::cast_precision_loss, reason = "a place on a chart of some hundred units")]
    fn place(self, at_ms: i64) -> f64 {
        let within = at_ms.clamp(self.from_ms, self.to_ms) - self.from_ms;
        within as f64 / (self.to_ms - self.from_ms).max(1) as f64
    }

    fn x(self, at_ms: i64) -> f64 {
        LEFT + self.place(at_ms) * (WIDTH - LEFT - RIGHT)
    }
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    /// Distinguishes it from others of the page.
    pub id: String,
    /// What it shows.
    pub title: &'a str,
    /// What its values are.
    pub unit: Unit,
    /// How they are drawn.
    pub style: Style,
    /// The time.
    pub period: Period,
    /// What is drawn.
    pub lines: Vec<Line>,
    /// What happened in that time.
    pub marks: &'a [Mark],
}

/// The value axis: lowest and highest value, and the distance of its grid lines.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn new(low: f64, high: f64, unit: Unit) -> Self {
        let (low, high) = (low.min(0.0), if high > low.min(0.0) { high } else { low.min(0.0) + 1.0 });
        let rough = (high - low) / STEPS;
        let tens = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|times| times * tens).find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(rough);
        let step = if unit == Unit::Count { step.max(1.0).ceil() } else { step };
        Self { low: (low / step).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    fn y(self, value: f64) -> f64 {
        let share = (value.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(self) -> Vec<f64> {
        let mut lines = Vec::new();
        let mut value = self.low;
        while value <= self.high + self.step / 2.0 && lines.len() <= 12 {
            // Sums of steps that should be zero are not quite.
            lines.push(if value.abs() < self.step / 1e6 { 0.0 } else { value });
            value += self.step;
        }
        lines
    }
}

impl Chart<'_> {
    /// Renders the chart, and the table behind it.
    pub(super) fn render(&self) -> Markup {
        let scale = self.scale();
        let title = format!("{}-title", self.id);
        html! {
            figure.chart id=(self.id) {
                figcaption { (Escaped(self.title)) }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby=(title) {
                    title id=(title) { (plain(&self.summary())) }
                    @for value in scale.grid() {
                        @let y = units(scale.y(value));
                        line.grid x1=(LEFT) y1=(y) x2=(WIDTH - RIGHT) y2=(y) {}
                        text.value x=(LEFT - 6.0) y=(units(scale.y(value) + 4.0)) { (self.unit.show(value)) }
                    }
                    @for (at_ms, label) in self.times() {
                        text.axis x=(units(self.period.x(at_ms))) y=(HEIGHT - 6.0) { (label) }
                    }
                    @match self.style { Style::Bars => (self.bars(scale)), Style::Lines => (self.drawn(scale)) }
                    (self.marked())
                }
                (self.table())
            }
        }
    }

    /// The chart in a sentence.
    fn summary(&self) -> String {
        let day = |ms: i64| moment(Timestamp::from_ms(ms)).chars().take(16).collect::<String>();
        let mut text = format!("{}, {} to {} UTC.", self.title, day(self.period.from_ms), day(self.period.to_ms));
        for line in &self.lines {
            let values = line.points.iter().map(|(_, value)| *value);
            let (low, high) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
            if low <= high {
                let _ = write!(text, " {}: {} to {}.", line.name, self.unit.show(low), self.unit.show(high));
            }
        }
        for mark in self.marks.iter().take(10) {
            let _ = write!(text, " {}: {}.", day(mark.at_ms), mark.text);
        }
        text
    }

    fn scale(&self) -> Scale {
        let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
        let (mut low, mut high) = (0.0_f64, 0.0_f64);
        for (at, value) in self.lines.iter().flat_map(|line| &line.points) {
            let sum = sums.entry(*at).or_default();
            *sum = if self.style == Style::Bars { *sum + value } else { *value };
            (low, high) = (low.min(*value), high.max(*sum));
        }
        Scale::new(low, high, self.unit)
    }

    /// Labels of the time axis that have room.
    fn times(&self) -> Vec<(i64, String)> {
        let mut last = f64::NEG_INFINITY;
        let mut kept = Vec::new();
        for (at_ms, label) in marks(self.period.from_ms, self.period.to_ms) {
            let x = self.period.x(at_ms);
            if x - last >= LABEL_WIDTH && x < WIDTH - RIGHT - LABEL_WIDTH / 3.0 {
                last = x;
                kept.push((at_ms, label));
            }
        }
        kept
    }

    fn bars(&self, scale: Scale) -> Markup {
        let mut tops: BTreeMap<i64, f64> = BTreeMap::new();
        let mut paths = Vec::new();
        for line in &self.lines {
            let mut path = String::new();
            for (at, value) in line.points.iter().filter(|(_, value)| *value > 0.0) {
                let top = tops.entry(*at).or_default();
                let (x, to) = (self.period.x(*at), self.period.x(at.saturating_add(self.period.bucket_ms)));
                let (low, high) = (scale.y(*top), scale.y(*top + value));
                let width = (to - x - 1.0).max(0.8);
                let _ = write!(path, "M{x:.1} {low:.1}h{width:.1}V{high:.1}h-{width:.1}z");
                *top += value;
            }
            paths.push((line, path));
        }
        html! { @for (line, path) in paths { @if !path.is_empty() { path.bar.(line.colour) d=(path) {} } } }
    }

    fn drawn(&self, scale: Scale) -> Markup {
        let bridged = (self.period.bucket_ms * 3 / 2).max((self.period.to_ms - self.period.from_ms) / 40);
        let number: usize = self.lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
        let mut paths = Vec::new();
        for line in &self.lines {
            let (mut path, mut dots) = (String::new(), String::new());
            let mut last: Option<i64> = None;
            for (index, (at, value)) in line.points.iter().enumerate() {
                let middle = at.saturating_add(self.period.bucket_ms / 2);
                let (x, y) = (self.period.x(middle), scale.y(*value));
                let goes_on = last.is_some_and(|last| at - last <= bridged);
                let next = line.points.get(index + 1).is_some_and(|(next, _)| next - at <= bridged);
                let _ = write!(path, "{}{x:.1} {y:.1}", if goes_on { 'L' } else { 'M' });
                if number <= DOTTED_MAX || (!goes_on && !next) {
                    // A line of no length with round ends.
                    let _ = write!(dots, "M{x:.1} {y:.1}h0");
                }
                last = Some(*at);
            }
            paths.push((line, path, dots));
        }
        html! {
            @for (line, path, dots) in paths {
                @if !path.is_empty() { path.line.dashed[line.is_dashed].(line.colour) d=(path) {} }
                @if !dots.is_empty() { path.dots.(line.colour) d=(dots) {} }
            }
        }
    }

    fn marked(&self) -> Markup {
        let within = |mark: &&Mark| (self.period.from_ms..=self.period.to_ms).contains(&mark.at_ms);
        let mut texts: Vec<(f64, &Mark)> = Vec::new();
        let mut path = String::new();
        let (main, others): (Vec<_>, Vec<_>) = self.marks.iter().filter(within).partition(|mark| mark.is_main);
        for mark in main.into_iter().chain(others) {
            let x = self.period.x(mark.at_ms);
            let _ = write!(path, "M{x:.1} {:.1}V{:.1}", TOP - 6.0, HEIGHT - BOTTOM);
            if texts.iter().all(|(taken, _)| (x - taken).abs() >= MARK_WIDTH) {
                texts.push((x, mark));
            }
        }
        html! {
            @if !path.is_empty() { path.mark d=(path) {} }
            @for (x, mark) in texts {
                text.deployed x=(units(x.clamp(LEFT + 8.0, WIDTH - RIGHT - 8.0))) y=(TOP - 9.0) { (plain(&mark.short)) }
            }
        }
    }

    fn table(&self) -> Markup {
        let times: BTreeSet<i64> = self.lines.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at)).collect();
        let lookup: Vec<BTreeMap<i64, f64>> =
            self.lines.iter().map(|line| line.points.iter().copied().collect()).collect();
        let left = times.len().saturating_sub(ROWS_MAX);
        let cell = |values: &BTreeMap<i64, f64>, at: &i64| {
            values.get(at).map_or_else(|| UNKNOWN.to_owned(), |value| self.unit.show(*value))
        };
        html! {
            details.data {
                summary { "Data" span.hidden { ": " (plain(self.title)) } }
                div.scroll tabindex="0" role="region" aria-label={ (plain(self.title)) ": data" } {
                    table.list {
                        thead { tr {
                            th scope="col" { "From (UTC)" }
                            @for line in &self.lines { th scope="col" { (Escaped(&line.name)) } }
                        } }
                        tbody {
                            @for at in times.iter().skip(left) {
                                tr {
                                    th scope="row" {
                                        (moment(Timestamp::from_ms(*at)).chars().take(16).collect::<String>())
                                    }
                                    @for values in &lookup { td { (cell(values, at)) } }
                                }
                            }
                        }
                    }
                    @if !self.marks.is_empty() {
                        ul.marks {
                            @for mark in self.marks {
                                li { (moment(Timestamp::from_ms(mark.at_ms))) " UTC: " (Escaped(&mark.text)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The names of lines, with their colours.
pub(super) fn legend<'l>(lines: impl Iterator<Item = (&'l str, &'l str)>) -> Markup {
    html! {
        ul.legend {
            @for (name, colour) in lines {
                li {
                    svg.key viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" {
                        rect.bar.(colour) width="10" height="10" rx="2" {}
                    }
                    (Escaped(name))
                }
            }
        }
    }
}

/// A small chart of bars, for a row that says the figures in words.
pub(super) fn spark(period: Period, points: impl Iterator<Item = (i64, f64)>) -> Markup {
    let points: Vec<(i64, f64)> = points.filter(|(_, value)| *value > 0.0).collect();
    let highest = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let (width, height) = SPARK;
    let mut path = String::new();
    for (at, value) in &points {
        let (x, to) = (period.place(*at) * width, period.place(at.saturating_add(period.bucket_ms)) * width);
        let tall = (value / highest * (height - 2.0)).max(1.0);
        let wide = (to - x - 0.5).max(0.8);
        let _ = write!(path, "M{x:.1} {height}h{wide:.1}v-{tall:.1}h-{wide:.1}z");
    }
    html! {
        @if path.is_empty() { span.quiet.none aria-hidden="true" { "–" } } @else {
            svg.spark viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) aria-hidden="true" {
                path d=(path) {}
            }
        }
    }
}

/// A coordinate, to a tenth of a unit.
fn units(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    /// 2026-11-23 00:00 UTC.
    const START: i64 = 1_795_392_000_000;

    fn chart(style: Style, unit: Unit, points: Vec<(i64, f64)>) -> Chart<'static> {
        Chart {
            id: "c".to_owned(),
            title: "Cost <b>",
            unit,
            style,
            period: Period { from_ms: START, to_ms: START + 7 * 24 * HOUR, bucket_ms: HOUR },
            lines: vec![Line { name: "v7<i>".to_owned(), colour: "s7".to_owned(), is_dashed: false, points }],
            marks: &[],
        }
    }

    #[test]
    fn value_axis_has_round_steps() {
        for (low, high, unit, expected) in [
            (0.0, 0.0, Unit::Usd, (0.0, 1.0, 0.25)),
            (0.0, 3.0, Unit::Count, (0.0, 3.0, 1.0)),
            (0.0, 97.0, Unit::Count, (0.0, 100.0, 25.0)),
            (0.0, 1_234.0, Unit::Ms, (0.0, 1_500.0, 500.0)),
            (0.0, 0.031, Unit::Usd, (0.0, 0.04, 0.01)),
            (-1.0, 1.0, Unit::Score, (-1.0, 1.0, 0.5)),
            (0.5, 0.9, Unit::Score, (0.0, 1.0, 0.25)),
        ] {
            let scale = Scale::new(low, high, unit);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                close(scale.low, expected.0) && close(scale.high, expected.1) && close(scale.step, expected.2),
                "{low} {high}: {scale:?}"
            );
            assert!((3..=8).contains(&scale.grid().len()), "{scale:?}");
        }
    }

    #[test]
    fn chart_has_a_title_a_table_and_no_markup_of_others() {
        let mark = [Mark {
            at_ms: START + 30 * HOUR,
            short: "v8".to_owned(),
            text: "production → v8 by <u>".to_owned(),
            is_main: true,
        }];
        let mut chart = chart(Style::Bars, Unit::Usd, vec![(START, 0.5), (START + HOUR, 0.25)]);
        chart.marks = &mark;
        let html = chart.render().into_string();
        for part in [
            "role=\"img\" aria-labelledby=\"c-title\"",
            "Cost &lt;b&gt;, 2026-11-23 00:00 to 2026-11-30 00:00 UTC. v7&lt;i&gt;: $0.25 to $0.50.",
            "<th scope=\"row\">2026-11-23 01:00</th><td>$0.25</td>",
            "production → v8 by &lt;u&gt;",
            "class=\"mark\"",
            ">v8</text>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<b>") && !html.contains("<u>") && !html.contains(" style="), "{html}");
    }

    #[test]
    fn number_of_elements_does_not_grow_with_points() {
        let points = |number: i64| (0..number).map(|hour| (START + hour * HOUR, 1.0)).collect();
        for style in [Style::Bars, Style::Lines] {
            let count =
                |number| chart(style, Unit::Count, points(number)).render().into_string().matches("<path").count();
            assert!(count(168) <= count(2), "{style:?}");
        }
        let long = chart(Style::Bars, Unit::Count, (0..2_000).map(|at| (START + at * 60_000, 1.0)).collect());
        assert_eq!(long.render().into_string().matches("<tr>").count(), ROWS_MAX + 1);
    }

    #[test]
    fn bars_are_stacked_and_lines_break_where_nothing_was_counted() {
        let mut bars = chart(Style::Bars, Unit::Count, vec![(START, 2.0)]);
        bars.lines.push(Line {
            name: "v6".to_owned(),
            colour: "s6".to_owned(),
            is_dashed: false,
            points: vec![(START, 2.0)],
        });
        assert!((bars.scale().high - 4.0).abs() < 1e-9);
        let gap = chart(Style::Lines, Unit::Ms, vec![(START, 1.0), (START + HOUR, 2.0), (START + 90 * HOUR, 3.0)]);
        let html = gap.render().into_string();
        let line = html.split("class=\"line s7\" d=\"").nth(1).expect("a line").split('"').next().expect("a path");
        assert_eq!((line.matches('M').count(), line.matches('L').count()), (2, 1), "{line}");
        assert!(html.contains("class=\"dots s7\""), "a point alone is a dot");
    }

    #[test]
    fn small_chart_of_nothing_is_a_dash() {
        let period = Period { from_ms: START, to_ms: START + 24 * HOUR, bucket_ms: HOUR };
        assert!(spark(period, std::iter::empty()).into_string().contains('–'));
        assert!(spark(period, [(START, 1.0)].into_iter()).into_string().contains("<path d=\"M0.0 18"));
    }
}
