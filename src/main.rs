//! The program: runs the command line and exits with its code.

use std::process::ExitCode;

/// A background thread returns memory of finished large work (reports, backups, whole states) to the system after a
/// second; the number of arenas is set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    bookholder::cli::run(std::env::args_os())
}
