//! The flags of a node's verbs: serve, replica, demo, and what works on a data directory.
//!
//! Settings are `Option` here: `config` merges flags, environment and file, in that order. Nothing here acts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{LogFormat, listen_address};

use crate::crypto::key::VerifyingKey;
use crate::model::position::Position;

const SERVE_EXAMPLES: &str = "\
Every setting can also come from BOOKHOLDER_… in the environment or from bookholder.toml; flags win.

Examples:
  bookholder serve
  bookholder serve --data /var/lib/bookholder --listen 0.0.0.0:7070 --tls-cert cert.pem --tls-key key.pem
  bookholder serve --watch prompts/            publish the files of a folder whenever they change";

const REPLICA_EXAMPLES: &str = "\
The access token for the upstream is taken from $BOOKHOLDER_UPSTREAM_TOKEN or $BOOKHOLDER_TOKEN.

Examples:
  bookholder replica --upstream https://prompts.example.com --root-key bk1-…
  bookholder replica --data /var/lib/bookholder --root-key bk1-… --inbox /media/bundles";

const KEYS_EXAMPLES: &str = "\
Examples:
  bookholder keys show --data /var/lib/bookholder

From one root key on the primary to two of three, held by three people:
  bookholder keys new ada.key                  each, on a machine of their own; prints PUBLIC
  bookholder keys draft --data /var/lib/bookholder --out root-2.draft \\
      --public-key ADA --public-key BOB --public-key EVE --threshold 2
  bookholder keys sign root-2.draft --key /var/lib/bookholder/keys/root.key
  bookholder keys sign root-2.draft --key ada.key      and another of the three
  bookholder keys install root-2.draft --data /var/lib/bookholder      with the node stopped";

const KEYS_DRAFT_EXAMPLES: &str = "\
Examples:
  bookholder keys draft --data /var/lib/bookholder --out root-2.draft --public-key ADA --public-key BOB --threshold 2
  bookholder keys draft --data /var/lib/bookholder --out root-3.draft --rotate-checkpoint

A new checkpoint key begins a new epoch after the last commit: leave the node stopped until the draft is installed.
What the old key signs is refused from then on. Back up afterwards: an older backup does not know the new key.";

/// What a primary and a replica share.
#[derive(Clone, Debug, Default, Args)]
pub struct ListenArgs {
    /// The data directory [default: ./bookholder-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The address to listen on; a port alone is one of this machine [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,
    /// A unix socket to listen on as well
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// A file of settings [default: bookholder.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The certificate chain of this node, as PEM; reloaded when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Allow plain HTTP where other machines reach it; a replica without a read token is then open to all of them
    #[arg(long)]
    pub insecure: bool,
    /// Hosts that this node also answers to without an access token, such as prompts.example.com; * for all
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,
    /// Proxies whose X-Forwarded-For and Forwarded are believed: networks, or unix for the socket
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,
    /// The address by which people reach the pages, which may have a path; for links, and where a proxy leads there
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// `serve`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Where to listen, and where the data lies.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// A folder of prompt files to publish whenever they change
    #[arg(long, value_name = "DIR")]
    pub watch: Option<PathBuf>,
    /// How long a file must not have changed before it is published [default: 2000]
    #[arg(long, value_name = "MS")]
    pub watch_quiet_ms: Option<u64>,
    /// The name of a new registry [default: made up]
    #[arg(long, value_name = "NAME")]
    pub registry: Option<String>,
    /// Networks that webhooks may lead into although they are not public, such as 10.0.0.0/8
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub webhook_allow: Vec<String>,
    /// Believe the clock of this machine although it is far from the last commit
    #[arg(long)]
    pub trust_clock: bool,
    /// Archive old versions that nothing needed for so many days, at least 184 [default: never]
    #[arg(long, value_name = "DAYS")]
    pub archive_unused_days: Option<u32>,
}

/// `replica`
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = REPLICA_EXAMPLES)]
pub struct ReplicaArgs {
    /// Where to listen, and where the data lies.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// The node to follow
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// The registry's root key, as `bookholder keys show` prints it; needed at the first start
    #[arg(long, value_name = "KEY")]
    pub root_key: Option<String>,
    /// A folder in which bundles arrive
    #[arg(long, value_name = "DIR")]
    pub inbox: Option<PathBuf>,
    /// Certificates (PEM) to trust for the upstream, besides the public authorities
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// Take an expired checkpoint for the first state; later ones are always taken, and called expired
    #[arg(long)]
    pub accept_expired: bool,
    /// Give up the history held at this position for another one that the registry signed
    #[arg(long, value_name = "POSITION")]
    pub accept_fork: Option<Position>,
    /// Take the first state without comparing its times with the clock, on a machine whose clock is wrong
    #[arg(long)]
    pub ignore_clock: bool,
    /// Stay at the position that the data has
    #[arg(long)]
    pub hold: bool,
}

/// `demo`
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  bookholder demo          under a minute, and it leaves nothing behind\n  bookholder demo --keep   both nodes go on until ctrl-c"
)]
pub struct DemoArgs {
    /// Leave both nodes running when the story is told
    #[arg(long)]
    pub keep: bool,
}

/// `verify`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder verify --data /var/lib/bookholder")]
pub struct VerifyArgs {
    /// The data directory; no node may be running on it
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `compact`
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  bookholder compact --data /var/lib/bookholder\n\nA node does so itself when it starts, where more than half of a large database is unused."
)]
pub struct CompactArgs {
    /// The data directory; no node may be running on it
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

const RESTORE_EXAMPLES: &str = "\
Examples:
  bookholder restore friday.backup --data /var/lib/bookholder --keys /media/safe/keys
  bookholder restore friday.backup --data /var/lib/bookholder      the keys are in its folder keys already
  bookholder restore friday.backup --data D --keys K --root-key-file ada.key --root-key-file bob.key
  bookholder restore friday.backup --data D --keys K --draft epoch.draft      then `bookholder keys sign epoch.draft`
  bookholder restore friday.backup --data D --keys K --signed epoch.draft

The keys are those that `keys/` held last: a backup does not hold them. If keys were changed after the backup was made, put
the folder `trust` of the registry into the data directory first, or replicas refuse what is restored. The directory may
hold what is left of a registry that lost its database. A restore that fails leaves nothing; one that was cut short is run
again.";

/// `restore`
#[derive(Clone, Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct RestoreArgs {
    /// What `bookholder backup` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The data directory to make; it must not exist, or hold no database
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The folder of the registry's keys [default: keys in the data directory]
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// A root key that signs the new epoch, besides root.key in the folder of keys; repeat it for several
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Vec<PathBuf>,
    /// Restore nothing yet: write the new epoch into this file, to be signed where the root keys are
    #[arg(long, value_name = "FILE", conflicts_with = "root_key_file")]
    pub draft: Option<PathBuf>,
    /// Restore with the epoch in this file, which `bookholder keys sign` has signed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["root_key_file", "draft"])]
    pub signed: Option<PathBuf>,
}

const REPAIR_EXAMPLES: &str = "\
Examples:
  bookholder repair-dates --data /var/lib/bookholder --dry-run      what would change
  bookholder repair-dates --data /var/lib/bookholder -m 'the clock was in 2038 until Monday'

Set the clock first, and stop the node. Dates in the future, and dates out of the order of the commits, are brought between
those of the commits before and after. The audit log keeps the times that the clock showed, and says what was changed.";

/// `repair-dates`
#[derive(Clone, Debug, Args)]
#[command(after_help = REPAIR_EXAMPLES)]
pub struct RepairDatesArgs {
    /// The data directory of the primary; no node may be running on it
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Why, for the audit log
    #[arg(short, long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub message: Option<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `bundle import`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder bundle import /media/usb/bundle --data /var/lib/bookholder")]
pub struct BundleImportArgs {
    /// What `bookholder bundle export` wrote
    #[arg(value_name = "DIR")]
    pub bundle: PathBuf,
    /// The data directory of the replica; it must not be running
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The root key to trust; needed when the directory is new
    #[arg(long, value_name = "KEY")]
    pub root_key: Option<String>,
    /// Take an expired bundle for the first state; later ones are always taken, and called expired
    #[arg(long)]
    pub accept_expired: bool,
    /// Give up the history held at this position for another one that the registry signed
    #[arg(long, value_name = "POSITION")]
    pub accept_fork: Option<Position>,
}

/// `keys`
#[derive(Clone, Debug, Args)]
#[command(after_help = KEYS_EXAMPLES)]
pub struct KeysArgs {
    /// What to do with the keys.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The verbs of `keys`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Print the public keys: what a replica needs to trust this registry
    Show {
        /// The data directory
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Make a root key to hold offline, and print its public half
    New(KeysNewArgs),
    /// Draft the next root document: who must sign, and with which keys
    Draft(KeysDraftArgs),
    /// Sign a draft, on whatever machine the root key lies
    Sign(KeysSignArgs),
    /// Put a signed draft in force
    Install(KeysInstallArgs),
}

/// `keys new`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder keys new ada.key        on a machine that is not the primary")]
pub struct KeysNewArgs {
    /// The file to write; only you can read it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `keys draft`
#[derive(Clone, Debug, Args)]
#[command(after_help = KEYS_DRAFT_EXAMPLES)]
pub struct KeysDraftArgs {
    /// The data directory; a node may run on it, unless the checkpoint key changes
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The draft to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The public root keys from then on, as `keys new` prints them, all of them [default: those in force]
    #[arg(long = "public-key", value_name = "KEY")]
    pub root_key: Vec<VerifyingKey>,
    /// How many root keys must sign from then on [default: as many as now]
    #[arg(long, value_name = "M")]
    pub threshold: Option<u8>,
    /// The longest lifetime of a checkpoint, bundles included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub max_lifetime_days: Option<u32>,
    /// Put a new checkpoint key in the place of a lost or stolen one; needs the node stopped
    #[arg(long)]
    pub rotate_checkpoint: bool,
}

/// `keys sign`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder keys sign root-2.draft --key ada.key")]
pub struct KeysSignArgs {
    /// What `keys draft` wrote
    #[arg(value_name = "DRAFT")]
    pub draft: PathBuf,
    /// The root key, old or new
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// `keys install`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  bookholder keys install root-2.draft --data /var/lib/bookholder")]
pub struct KeysInstallArgs {
    /// What `keys sign` signed
    #[arg(value_name = "DRAFT")]
    pub draft: PathBuf,
    /// The data directory; no node may be running on it
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}
