//! Which version produced a response, by what its application said.
//!
//! A stamp and a version number say it by themselves. A label says it by what it served when the call began, as far as
//! this node knows the history of the label: reports come seconds or hours after the response. Where a label serves
//! several versions, the subject that the split chose for says it, and without one nothing does.

use crate::model::name::{Label, PRODUCTION};
use crate::model::reference::Selector;
use crate::model::time::Timestamp;
use crate::resolve::{Query, ReadScope, ResolveError, Resolver, SharedAnswer};
use crate::telemetry::event::{Arm, Attributed, AttributedBy, Attribution, Claim, ScoreTarget, Unattributed};

/// The version that a claim names, which a label served at a moment; now if absent.
pub(super) fn attribute(resolver: &Resolver, claim: &Claim, at: Option<Timestamp>) -> Attribution {
    let Wanted { reference, by, content } = match wanted(claim) {
        Ok(wanted) => wanted,
        Err(reason) => return Attribution::Unattributed(reason),
    };
    let query = Query { subject: claim.subject.clone().filter(|subject| !subject.is_empty()), ..Query::default() };
    let found = match at {
        Some(at) if by == AttributedBy::Label => served_at(resolver, &reference, &query, at),
        _ => resolver.resolve(&reference, &query),
    };
    let answer = match found {
        Ok(answer) => answer,
        // The primary knows, if this node does not yet.
        Err(ResolveError::NotReady) => return Attribution::Pending,
        Err(error) => return Attribution::Unattributed(reason_of(&error)),
    };
    if content.is_some_and(|content| !answer.content_id.to_string().contains(content)) {
        return Attribution::Unattributed(Unattributed::UnknownVersion);
    }
    let arm = match &answer.assignment {
        Some(assignment) if assignment.bucket.is_some() && query.subject.is_none() => {
            return Attribution::Unattributed(Unattributed::AmbiguousSplit);
        }
        Some(assignment) => Arm::new(assignment.rule.and_then(|rule| u16::try_from(rule).ok()), assignment.bucket),
        // A version that was named by itself was resolved for a label before, and the application says how.
        None => claim.arm,
    };
    let label = answer.label.clone().or_else(|| claimed_label(claim));
    Attribution::Version(Attributed {
        prompt: answer.name.clone(),
        version: answer.version,
        content_id: answer.content_id,
        label,
        arm,
        by,
    })
}

/// What a label served at a moment; what it serves now if it served nothing yet, as before an import without a history.
fn served_at(resolver: &Resolver, reference: &str, query: &Query, at: Timestamp) -> Result<SharedAnswer, ResolveError> {
    // One read tells what the history needs several for.
    if resolver.served_since(reference)?.is_some_and(|since| since <= at) {
        return resolver.resolve(reference, query);
    }
    match resolver.resolve(reference, &Query { at: Some(at), ..query.clone() }) {
        Err(ResolveError::LabelNotFound { .. }) => resolver.resolve(reference, query),
        found => found,
    }
}

/// The label that a claim names, beside the version that it served.
fn claimed_label(claim: &Claim) -> Option<Label> {
    let in_reference = || Some(claim.prompt.as_deref()?.split_once('@')?.1);
    claim.label.as_deref().or_else(in_reference)?.parse().ok()
}

/// What a score of a version as a whole is about: a stamp, or a reference to one version.
pub(super) fn version_of(resolver: &Resolver, scope: &ReadScope, reference: &str) -> Option<ScoreTarget> {
    let claim = Claim { stamp: Some(reference.to_owned()), ..Claim::default() };
    match attribute(resolver, &claim, None) {
        Attribution::Version(Attributed { prompt, version, .. }) if scope.reads(prompt.as_str()) => {
            Some(ScoreTarget::Version { prompt, version })
        }
        _ => None,
    }
}

/// What to look up, what it is found by, and how the content id must begin, where a stamp tells.
struct Wanted<'c> {
    reference: String,
    by: AttributedBy,
    content: Option<&'c str>,
}

fn wanted(claim: &Claim) -> Result<Wanted<'_>, Unattributed> {
    if let Some(stamp) = &claim.stamp {
        let (reference, content) = stamp.rsplit_once('+').map_or((stamp.as_str(), None), |(it, hash)| (it, Some(hash)));
        return Ok(Wanted { reference: reference.to_owned(), by: AttributedBy::Stamp, content });
    }
    let Some(prompt) = &claim.prompt else { return Err(Unattributed::NoPrompt) };
    // A version beside a reference says more than the label in it, and that more than the label beside it.
    let (name, at) = prompt.split_once('@').map_or((prompt.as_str(), None), |(name, at)| (name, Some(at)));
    let Some(version) = said(claim.version.as_deref()).or(at) else {
        let label = said(claim.label.as_deref()).unwrap_or(PRODUCTION);
        let label: Label = label.parse().map_err(|_| Unattributed::UnknownVersion)?;
        return Ok(Wanted { reference: format!("{name}@{label}"), by: AttributedBy::Label, content: None });
    };
    let (version, content) = match version.split_once('+') {
        Some((version, content)) => (version, Some(content)),
        None => (version, None),
    };
    // `v7` is how some write a number.
    let number = version.strip_prefix(['v', 'V']).filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let version = number.unwrap_or(version);
    let by = match version.parse().map_err(|_| Unattributed::UnknownVersion)? {
        Selector::Version(_) => AttributedBy::Version,
        Selector::Label(_) => AttributedBy::Label,
        Selector::Content(_) => AttributedBy::ContentId,
    };
    Ok(Wanted { reference: format!("{name}@{version}"), by, content })
}

/// A text that says something.
fn said(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn reason_of(error: &ResolveError) -> Unattributed {
    match error {
        ResolveError::Name(_) | ResolveError::PromptNotFound { .. } | ResolveError::PromptRemoved { .. } => {
            Unattributed::UnknownPrompt
        }
        _ => Unattributed::UnknownVersion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_path_becomes_a_reference() {
        for (prompt, version, reference, by) in [
            ("a/b", "7", "a/b@7", AttributedBy::Version),
            ("a/b", "v7", "a/b@7", AttributedBy::Version),
            ("a/b", "staging", "a/b@staging", AttributedBy::Label),
            ("a/b", " ", "a/b@production", AttributedBy::Label),
            ("a/b@staging", "", "a/b@staging", AttributedBy::Label),
            ("a/b@staging", "3", "a/b@3", AttributedBy::Version),
            ("a/b", "b3:0123456789", "a/b@b3:0123456789", AttributedBy::ContentId),
            ("a/b", "7+3f9a1c2b7d41", "a/b@7", AttributedBy::Version),
        ] {
            let claim =
                Claim { prompt: Some(prompt.to_owned()), version: Some(version.to_owned()), ..Claim::default() };
            let found = wanted(&claim).expect("a reference");
            assert_eq!((found.reference.as_str(), found.by), (reference, by), "{prompt} {version}");
        }
        let stamp = Claim { stamp: Some("a/b@7+3f9a1c2b7d41".to_owned()), ..Claim::default() };
        let found = wanted(&stamp).expect("a reference");
        assert_eq!((found.reference.as_str(), found.content), ("a/b@7", Some("3f9a1c2b7d41")));
        assert_eq!(wanted(&Claim::default()).err(), Some(Unattributed::NoPrompt));
        for (label, reference) in [
            (Some("staging"), Ok("a/b@staging")),
            (Some(" "), Ok("a/b@production")),
            (None, Ok("a/b@production")),
            (Some("no label"), Err(Unattributed::UnknownVersion)),
            (Some("7"), Err(Unattributed::UnknownVersion)),
        ] {
            let claim = Claim { prompt: Some("a/b".to_owned()), label: label.map(str::to_owned), ..Claim::default() };
            let found = wanted(&claim).map(|found| found.reference);
            assert_eq!(found.as_deref().map_err(|reason| *reason), reference, "{label:?}");
        }
        let beside = |prompt: &str, version: Option<&str>| Claim {
            prompt: Some(prompt.to_owned()),
            version: version.map(str::to_owned),
            label: Some("staging".to_owned()),
            ..Claim::default()
        };
        for (claim, reference) in [(beside("a/b@canary", None), "a/b@canary"), (beside("a/b", Some("7")), "a/b@7")] {
            assert_eq!(wanted(&claim).map(|found| found.reference), Ok(reference.to_owned()));
        }
        let odd = Claim { prompt: Some("a".to_owned()), version: Some("2025-05-01!".to_owned()), ..Claim::default() };
        assert_eq!(wanted(&odd).err(), Some(Unattributed::UnknownVersion));
    }
}
