//! Writers that compete for a few prompts, and the ledger of their results.
//!
//! Each write names its base (`expected_…`), so two writers can never both succeed from the same state. Acknowledged
//! writes go into the ledger; those interrupted before their answer may have happened or not.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, Place};
use super::run::Random;
use super::support::answer::Answer;
use super::support::node::{Node, segment};

/// Prompts that all writers share.
pub const PROMPTS: usize = 6;
/// The subject of the writers' policies, before a number: prompts that do not exist.
const ELSEWHERE: &str = "elsewhere/";
/// How long a writer waits while its node is away.
const AWAY: Duration = Duration::from_millis(5);

/// An acknowledged write.
#[derive(Clone, Debug)]
pub struct Write {
    pub prompt: usize,
    pub what: What,
    /// When the answer arrived, by the clock of the test.
    pub at: u64,
}

/// What was acknowledged.
#[derive(Clone, Debug)]
pub enum What {
    Version {
        number: u64,
        text: String,
    },
    Deployment {
        id: u64,
        expected: u64,
    },
    Draft {
        name: String,
        revision: u64,
        text: String,
    },
    /// A rule of governance: it changes no prompt, so replicas have nothing to fetch for it.
    Policy {
        name: String,
        number: u64,
    },
}

/// The results of the writers.
#[derive(Default)]
pub struct Ledger {
    writes: Mutex<Vec<Write>>,
    numbers: Mutex<BTreeSet<(usize, u64)>>,
    /// Every text that a writer tried to publish.
    tried: Mutex<HashSet<String>>,
    /// Drafts that may have been published and deleted.
    published: Mutex<HashSet<String>>,
    count: AtomicU64,
    pub refused: AtomicU64,
    /// Refusals that no client should meet: the program's own failures.
    failures: Mutex<BTreeSet<String>>,
}

pub fn prompt(number: usize) -> String {
    format!("torture/prompt-{number}")
}

fn path_of(number: usize) -> String {
    format!("/v1/prompts/{}", segment(&prompt(number)))
}

impl Ledger {
    /// How many writes were acknowledged.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Answers with internal errors, without their IDs.
    pub fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no panic").iter().cloned().collect()
    }

    /// Everything from the write of this number on.
    pub fn since(&self, first: usize) -> Vec<Write> {
        self.writes.lock().expect("no panic").get(first..).unwrap_or_default().to_vec()
    }

    /// Whether a writer tried to publish this text.
    pub fn knows(&self, text: &str) -> bool {
        self.tried.lock().expect("no panic").contains(text)
    }

    fn try_text(&self, text: &str) {
        self.tried.lock().expect("no panic").insert(text.to_owned());
    }

    fn acknowledge(&self, write: Write) {
        if let What::Version { number, .. } = write.what {
            let new = self.numbers.lock().expect("no panic").insert((write.prompt, number));
            assert!(new, "two writers were told that they made version {number} of prompt {}", write.prompt);
        }
        self.writes.lock().expect("no panic").push(write);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Looks up acknowledged writes on a node; what is missing.
    pub fn missing<'a>(&self, node: &Node, writes: impl IntoIterator<Item = &'a Write>) -> Vec<String> {
        let mut client = Client::new(Place::new(node.address()));
        let mut drafts: BTreeMap<(usize, &str), (u64, &str)> = BTreeMap::new();
        let mut deployments: BTreeMap<usize, Vec<(u64, u64)>> = BTreeMap::new();
        let mut policies: BTreeMap<&str, u64> = BTreeMap::new();
        let mut missing = Vec::new();
        for write in writes {
            match &write.what {
                What::Version { number, text } => {
                    let path = format!("{}/versions/{number}", path_of(write.prompt));
                    let found = get(&mut client, &path);
                    if found.status != 200 || found.json()["content"]["text"] != text.as_str() {
                        missing.push(format!("{write:?}: {}", found.text()));
                    }
                }
                What::Deployment { id, expected } => {
                    deployments.entry(write.prompt).or_default().push((*id, *expected));
                }
                What::Draft { name, revision, text } => {
                    drafts.insert((write.prompt, name), (*revision, text));
                }
                What::Policy { name, number } => {
                    policies.insert(name, *number);
                }
            }
        }
        for (prompt, wanted) in deployments {
            let history = history(&mut client, prompt);
            for (id, expected) in wanted {
                let before = history.range(..id).next_back().copied().unwrap_or_default();
                if !history.contains(&id) || before != expected {
                    missing.push(format!("deployment {id} of {prompt} after {expected}, there is {before} before it"));
                }
            }
        }
        let published = self.published.lock().expect("no panic").clone();
        for ((prompt, name), (revision, text)) in drafts {
            let found = get(&mut client, &format!("{}/drafts/{name}", path_of(prompt)));
            let saved = if found.status == 200 { found.json() } else { Value::Null };
            let later = saved["revision"].as_u64().is_some_and(|saved| saved > revision);
            if !later && saved["content"]["text"] != text && !published.contains(name) {
                missing.push(format!("draft {name} of {prompt}: {text}: {}", found.text()));
            }
        }
        let kept = if policies.is_empty() { Value::Null } else { get(&mut client, "/v1/policies").ok() };
        for (name, number) in policies {
            let found = kept.as_array().and_then(|kept| kept.iter().find(|policy| policy["name"] == name));
            let found =
                found.and_then(|policy| policy["prompts"].as_str()?.strip_prefix(ELSEWHERE)?.parse::<u64>().ok());
            if found.is_none_or(|found| found < number) {
                missing.push(format!("policy {name} of {number}: {found:?}"));
            }
        }
        missing
    }

    /// Checks all versions: numbers without gaps, no duplicate text, none from elsewhere.
    pub fn doubled(&self, node: &Node) -> Vec<String> {
        let mut client = Client::new(Place::new(node.address()));
        let mut seen = HashSet::new();
        let mut wrong = Vec::new();
        for prompt in 0..PROMPTS {
            let shown = get(&mut client, &path_of(prompt));
            let latest = if shown.status == 200 { shown.json()["latest"].as_u64().expect("a number") } else { 0 };
            for number in 1..=latest {
                let found = get(&mut client, &format!("{}/versions/{number}", path_of(prompt))).ok();
                let text = found["content"]["text"].as_str().expect("a text").to_owned();
                if !self.knows(&text) {
                    wrong.push(format!("nobody wrote version {number} of {prompt}: {text}"));
                }
                if !seen.insert(text.clone()) {
                    wrong.push(format!("version {number} of {prompt} is there twice: {text}"));
                }
            }
        }
        wrong
    }
}

fn get(client: &mut Client, path: &str) -> Answer {
    client.get(path).unwrap_or_else(|| panic!("no answer to {path}"))
}

/// The deployments of production.
fn history(client: &mut Client, number: usize) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    let base = format!("/v1/deployments?name={}&label=production&limit=1000", segment(&prompt(number)));
    let mut next = Some(base.clone());
    while let Some(path) = next {
        let page = get(client, &path).ok();
        ids.extend(page["items"].as_array().expect("a list").iter().filter_map(|item| item["id"].as_u64()));
        next = page["next"].as_str().map(|cursor| format!("{base}&cursor={}", segment(cursor)));
    }
    ids
}

/// What all writers share.
pub struct Shared<'a> {
    pub place: Place,
    pub ledger: &'a Ledger,
    pub stop: &'a AtomicBool,
    /// What time it is, in whatever the scenario measures its time by.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
}

/// Stops the writers when the scenario is over, also by a panic.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writes until told to stop.
pub fn write(shared: &Shared<'_>, me: usize, mut random: Random) {
    let mut client = Client::new(shared.place.clone());
    let draft = Drafted { name: format!("draft-{me}-{}", random.below(1 << 32)), revision: None };
    let mut writer = Writer { shared, me, tries: random.below(1 << 32) << 16, draft };
    while !shared.stop.load(Ordering::SeqCst) {
        let prompt = random.index(PROMPTS);
        let answered = match random.below(11) {
            0..=4 => writer.publish(&mut client, prompt),
            5..=6 => writer.deploy(&mut client, prompt, &mut random),
            7 => writer.roll_back(&mut client, prompt),
            8 => writer.save(&mut client),
            9 => writer.keep_policy(&mut client),
            _ => writer.publish_draft(&mut client),
        };
        if answered.is_none() {
            std::thread::sleep(AWAY);
        }
    }
}

struct Drafted {
    name: String,
    /// The revision and the text that are there for sure.
    revision: Option<(u64, String)>,
}

struct Writer<'a> {
    shared: &'a Shared<'a>,
    me: usize,
    tries: u64,
    draft: Drafted,
}

impl Writer<'_> {
    fn text(&mut self) -> String {
        self.tries += 1;
        let text = format!("writer {} says {} for {{{{who}}}}", self.me, self.tries);
        self.shared.ledger.try_text(&text);
        text
    }

    fn acknowledge(&self, prompt: usize, what: What) {
        self.shared.ledger.acknowledge(Write { prompt, what, at: (self.shared.clock)() });
    }

    /// The result of a successful answer; absent if it was rejected.
    fn good(&self, answer: &Answer) -> Option<Value> {
        if (200..300).contains(&answer.status) {
            return Some(answer.json());
        }
        if answer.status == 500 {
            let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
            self.shared.ledger.failures.lock().expect("no panic").insert(detail);
        }
        self.shared.ledger.refused.fetch_add(1, Ordering::SeqCst);
        None
    }

    fn publish(&mut self, client: &mut Client, prompt: usize) -> Option<()> {
        let shown = client.get(&path_of(prompt))?;
        let latest = if shown.status == 200 { shown.json()["latest"].as_u64().expect("a number") } else { 0 };
        let text = self.text();
        let content = json!({"syntax": "mustache", "text": text});
        let body = json!({"content": content, "message": "torture", "expected_parent": latest});
        let answer = client.send("POST", &format!("{}/versions", path_of(prompt)), Some(&body))?;
        if let Some(published) = self.good(&answer) {
            let number = published["version"]["number"].as_u64().expect("a number");
            assert_eq!((number, &published["created"]), (latest + 1, &json!(true)), "{published}");
            self.acknowledge(prompt, What::Version { number, text });
        }
        Some(())
    }

    /// The current deployment of production, and the latest version.
    fn stand(client: &mut Client, prompt: usize) -> Option<(u64, u64)> {
        let shown = client.get(&path_of(prompt))?;
        if shown.status != 200 {
            return Some((0, 0));
        }
        let shown = shown.json();
        let labels = shown["labels"].as_array().expect("labels").iter();
        let served =
            labels.filter(|label| label["label"] == "production").find_map(|label| label["deployment"].as_u64());
        Some((served.unwrap_or(0), shown["latest"].as_u64().expect("a number")))
    }

    fn deployed(&self, prompt: usize, expected: u64, answer: &Answer) {
        let Some(deployed) = self.good(answer) else { return };
        for deployment in deployed["deployments"].as_array().expect("a list") {
            let id = deployment["id"].as_u64().expect("a number");
            self.acknowledge(prompt, What::Deployment { id, expected });
        }
    }

    fn deploy(&self, client: &mut Client, number: usize, random: &mut Random) -> Option<()> {
        let (expected, latest) = Self::stand(client, number)?;
        if latest == 0 {
            return Some(());
        }
        let serving = json!({"version": 1 + random.below(latest)});
        let one =
            json!({"name": prompt(number), "label": "production", "serving": serving, "expected_deployment": expected});
        let body = json!({"moves": [one], "message": "torture"});
        let answer = client.send("POST", "/v1/deployments", Some(&body))?;
        self.deployed(number, expected, &answer);
        Some(())
    }

    fn roll_back(&self, client: &mut Client, number: usize) -> Option<()> {
        let (expected, _) = Self::stand(client, number)?;
        let body = json!({"message": "torture", "expected_deployment": expected});
        let path = format!("{}/labels/production/rollback", path_of(number));
        let answer = client.send("POST", &path, Some(&body))?;
        self.deployed(number, expected, &answer);
        Some(())
    }

    fn keep_policy(&mut self, client: &mut Client) -> Option<()> {
        self.tries += 1;
        let (name, number) = (format!("torture-{}", self.me), self.tries);
        let body =
            json!({"name": name, "prompts": format!("{ELSEWHERE}{number}"), "labels": "production", "approvals": 1});
        let answer = client.send("PUT", &format!("/v1/policies/{name}"), Some(&body))?;
        if self.good(&answer).is_some() {
            self.acknowledge(0, What::Policy { name, number });
        }
        Some(())
    }

    /// Each writer has one draft, of a prompt that is its own to draft.
    fn drafted(&self) -> (usize, String) {
        let prompt = self.me % PROMPTS;
        (prompt, format!("{}/drafts/{}", path_of(prompt), self.draft.name))
    }

    fn save(&mut self, client: &mut Client) -> Option<()> {
        let (prompt, path) = self.drafted();
        if self.draft.revision.is_none() {
            // An interrupted save may exist or not.
            let found = client.get(&path)?;
            let saved = if found.status == 200 { found.json() } else { json!({"revision": 0}) };
            let text = saved["content"]["text"].as_str().unwrap_or_default().to_owned();
            self.draft.revision = Some((saved["revision"].as_u64().expect("a number"), text));
        }
        let text = self.text();
        let (revision, _) = self.draft.revision.take()?;
        let content = json!({"syntax": "mustache", "text": text});
        let body = json!({"content": content, "expected_revision": revision});
        let answer = client.send("PUT", &path, Some(&body))?;
        if let Some(saved) = self.good(&answer) {
            assert_eq!(saved["revision"], revision + 1, "{saved}");
            let name = self.draft.name.clone();
            self.acknowledge(prompt, What::Draft { name, revision: revision + 1, text: text.clone() });
            self.draft.revision = Some((revision + 1, text));
        }
        Some(())
    }

    fn publish_draft(&mut self, client: &mut Client) -> Option<()> {
        let (prompt, path) = self.drafted();
        let Some((revision, text)) = self.draft.revision.take().filter(|(revision, _)| *revision > 0) else {
            return Some(());
        };
        let name = self.draft.name.clone();
        self.shared.ledger.published.lock().expect("no panic").insert(name);
        let body = json!({"message": "torture", "expected_revision": revision});
        let answer = client.send("POST", &format!("{path}/publication"), Some(&body))?;
        if let Some(published) = self.good(&answer) {
            let number = published["version"]["number"].as_u64().expect("a number");
            self.acknowledge(prompt, What::Version { number, text });
            self.tries += 1;
            self.draft.name = format!("draft-{}-{}", self.me, self.tries);
        }
        Some(())
    }
}
