//! Sessions of the pages, stored so that they survive a restart. They are local to this node: not part of a commit, not
//! replicated, and removed when a backup is restored.
//!
//! Who is signed in, for how long and by what is the business of the pages (`http::sessions`).

use std::ops::ControlFlow;

use super::Registry;
use super::access::hex;
use crate::crypto::secret::TokenHash;
use crate::store::StoreError;
use crate::store::documents::{Documents, Scan, WebSessionRecord};
use crate::store::write::WriteTxn;

/// BLAKE3 derive-key context of the key that signs forms of the pages.
const FORM_KEY_CONTEXT: &str = "bookholder web form key v1";

/// The hash of a session's ID, so that reading the database does not reveal usable IDs.
pub type SessionHash = [u8; 32];

/// How a session was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedInBy {
    /// An access token, by its hash: the session ends with it.
    Token(TokenHash),
    /// A sign-in link, which is used up: the session belongs to the person.
    Link,
}

/// A session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSession {
    /// How it was started.
    pub by: SignedInBy,
    /// Who is signed in.
    pub principal: String,
    /// When it started, in milliseconds since 1970.
    pub began_ms: i64,
    /// When it was last used, in milliseconds since 1970.
    pub used_ms: i64,
}

impl Registry {
    /// Every stored session. One with unreadable hashes is left out.
    pub fn web_sessions(&self) -> Result<Vec<(SessionHash, WebSession)>, StoreError> {
        let bytes = |hex: &str| blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes());
        let session = |id: &str, record: WebSessionRecord| {
            let WebSessionRecord { token, principal, began_ms, used_ms } = record;
            let by = match token {
                Some(token) => SignedInBy::Token(TokenHash::from_bytes(bytes(&token)?)),
                None => SignedInBy::Link,
            };
            Some((bytes(id)?, WebSession { by, principal, began_ms, used_ms }))
        };
        let mut sessions = Vec::new();
        self.0.store.read()?.visit_documents(&Scan::<WebSessionRecord>::all(), &mut |found| {
            sessions.extend(session(found.key()?, found.read()?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(sessions)
    }

    /// Writes the current state of these sessions: `look` returns it at the time of writing, so that of two concurrent
    /// calls the later write is right. An absent state removes the session.
    pub async fn keep_web_sessions(
        &self,
        ids: Vec<SessionHash>,
        look: impl Fn(&SessionHash) -> Option<WebSession> + Send + 'static,
    ) -> Result<(), StoreError> {
        let job = move |txn: &mut WriteTxn<'_>| {
            for id in &ids {
                let key = blake3::Hash::from(*id).to_hex();
                match look(id) {
                    Some(WebSession { by, principal, began_ms, used_ms }) => {
                        let token = if let SignedInBy::Token(hash) = by { Some(hex(&hash)) } else { None };
                        let record = WebSessionRecord { token, principal, began_ms, used_ms };
                        txn.put::<WebSessionRecord>(&key, &record)?;
                    }
                    None => {
                        txn.remove::<WebSessionRecord>(&key)?;
                    }
                }
            }
            Ok(())
        };
        self.0.store.write(job).await
    }

    /// The key that signs forms of the pages: stable across restarts, and different for each registry.
    pub fn web_form_key(&self) -> [u8; 32] {
        blake3::derive_key(FORM_KEY_CONTEXT, self.0.known.load().secret())
    }
}

/// Deletes all sessions, so that restoring a backup does not sign anyone in again.
pub(super) fn forget_web_sessions(txn: &mut WriteTxn<'_>) -> Result<(), StoreError> {
    let mut ids = Vec::new();
    txn.visit_documents(&Scan::<WebSessionRecord>::all(), &mut |found| {
        ids.push(found.key()?.to_owned());
        Ok(ControlFlow::Continue(()))
    })?;
    for id in ids {
        txn.remove::<WebSessionRecord>(&id)?;
    }
    Ok(())
}
