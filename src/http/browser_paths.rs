//! The paths that people open in a browser.

use crate::crypto::secret::AccessToken;

/// Where sign-in links lead, before the secret.
const SIGN_IN_LINK: &str = "/ui/sign-in-link?key=";

/// Whether a path is one of the pages.
pub(super) fn is_page(path: &str) -> bool {
    path == "/ui" || path.starts_with("/ui/")
}

/// Whether a path is opened by people, in a browser.
pub(super) fn is_for_people(path: &str) -> bool {
    path == "/" || path == "/docs" || path.starts_with("/docs/") || is_page(path)
}

/// The address of a sign-in link, below the address of the node.
pub(super) fn link_url(node: &str, secret: &AccessToken) -> String {
    format!("{node}{SIGN_IN_LINK}{}", secret.reveal())
}
