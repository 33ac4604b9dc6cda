//! Options of every command, and their defaults.

use std::path::PathBuf;

use clap::Args;

/// Where a node listens by default.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:7070";
/// The environment variable that holds the access token.
pub const TOKEN_ENV: &str = "BOOKHOLDER_TOKEN";

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// Print the server's response as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Address of the node, or unix:PATH for a socket
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "BOOKHOLDER_SERVER",
        default_value = SERVER_DEFAULT,
        hide_env_values = true
    )]
    pub server: String,
    /// File with the access token; used instead of `$BOOKHOLDER_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file of CA certificates to trust in addition to public ones
    #[arg(long, global = true, value_name = "FILE", env = "BOOKHOLDER_CA_FILE", hide_env_values = true)]
    pub ca_file: Option<PathBuf>,
}
