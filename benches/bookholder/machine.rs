//! The machine and its processes, from `/proc`.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::report::percentile;

/// What the figures depend on.
pub fn describe(scratch: &Path) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim_start_matches(['\t', ' ', ':']);
    json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "cpu": cpu,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": load(),
        "scratch": scratch,
        "flush_ms": flush_ms(scratch),
        "binary": env!("CARGO_BIN_EXE_bookholder"),
    })
}

/// The load average of the last minute: over the number of cores, the figures are of a busy machine.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// How long this disk takes to make 4 KiB durable, in milliseconds: what every commit waits for, twice.
fn flush_ms(scratch: &Path) -> f64 {
    let mut file = tempfile::tempfile_in(scratch).expect("a file in the temporary directory");
    let mut times: Vec<f64> = (0..30)
        .map(|_| {
            file.write_all(&[7; 4_096]).expect("room on the disk");
            let began = Instant::now();
            file.sync_data().expect("a disk that flushes");
            began.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    percentile(&times, 0.5)
}

/// Memory of a process in MiB: resident now, of that not backed by files, and the most there ever was.
pub fn memory_mib(pid: u32) -> (f64, f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of /proc/PID/status");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number of KiB") / 1_024.0
    };
    (field("VmRSS"), field("RssAnon"), field("VmHWM"))
}

/// Time that the threads of a process have spent on processors, in nanoseconds.
pub fn cpu_ns(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let of_task = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    tasks.filter_map(Result::ok).filter_map(|task| of_task(task.path())).sum()
}

/// Where a program is, if it is installed.
pub fn program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A free port.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
