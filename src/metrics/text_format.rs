//! The Prometheus text format 0.0.4, converted from OpenMetrics text: it names a counter by its sample, and has no end
//! mark.

use std::fmt::Write;

/// Converts to the older format.
pub(super) fn of_openmetrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut family = Vec::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            family.push(about);
        } else {
            describe(&mut out, &std::mem::take(&mut family));
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Writes the header lines of a family that has a sample; families without one precede it and are left out.
fn describe(out: &mut String, about: &[&str]) {
    let name = about.last().and_then(|line| line.split(' ').nth(1));
    let kind = about.iter().find_map(|line| line.strip_prefix("TYPE ").filter(|rest| rest.split(' ').next() == name));
    let kind = kind.and_then(|rest| rest.split(' ').nth(1)).unwrap_or("untyped");
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        other => ("", other),
    };
    for line in about.iter().filter(|line| line.split(' ').nth(1) == name) {
        match line.split_once(' ') {
            Some(("HELP", rest)) => {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                let _fits = writeln!(out, "# HELP {name}{suffix} {help}");
            }
            Some(("TYPE", rest)) => {
                let name = rest.split(' ').next().unwrap_or_default();
                let _fits = writeln!(out, "# TYPE {name}{suffix} {kind}");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_by_their_samples_and_families_without_one_are_left_out() {
        let text = "# HELP a Things.\n# TYPE a counter\na_total 1\n# HELP e Empty.\n# TYPE e gauge\n# HELP b Build.\n# TYPE b info\nb_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total 1\n# HELP b_info Build.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n";
        assert_eq!(of_openmetrics(text), expected);
    }
}
