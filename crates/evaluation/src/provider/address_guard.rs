//! Connects to addresses that are allowed, whatever DNS says: for URLs that users choose.
//!
//! The checked addresses are the ones that are connected to, so changing the DNS record afterwards has no effect.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::rules::governance::webhook_url::{UrlError, check_address};

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Prepares a client that connects to public addresses with TLS, and to the networks in `allow`; it follows no
/// redirects. The URL itself has to be checked before.
pub fn guarded(client: ClientBuilder, allow: &Arc<[IpNet]>, tls: bool) -> ClientBuilder {
    client
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would resolve the name itself, unchecked.
        .no_proxy()
        .https_only(tls)
        // Each connection checks its address.
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(AddressGuard { tls, allow: Arc::clone(allow) }))
}

/// Resolves a name and passes only allowed addresses to the connection.
struct AddressGuard {
    tls: bool,
    allow: Arc<[IpNet]>,
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let (tls, allow) = (self.tls, Arc::clone(&self.allow));
        Box::pin(async move {
            // Port 0 means that of the URL.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.take(ADDRESSES_MAX);
            let addresses = choose(name.as_str(), found, tls, &allow)?;
            Ok::<Addrs, _>(Box::new(addresses.into_iter()))
        })
    }
}

/// The allowed addresses; the reason if there are none.
fn choose(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    tls: bool,
    allow: &[IpNet],
) -> Result<Vec<SocketAddr>, UrlError> {
    let mut chosen = Vec::new();
    let mut refusal = None;
    for address in found {
        match check_address(host, address.ip(), tls, allow) {
            Ok(()) => chosen.push(address),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    if chosen.is_empty() {
        return Err(refusal.unwrap_or_else(|| UrlError::Nowhere { host: host.to_owned() }));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_with_allowed_and_forbidden_addresses_connects_to_the_allowed_ones() {
        let choose = |found: &[&str], tls: bool, allow: &[&str]| {
            let found = found.iter().map(|address| SocketAddr::new(address.parse().expect("an address"), 0));
            let chosen = {
                let allow: Vec<IpNet> = allow.iter().map(|network| network.parse().expect("a network")).collect();
                choose("h", found, tls, &allow)
            };
            chosen.map(|list| list.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>())
        };
        let private =
            UrlError::Address { host: "h".to_owned(), address: "10.0.0.1".parse().unwrap(), class: "private" };
        let plain = UrlError::Plain { host: "h".to_owned() };
        let owned = |list: &[&str]| Ok(list.iter().map(|text| (*text).to_owned()).collect());
        for (found, tls, allow, expected) in [
            (&["1.1.1.1", "10.0.0.1", "::1", "2606:4700::1"][..], true, &[][..], owned(&["1.1.1.1", "2606:4700::1"])),
            (&["10.0.0.1", "127.0.0.1"], true, &[], Err(private.clone())),
            (&["10.0.0.1", "127.0.0.1"], true, &["127.0.0.0/8"], owned(&["127.0.0.1"])),
            (&["1.1.1.1", "10.0.0.1"], false, &["10.0.0.0/8"], owned(&["10.0.0.1"])),
            (&["1.1.1.1", "10.0.0.1"], false, &["1.0.0.0/8"], owned(&["1.1.1.1"])),
            (&["1.1.1.1", "10.0.0.1"], false, &["172.16.0.0/12"], Err(plain)),
            (&["10.0.0.1", "1.1.1.1"], false, &[], Err(private)),
            (&[], true, &[], Err(UrlError::Nowhere { host: "h".to_owned() })),
        ] {
            assert_eq!(choose(found, tls, allow), expected, "{found:?} {tls} {allow:?}");
        }
    }

    #[tokio::test]
    async fn name_that_resolves_to_a_private_address_is_refused() {
        let loopback: &[IpNet] = &["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
        for (tls, allow, allowed) in
            [(true, &[][..], false), (false, &[], false), (true, loopback, true), (false, loopback, true)]
        {
            let guard = AddressGuard { tls, allow: allow.into() };
            match guard.resolve("localhost".parse().expect("a name")).await {
                Ok(mut addresses) => assert!(allowed && addresses.all(|address| address.ip().is_loopback())),
                Err(error) => assert!(!allowed && error.to_string().contains("which is loopback"), "{error}"),
            }
        }
    }
}
