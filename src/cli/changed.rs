//! The output of verbs that move labels: one line per label.

use super::error::CliError;
use super::findings;
use super::output::{ACCENT, DIM, GOOD, Output, WARN, listed, one_line, paint};
use crate::api::evaluations::DownstreamSuite;
use crate::api::write::{Deployed, Published};
use crate::model::deployment::Deployment;
use crate::model::serving::Serving;

/// Prints the result of a deployment, a rollback or a removal.
pub fn deployed(output: Output, deployed: &Deployed) -> Result<(), CliError> {
    if output.json {
        return output.json(deployed);
    }
    if deployed.deployments.is_empty() {
        return output.line(paint(DIM, "no change: the label already serves this"));
    }
    for deployment in &deployed.deployments {
        output.line(format!(
            "{} {} {}: {}",
            paint(GOOD, "✓"),
            paint(ACCENT, &deployment.name),
            deployment.label,
            movement(deployment)
        ))?;
    }
    for DownstreamSuite { prompt, label, suite, missing, .. } in &deployed.downstream {
        output.note(format!(
            "{}: it feeds {prompt}@{label}, whose suite {suite} has not passed with it ({missing}); run `bookholder eval run \
             {prompt}@{label} --suite {suite}`",
            paint(ACCENT.bold(), "note")
        ));
    }
    Ok(())
}

/// What a label served, and what it serves now.
pub fn movement(deployment: &Deployment) -> String {
    let show = |serving: Option<&Serving>| serving.map_or_else(|| "—".to_owned(), ToString::to_string);
    let (from, to) = (show(deployment.from.as_ref()), show(deployment.to.as_ref()));
    // Rules contain arrows themselves.
    let arrow = if from.contains('→') || to.contains('→') { "⇒" } else { "→" };
    one_line(&format!("{from} {arrow} {to}"))
}

/// Prints what was published, with warnings.
pub fn published(output: Output, published: &Published) -> Result<(), CliError> {
    if output.json {
        return output.json(published);
    }
    let version = &published.version;
    let what = if published.created { "published" } else { "already has this content" };
    output.line(format!(
        "{} {} {what} {}",
        paint(GOOD, "✓"),
        paint(ACCENT, format!("{}@{}", published.name, version.number)),
        paint(DIM, format!("{} {}", version.semver, published.stamp))
    ))?;
    if let Some(line) = published.interface.as_ref().and_then(findings::interface) {
        output.line(line)?;
    }
    if !published.findings.is_empty() {
        output.table(&findings::table(&published.findings), "")?;
    }
    for warning in &published.warnings {
        let text = if warning.text > 1 { format!("text {}, ", warning.text) } else { String::new() };
        // A warning about the name has no line.
        let place = if warning.line == 0 { String::new() } else { format!("{text}line {}: ", warning.line) };
        output.note(format!("{}: {place}{}", paint(WARN.bold(), "warning"), one_line(&warning.message)));
    }
    if !published.dependents.is_empty() {
        output.note(format!("{}: {}", paint(ACCENT.bold(), "note"), outdated(published)));
    }
    Ok(())
}

/// Who still has the text of an earlier version: includes are filled in when the including prompt is published.
fn outdated(Published { name, version, dependents, deployment, .. }: &Published) -> String {
    let (have, them) = if dependents.len() == 1 { ("has", "it") } else { ("have", "them") };
    // An include without a version takes what a label serves.
    let first = if deployment.is_none() { format!("deploy {name}@{}, then ", version.number) } else { String::new() };
    let names = listed(dependents);
    format!(
        "{names} still {have} the text of an earlier version of {name}; {first}publish {them} again to take the new one"
    )
}
