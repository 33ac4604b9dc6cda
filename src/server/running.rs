//! A running node: its address, its interface within the process, and its shutdown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpSocket, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::jobs;
use crate::config::{ConfigError, Settings};
use crate::crypto::secret::AccessToken;
use crate::evaluation::provider::ProviderError;
use crate::http::{AppState, HttpService, Listener, serve};
use crate::ingest::Recorder;
use crate::ingest::exports::ExportError;
use crate::registry::directory::DirectoryError;
use crate::registry::epochs::BootstrapError;
use crate::replication::replica_state::OpenError;
use crate::replication::sign_off::SignOff;
use crate::resolve::Resolver;
use crate::signing::key_files::KEYS_FOLDER;
use crate::store::files::{replace, sweep};
use crate::store::volume::network_file_system;
use crate::store::{Store, StoreError};
use crate::trust::root::RootKeyId;

/// The file in the data directory with the URL of the node.
pub(super) const ADDRESS_FILE: &str = "address";
/// The path of the pages for people.
pub const PAGES: &str = "/ui";
/// Backlog of connections.
const LISTEN_BACKLOG: u32 = 1_024;
/// Deadline for the tasks of a node to end.
const DRAIN: Duration = Duration::from_secs(15);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Replica(#[from] OpenError),
    #[error(
        "this replica has no trusted root key yet: pass --root-key, as printed by `bookholder keys show` on the primary"
    )]
    NoRootKey,
    #[error("cannot listen on {address}: {source}; check whether another node is running there")]
    Listen { address: String, source: std::io::Error },
    #[error("cannot send telemetry on: {0}")]
    Collector(ExportError),
    #[error("{0}; correct it in the settings")]
    Provider(ProviderError),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
}

/// A running node.
pub struct Running {
    /// Its listening address.
    pub address: SocketAddr,
    /// Whether it uses TLS.
    pub tls: bool,
    /// Answers references, in process.
    pub resolver: Resolver,
    /// The root key that it trusts, or that its replicas have to trust.
    pub root_key: RootKeyId,
    /// The first access token, if this start generated it.
    pub new_token: Option<AccessToken>,
    store: Store,
    recorder: Option<Recorder>,
    sign_off: Option<SignOff>,
    socket: Option<PathBuf>,
    stop: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

/// Bound addresses that are not served yet: they are bound before anything is created or opened, so that a start that
/// cannot listen leaves nothing behind.
pub(super) struct Bound {
    tcp: TcpSocket,
    pub(super) address: SocketAddr,
    unix: Option<BoundSocket>,
    tls: Option<super::tls::Certificates>,
}

/// A Unix socket, whose file is removed with this unless it is served.
struct BoundSocket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.listener.is_some() {
            let _best_effort = std::fs::remove_file(&self.path);
        }
    }
}

impl Bound {
    /// Reads the certificates, and binds the addresses of the settings.
    pub(super) fn of(settings: &Settings) -> Result<Self, StartError> {
        let tls = settings.tls.as_ref().map(super::tls::Certificates::load).transpose()?;
        let listen = settings.listen;
        let fault = |source| StartError::Listen { address: listen.to_string(), source };
        let tcp = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(fault)?;
        tcp.set_reuseaddr(true).map_err(fault)?;
        tcp.bind(listen).map_err(fault)?;
        let address = tcp.local_addr().map_err(fault)?;
        let bind = |path: &PathBuf| -> Result<_, StartError> {
            Ok(BoundSocket { path: path.clone(), listener: Some(bind_socket(path)?) })
        };
        let unix = settings.socket.as_ref().map(bind).transpose()?;
        Ok(Self { tcp, address, unix, tls })
    }

    /// The future URL.
    pub(super) fn url(&self) -> String {
        url(self.tls.is_some(), self.address)
    }
}

/// The URL of an address; for a wildcard address, one that can be opened on this machine.
fn url(tls: bool, address: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

/// A node that is wired and not yet reachable.
pub(super) struct WiredNode {
    pub(super) settings: Settings,
    pub(super) bound: Bound,
    pub(super) store: Store,
    pub(super) state: AppState,
    pub(super) root_key: RootKeyId,
    pub(super) new_token: Option<AccessToken>,
    pub(super) tasks: Vec<(&'static str, JoinHandle<()>)>,
    /// What a replica does when everything is recorded.
    pub(super) sign_off: Option<SignOff>,
}

impl WiredNode {
    /// Starts to serve, and writes its URL to the file.
    pub(super) fn listen(self) -> Result<Running, StartError> {
        let Self { settings, bound, store, state, root_key, new_token, mut tasks, sign_off } = self;
        if let Some(file_system) = network_file_system(store.directory()) {
            tracing::warn!(
                data = %store.directory().display(),
                file_system,
                "the data directory is on a network file system, where locks and flushes are unreliable: a second \
                    node or a power loss can damage it; use a local disk"
            );
        }
        let (stop, metrics) = (state.stop.clone(), state.metrics.clone());
        let (resolver, recorder) = (state.resolver.clone(), state.recorder.clone());
        let Bound { tcp, address, mut unix, tls } = bound;
        let fault = |source| StartError::Listen { address: address.to_string(), source };
        let tcp = tcp.listen(LISTEN_BACKLOG).map_err(fault)?;
        let face = HttpService::new(state);
        for job in jobs::of_pages(&face) {
            tasks.push((job.name, tokio::spawn(job.run(stop.clone()))));
        }
        if let Some(certificates) = &tls {
            tasks.push(("certificates", tokio::spawn(certificates.clone().watch(metrics, stop.clone()))));
        }
        let config = tls.map(|certificates| certificates.config());
        let tls = config.is_some();
        tasks.push(("http", tokio::spawn(serve(Listener::Tcp(tcp), config, face.clone(), stop.clone()))));
        if let Some(unix) = unix.as_mut().and_then(|unix| unix.listener.take()) {
            tasks.push(("socket", tokio::spawn(serve(Listener::Unix(unix), None, face, stop.clone()))));
        }
        let pages = match &settings.public_url {
            Some(public) => format!("{public}{PAGES}"),
            None => format!("{}{PAGES}", url(tls, address)),
        };
        let socket = settings.socket.as_ref().map(|socket| tracing::field::display(socket.display()));
        tracing::info!(%address, socket, tls, data = %settings.data.display(), pages, "listening");
        // After the line above, so that the line is in the log once the file exists.
        let path = settings.data.join(ADDRESS_FILE);
        let written = replace(&path, format!("{address}\n").as_bytes(), 0o644);
        if let Err(error) = written {
            // A node whose disk accepts no writes still serves.
            tracing::warn!(path = %path.display(), %error, "could not write the address file of this node");
        }
        let socket = settings.socket;
        Ok(Running { address, tls, resolver, root_key, new_token, store, recorder, sign_off, socket, stop, tasks })
    }
}

/// Removes files of a killed node, so that no stale address is read.
pub(super) fn forget_address(store: &Store) {
    let _there_may_be_none = std::fs::remove_file(store.directory().join(ADDRESS_FILE));
    for folder in ["", KEYS_FOLDER, "trust"] {
        sweep(&store.directory().join(folder));
    }
}

/// Binds a Unix socket; one left by a killed process is replaced.
fn bind_socket(path: &std::path::Path) -> Result<UnixListener, StartError> {
    let fault = |source| StartError::Listen { address: path.display().to_string(), source };
    if std::os::unix::net::UnixStream::connect(path).is_err() {
        match std::fs::symlink_metadata(path) {
            Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
                std::fs::remove_file(path).map_err(fault)?;
            }
            _ => {}
        }
    }
    let listener = UnixListener::bind(path).map_err(fault)?;
    // Access is controlled by the permissions of the socket's folder, which the operator sets, not by the umask.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(path, open).map_err(fault)?;
    Ok(listener)
}

impl Running {
    /// The address as a URL.
    pub fn url(&self) -> String {
        url(self.tls, self.address)
    }

    /// Completes when the node is told to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Finishes requests in progress, closes the store, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + DRAIN;
        for (name, task) in self.tasks {
            match tokio::time::timeout_at(deadline, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(task = name, %error, "a task failed"),
                Err(_) => tracing::warn!(task = name, "a task did not end in time"),
            }
        }
        // After the last request was answered: what it left waiting is recorded too.
        if let Some(recorder) = &self.recorder
            && let Err(error) = recorder.record_all_waiting().await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "reported calls are recorded at the next start");
        }
        if let Some(sign_off) = self.sign_off {
            sign_off.run().await;
        }
        forget_address(&self.store);
        self.store.close().await;
        if let Some(socket) = &self.socket {
            let _best_effort = std::fs::remove_file(socket);
        }
    }
}
