//! The program: runs the command line and exits with its code.

use std::process::ExitCode;

/// A thread of it gives back what large work (reports, backups, whole states) has freed, a second later; how many
/// arenas there are stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bookholder::cli::run(std::env::args_os())
}
