//! The output for findings and for the effect of a change on callers.

use anstyle::Style;

use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Table, WARN, one_line, paint};
use crate::model::count::count;
use crate::model::finding::{Finding, Severity};
use crate::model::version::Bump;
use crate::model::version::InterfaceChange;

/// The severity from which a check fails.
pub const GRAVE: Severity = Severity::High;

/// One row per finding; never the matched text.
pub fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&["SEVERITY", "CATEGORY", "RULE", "WHERE", "LINE", "WHY"]);
    for finding in findings {
        table.row([
            Cell::new(style(finding.severity), finding.severity),
            Cell::from(finding.category),
            Cell::new(ACCENT, &finding.rule),
            Cell::from(&finding.target),
            finding.line.into(),
            Cell::new(DIM, &finding.message),
        ]);
    }
    table
}

/// A summary such as `2 findings, worst high`; empty without findings.
pub fn summary(findings: &[Finding]) -> Option<String> {
    let worst = worst(findings)?;
    Some(format!("{}, worst {}", count(findings.len(), "finding"), paint(style(worst), worst)))
}

/// The highest severity.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

/// The effect of a change on callers, on one line; empty for a patch.
pub fn interface(change: &InterfaceChange) -> Option<String> {
    let (what, style) = match change.bump {
        Bump::Patch if change.reasons.is_empty() => return None,
        Bump::Patch => ("no difference", GOOD),
        Bump::Minor => ("compatible", WARN),
        Bump::Major => ("breaking", BAD.bold()),
    };
    let reasons = one_line(&change.reasons.join("; "));
    Some(format!("{} {reasons}", paint(style, format!("effect on callers: {what} ({}):", change.bump))))
}

const fn style(severity: Severity) -> Style {
    match severity {
        Severity::Low => DIM,
        Severity::Medium => WARN,
        Severity::High => BAD,
        Severity::Critical => BAD.bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let json = r#"[{"rule":"financial.loan-advice","rule_version":1,"category":"financial","severity":"high",
            "target":"messages[0]","start":1,"end":5,"line":3,"hash":"00","message":"Advice on\nloans"},
            {"rule":"personal.name","rule_version":1,"category":"personal_data","severity":"low",
            "target":"text","start":1,"end":5,"line":12,"hash":"00","message":"A name"}]"#;
        serde_json::from_str(json).expect("two findings")
    }

    #[test]
    fn finding_is_shown_as_one_row() {
        let expected = "\
SEVERITY  CATEGORY       RULE                   WHERE        LINE  WHY
high      financial      financial.loan-advice  messages[0]  3     Advice on loans
low       personal_data  personal.name          text         12    A name
";
        assert_eq!(table(&findings()).render(false, None), expected);
    }

    #[test]
    fn findings_are_counted_and_callers_are_warned() {
        let plain = |text: Option<String>| text.map(|text| anstream::adapter::strip_str(&text).to_string());
        assert_eq!(plain(summary(&findings())).as_deref(), Some("2 findings, worst high"));
        assert_eq!(summary(&[]), None);
        let change = |bump, reasons: &[&str]| InterfaceChange {
            bump,
            reasons: reasons.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(interface(&change(Bump::Patch, &[])), None);
        let said = plain(interface(&change(Bump::Major, &["the variable `who` was removed", "x"])));
        assert_eq!(said.as_deref(), Some("effect on callers: breaking (major): the variable `who` was removed; x"));
        assert!(
            plain(interface(&change(Bump::Minor, &["y"]))).is_some_and(|said| said.contains("compatible (minor): y"))
        );
    }
}
