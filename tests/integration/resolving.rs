//! Resolving: what was written is read at once, splits and rules choose the same everywhere, and the past stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bookholder::api::write::{RuleRequest, ServingRequest, SplitRequest};
use bookholder::experiment::assignment::bucket;
use bookholder::resolve::{Query, ResolveError, Resolver};

use crate::support::primary::{Primary, fixed, moving, text_of};

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_readable_at_once_under_concurrency() {
    const PROMPTS: usize = 6;
    const ROUNDS: u64 = 25;
    let primary = Primary::found();
    for prompt in 0..PROMPTS {
        primary.publish(&format!("p{prompt}"), "v1").await;
        primary.deploy(&format!("p{prompt}"), 1, "production").await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..PROMPTS).map(|_| AtomicU64::new(1)).collect());
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (resolver, done, acknowledged) =
                (primary.resolver.clone(), Arc::clone(&done), Arc::clone(&acknowledged));
            std::thread::spawn(move || {
                let mut reads = 0_u64;
                while !done.load(Ordering::Acquire) {
                    for (prompt, acknowledged) in acknowledged.iter().enumerate() {
                        let at_least = acknowledged.load(Ordering::Acquire);
                        let answer = resolver.resolve(&format!("p{prompt}"), &Query::default()).expect("always served");
                        assert!(answer.version >= at_least, "p{prompt} was acknowledged at {at_least}");
                        reads += 1;
                    }
                    std::thread::yield_now();
                }
                reads
            })
        })
        .collect();
    let mut writers = tokio::task::JoinSet::new();
    let primary = Arc::new(primary);
    for prompt in 0..PROMPTS {
        let (primary, acknowledged) = (Arc::clone(&primary), Arc::clone(&acknowledged));
        writers.spawn(async move {
            let name = format!("p{prompt}");
            for version in 2..=ROUNDS {
                primary.publish(&name, &format!("v{version}")).await;
                primary.deploy(&name, version, "production").await;
                acknowledged[prompt].store(version, Ordering::Release);
                assert_eq!(primary.text(&name).expect("served"), format!("v{version}"));
                assert_eq!(primary.text(&format!("{name}@latest")).expect("served"), format!("v{version}"));
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().expect("never stale") > 0);
    }
}

#[tokio::test]
async fn buckets_are_those_that_every_language_computes() {
    for (salt, subject, slot) in [
        ("s1", "user-42", 1_062),
        ("s1", "user-43", 3_157),
        ("s2", "user-42", 8_383),
        ("s1", "användare-ü", 1_491),
        ("s1", "", 9_626),
    ] {
        assert_eq!(bucket(salt, subject), slot, "{salt}.{subject}");
    }
    let primary = Primary::found();
    for text in ["v1", "v2"] {
        primary.publish("a", text).await;
    }
    let split = SplitRequest { weights: BTreeMap::from([(1, 2_000), (2, 8_000)]), salt: Some("s1".to_owned()) };
    let serving = ServingRequest { split: Some(split), ..ServingRequest::default() };
    primary.try_deploy(vec![moving("a", "production", serving)]).await.expect("good");
    for (subject, slot, version) in [("user-42", 1_062, 1), ("användare-ü", 1_491, 1), ("user-43", 3_157, 2)] {
        let query = Query { subject: Some(subject.to_owned()), ..Query::default() };
        for _ in 0..3 {
            let answer = primary.resolver.resolve("a", &query).expect("an arm");
            let assignment = answer.assignment.clone().expect("a split");
            assert_eq!(
                (answer.version, assignment.bucket, assignment.sticky),
                (version, Some(slot), true),
                "{subject}"
            );
        }
    }
    let mut seen = BTreeMap::from([(1, 0), (2, 0)]);
    for _ in 0..400 {
        let answer = primary.resolver.resolve("a", &Query::default()).expect("an arm");
        assert!(!answer.assignment.as_ref().expect("a split").sticky, "without a subject nothing is sticky");
        *seen.entry(answer.version).or_insert(0) += 1;
    }
    assert!(seen[&1] > 20 && seen[&2] > 200, "about one in five: {seen:?}");
    let empty = Query { subject: Some(String::new()), ..Query::default() };
    assert!(!primary.resolver.resolve("a", &empty).expect("an arm").assignment.clone().expect("a split").sticky);
}

#[tokio::test]
async fn first_matching_rule_decides() {
    let primary = Primary::found();
    for text in ["default", "german", "power"] {
        primary.publish("a", text).await;
    }
    let rule =
        |when: &[(&str, &str)], version| RuleRequest { when: attributes(when), version: Some(version), split: None };
    let rules = vec![rule(&[("tier", "power"), ("model", "claude-*")], 3), rule(&[("locale", "de*")], 2)];
    primary.try_deploy(vec![moving("a", "production", ServingRequest { rules, ..fixed(1) })]).await.expect("good");
    for (given, text, index) in [
        (&[][..], "default", None),
        (&[("locale", "de-AT")], "german", Some(1)),
        (&[("locale", "en")], "default", None),
        (&[("tier", "power")], "default", None),
        (&[("tier", "power"), ("model", "claude-5"), ("locale", "de")], "power", Some(0)),
        (&[("locale", "DE")], "default", None),
    ] {
        let query = Query { attributes: attributes(given), ..Query::default() };
        assert_eq!(text_of(&primary.resolver, "a", &query).expect("served"), text, "{given:?}");
        let answer = primary.resolver.resolve("a", &query).expect("served");
        assert_eq!(answer.assignment.as_ref().expect("rules").rule, index, "{given:?}");
    }
}

#[tokio::test]
async fn past_times_answer_as_they_did() {
    let primary = Primary::found();
    let before = primary.now();
    primary.wait(1_000).publish("a", "v1").await;
    let published = primary.now();
    primary.wait(1_000).deploy("a", 1, "production").await;
    let deployed = primary.now();
    primary.wait(1_000).publish("a", "v2").await;
    primary.wait(1_000).deploy("a", 2, "production").await;
    let moved = primary.now();
    primary.wait(1_000).unlabel("a", "production").await.expect("a label");
    let gone = primary.now();
    let answer = |reference: &str, at| primary.text_at(reference, at).map_err(|error| error.to_string());
    assert_eq!(answer("a", before), Err("the prompt `a` had no label `production` at 2026-03-20T15:00:00Z".to_owned()));
    assert!(answer("a@1", before).is_err() && answer("a@latest", before).is_err());
    assert_eq!(answer("a@latest", published), Ok("v1".to_owned()));
    assert!(answer("a", published).is_err());
    assert_eq!(answer("a", deployed), Ok("v1".to_owned()));
    assert_eq!(answer("a@2", deployed), Err("the prompt `a` has no version 2; its latest is 2".to_owned()));
    assert_eq!((answer("a", moved), answer("a@latest", moved)), (Ok("v2".to_owned()), Ok("v2".to_owned())));
    assert!(answer("a", gone).is_err());
    assert_eq!(answer("nobody", moved), Err("there is no prompt `nobody`".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_is_answered_from_one_state() {
    let primary = Primary::found();
    for version in 1..=2 {
        primary.publish("a", &format!("a{version}")).await;
        primary.publish("b", &format!("b{version}")).await;
    }
    let both = |version| vec![moving("a", "production", fixed(version)), moving("b", "production", fixed(version))];
    primary.try_deploy(both(1)).await.expect("good");
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (resolver, done) = (primary.resolver.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            let references: Vec<String> = ["a", "b", "nobody", "a@b@c"].map(str::to_owned).to_vec();
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let (position, answers) = resolver.batch(&references, &Query::default()).expect("a batch");
                let versions: Vec<Option<u64>> =
                    answers.iter().map(|(_, answer)| answer.as_ref().ok().map(|answer| answer.version)).collect();
                assert_eq!((versions[0], versions[2], versions[3]), (versions[1], None, None));
                assert!(position.seq >= last, "positions only rise");
                last = position.seq;
            }
        })
    };
    for round in 0..40 {
        primary.try_deploy(both(1 + (round + 1) % 2)).await.expect("good");
    }
    done.store(true, Ordering::Release);
    reader.join().expect("always one state");
}

#[tokio::test]
async fn batch_is_bounded_in_bytes_and_shares_equal_references() {
    let primary = Primary::found();
    primary.publish("large", &"x".repeat(900_000)).await;
    primary.publish("small", "s").await;
    let batch = |number: usize| {
        let mut references = vec!["large@1".to_owned(); number];
        references.insert(0, "small@1".to_owned());
        let answers = primary.resolver.batch(&references, &Query::default()).map(|(_, answers)| {
            let answers = answers.into_iter().map(|(_, answer)| answer.expect("an answer"));
            answers.collect::<Vec<_>>()
        });
        answers.map_err(|error| error.to_string())
    };
    let answers = batch(18).expect("less than 16 MiB");
    assert_eq!(answers.len(), 19);
    assert!(answers[1..].iter().all(|answer| Arc::ptr_eq(answer, &answers[1])));
    let refused = batch(19).expect_err("more than 16 MiB");
    assert_eq!(refused, "the answers to this batch exceed the limit of 16777216 bytes at `large@1`");
    assert_eq!(batch(999).expect_err("far more"), refused);
}

#[tokio::test]
async fn requests_over_limits_get_the_same_error_cached_or_not() {
    let primary = Primary::found();
    primary.publish("a", "v1").await;
    primary.deploy("a", 1, "production").await;
    let many = Query { attributes: (0..65).map(|n| (format!("a{n}"), String::new())).collect(), ..Query::default() };
    let long = Query { subject: Some("s".repeat(1_025)), ..Query::default() };
    for round in 0..2 {
        for (query, message) in [
            (&many, "the number of attributes 65 is over the limit of 64"),
            (&long, "the length of a subject or attribute, 1025 is over the limit of 1024"),
        ] {
            let error = primary.resolver.resolve("a", query).expect_err(message);
            assert_eq!(error.to_string(), message, "round {round}");
        }
        assert_eq!(primary.text("a").expect("in memory from now on"), "v1");
    }
    let references = vec!["a".to_owned(); 1_001];
    let error = primary.resolver.batch(&references, &Query::default()).expect_err("too many");
    assert_eq!(error.to_string(), "the number of references 1001 is over the limit of 1000");
    assert_eq!(primary.resolver.batch(&references[1..], &Query::default()).expect("at the limit").1.len(), 1_000);
}

#[tokio::test]
async fn invalid_reference_gives_the_reason() {
    let primary = Primary::found();
    let published = primary.publish("a", "v1").await;
    for (reference, message) in [
        ("a", "the prompt `a` has no label `production`".to_owned()),
        ("a@staging", "the prompt `a` has no label `staging`".to_owned()),
        ("a@2", "the prompt `a` has no version 2; its latest is 1".to_owned()),
        ("a@9007199254740991", "the prompt `a` has no version 9007199254740991; its latest is 1".to_owned()),
        (
            "a@9007199254740992",
            "invalid version number `9007199254740992`: versions count from 1 to 9007199254740991".to_owned(),
        ),
        ("a@0", "invalid version number `0`: versions count from 1 to 9007199254740991".to_owned()),
        ("a@b3:00000000", "the prompt `a` has no version b3:00000000; its latest is 1".to_owned()),
        ("b", "there is no prompt `b`".to_owned()),
        (
            "a\0b",
            "the name `a\u{fffd}b` contains U+0000 (a control character), which is not allowed; remove it or \
            use `-`"
                .to_owned(),
        ),
    ] {
        assert_eq!(primary.text(reference).expect_err(reference).to_string(), message);
    }
    let by_content = format!("a@{}", &published.version.content_id.to_string()[..11]);
    assert_eq!(primary.text(&by_content).expect("eight digits are enough"), "v1");
    primary.resolver.set_ready(false);
    let error = primary.resolver.resolve("a@1", &Query::default()).expect_err("not ready");
    assert!(matches!(error, ResolveError::NotReady));
    assert_eq!(error.to_string(), "this replica has no verified state yet");
}

#[tokio::test]
async fn etag_changes_with_the_bytes_of_the_answer() {
    let primary = Primary::found();
    primary.publish("a", "v1").await;
    primary.publish("a", "v2").await;
    primary.deploy("a", 1, "production").await;
    let first = primary.resolver.resolve("a", &Query::default()).expect("served");
    assert_eq!(bookholder::model::content_id::ContentId::of(&first.content_bytes()), first.content_id);
    let resolved: bookholder::api::read::Resolved = serde_json::from_slice(&first.body()).expect("the wire form");
    assert_eq!(resolved, first.to_resolved().expect("the wire form"));
    assert_eq!(primary.resolver.cached("a").expect("in memory").etag(), first.etag());
    primary.deploy("a", 2, "production").await;
    assert!(primary.resolver.cached("a").is_none(), "it changed");
    let second = primary.resolver.resolve("a", &Query::default()).expect("served");
    assert_ne!(second.etag(), first.etag());
    assert!(second.stamp.starts_with("a@2+"), "{}", second.stamp);
}

#[tokio::test]
async fn full_cache_answers_from_disk() {
    let primary = Primary::found();
    let small = Resolver::new(primary.store.clone(), 4 * 1_024);
    for prompt in 0..40 {
        primary.publish(&format!("p{prompt}"), &"x".repeat(900 + prompt)).await;
    }
    for round in 0..2 {
        for prompt in 0..40 {
            let text = text_of(&small, &format!("p{prompt}@latest"), &Query::default()).expect("served");
            assert_eq!(text.len(), 900 + prompt, "round {round}");
        }
    }
    let kept = (0..40).filter(|prompt| small.cached(&format!("p{prompt}@latest")).is_some()).count();
    assert!(kept <= 4, "{kept} answers of a kilobyte do not fit into four");
}
