//! The flags of node verbs: serve, replica, demo, and those for a data directory.
//!
//! Settings are `Option` here: `config` merges flags, environment and file, in that order. Nothing here acts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{LogFormat, listen_address};

use crate::crypto::key::VerifyingKey;
use crate::model::position::Position;

const SERVE_EXAMPLES: &str = "\
Settings can also come from BOOKHOLDER_… environment variables or
bookholder.toml; flags take precedence.

Examples:
  bookholder serve
  bookholder serve --data /var/lib/bookholder --listen 0.0.0.0:7070 \\
      --tls-cert cert.pem --tls-key key.pem
  bookholder serve --watch prompts/      publish files whenever they change
  bookholder serve --data drill --listen 127.0.0.1:7079 --hold-automation";

const REPLICA_EXAMPLES: &str = "\
The access token for the upstream comes from $BOOKHOLDER_UPSTREAM_TOKEN or
$BOOKHOLDER_TOKEN.

Examples:
  bookholder replica --upstream https://prompts.example.com --root-key bk1-…
  bookholder replica --data /var/lib/bookholder --root-key bk1-… \\
      --inbox /media/bundles";

const KEYS_EXAMPLES: &str = "\
Examples:
  bookholder keys show --data /var/lib/bookholder

To move from one root key on the primary to two of three, held by three people:
  bookholder keys new ada.key        each of the three; prints a public key
  bookholder keys draft --data /var/lib/bookholder --out root-2.draft \\
      --public-key ADA --public-key BOB --public-key EVE --threshold 2
  bookholder keys sign root-2.draft --key /var/lib/bookholder/keys/root.key
  bookholder keys sign root-2.draft --key ada.key    then another of the three
  bookholder keys install root-2.draft --data /var/lib/bookholder

Stop the node before you install a draft.";

const KEYS_DRAFT_EXAMPLES: &str = "\
Examples:
  bookholder keys draft --data /var/lib/bookholder --out root-2.draft \\
      --public-key ADA --public-key BOB --threshold 2
  bookholder keys draft --data /var/lib/bookholder --out root-3.draft \\
      --rotate-checkpoint

A new checkpoint key starts a new epoch after the last commit: keep the node
stopped until the draft is installed. Signatures of the old key are rejected
from then on. Make a backup afterwards: older backups do not contain the new
key.";

/// Settings of a primary and a replica.
#[derive(Clone, Debug, Default, Args)]
pub struct ListenArgs {
    /// Data directory [default: ./bookholder-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on; a port alone means 127.0.0.1 [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// Unix socket to listen on as well
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Settings file [default: bookholder.toml in the working directory, if present]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// TLS certificate chain (PEM); reloaded when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// TLS private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Allow plain HTTP from other machines; a replica without a read token is then open to all
    #[arg(long)]
    pub insecure: bool,
    /// Additional Host names accepted without an access token, e.g. prompts.example.com; * for all
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// Networks of proxies whose X-Forwarded-For and Forwarded headers are trusted; `unix` for the Unix socket
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// Public URL of the web pages, with a path if needed; used for links and behind a proxy
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Price table (JSON) that overrides the embedded prices of models
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Record what is sent to models and what they answer; only tokens, cost and times otherwise
    #[arg(long)]
    pub record_content: bool,
    /// Record it for a part of calls only, such as 0.1 for a tenth [default: 1]
    #[arg(long, value_name = "PART", requires = "record_content")]
    pub record_content_sample: Option<f64>,
    /// Log format [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// `serve`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Address, data directory and other settings of the node.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Folder of prompt files to publish whenever they change
    #[arg(long, value_name = "DIR")]
    pub watch: Option<PathBuf>,
    /// Milliseconds a file must stay unchanged before it is published [default: 2000]
    #[arg(long, value_name = "MS")]
    pub watch_quiet_ms: Option<u64>,
    /// Where recorded telemetry is written to as Parquet files
    #[arg(
        long,
        value_name = "PLACE",
        help = "Folder or s3://BUCKET/PREFIX to write recorded telemetry to as Parquet files, by day"
    )]
    pub parquet: Option<PathBuf>,
    /// Seconds between two Parquet files [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    pub parquet_every_s: Option<u64>,
    /// Collector of OpenTelemetry to send recorded telemetry to, with the prompt and version of each response
    #[arg(long, value_name = "URL")]
    pub forward_otlp: Option<String>,
    /// PEM file of CA certificates to trust for the collector in addition to public ones
    #[arg(long, value_name = "FILE")]
    pub forward_otlp_ca: Option<PathBuf>,
    /// Name of a new registry [default: generated]
    #[arg(long, value_name = "NAME")]
    pub registry: Option<String>,
    /// Private networks webhooks may reach, e.g. 10.0.0.0/8
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub webhook_allow: Vec<String>,
    /// Trust this machine's clock even if it is far from the last commit
    #[arg(long)]
    pub trust_clock: bool,
    /// Archive versions unused for this many days (min. 184) [default: never]
    #[arg(long, value_name = "DAYS")]
    pub archive_unused_days: Option<u32>,
    /// Deploy no change requests, send no webhooks, and expire, archive and watch nothing: for a drill with a copy
    #[arg(long)]
    pub hold_automation: bool,
}

/// `replica`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = REPLICA_EXAMPLES)]
pub struct ReplicaArgs {
    /// Address, data directory and other settings of the node.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Node to follow
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Registry root key, as printed by `bookholder keys show`; required at the first start
    #[arg(long, value_name = "KEY")]
    pub root_key: Option<String>,
    /// Folder in which bundles arrive
    #[arg(long, value_name = "DIR")]
    pub inbox: Option<PathBuf>,
    /// PEM file of CA certificates to trust for the upstream in addition to public ones
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// Accept an expired checkpoint as the first state; later ones are always accepted and reported as expired
    #[arg(long)]
    pub accept_expired: bool,
    /// Discard the history held at this position and accept a different one signed by the registry
    #[arg(long, value_name = "POSITION")]
    pub accept_fork: Option<Position>,
    /// Accept the first state without comparing its times with this machine's clock
    #[arg(long)]
    pub ignore_clock: bool,
    /// Do not update; stay at the current position
    #[arg(long)]
    pub hold: bool,
}

/// `demo`
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  bookholder demo          takes under a minute and leaves nothing behind\n  bookholder demo --keep   keep both nodes running until Ctrl-C"
)]
pub struct DemoArgs {
    /// Keep both nodes running afterwards
    #[arg(long)]
    pub keep: bool,
}

/// `verify`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder verify --data /var/lib/bookholder")]
pub struct VerifyArgs {
    /// Data directory; stop its node first
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `compact`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  bookholder compact --data /var/lib/bookholder\n\nA node also does this itself on start if more than half of a large database is\nunused."
)]
pub struct CompactArgs {
    /// Data directory; stop its node first
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

const RESTORE_EXAMPLES: &str = "\
Examples:
  bookholder restore friday.backup --data /var/lib/bookholder \\
      --keys /media/safe/keys
  bookholder restore friday.backup --data D       keys are already in D/keys
  bookholder restore friday.backup --data D --keys K \\
      --root-key-file ada.key --root-key-file bob.key
  bookholder restore friday.backup --data D --keys K --draft epoch.draft
  bookholder keys sign epoch.draft --key ada.key
  bookholder restore friday.backup --data D --keys K --signed epoch.draft

Use the latest keys of the registry: a backup does not contain them. If keys
were changed after the backup was made, copy the registry's folder `trust` into
the data directory first; otherwise replicas reject the restored registry. The
directory may contain what is left of a registry that lost its database. A
failed restore leaves nothing behind; run an interrupted one again.";

/// `restore`
#[derive(Clone, Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct RestoreArgs {
    /// Backup file, from `bookholder backup`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Data directory to create; must not exist or must have no database
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Folder of the registry's keys [default: keys in the data directory]
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Additional root key to sign the new epoch with, besides root.key in the keys folder; repeatable
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Vec<PathBuf>,
    /// Restore nothing yet; write the new epoch to this file, to sign where the root keys are kept
    #[arg(long, value_name = "FILE", conflicts_with = "root_key_file")]
    pub draft: Option<PathBuf>,
    /// Restore with the epoch in this file, signed by `bookholder keys sign`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root_key_file", "draft"])]
    pub signed: Option<PathBuf>,
}

const REPAIR_EXAMPLES: &str = "\
Examples:
  bookholder repair-dates --data /var/lib/bookholder --dry-run
  bookholder repair-dates --data /var/lib/bookholder \\
      -m 'The clock was wrong until Monday'

First set the clock and stop the node. Dates in the future or out of commit
order are moved between those of the commits before and after. The audit log
keeps the original times and records what was changed.";

/// `repair-dates`
#[derive(Clone, Debug, Args)]
#[command(after_help = REPAIR_EXAMPLES)]
pub struct RepairDatesArgs {
    /// Data directory of the primary; stop the node first
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Message for the audit log
    #[arg(short, long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub message: Option<String>,
    /// Show what would change without changing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `bundle import`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder bundle import /media/usb/bundle --data /var/lib/bookholder")]
pub struct BundleImportArgs {
    /// Bundle, from `bookholder bundle export`
    #[arg(value_name = "DIR")]
    pub bundle: PathBuf,
    /// Data directory of the replica; stop the replica first
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Root key to trust; required for a new directory
    #[arg(long, value_name = "KEY")]
    pub root_key: Option<String>,
    /// Accept an expired bundle as the first state; later ones are always accepted and reported as expired
    #[arg(long)]
    pub accept_expired: bool,
    /// Discard the history held at this position and accept a different one signed by the registry
    #[arg(long, value_name = "POSITION")]
    pub accept_fork: Option<Position>,
}

/// `keys`
#[derive(Clone, Debug, Args)]
#[command(after_help = KEYS_EXAMPLES)]
pub struct KeysArgs {
    /// The subcommand.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The subcommands of `keys`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Print the public keys a replica needs to trust this registry
    Show {
        /// Data directory
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Create a root key to keep offline, and print its public key
    New(KeysNewArgs),
    /// Draft the next root document: which keys sign, and how many are needed
    Draft(KeysDraftArgs),
    /// Sign a draft, on the machine that holds the root key
    Sign(KeysSignArgs),
    /// Install a signed draft
    Install(KeysInstallArgs),
}

/// `keys new`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder keys new ada.key        on a machine other than the primary")]
pub struct KeysNewArgs {
    /// File to write; readable only by you
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `keys draft`
#[derive(Clone, Debug, Args)]
#[command(after_help = KEYS_DRAFT_EXAMPLES)]
pub struct KeysDraftArgs {
    /// Data directory; stop the node first if the checkpoint key changes
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Draft file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// New public root keys, as printed by `keys new`; repeat for each key [default: the current ones]
    #[arg(long = "public-key", value_name = "KEY")]
    pub root_key: Vec<VerifyingKey>,
    /// Number of root keys that must sign [default: unchanged]
    #[arg(long, value_name = "M")]
    pub threshold: Option<u8>,
    /// Maximum lifetime of a checkpoint, bundles included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub max_lifetime_days: Option<u32>,
    /// Replace a lost or stolen checkpoint key; stop the node first
    #[arg(long)]
    pub rotate_checkpoint: bool,
}

/// `keys sign`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder keys sign root-2.draft --key ada.key")]
pub struct KeysSignArgs {
    /// Draft, from `keys draft`
    #[arg(value_name = "DRAFT")]
    pub draft: PathBuf,
    /// Root key file, old or new
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// `keys install`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder keys install root-2.draft --data /var/lib/bookholder")]
pub struct KeysInstallArgs {
    /// Draft signed by `keys sign`
    #[arg(value_name = "DRAFT")]
    pub draft: PathBuf,
    /// Data directory; stop its node first
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}
