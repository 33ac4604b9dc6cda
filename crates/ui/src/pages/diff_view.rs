//! Changed lines for people: unified or side by side, with changed words marked.
//!
//! Reads unified hunks, so that pages show what programs get. Takes a bounded amount of work and space per page: beyond
//! it, lines are marked as a whole, and then left out with a notice.

use std::collections::HashMap;

use maud::{Markup, html};
use similar::{Algorithm, DiffTag, DiffableStr, capture_diff_slices};

use crate::format::{Escaped, grouped};

/// Most comparisons of words on one page: the square of the length between the common ends.
const COMPARISONS_MAX: usize = 64_000_000;
/// Most lines of one page.
const LINES_MAX: usize = 20_000;
/// Longest line whose words are compared, in bytes: longer ones are marked as a whole.
const LINE_BYTES_MAX: usize = 4_000;
/// Most replaced lines that are compared pairwise to find which became which.
const ALIGNED_MAX: usize = 40;
/// Minimum number of common words for two lines to count as one changed line.
const ALIKE: f32 = 0.3;
/// The marker in unified hunks for a missing final line break.
const NO_END: char = '\\';

/// The layout of a diff.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Removed lines above added lines.
    #[default]
    Unified,
    /// Old on the left, new on the right.
    Split,
}

/// Renders several texts within one work limit.
pub(super) struct Lines<'a> {
    /// The layout.
    pub(super) layout: Layout,
    /// The names of both sides.
    pub(super) sides: (&'a str, &'a str),
    comparisons_left: usize,
    room_left: usize,
}

/// One line of a text.
struct Line<'t> {
    number: u64,
    text: &'t str,
    /// Whether the text ends here without a line break.
    endless: bool,
}

/// A part of a hunk.
enum Block<'t> {
    /// A number of hidden unchanged lines.
    Fold(u64),
    /// A line in both texts.
    Same(u64, u64, &'t str),
    /// Replaced lines.
    Change(Vec<Line<'t>>, Vec<Line<'t>>),
}

/// A changed line, or one on only one side; with changed words marked if useful.
struct LinePair<'l> {
    old: Option<&'l Line<'l>>,
    new: Option<&'l Line<'l>>,
    marked: Option<(Markup, Markup)>,
}

impl LinePair<'_> {
    /// One of its sides: the line, its marked parts, and whether the only difference is a missing final line break.
    fn side(&self, side: Side) -> Option<(&Line<'_>, Option<&Markup>, bool)> {
        let (own, other) = if side == Side::Old { (self.old?, self.new) } else { (self.new?, self.old) };
        let marked = self.marked.as_ref().map(|(old, new)| if side == Side::Old { old } else { new });
        Some((own, marked, own.endless && other.is_some_and(|other| !other.endless && other.text == own.text)))
    }
}

impl<'a> Lines<'a> {
    /// With its full work limit.
    pub(super) const fn new(layout: Layout, sides: (&'a str, &'a str)) -> Self {
        Self { layout, sides, comparisons_left: COMPARISONS_MAX, room_left: LINES_MAX }
    }

    /// Renders the hunks of one text with the heading `what`.
    pub(super) fn show(&mut self, what: &str, unified: &str) -> Markup {
        let (blocks, left_out) = read(unified, &mut self.room_left);
        let shown = match self.layout {
            Layout::Unified => self.unified(&blocks),
            Layout::Split => self.split(&blocks),
        };
        let count = |sign: char| unified.lines().filter(|line| line.starts_with(sign)).count();
        html! {
            p.changed aria-hidden="true" { span.plus { "+" (count('+')) } " " span.minus { "−" (count('-')) } }
            div.diff tabindex="0" role="group" aria-label={ "Changed lines: " (what) } {
                (shown)
                @if left_out > 0 {
                    p.hunk {
                        (grouped(left_out)) " more lines are not shown here. " code { "bookholder diff" }
                        " shows all of them."
                    }
                }
            }
        }
    }

    fn unified(&mut self, blocks: &[Block<'_>]) -> Markup {
        let mut shown: Vec<Markup> = Vec::new();
        for block in blocks {
            match block {
                Block::Fold(count) => shown.push(html! { div.hunk { (folded(*count)) } }),
                Block::Same(_, new, text) => shown.push(html! {
                    div.line.same {
                        span.number aria-hidden="true" { (new) } span.sign aria-hidden="true" {}
                        span.say { (Escaped(text)) }
                    }
                }),
                Block::Change(old, new) => {
                    let pairs = self.pairs(old, new);
                    let of = |side: Side| pairs.iter().filter_map(move |pair| Some((side, pair.side(side)?)));
                    shown.extend(of(Side::Old).chain(of(Side::New)).map(|(side, (line, marked, endless))| {
                        html! {
                            div class={ "line " (side.class()) } {
                                span.number aria-hidden="true" { (line.number) }
                                span.sign aria-hidden="true" { (side.sign()) }
                                span.hidden { (side.word()) }
                                span.say { (said(line, marked, endless)) }
                            }
                        }
                    }));
                }
            }
        }
        html! { @for one in shown { (one) } }
    }

    fn split(&mut self, blocks: &[Block<'_>]) -> Markup {
        let mut rows: Vec<Markup> = Vec::new();
        for block in blocks {
            match block {
                Block::Fold(count) => rows.push(html! { tr { td.hunk colspan="4" { (folded(*count)) } } }),
                Block::Same(old, new, text) => rows.push(html! {
                    tr.same {
                        td.number { (old) } td.say { (Escaped(text)) } td.number { (new) } td.say { (Escaped(text)) }
                    }
                }),
                Block::Change(old, new) => {
                    let pairs = self.pairs(old, new);
                    rows.extend(pairs.iter().map(|pair| {
                        html! {
                            tr {
                                (cell(Side::Old, pair))
                                (cell(Side::New, pair))
                            }
                        }
                    }));
                }
            }
        }
        html! {
            table.beside {
                colgroup { col.narrow-column; col; col.narrow-column; col; }
                thead { tr {
                    th scope="col" { span.hidden { "Line" } } th scope="col" { "Before: " (Escaped(self.sides.0)) }
                    th scope="col" { span.hidden { "Line" } } th scope="col" { "After: " (Escaped(self.sides.1)) }
                } }
                tbody { @for row in rows { (row) } }
            }
        }
    }

    /// Which lines became which, in order; a line on one side only has nothing opposite, or another such line.
    fn pairs<'l>(&mut self, old: &'l [Line<'l>], new: &'l [Line<'l>]) -> Vec<LinePair<'l>> {
        let mut pairs = Vec::with_capacity(old.len().max(new.len()));
        let (mut old_from, mut new_from) = (0, 0);
        for (old_at, new_at) in aligned(old, new).into_iter().chain([(old.len(), new.len())]) {
            let before = old.get(old_from..old_at).unwrap_or_default();
            let after = new.get(new_from..new_at).unwrap_or_default();
            for index in 0..before.len().max(after.len()) {
                pairs.push(LinePair { old: before.get(index), new: after.get(index), marked: None });
            }
            if let (Some(old), Some(new)) = (old.get(old_at), new.get(new_at)) {
                let marked = self.marked(old.text, new.text);
                pairs.push(LinePair { old: Some(old), new: Some(new), marked });
            }
            (old_from, new_from) = (old_at.saturating_add(1), new_at.saturating_add(1));
        }
        pairs
    }

    /// Two lines with changed words marked; absent if that exceeds the limit.
    fn marked(&mut self, old: &str, new: &str) -> Option<(Markup, Markup)> {
        if old.len().max(new.len()) > LINE_BYTES_MAX {
            return None;
        }
        let (old, new) = (old.tokenize_words(), new.tokenize_words());
        let same = |(a, b): &(&&str, &&str)| a == b;
        let start = old.iter().zip(&new).take_while(same).count();
        let end = old.iter().skip(start).rev().zip(new.iter().skip(start).rev()).take_while(same).count();
        let between = old.len().saturating_add(new.len()).saturating_sub(start.saturating_add(end).saturating_mul(2));
        self.comparisons_left = self.comparisons_left.checked_sub(between.saturating_mul(between))?;
        let operations = capture_diff_slices(Algorithm::Myers, &old, &new);
        let side = |own: DiffTag| {
            let runs = operations.iter().map(|operation| {
                let range = if own == DiffTag::Delete { operation.old_range() } else { operation.new_range() };
                let words = if own == DiffTag::Delete { &old } else { &new };
                (operation.tag() == DiffTag::Equal, words.get(range).unwrap_or_default().concat())
            });
            html! {
                @for (equal, run) in runs.filter(|(_, run)| !run.is_empty()) {
                    @if equal { (Escaped(&run)) }
                    @else if own == DiffTag::Delete { del { (Escaped(&run)) } }
                    @else { ins { (Escaped(&run)) } }
                }
            }
        };
        Some((side(DiffTag::Delete), side(DiffTag::Insert)))
    }
}

/// Which text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

impl Side {
    const fn class(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Old => "−",
            Self::New => "+",
        }
    }

    /// The text for screen readers.
    const fn word(self) -> &'static str {
        match self {
            Self::Old => "Removed: ",
            Self::New => "Added: ",
        }
    }
}

fn folded(count: u64) -> Markup {
    html! { "⋯ " (grouped(count)) (if count == 1 { " unchanged line" } else { " unchanged lines" }) }
}

fn said(line: &Line<'_>, marked: Option<&Markup>, endless: bool) -> Markup {
    html! {
        @match marked { Some(marked) => (marked), None => (Escaped(line.text)) }
        @if endless { span.quiet { " no newline at end" } }
    }
}

fn cell(side: Side, pair: &LinePair<'_>) -> Markup {
    let class = side.class();
    html! {
        @if let Some((line, marked, endless)) = pair.side(side) {
            td class={ "number " (class) } { (line.number) " " span aria-hidden="true" { (side.sign()) } }
            td class={ "say " (class) } { span.hidden { (side.word()) } (said(line, marked, endless)) }
        } @else { td.number.void {} td.say.void {} }
    }
}

/// Parses unified hunks up to the remaining number of lines; returns how many more there were.
fn read<'t>(unified: &'t str, left: &mut usize) -> (Vec<Block<'t>>, u64) {
    let mut blocks: Vec<Block<'t>> = Vec::new();
    let (mut old, mut new) = (1_u64, 1_u64);
    let mut lines = unified.split('\n').filter(|line| !line.is_empty());
    let mut last_is_old = true;
    while *left > 0 {
        let Some(line) = lines.next() else { return (blocks, 0) };
        let (sign, text) = line.split_at_checked(1).unwrap_or((" ", line));
        match sign {
            "@" => {
                let (old_start, new_start) = starts(text);
                let equal = old_start.saturating_sub(old);
                if equal > 0 {
                    blocks.push(Block::Fold(equal));
                }
                (old, new) = (old_start, new_start);
                continue;
            }
            "-" => {
                if !matches!(blocks.last(), Some(Block::Change(_, added)) if added.is_empty()) {
                    blocks.push(Block::Change(Vec::new(), Vec::new()));
                }
                if let Some(Block::Change(removed, _)) = blocks.last_mut() {
                    removed.push(Line { number: old, text, endless: false });
                }
                (old, last_is_old) = (old.saturating_add(1), true);
            }
            "+" => {
                if !matches!(blocks.last(), Some(Block::Change(..))) {
                    blocks.push(Block::Change(Vec::new(), Vec::new()));
                }
                if let Some(Block::Change(_, added)) = blocks.last_mut() {
                    added.push(Line { number: new, text, endless: false });
                }
                (new, last_is_old) = (new.saturating_add(1), false);
            }
            _ if line.starts_with(NO_END) => {
                if let Some(Block::Change(removed, added)) = blocks.last_mut()
                    && let Some(line) = if last_is_old { removed } else { added }.last_mut()
                {
                    line.endless = true;
                }
                continue;
            }
            _ => {
                // A difference in line breaks alone is not shown.
                blocks.push(Block::Same(old, new, text.strip_suffix('\r').unwrap_or(text)));
                (old, new) = (old.saturating_add(1), new.saturating_add(1));
            }
        }
        *left = left.saturating_sub(1);
    }
    (blocks, u64::try_from(lines.filter(|line| line.starts_with(['+', '-', ' '])).count()).unwrap_or(u64::MAX))
}

/// The start of a hunk on both sides, from its header: `@ -1,3 +1,4 @@`.
fn starts(header: &str) -> (u64, u64) {
    let start = |sign: char| {
        let span = header.split(' ').find_map(|part| part.strip_prefix(sign)).unwrap_or_default();
        let (start, count) = span.split_once(',').unwrap_or((span, "1"));
        let start: u64 = start.parse().unwrap_or(1);
        // A hunk without lines names the previous line.
        if count == "0" { start.saturating_add(1) } else { start }
    };
    (start('-'), start('+'))
}

/// Pairs of similar lines, in order on both sides, with the highest total similarity.
fn aligned(old: &[Line<'_>], new: &[Line<'_>]) -> Vec<(usize, usize)> {
    let words = |lines: &[Line<'_>]| -> Vec<Vec<u64>> { lines.iter().map(|line| hashes(line.text)).collect() };
    if old.len().max(new.len()) > ALIGNED_MAX {
        // Too many to compare all: the first with the first, and so on.
        let pairs = old.iter().zip(new).enumerate();
        let alike = pairs.filter(|(_, (old, new))| alike(&hashes(old.text), &hashes(new.text)) >= ALIKE);
        return alike.map(|(index, _)| (index, index)).collect();
    }
    let (old, new) = (words(old), words(new));
    let mut best: HashMap<(usize, usize), (f32, Step)> = HashMap::new();
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            let at = |i: usize, j: usize| best.get(&(i, j)).map_or(0.0, |(sum, _)| *sum);
            let (skip_old, skip_new) = (at(i + 1, j), at(i, j + 1));
            let mut chosen = if skip_old >= skip_new { (skip_old, Step::Old) } else { (skip_new, Step::New) };
            let common = old.get(i).zip(new.get(j)).map_or(0.0, |(old, new)| alike(old, new));
            if common >= ALIKE && common + at(i + 1, j + 1) >= chosen.0 {
                chosen = (common + at(i + 1, j + 1), Step::Both);
            }
            best.insert((i, j), chosen);
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while let Some((_, step)) = best.get(&(i, j)) {
        match step {
            Step::Both => {
                pairs.push((i, j));
                (i, j) = (i + 1, j + 1);
            }
            Step::Old => i += 1,
            Step::New => j += 1,
        }
    }
    pairs
}

/// What to do with the first remaining lines.
#[derive(Clone, Copy)]
enum Step {
    Both,
    Old,
    New,
}

/// The hashes of a line's words, sorted; empty for a line that is too long.
fn hashes(text: &str) -> Vec<u64> {
    if text.len() > LINE_BYTES_MAX {
        return Vec::new();
    }
    let hash = |word: &str| {
        word.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let mut words: Vec<u64> = text.split_whitespace().map(hash).collect();
    words.sort_unstable();
    words
}

/// The share of common words of two lines.
fn alike(old: &[u64], new: &[u64]) -> f32 {
    let (mut rest, mut common) = (new, 0_u16);
    for word in old {
        let from = rest.partition_point(|other| other < word);
        rest = rest.get(from..).unwrap_or_default();
        if rest.first() == Some(word) {
            rest = rest.get(1..).unwrap_or_default();
            common = common.saturating_add(1);
        }
    }
    let all = u16::try_from(old.len().saturating_add(new.len())).unwrap_or(u16::MAX).max(1);
    2.0 * f32::from(common) / f32::from(all)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::governance::diff::{Comparison, Context};
    use serde_json::Value;

    fn show(layout: Layout, unified: &str) -> String {
        Lines::new(layout, ("v1", "v<2>")).show("a text", unified).0
    }

    #[test]
    fn replaced_lines_share_a_row_and_added_lines_face_an_empty_cell() {
        let unified = "@@ -4,4 +4,5 @@\n same <b>\n-Help the customers of Globe today.\n-gone\n+Entirely new words here\n+Help the customers of Acme today.\n+gone too\n end\r\n";
        let shown = show(Layout::Split, unified);
        for part in [
            "⋯ 3 unchanged lines",
            "<td class=\"number\">4</td><td class=\"say\">same &lt;b&gt;</td>",
            "<tr><td class=\"number void\"></td><td class=\"say void\"></td><td class=\"number new\">5 ",
            "<span class=\"hidden\">Removed: </span>Help the customers of <del>Globe</del> today.",
            "<span class=\"hidden\">Added: </span>Help the customers of <ins>Acme</ins> today.",
            "After: v&lt;2&gt;",
            "<td class=\"number\">8</td><td class=\"say\">end</td>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let row = shown.split("<tr>").find(|row| row.contains("Globe")).expect("a row");
        assert!(row.contains("Acme"), "{row}");
        let unified = show(Layout::Unified, unified);
        let (removed, added) = (unified.find("gone").expect("removed"), unified.find("Entirely").expect("added"));
        assert!(removed < added && !unified.contains("<table"), "{unified}");
    }

    #[test]
    fn changed_final_line_break_is_shown() {
        let shown = show(Layout::Unified, "@@ -1 +1,2 @@\n-a\r\n-b\n+a\n+b\n\\ No newline at end of text\n");
        assert!(shown.contains("U+000D") && shown.contains("b<span class=\"quiet\"> no newline at end"), "{shown}");
        assert_eq!(starts("@ -0,0 +1 @@"), (1, 1));
        assert_eq!(starts("@ -7,2 +9 @@"), (7, 9));
    }

    #[test]
    fn hostile_texts_take_bounded_work_and_space() {
        let words = |word: &str| format!("{}\n", format!("{word} x ").repeat(480)).repeat(260);
        let lines = |word: &str| format!("{word}\n").repeat(400_000);
        let value = |word: &str| Value::Array(vec![Value::String(word.to_owned()); 60_000]);
        let values = Comparison::new(Context::Whole).values(&value("a"), &value("b"));
        let replaced = |from: &str, to: &str| {
            let signed =
                |sign: char, text: &str| text.lines().map(|line| format!("{sign}{line}\n")).collect::<String>();
            format!("@@ -1,1 +1,1 @@\n{}{}", signed('-', from), signed('+', to))
        };
        let begun = Instant::now();
        for text in [values, replaced(&words("a"), &words("b")), replaced(&lines("a"), &lines("b"))] {
            for layout in [Layout::Unified, Layout::Split] {
                let shown = show(layout, &text);
                assert!(shown.len() < 8 * 1024 * 1024, "{} bytes", shown.len());
            }
        }
        let took = begun.elapsed();
        assert!(took.as_secs() < 60, "unoptimised: {took:?}");
        assert!(show(Layout::Split, &replaced(&lines("a"), "b\n")).contains("380\u{202f}001 more lines are not shown"));
    }
}
