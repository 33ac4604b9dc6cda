//! What no client should send: the node refuses it in words, stays small, and goes on.

mod bodies;
mod connections;
mod paths;
mod templates;

use crate::support::node::Node;

/// A primary with one prompt, which must be alive and well at the end.
struct Target(Node);

impl Target {
    fn start() -> Self {
        let node = Node::primary();
        node.publish("a", "still here");
        Self(node)
    }

    /// It answers as before, has grown little, and has panicked nowhere.
    fn is_well(&mut self) {
        assert!(!self.0.has_ended(), "{}", self.0.stderr());
        assert_eq!(self.0.text("a"), "still here");
        assert!(!self.0.stderr().contains("panicked"), "{}", self.0.stderr());
        if let Some(mebibytes) = self.peak_mebibytes() {
            assert!(mebibytes < 200, "{mebibytes} MiB at its peak");
        }
    }

    /// The peak memory of the process, if the system reports it.
    fn peak_mebibytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
    }
}
