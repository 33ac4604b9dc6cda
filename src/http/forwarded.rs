//! The client that a trusted proxy forwards a request for.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) grow to the right, hop by hop, so only the right end can be trusted:
//! from there, addresses of trusted proxies are skipped, and the first other one is the client. A proxy writes one of
//! the two headers and passes the other on from the client, so if both exist and differ, neither counts. Pure: headers
//! in, an address out.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::peer::Peer;

/// The word for the Unix socket in the list of trusted proxies.
const SOCKET: &str = "unix";
/// Number of hops that are examined, from the right.
const HOPS_MAX: usize = 64;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A header of the request that only proxies add, if any.
pub(super) fn sign_of_a_proxy(headers: &HeaderMap) -> Option<&'static str> {
    headers.keys().find_map(|name| known_sign(name.as_str()))
}

/// The same for a single header name.
pub(super) fn known_sign(name: &str) -> Option<&'static str> {
    Some(match name {
        "forwarded" => "forwarded",
        "x-forwarded-for" => "x-forwarded-for",
        "x-forwarded-host" => "x-forwarded-host",
        "x-forwarded-proto" => "x-forwarded-proto",
        "x-forwarded-server" => "x-forwarded-server",
        "x-real-ip" => "x-real-ip",
        "via" => "via",
        _ => return None,
    })
}

/// The host that was requested from the adjacent proxy, as it reports.
pub(super) fn host_of_proxy(headers: &HeaderMap) -> Option<String> {
    let newest = |value: &str| value.rsplit(',').next().map(|host| host.trim().to_owned());
    let plain = headers.get_all(FORWARDED_HOST).iter().next_back();
    let plain = plain.map(|value| value.to_str().ok().and_then(newest));
    let standard = headers.contains_key(header::FORWARDED).then(|| elements(headers)).flatten();
    let standard = standard.and_then(|elements| elements.last().and_then(|one| one.host.clone()));
    agreed(plain.into_iter().chain(standard.map(Some))).filter(|host| !host.is_empty())
}

/// The trusted proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<IpNet>,
    socket: bool,
}

/// What trusted proxies report about a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client; absent if it is not reported or not trustworthy.
    pub(super) client: Option<IpAddr>,
    /// Whether it was sent over TLS; absent if that is not reported or not trustworthy.
    pub(super) encrypted: Option<bool>,
}

impl Proxies {
    /// Parses the setting: networks, addresses, or `unix` for the Unix socket.
    ///
    /// # Errors
    /// The first invalid word.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut proxies = Self::default();
        for word in words {
            if word == SOCKET {
                proxies.socket = true;
                continue;
            }
            let network = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
            proxies.networks.push(network.map_err(|_| word)?);
        }
        Ok(proxies)
    }

    /// Whether the peer of a connection is a trusted proxy.
    pub(super) fn has(&self, peer: Peer) -> bool {
        match peer.address {
            Some(address) => self.has_address(address),
            None => self.socket && peer.socket,
        }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Their report about a request that one of them sent.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Origin {
        let plain = headers.contains_key(FORWARDED_FOR).then(|| self.client(&hops(headers)));
        let standard = headers.contains_key(header::FORWARDED).then(|| elements(headers).unwrap_or_default());
        let addresses = |elements: &Vec<ForwardedElement>| elements.iter().map(|one| one.client).collect::<Vec<_>>();
        let standard = standard.map(|elements| (self.client(&addresses(&elements)), elements));
        let of_standard = standard.iter().map(|((client, _), _)| *client);
        let client = agreed(plain.map(|(client, _)| client).into_iter().chain(of_standard));
        let proto = headers.get_all(FORWARDED_PROTO).iter().next_back();
        let proto = proto.map(|value| {
            let newest = value.to_str().unwrap_or_default().rsplit(',').next().unwrap_or_default().trim();
            scheme(newest)
        });
        // The proxy that the client connected to wrote the element that names the client.
        let of_standard = standard.and_then(|((_, at), elements)| elements.get(at?).and_then(|one| one.encrypted));
        let encrypted = agreed(proto.into_iter().chain(of_standard.map(Some)));
        Origin { client, encrypted }
    }

    /// The client among hops, newest last, and its index.
    fn client(&self, hops: &[Option<IpAddr>]) -> (Option<IpAddr>, Option<usize>) {
        let mut nearest = (None, None);
        for (at, hop) in hops.iter().enumerate().rev().take(HOPS_MAX) {
            match hop {
                Some(address) if self.has_address(*address) => nearest = (Some(*address), Some(at)),
                Some(address) => return (Some(*address), Some(at)),
                // The hidden client is behind the last named proxy.
                None => return (nearest.0, Some(at)),
            }
        }
        nearest
    }
}

/// The common value of the headers that exist, if they agree.
fn agreed<T: PartialEq>(mut said: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = said.next()?;
    if said.all(|other| other == first) { first } else { None }
}

fn scheme(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("https") => Some(true),
        _ if text.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

/// The hops of `X-Forwarded-For`, newest last; `None` for each that is not an address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(|hop| node(hop.trim())).collect()
}

/// An address with or without a port, as proxies write it.
fn node(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    address.or_else(bracketed).map(|address| address.to_canonical())
}

/// One element of `Forwarded`: the report of one proxy.
#[derive(Debug, Default, PartialEq, Eq)]
struct ForwardedElement {
    client: Option<IpAddr>,
    encrypted: Option<bool>,
    host: Option<String>,
}

/// The elements of `Forwarded`, newest last; `None` for a syntax error, because what a proxy appended may then be
/// inside of what the client sent.
fn elements(headers: &HeaderMap) -> Option<Vec<ForwardedElement>> {
    let mut found = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        let mut rest = line.to_str().ok()?;
        loop {
            let mut element = ForwardedElement::default();
            loop {
                rest = rest.trim_start_matches([' ', '\t']);
                if !rest.is_empty() && !rest.starts_with([',', ';']) {
                    let (name, behind) = rest.split_once('=')?;
                    if name.is_empty() || !name.bytes().all(is_token) {
                        return None;
                    }
                    let (value, behind) = value(behind)?;
                    // The address of a hidden client (`unknown`, `_obfuscated`) is not known.
                    match name.to_ascii_lowercase().as_str() {
                        "for" => element.client = node(&value),
                        "proto" => element.encrypted = scheme(&value),
                        "host" => element.host = Some(value),
                        _ => {}
                    }
                    rest = behind.trim_start_matches([' ', '\t']);
                }
                match rest.strip_prefix(';') {
                    Some(behind) => rest = behind,
                    None => break,
                }
            }
            found.push(element);
            match rest.strip_prefix(',') {
                Some(behind) => rest = behind,
                None if rest.is_empty() => break,
                None => return None,
            }
        }
    }
    Some(found)
}

/// A token or a quoted string, and the rest.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        let (token, behind) = text.split_at_checked(end)?;
        // IPv4 addresses with a port are often unquoted, against the grammar.
        let fits = !token.is_empty() && token.bytes().all(|byte| is_token(byte) || byte == b':');
        return fits.then(|| (token.to_owned(), behind));
    };
    let (mut value, mut characters) = (String::new(), quoted.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The part of an address that identifies a client: for IPv6, the network of one subscriber.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Proxies {
        Proxies::parse(["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(str::to_owned)).expect("networks")
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    type Pairs = &'static [(&'static str, &'static str)];

    #[test]
    fn client_is_the_rightmost_untrusted_address() {
        let table: [(Pairs, Option<&str>); 32] = [
            (&[], None),
            (&[("x-forwarded-for", "198.51.100.7")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "1.2.3.4, 198.51.100.7")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "127.0.0.1, 198.51.100.7")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "1.2.3.4, 198.51.100.7, 10.1.1.1")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "198.51.100.7")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "10.0.0.1, 10.0.0.2")], Some("10.0.0.1")),
            (&[("x-forwarded-for", "198.51.100.7:4711")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "[2001:db8::1]:4711")], Some("2001:db8::1")),
            (&[("x-forwarded-for", "[2001:db8::1]")], Some("2001:db8::1")),
            (&[("x-forwarded-for", "2001:db8::1")], Some("2001:db8::1")),
            (&[("x-forwarded-for", "::ffff:198.51.100.7")], Some("198.51.100.7")),
            (&[("x-forwarded-for", "unknown")], None),
            (&[("x-forwarded-for", "")], None),
            (&[("x-forwarded-for", "198.51.100.7, unknown, 10.0.0.9")], Some("10.0.0.9")),
            (&[("x-forwarded-for", "198.51.100.7, ")], None),
            (&[("forwarded", "for=198.51.100.7")], Some("198.51.100.7")),
            (&[("forwarded", "For=\"[2001:db8:cafe::17]:4711\"")], Some("2001:db8:cafe::17")),
            (&[("forwarded", "for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=http")], Some("198.51.100.17")),
            (&[("forwarded", "for=192.0.2.43;host=\"a,b;c\\\"d\" , for=\"198.51.100.17:1\"")], Some("198.51.100.17")),
            (&[("forwarded", "for=192.0.2.43"), ("forwarded", "for=198.51.100.17")], Some("198.51.100.17")),
            (&[("forwarded", "for=198.51.100.7, for=10.0.0.3")], Some("198.51.100.7")),
            (&[("forwarded", "for=198.51.100.7:80")], Some("198.51.100.7")),
            (&[("forwarded", "for=unknown")], None),
            (&[("forwarded", "for=_hidden, for=10.0.0.3")], Some("10.0.0.3")),
            (&[("forwarded", "for=\"_gazonk:_port\"")], None),
            // An unclosed quote from the client swallows what the proxy appended: nothing counts.
            (&[("forwarded", "for=\"1.2.3.4, for=198.51.100.7")], None),
            (&[("forwarded", "for=1.2.3.4;x=\", for=\"[2001:db8::1]\"")], None),
            (&[("forwarded", "for = 1.2.3.4")], None),
            // A client sends the header that its proxy does not write.
            (&[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "198.51.100.7")], None),
            (&[("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "198.51.100.7")], Some("198.51.100.7")),
            (&[("x-real-ip", "1.2.3.4")], None),
        ];
        for (pairs, expected) in table {
            let expected = expected.map(|address| address.parse().expect("an address"));
            assert_eq!(proxies().origin(&headers(pairs)).client, expected, "{pairs:?}");
        }
    }

    #[test]
    fn scheme_is_taken_from_the_trusted_proxy() {
        let table: [(Pairs, Option<bool>); 11] = [
            (&[], None),
            (&[("x-forwarded-proto", "https")], Some(true)),
            (&[("x-forwarded-proto", "HTTPS")], Some(true)),
            (&[("x-forwarded-proto", "http")], Some(false)),
            (&[("x-forwarded-proto", "https, http")], Some(false)),
            (&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], Some(false)),
            (&[("x-forwarded-proto", "wss")], None),
            (&[("forwarded", "for=198.51.100.7;proto=https, for=10.0.0.1;proto=http")], Some(true)),
            (&[("forwarded", "for=1.2.3.4;proto=https, for=198.51.100.7;proto=http")], Some(false)),
            (&[("forwarded", "proto=https;for=\"_x\"")], Some(true)),
            (&[("forwarded", "for=198.51.100.7;proto=https"), ("x-forwarded-proto", "http")], None),
        ];
        for (pairs, expected) in table {
            assert_eq!(proxies().origin(&headers(pairs)).encrypted, expected, "{pairs:?}");
        }
    }

    #[test]
    fn proxies_are_networks_addresses_or_the_socket() {
        let peer = |address: Option<&str>| Peer {
            address: address.map(|address| address.parse().expect("an address")),
            socket: address.is_none(),
            ..Peer::default()
        };
        for (address, expected) in
            [("127.0.0.1", true), ("127.0.0.2", false), ("10.9.9.9", true), ("fd12::1", true), ("11.0.0.1", false)]
        {
            assert_eq!(proxies().has(peer(Some(address))), expected, "{address}");
        }
        assert!(!proxies().has(peer(None)));
        assert!(Proxies::parse(["unix".to_owned()]).expect("the socket").has(peer(None)));
        for word in ["", "localhost", "10.0.0.0/33", "*", "10.0.0.0/8 "] {
            assert_eq!(Proxies::parse([word.to_owned()]), Err(word.to_owned()));
        }
    }

    #[test]
    fn ipv6_is_grouped_by_64_prefix_and_ipv4_by_address() {
        let grouped = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(grouped("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(grouped("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(grouped("192.0.2.1"), "192.0.2.1");
    }
}
