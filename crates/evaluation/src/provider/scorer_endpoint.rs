//! Asks an endpoint that scores. Its URL is in the suite, so everybody who can publish a suite chooses it: it is held to
//! the rules of webhooks, and nothing secret is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::rules::governance::webhook_url::{UrlError, check_address};

/// Time limit of one call.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// A client that connects to public addresses with TLS, and to the networks in `allow`.
pub(super) fn client(connect: Duration, allow: &Arc<[IpNet]>, tls: bool) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(super::http::USER_AGENT)
        .connect_timeout(connect)
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would resolve the name itself, unchecked.
        .no_proxy()
        .https_only(tls)
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(AddressGuard { tls, allow: Arc::clone(allow) }))
        .build()
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
            let mut chosen: Vec<SocketAddr> = Vec::new();
            let mut refusal = None;
            for address in found {
                match check_address(name.as_str(), address.ip(), tls, &allow) {
                    Ok(()) => chosen.push(address),
                    Err(error) => refusal = refusal.or(Some(error)),
                }
            }
            if chosen.is_empty() {
                let nowhere = || UrlError::Nowhere { host: name.as_str().to_owned() };
                return Err(refusal.unwrap_or_else(nowhere).into());
            }
            Ok::<Addrs, _>(Box::new(chosen.into_iter()))
        })
    }
}
