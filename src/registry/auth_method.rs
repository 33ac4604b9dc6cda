//! How an actor authenticated, as data for decisions; the audit log stores its text.

use std::fmt;

/// How an actor authenticated. Displayed as in the audit log, for example `access token ci-2026`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// The access token of this name.
    AccessToken(String),
    /// The secret that the access token of this name had before its last rotation.
    RotatedOut(String),
    /// A trusted proxy.
    SingleSignOn,
    /// A sign-in link.
    SignInLink,
    /// A session of the pages that was started with this.
    WebSession(Box<Self>),
    /// No credentials; the text says what acts instead.
    Other(String),
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessToken(name) => write!(f, "access token {name}"),
            Self::RotatedOut(name) => write!(f, "access token {name}, rotated out"),
            Self::SingleSignOn => f.write_str("single sign-on"),
            Self::SignInLink => f.write_str("sign-in link"),
            Self::WebSession(began) => write!(f, "web session of {began}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}
