//! The host names that requests can use, as a protection against DNS rebinding.
//!
//! A page of `evil.example` can make that name resolve to 127.0.0.1 while it is open, and its browser then sends the
//! page's requests here, as if this node were the page's own server. But such a request always names the page's host.
//! Pure: names are never resolved.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name that always refers to this machine.
const LOCALHOST: &str = "localhost";
/// The word that accepts every host.
const ANY: &str = "*";

/// This node's own hosts besides `localhost`, loopback addresses and the address that a peer connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    any: bool,
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

/// A host from a request or a setting, without its port.
#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

impl Hosts {
    /// Parses the setting: names and addresses, or `*` for every host.
    ///
    /// # Errors
    /// The first invalid word.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut hosts = Self::default();
        for word in words {
            if word == ANY {
                hosts.any = true;
            } else if let Ok(address) = word.parse::<IpAddr>() {
                hosts.addresses.insert(address.to_canonical());
            } else {
                match host(&word) {
                    Some(Host::Address(address)) => hosts.addresses.insert(address),
                    Some(Host::Name(name)) => hosts.names.insert(name.to_ascii_lowercase()),
                    None => return Err(word),
                };
            }
        }
        Ok(hosts)
    }

    /// Whether a `Host` header, or the authority of a request target, is this node for a peer that connected to the
    /// address `reached`.
    #[must_use]
    pub fn owns(&self, authority: &str, reached: Option<IpAddr>) -> bool {
        match host(authority) {
            None => false,
            Some(_) if self.any => true,
            Some(Host::Address(address)) => {
                address.is_loopback() || reached == Some(address) || self.addresses.contains(&address)
            }
            Some(Host::Name(name)) => {
                name.eq_ignore_ascii_case(LOCALHOST)
                    || (!self.names.is_empty() && self.names.contains(&name.to_ascii_lowercase()))
            }
        }
    }
}

/// Parses an authority as strictly as browsers write it: no user, no zone, no unusual spelling of an address.
fn host(authority: &str) -> Option<Host<'_>> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address = Host::Address(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?).to_canonical());
        (address, if rest.is_empty() { "" } else { rest.strip_prefix(':')? })
    } else {
        let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
        let host = match name.parse::<Ipv4Addr>() {
            Ok(address) => Host::Address(IpAddr::V4(address)),
            Err(_) => Host::Name(plain_name(name)?),
        };
        (host, port)
    };
    (port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(host)
}

/// A DNS name, without a trailing dot.
fn plain_name(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!name.is_empty() && name.len() <= 253 && !name.ends_with('.') && name.bytes().all(fits)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_hosts_are_localhost_loopback_reached_address_and_allowed_hosts() {
        let hosts = ["Prompts.Example.com", "10.0.0.7", "fd00::7", "[fd00::8]", "edge.internal:7070"];
        let hosts = Hosts::parse(hosts.map(str::to_owned)).expect("hosts");
        let reached = Some("192.0.2.1".parse().expect("an address"));
        for (authority, expected) in [
            ("localhost", true),
            ("localhost:7070", true),
            ("localhost:", true),
            ("LOCALHOST:7070", true),
            ("localhost.", true),
            ("localhost.:7070", true),
            ("127.0.0.1", true),
            ("127.0.0.1:1", true),
            ("127.8.9.10", true),
            ("[::1]", true),
            ("[::1]:7070", true),
            ("[::ffff:127.0.0.1]:7070", true),
            ("192.0.2.1:7070", true),
            ("[::ffff:192.0.2.1]", true),
            ("prompts.example.com", true),
            ("PROMPTS.example.COM.:443", true),
            ("10.0.0.7:80", true),
            ("[fd00::7]:80", true),
            ("[fd00::8]", true),
            ("edge.internal", true),
            ("edge.internal:9", true),
            ("", false),
            (":7070", false),
            (".", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("evil.localhost", false),
            ("localhost..", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("user:pass@localhost", false),
            ("localhost:7070@evil.example", false),
            ("localhost/evil.example", false),
            ("localhost evil.example", false),
            ("localhost,evil.example", false),
            ("localhost:70700000", false),
            ("localhost:7x", false),
            ("localhost:1:2", false),
            ("192.0.2.2", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("127.1", false),
            ("0x7f.0.0.1", false),
            ("0177.0.0.1", false),
            ("2130706433", false),
            ("::1", false),
            ("[::1%lo]", false),
            ("[fe80::1%25eth0]:7070", false),
            ("[::1", false),
            ("[::1]7070", false),
            ("[::1]:7070]", false),
            ("[localhost]", false),
            ("\u{ff4c}ocalhost", false),
            ("sub.prompts.example.com", false),
            ("prompts.example.com.evil.example", false),
        ] {
            assert_eq!(hosts.owns(authority, reached), expected, "{authority:?}");
        }
    }

    #[test]
    fn star_accepts_every_valid_host() {
        let any = Hosts::parse(["*".to_owned()]).expect("a star");
        assert!(any.owns("anything.example:1", None));
        assert!(!any.owns("a@b", None) && !any.owns("", None));
    }

    #[test]
    fn invalid_host_in_the_setting_is_named() {
        for word in ["", "http://a", "a/b", "*.example.com", "a b", "[::1%lo]", "a:x"] {
            assert_eq!(Hosts::parse(["ok.example".to_owned(), word.to_owned()]), Err(word.to_owned()));
        }
    }
}
