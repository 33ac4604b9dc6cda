//! The one provider of TLS in this program: ring, because it builds with a C compiler alone.

/// Makes ring the provider for whatever in this process speaks TLS; any number of calls come to the same.
pub fn use_ring() {
    // An error means that somebody was first, with the same provider: there is no other.
    let _same = rustls::crypto::ring::default_provider().install_default();
}
