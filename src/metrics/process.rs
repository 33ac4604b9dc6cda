//! Metrics of the process from the system, under their conventional names; on Linux only.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::OptionalGauge;

/// Hundredths of a second, the unit of process times on all supported Linux systems.
const TICKS_A_SECOND: f64 = 100.0;

/// The instruments.
#[derive(Default)]
pub(super) struct Process {
    resident_bytes: OptionalGauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    open_fds: OptionalGauge,
    max_fds: OptionalGauge,
}

impl Process {
    #[allow(clippy::disallowed_methods, reason = "the wall clock of the machine, as scrapers compare it with theirs")]
    pub(super) fn register(registry: &mut Registry) -> Self {
        let process = Self::default();
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64().floor()));
        registry.register("process_start_time_seconds", "Start of this process, in seconds since 1970", start);
        let all: [(&str, &str, &OptionalGauge); 3] = [
            ("process_resident_memory_bytes", "Resident memory of this process", &process.resident_bytes),
            ("process_open_fds", "Open file descriptors", &process.open_fds),
            ("process_max_fds", "Maximum number of open file descriptors", &process.max_fds),
        ];
        for (name, help, metric) in all {
            registry.register(name, help, OptionalGauge::clone(metric));
        }
        if cpu_seconds().is_some() {
            registry.register("process_cpu_seconds", "CPU time of this process", process.cpu_seconds.clone());
        }
        process
    }

    /// Reads the current state of the process.
    pub(super) fn measure(&self) {
        let set = |gauge: &OptionalGauge, value: Option<i64>| {
            if let Some(value) = value {
                gauge.gauge().set(value);
            }
        };
        set(&self.resident_bytes, resident_bytes());
        set(&self.open_fds, fs::read_dir("/proc/self/fd").ok().and_then(|entries| i64::try_from(entries.count()).ok()));
        set(&self.max_fds, max_fds());
        if let Some(seconds) = cpu_seconds() {
            // Stored as bits: those of positive numbers are ordered like the numbers.
            self.cpu_seconds.inner().fetch_max(seconds.to_bits(), Ordering::Relaxed);
        }
    }
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok()?.checked_mul(1024)
}

fn max_fds() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses, which can contain anything: the state first, `utime` and `stime` as the 12th and
    // 13th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((f64::from(user) + f64::from(system)) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_never_decreases() {
        let process = Process::default();
        for (measured, counted) in [(0.0, 0.0), (0.25, 0.25), (0.2, 0.25), (1e3, 1e3)] {
            process.cpu_seconds.inner().fetch_max(f64::to_bits(measured), Ordering::Relaxed);
            assert_eq!(process.cpu_seconds.get().to_bits(), f64::to_bits(counted));
        }
    }
}
