//! The program: hands its arguments to the command line, and its exit code to the system.

use std::process::ExitCode;

/// A thread of it gives back what large work (reports, backups, whole states) has freed, a second later; how many
/// arenas there are stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bookholder::cli::run(std::env::args_os())
}
