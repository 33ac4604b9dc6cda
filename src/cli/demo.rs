//! `demo`: the main features in one terminal, with real nodes on real sockets.
//!
//! A primary and a replica start in this process, on free ports and in a temporary directory that is removed at the
//! end. All printed results and measurements are real.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Verdict;
use super::args::node::DemoArgs;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, STRONG, paint};
use super::serve::runtime;
use crate::api::write::{DeployRequest, Move, PublishRequest, RollbackRequest, ServingRequest, SplitRequest};
use crate::client::{Client, ClientOptions};
use crate::clock::SystemClock;
use crate::config::{self, Layer};
use crate::crypto::secret::AccessToken;
use crate::model::content::{Content, Syntax};
use crate::model::name::{Label, PromptName};
use crate::resolve::Query;
use crate::server::offline::verify_transaction;
use crate::server::{EndSignals, PAGES, Running, run_until_told, start_primary, start_replica};
use crate::store::{Options, Store};

/// Longest wait for the replica, on any machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Polling interval while waiting for the replica.
const LOOK: Duration = Duration::from_micros(200);
/// Number of timed requests.
const ANSWERS: u32 = 100_000;

const AGENT: &str = "support/agent";
const TONE: &str = "shared/tone";
const REFERENCE: &str = "support/agent@production";

/// Runs the demo, and with `--keep` leaves both nodes running.
pub fn run(args: &DemoArgs, output: Output) -> Result<Verdict, CliError> {
    let directory = tempfile::Builder::new().prefix("bookholder-demo-").tempdir()?;
    let keep = args.keep;
    runtime()?.block_on(async move {
        let story = Story { output, directory: directory.path().to_owned() };
        let (primary, replica, token) = story.run_story().await?;
        if keep {
            story.print_invitation(&primary, &replica, &token)?;
            let stopping = replica.stopping();
            run_until_told(primary, EndSignals::take()?).await;
            stopping.cancel();
        } else {
            story.print(&format!("\n{}", paint(DIM, "`bookholder demo --keep` leaves both nodes running.")))?;
            primary.stop().await;
        }
        replica.stop().await;
        Ok(Verdict::Done)
    })
}

struct Story {
    output: Output,
    directory: std::path::PathBuf,
}

impl Story {
    async fn run_story(&self) -> Result<(Running, Running, AccessToken), CliError> {
        self.chapter("Start a primary: one process, one directory, its own keys and access token.")?;
        let (primary, token) = self.start_primary("127.0.0.1:0", None).await?;
        self.fact("listens on", primary.url())?;
        self.fact("root key", primary.root_key)?;

        self.chapter("Publish a prompt. Includes are pinned; contents are addressed by their hash.")?;
        let client = client(&primary, &token)?;
        publish(&client, TONE, "Be brief and kind.", "How we speak", &["production"]).await?;
        let first = "{{> shared/tone}}\nYou help the customers of {{shop}}.";
        self.fact("published", publish(&client, AGENT, first, "First words", &["production"]).await?)?;

        self.chapter("Start a replica next to the application. It needs only the root key.")?;
        let (replica, took) = self.start_replica(&primary).await?;
        let answer =
            replica.resolver.resolve(REFERENCE, &Query::default()).map_err(|error| CliError::no(error.to_string()))?;
        self.fact(
            "serves",
            format!("{} {}", answer.stamp, paint(DIM, format!("verified {} after it started", milliseconds(took)))),
        )?;

        self.chapter("Deploy a better version. The replica receives it immediately.")?;
        let second = "{{> shared/tone}}\nYou help the customers of {{shop}}.\nNever promise a refund.";
        self.fact("published", publish(&client, AGENT, second, "No refund promises", &[]).await?)?;
        let began = Instant::now();
        deploy(&client, ServingRequest { version: Some(2), ..ServingRequest::default() }, "Reviewed by finance")
            .await?;
        wait(&replica, |answer| answer.version == 2).await?;
        self.fact("live on the replica", format!("{} after the request", milliseconds(began.elapsed())))?;

        self.chapter("Deploy to a tenth of the traffic first. Each customer always gets the same version.")?;
        let weights = [(1, 90), (2, 10)].into();
        let split = SplitRequest { weights, salt: Some("try-7".to_owned()) };
        deploy(&client, ServingRequest { split: Some(split), ..ServingRequest::default() }, "A tenth of the traffic")
            .await?;
        wait(&replica, |answer| answer.assignment.is_some()).await?;
        for subject in ["ada", "grace", "linus"] {
            let query = Query { subject: Some(subject.to_owned()), ..Query::default() };
            let answer =
                replica.resolver.resolve(REFERENCE, &query).map_err(|error| CliError::no(error.to_string()))?;
            self.fact(subject, format!("version {}", answer.version))?;
        }

        self.chapter("Roll back, with a reason.")?;
        let began = Instant::now();
        let why =
            RollbackRequest { message: "Too many refusals".to_owned(), to: Some(1), ..RollbackRequest::default() };
        client.rollback(&name(AGENT)?, &Label::production(), &why).await?;
        wait(&replica, |answer| answer.version == 1 && answer.assignment.is_none()).await?;
        self.fact("back on version 1", format!("{} after the request", milliseconds(began.elapsed())))?;

        self.chapter("Stop the primary. Callers of the replica are unaffected.")?;
        let address = primary.address.to_string();
        primary.stop().await;
        let each = time_answers(&replica)?;
        self.fact(
            "still answering",
            format!("{} each, {ANSWERS} answers in this process, without a network", microseconds(each)),
        )?;
        let status = client_of(&replica, None)?.status().await?;
        self.fact("and reported", format!("stale since {}", status.since))?;

        self.chapter("Restart the primary. Stop the replica and verify its data.")?;
        let (primary, _) = self.start_primary(&address, Some(&token)).await?;
        replica.stop().await;
        let proof = {
            let store = Store::open(&Options { directory: self.directory.join("replica"), create: false })
                .map_err(|error| CliError::no(error.to_string()))?;
            let proof = store
                .read()
                .and_then(|txn| verify_transaction(&txn))
                .map_err(|error| CliError::no(error.to_string()))?;
            store.close().await;
            proof
        };
        if !proof.report.differences.is_empty() {
            return Err(CliError::no("the replica's state failed verification").details(proof.report.differences));
        }
        self.fact(
            "verified",
            format!("all {} records of the replica match what the primary signed", proof.report.state.entries),
        )?;
        let (replica, _) = self.start_replica(&primary).await?;
        self.print(&format!(
            "\n{}",
            paint(GOOD, "Done. The primary kept every version, and the replica never stopped answering.")
        ))?;
        Ok((primary, replica, token))
    }

    async fn start_primary(
        &self,
        listen: &str,
        token: Option<&AccessToken>,
    ) -> Result<(Running, AccessToken), CliError> {
        let layer = Layer {
            data: Some(self.directory.join("primary")),
            listen: listen.parse().ok(),
            registry: Some("demo".to_owned()),
            ..Layer::default()
        };
        let settings = config::primary(layer, &std::collections::BTreeMap::new())?;
        let primary = start_primary(settings, Arc::new(SystemClock::new())).await?;
        let token = primary.new_token.clone().or_else(|| token.cloned());
        Ok((primary, token.ok_or_else(|| CliError::no("the demo's registry is not new"))?))
    }

    /// Starts the replica and waits until it answers; returns how long that took.
    async fn start_replica(&self, primary: &Running) -> Result<(Running, Duration), CliError> {
        let layer = Layer {
            data: Some(self.directory.join("replica")),
            listen: "127.0.0.1:0".parse().ok(),
            upstream: Some(primary.url()),
            root_key: Some(primary.root_key.to_string()),
            replica_name: Some("demo-replica".to_owned()),
            ..Layer::default()
        };
        let began = Instant::now();
        let settings = config::replica(layer, &std::collections::BTreeMap::new())?;
        let replica = start_replica(settings, Arc::new(SystemClock::new())).await?;
        wait(&replica, |_| true).await?;
        Ok((replica, began.elapsed()))
    }

    fn print_invitation(&self, primary: &Running, replica: &Running, token: &AccessToken) -> Result<(), CliError> {
        self.print(&format!(
            "\n{}",
            paint(STRONG, "Both nodes run until you press Ctrl-C. In another terminal, try:")
        ))?;
        self.print(&format!("  export BOOKHOLDER_SERVER={} BOOKHOLDER_TOKEN={}", primary.url(), token.reveal()))?;
        self.print(&format!("  bookholder history {AGENT}"))?;
        self.print(&format!("  curl {}/v1/resolve/{REFERENCE}", replica.url()))?;
        self.print(&format!("  Open {}{PAGES} or {}/docs in a browser", primary.url(), primary.url()))
    }

    fn chapter(&self, text: &str) -> Result<(), CliError> {
        self.print(&format!("\n{}", paint(STRONG, text)))
    }

    fn fact(&self, what: &str, value: impl std::fmt::Display) -> Result<(), CliError> {
        self.print(&format!("  {} {}", paint(DIM, format!("{what:<20}")), paint(ACCENT, value)))
    }

    fn print(&self, text: &str) -> Result<(), CliError> {
        self.output.line(text)
    }
}

fn name(text: &str) -> Result<PromptName, CliError> {
    text.parse().map_err(|error: crate::model::name::NameError| CliError::usage(error.to_string()))
}

fn client(node: &Running, token: &AccessToken) -> Result<Client, CliError> {
    client_of(node, Some(token.clone()))
}

fn client_of(node: &Running, token: Option<AccessToken>) -> Result<Client, CliError> {
    Ok(Client::new(&ClientOptions { server: node.url(), token, ca_pem: None })?)
}

async fn publish(client: &Client, prompt: &str, text: &str, why: &str, labels: &[&str]) -> Result<String, CliError> {
    let labels = labels.iter().map(|label| label.parse()).collect::<Result<Vec<Label>, _>>();
    let request = PublishRequest {
        content: Content::text(Syntax::Mustache, text),
        message: why.to_owned(),
        bump: None,
        expected_parent: None,
        labels: labels.map_err(|error| CliError::usage(error.to_string()))?,
        allow_major: false,
        break_glass: None,
    };
    let published = client.publish(&name(prompt)?, &request).await?;
    Ok(format!("{} {}", published.stamp, paint(DIM, published.version.semver)))
}

async fn deploy(client: &Client, serving: ServingRequest, why: &str) -> Result<(), CliError> {
    let moves = vec![Move { name: name(AGENT)?, label: Label::production(), serving, expected_deployment: None }];
    client.deploy(&DeployRequest { moves, message: why.to_owned(), ..DeployRequest::default() }).await?;
    Ok(())
}

/// Waits until the replica gives the expected answer.
async fn wait(replica: &Running, fits: impl Fn(&crate::resolve::Answer) -> bool) -> Result<(), CliError> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if replica.resolver.resolve(REFERENCE, &Query::default()).is_ok_and(|answer| fits(&answer)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(CliError::no(format!("the replica did not catch up within {} s", PATIENCE.as_secs())))
}

fn time_answers(replica: &Running) -> Result<Duration, CliError> {
    let query = Query::default();
    let began = Instant::now();
    for _ in 0..ANSWERS {
        let answer = replica.resolver.resolve(REFERENCE, &query).map_err(|error| CliError::no(error.to_string()))?;
        std::hint::black_box(answer);
    }
    Ok(began.elapsed() / ANSWERS)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn microseconds(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1_000_000.0)
}
