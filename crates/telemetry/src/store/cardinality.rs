//! Which values are counted apart for one version, and which together with others.
//!
//! Each dimension is limited by itself, so that a flood of made-up models takes nothing from environments, labels and
//! rules. Only values with recent calls take a place, so what a flood took is free again some days later. What is counted
//! apart once stays so.

use std::collections::BTreeSet;

use crate::rollup::{OTHER, OTHER_RULE, Series};

/// Most models of one version that are counted apart.
pub(super) const MODELS_MAX: usize = 32;
/// Most environments of one version that are counted apart.
const ENVIRONMENTS_MAX: usize = 16;
/// Most labels of one version that are counted apart.
pub(super) const LABELS_MAX: usize = 16;
/// Most rules of one version that are counted apart.
const RULES_MAX: usize = 16;
/// Most series of one version with recent calls: those of all dimensions together are far more.
const SERIES_MAX: usize = 512;
/// How many days a value keeps its place after its last call.
pub(super) const RECENT_DAYS: u16 = 2;

/// What is counted apart for one version, or for one reason without a version, and had calls lately.
#[derive(Debug, Default)]
pub(super) struct CountedApart {
    day: u16,
    series: usize,
    models: BTreeSet<String>,
    environments: BTreeSet<String>,
    labels: BTreeSet<String>,
    rules: BTreeSet<u16>,
}

impl CountedApart {
    /// Nothing yet, as of a day.
    pub(super) fn on(day: u16) -> Self {
        Self { day, ..Self::default() }
    }

    /// The day of which it is.
    pub(super) const fn day(&self) -> u16 {
        self.day
    }

    /// Notes a series.
    pub(super) fn add(&mut self, series: &Series) {
        let Series { model, environment, label, rule, .. } = series;
        self.series = self.series.saturating_add(1);
        for (values, value) in
            [(&mut self.models, model), (&mut self.environments, environment), (&mut self.labels, label)]
        {
            if !value.is_empty() && value != OTHER {
                values.insert(value.clone());
            }
        }
        self.rules.extend(rule.filter(|rule| *rule != OTHER_RULE));
    }

    /// The series that a new one is counted in: itself, or with the values that exceed a limit as [`OTHER`].
    pub(super) fn place(&self, series: &Series) -> Series {
        if self.series >= SERIES_MAX {
            return series.other();
        }
        let text = |values: &BTreeSet<String>, most: usize, value: &String| {
            let is_apart = value.is_empty() || values.len() < most || values.contains(value);
            if is_apart { value.clone() } else { OTHER.to_owned() }
        };
        let rule = |rule| if self.rules.len() < RULES_MAX || self.rules.contains(&rule) { rule } else { OTHER_RULE };
        Series {
            of: series.of.clone(),
            model: text(&self.models, MODELS_MAX, &series.model),
            environment: text(&self.environments, ENVIRONMENTS_MAX, &series.environment),
            label: text(&self.labels, LABELS_MAX, &series.label),
            rule: series.rule.map(rule),
        }
    }
}
