//! Which URLs and addresses a webhook may send to.
//!
//! Invariant: nothing internal, unless the operator allowed its network, in whatever way it is written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::Url;

/// Longest URL of a webhook, in bytes; longer ones do not pass every proxy.
pub const URL_BYTES_MAX: usize = 2_048;

/// Why a URL is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum UrlError {
    #[error("invalid webhook URL: use https://host/path")]
    Parse,
    #[error("the webhook URL contains `…`, which stands for the rest of an example; write the whole URL")]
    Placeholder,
    #[error("the webhook URL is {bytes} bytes long; the limit is {URL_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("a webhook URL must start with https://, not {scheme}:")]
    Scheme { scheme: String },
    #[error("a webhook URL cannot contain a user or password; remove everything before the @")]
    UserInfo,
    #[error(
        "`{host}` is outside the networks that webhooks can use without TLS; use https://, or allow its network (setting webhook_allow)"
    )]
    Plain { host: String },
    #[error(
        "`{host}` is at {address}, which is {class}; use a public address, or allow its network (setting webhook_allow)"
    )]
    Address { host: String, address: IpAddr, class: &'static str },
    #[error("`{host}` does not resolve to an address; check the name")]
    Nowhere { host: String },
}

/// Checks a URL without DNS, for when a webhook is created: resolved addresses are checked at each delivery.
///
/// # Errors
/// The URL is not valid for a webhook, or its host is an address that `allow` does not include.
pub fn check_url(url: &str, allow: &[IpNet]) -> Result<Url, UrlError> {
    if url.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong { bytes: url.len() });
    }
    if url.contains('…') {
        return Err(UrlError::Placeholder);
    }
    let url: Url = url.parse().map_err(|_| UrlError::Parse)?;
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        scheme => return Err(UrlError::Scheme { scheme: scheme.to_owned() }),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::UserInfo);
    }
    // The parser has already normalized unusual spellings of an address, such as `0x7f.1`.
    let host = url.host_str().ok_or(UrlError::Parse)?;
    let name = host.trim_end_matches('.');
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        check_address(host, address, tls, allow)?;
    } else if name == "localhost" || name.ends_with(".localhost") {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        check_address(host, loopback, tls, allow)
            .or_else(|error| check_address(host, Ipv6Addr::LOCALHOST.into(), tls, allow).map_err(|_| error))?;
    } else if !tls && allow.is_empty() {
        return Err(UrlError::Plain { host: host.to_owned() });
    }
    Ok(url)
}

/// Whether this address of `host` is allowed.
/// # Errors
/// It is internal, or is not reached over TLS, and no network in `allow` has it.
pub fn check_address(host: &str, address: IpAddr, tls: bool, allow: &[IpNet]) -> Result<(), UrlError> {
    let address = address.to_canonical();
    if allow.iter().any(|network| network.contains(&address)) {
        return Ok(());
    }
    let class = match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    };
    match class {
        Some(class) => Err(UrlError::Address { host: host.to_owned(), address, class }),
        None if tls => Ok(()),
        None => Err(UrlError::Plain { host: host.to_owned() }),
    }
}

/// The class of an address that is not public, from the registry of special addresses (RFC 6890).
const fn class_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [100, 64..=127, ..] => Some("shared by a provider's customers"),
        // The second is a server of Azure's hosts.
        [169, 254, ..] | [168, 63, 129, 16] => Some("link-local (cloud metadata services)"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("reserved for documentation"),
        [198, 18..=19, ..] => Some("reserved for benchmarks"),
        [224..=239, ..] => Some("multicast"),
        [255, 255, 255, 255] => Some("broadcast"),
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

/// As [`class_v4`]. An address that embeds an IPv4 address has its class.
fn class_v6(address: Ipv6Addr) -> Option<&'static str> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        class_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // IPv4-compatible, which is no longer routed.
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low).or(Some("reserved")),
        // IPv4-mapped, NAT64 and 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfec0..=0xfeff, ..] => Some("site-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("reserved for documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("reserved"),
        [0x2000..=0x3fff, ..] => None,
        // Only 2000::/3 is allocated.
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|network| network.parse().expect("a network")).collect()
    }

    #[test]
    fn addresses_are_classified() {
        let class = |address: &str| match address.parse::<IpAddr>().expect(address).to_canonical() {
            IpAddr::V4(address) => class_v4(address),
            IpAddr::V6(address) => class_v6(address),
        };
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", "unspecified"),
            ("10.0.0.0", "10.255.255.255", "private"),
            ("172.16.0.0", "172.31.255.255", "private"),
            ("192.168.0.0", "192.168.255.255", "private"),
            ("100.64.0.0", "100.127.255.255", "shared by a provider's customers"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("169.254.0.0", "169.254.169.254", "link-local (cloud metadata services)"),
            ("168.63.129.16", "168.63.129.16", "link-local (cloud metadata services)"),
            ("192.0.0.0", "192.0.0.255", "reserved"),
            ("192.0.2.0", "203.0.113.255", "reserved for documentation"),
            ("198.18.0.0", "198.19.255.255", "reserved for benchmarks"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
            ("255.255.255.255", "::ffff:255.255.255.255", "broadcast"),
            ("::", "::", "unspecified"),
            ("::1", "::1", "loopback"),
            ("::ffff:127.0.0.1", "::ffff:7f00:1", "loopback"),
            ("::127.0.0.1", "64:ff9b::127.0.0.1", "loopback"),
            ("::8.8.8.8", "::ffff:0:8.8.8.8", "reserved"),
            ("64:ff9b::10.0.0.1", "2002:a00:1::1", "private"),
            ("64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "link-local (cloud metadata services)"),
            ("64:ff9b:1::1", "100::1", "reserved"),
            ("2001::1", "2001:1ff:ffff::", "reserved"),
            ("2001:db8::", "3fff:fff::", "reserved for documentation"),
            ("fc00::", "fdff:ffff::", "private"),
            ("fd00:ec2::254", "fd00:ec2::254", "private"),
            ("fe80::", "febf:ffff::", "link-local"),
            ("fec0::", "feff:ffff::", "site-local"),
            ("ff00::", "ff02::1", "multicast"),
            ("4000::", "5f00::1", "reserved"),
        ] {
            assert_eq!(class(first), Some(expected), "{first}");
            assert_eq!(class(last), Some(expected), "{last}");
        }
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(class(public), None, "{public}");
        }
    }

    #[test]
    fn urls_are_checked_before_anything_is_sent() {
        let nowhere: &[&str] = &[];
        let inside: &[&str] = &["127.0.0.0/8", "10.1.0.0/16", "fd00::/8", "203.0.113.7/32"];
        for (url, allow, part) in [
            ("https://hooks.example/a?b#c", nowhere, ""),
            ("https://hooks.example:8443/", nowhere, ""),
            ("https://1.1.1.1/", nowhere, ""),
            ("https://[2606:4700::1111]/", nowhere, ""),
            ("hooks.example/a", nowhere, "invalid webhook URL"),
            ("https://", nowhere, "invalid webhook URL"),
            ("ftp://hooks.example/", nowhere, "not ftp:"),
            ("file:///etc/passwd", nowhere, "not file:"),
            ("https://user@hooks.example/", nowhere, "cannot contain a user or password"),
            ("https://user:secret@hooks.example/", nowhere, "cannot contain a user or password"),
            ("https://:secret@hooks.example/", nowhere, "cannot contain a user or password"),
            ("http://hooks.example/", nowhere, "`hooks.example` is outside"),
            ("http://1.1.1.1/", inside, "`1.1.1.1` is outside"),
            ("http://hooks.example/", inside, ""),
            ("http://203.0.113.7/", inside, ""),
            ("https://203.0.113.8/", inside, "reserved for documentation"),
            ("http://10.1.2.3:8080/", inside, ""),
            ("https://10.2.0.1/", inside, "private"),
            ("https://[fd00::1]/", inside, ""),
            ("https://[::ffff:10.1.2.3]/", inside, ""),
            ("https://[64:ff9b::10.1.2.3]/", inside, "private"),
            ("https://127.0.0.1/", nowhere, "is at 127.0.0.1, which is loopback"),
            ("https://localhost/", nowhere, "`localhost` is at 127.0.0.1"),
            ("https://LOCALHOST./", nowhere, "loopback"),
            ("https://a.localhost/", nowhere, "loopback"),
            ("http://localhost/", inside, ""),
            ("http://localhost/", &["::1/128"], ""),
            ("https://2130706433/", nowhere, "127.0.0.1"),
            ("https://0x7f.1/", nowhere, "127.0.0.1"),
            ("https://0177.0.0.1/", nowhere, "127.0.0.1"),
            ("https://127.1/", nowhere, "127.0.0.1"),
            ("https://127.0.0.1./", nowhere, "127.0.0.1"),
            ("https://%31%32%37.0.0.1/", nowhere, "127.0.0.1"),
            ("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", nowhere, "127.0.0.1"),
            ("https:\\\\127.0.0.1\\", nowhere, "127.0.0.1"),
            ("https://[::ffff:127.0.0.1]/", nowhere, "127.0.0.1"),
            ("https://[::127.0.0.1]/", nowhere, "loopback"),
            ("https://[::1]/", nowhere, "loopback"),
            ("https://[::]/", nowhere, "unspecified"),
            ("https://0/", nowhere, "unspecified"),
            ("https://169.254.169.254/latest/meta-data", nowhere, "metadata"),
            ("https://[fe80::1%25eth0]/", nowhere, "invalid webhook URL"),
        ] {
            let found = check_url(url, &networks(allow)).err().map(|error| error.to_string());
            match &found {
                None => assert_eq!(part, "", "{url}"),
                Some(message) => {
                    assert!(!part.is_empty() && message.contains(part), "{url}: {message}");
                    assert!(!message.contains("secret") && !message.contains("latest"), "{message}");
                }
            }
        }
        let long = format!("https://hooks.example/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(check_url(&long, &[]), Err(UrlError::TooLong { bytes: long.len() }));
    }
}
