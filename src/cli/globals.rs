//! Options of every command, and their defaults.

use std::path::PathBuf;

use clap::Args;

/// Where a node listens by default.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:7070";
/// The environment variable that holds the address of the node.
pub const SERVER_ENV: &str = "BOOKHOLDER_SERVER";
/// The environment variable that holds the access token.
pub const TOKEN_ENV: &str = "BOOKHOLDER_TOKEN";
/// The environment variable that names a file of certificates.
pub const CA_FILE_ENV: &str = "BOOKHOLDER_CA_FILE";
/// The environment variable that names a context.
pub const CONTEXT_ENV: &str = "BOOKHOLDER_CONTEXT";

/// Options of every command. Their environment variables are read in [`super::context`], which needs to know where a
/// value comes from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Print the server's response as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print tables without headings
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// Address of the node
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Address of the node, or unix:PATH for a socket [env: BOOKHOLDER_SERVER] [default: that of the context, \
                or http://127.0.0.1:7070]"
    )]
    pub server: Option<String>,
    /// Server and access token
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        conflicts_with = "server",
        help = "Server and access token saved by `bookholder login` [env: BOOKHOLDER_CONTEXT]"
    )]
    pub context: Option<String>,
    /// Do not show long output in a pager ($PAGER, or less)
    #[arg(long, global = true)]
    pub no_pager: bool,
    /// File with the access token; used instead of `$BOOKHOLDER_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates to trust
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "PEM file of CA certificates to trust in addition to public ones [env: BOOKHOLDER_CA_FILE]"
    )]
    pub ca_file: Option<PathBuf>,
}
