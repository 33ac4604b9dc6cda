//! A process with a faulty disk and a wrong clock: `faults.c`, built once, loaded before the C library.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::run::say;
use super::support::node::{Launch, Node};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/faults.c");
/// Where the fields of the control file are, each of 8 bytes.
const CLOCK_AT: u64 = 0;
const CALLS_AT: u64 = 8;
const ERROR_AT: u64 = 16;
const PER_MILLION_AT: u64 = 24;
const PARTIAL_AT: u64 = 32;
const LOADS_AT: u64 = 40;
const INJECTED_AT: u64 = 48;
const CONTROL_BYTES: u64 = 56;

/// Opening for writing.
pub const OPEN: u64 = 1;
pub const READ: u64 = 2;
pub const WRITE: u64 = 4;
pub const TRUNCATE: u64 = 8;
pub const SYNC: u64 = 16;
/// Renaming and removing.
pub const NAMES: u64 = 32;

/// The error code of a failed call: `errno` on Linux.
#[derive(Clone, Copy, Debug)]
pub enum Errno {
    Io = 5,
    NoSpace = 28,
    ReadOnly = 30,
    Quota = 122,
}

/// How much of a failing write is done.
#[derive(Clone, Copy, Debug)]
pub enum Partial {
    Nothing = 0,
    /// Half of it, and then the error.
    Torn = 1,
    /// Half of it, and no error.
    Short = 2,
}

/// What fails.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Bits of calls.
    pub calls: u64,
    pub error: Errno,
    pub percent: u64,
    pub partial: Partial,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = ["open", "read", "write", "truncate", "sync", "rename"];
        let calls: Vec<&str> =
            (0..).zip(names).filter(|(bit, _)| self.calls >> bit & 1 == 1).map(|(_, name)| name).collect();
        write!(f, "{} % {:?} of {} ({:?} written)", self.percent, self.error, calls.join(", "), self.partial)
    }
}

/// A disk and a clock that a test commands.
pub struct Faults {
    folder: TempDir,
    control: File,
    library: PathBuf,
}

impl Faults {
    /// Absent if they are not available; prints why.
    pub fn new() -> Option<Self> {
        let library = match library() {
            Ok(library) => library.clone(),
            Err(why) => {
                say(&format!("SKIPPED: {why}"));
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a folder");
        let control = File::options().read(true).write(true).create_new(true).open(folder.path().join("control"));
        let control = control.expect("a control file");
        control.set_len(CONTROL_BYTES).expect("room");
        File::create(folder.path().join("log")).expect("a log");
        Some(Self { folder, control, library })
    }

    /// A node under these faults; what it writes is recorded where `recorded`.
    pub fn on(&self, launch: Launch, recorded: bool) -> Launch {
        let environment = self.environment(launch.data.clone(), recorded);
        environment.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value))
    }

    /// What a process on this data directory needs in its environment.
    pub fn environment(&self, data: PathBuf, recorded: bool) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("LD_PRELOAD", self.library.clone().into_os_string()),
            ("TORTURE_CONTROL", self.folder.path().join("control").into_os_string()),
            ("TORTURE_DATA", data.into_os_string()),
        ];
        if recorded {
            environment.push(("TORTURE_LOG", self.log().into_os_string()));
        }
        environment
    }

    /// Starts a node with these faults; absent, with a printed reason, if the program does not load the library.
    pub fn start(&self, launch: Launch, recorded: bool) -> Option<Node> {
        let node = self.on(launch, recorded).start();
        if self.get(LOADS_AT) == 0 {
            say("SKIPPED: the program is linked statically, so no call of it can be made to fail");
            return None;
        }
        Some(node)
    }

    /// The file of what was written.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// How much was recorded by now, in bytes.
    pub fn recorded(&self) -> u64 {
        std::fs::metadata(self.log()).expect("a log").len()
    }

    /// Makes calls fail from now on.
    pub fn fail(&self, fault: Fault) {
        self.set(ERROR_AT, fault.error as u64);
        self.set(PER_MILLION_AT, fault.percent * 10_000);
        self.set(PARTIAL_AT, fault.partial as u64);
        self.set(CALLS_AT, fault.calls);
    }

    /// Makes no call fail any more.
    pub fn heal(&self) {
        self.set(CALLS_AT, 0);
    }

    /// Calls that failed so far.
    pub fn injected(&self) -> u64 {
        self.get(INJECTED_AT)
    }

    /// Sets the wall clock of its processes ahead, or back.
    pub fn clock(&self, offset_s: i64) {
        self.set(CLOCK_AT, (offset_s * 1_000).cast_unsigned());
    }

    fn set(&self, at: u64, value: u64) {
        self.control.write_all_at(&value.to_le_bytes(), at).expect("a control file");
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, at).expect("a control file");
        u64::from_le_bytes(bytes)
    }
}

/// The library, built once per test run; or why it is not available.
fn library() -> Result<&'static PathBuf, &'static String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    LIBRARY.get_or_init(build).as_ref()
}

fn build() -> Result<PathBuf, String> {
    if !cfg!(target_os = "linux") || !cfg!(target_endian = "little") {
        return Err("calls are made to fail on Linux alone".to_owned());
    }
    let source = std::fs::read(SOURCE).map_err(|error| format!("{SOURCE}: {error}"))?;
    let name = format!("torture-faults-{}.so", &blake3::hash(&source).to_hex()[..16]);
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if library.exists() {
        return Ok(library);
    }
    let fresh = library.with_extension(format!("{}", std::process::id()));
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let said = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&fresh)
        .arg(SOURCE)
        .args(["-ldl", "-lpthread"])
        .output()
        .map_err(|error| format!("no C compiler ({}: {error}); set CC", compiler.to_string_lossy()))?;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    std::fs::rename(&fresh, &library).map_err(|error| error.to_string())?;
    Ok(library)
}
