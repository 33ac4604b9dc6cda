//! Sessions: an access token or a sign-in link exchanged for a cookie, and limits on sign-in attempts.
//!
//! Decided in memory, and stored on a primary so that a restart signs no one out (`Sessions::keep`). Only hashes of the
//! cookie and of the access token are kept, so that neither can be stolen from here. The caller checks on each request
//! whether the access token is still valid. A new access token waits in memory for the one page that shows it, at most
//! a minute.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::forwarded::network;
use crate::clock::Clock;
use crate::crypto::secret::AccessToken;
use crate::registry::{Registry, SessionHash, SignedInBy, WebSession};
use crate::store::StoreError;

/// Idle lifetime of a session: 8 hours, a working day.
const IDLE_MS: i64 = 8 * 3_600 * 1_000;
/// Maximum lifetime: 7 days.
const ABSOLUTE_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// How far the stored last use can be behind: 5 minutes.
const USE_GRAIN_MS: i64 = 5 * 60 * 1_000;
/// Most sessions of one principal; the least recently used one is dropped.
const SESSIONS_OF_ONE_MAX: usize = 32;
/// Most sessions of a node, to bound memory.
const SESSIONS_MAX: usize = 4_096;
/// The period of the sign-in limit: a minute.
const ATTEMPTS_WITHIN_MS: u64 = 60_000;
/// Most failed attempts in it from one address.
const ATTEMPTS_OF_ONE_MAX: usize = 10;
/// Most failed attempts in it in total, which also bounds memory.
const ATTEMPTS_MAX: usize = 100;
/// How long a new access token, or a confirmation, waits for the page that shows it: a minute.
const SHOWN_WITHIN_MS: u64 = 60_000;
/// Bytes of a session's ID: 256 random bits.
const ID_BYTES: usize = 32;
/// Length of the ID in base64url.
pub(super) const ID_CHARACTERS: usize = 43;
/// BLAKE3 derive-key context of the hash of a session's ID.
const ID_CONTEXT: &str = "bookholder web session v1";
/// Separates form tokens from other uses of the node's key.
const FORM_PREFIX: &[u8] = b"form ";
/// Separates names of people that a proxy signed in.
const PROXY_PREFIX: &[u8] = b"proxy ";

/// The operating system provided no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no session can be made: the operating system gives no randomness")]
pub(super) struct NoRandomness;

/// The sessions of this node.
pub(super) struct Sessions {
    clock: Arc<dyn Clock>,
    /// Signs forms.
    key: [u8; 32],
    book: Arc<Mutex<SessionTable>>,
    /// Where they are stored; absent on a replica.
    registry: Option<Registry>,
    /// Failed sign-in attempts, oldest first.
    attempts: Mutex<VecDeque<FailedSignIn>>,
}

/// The sessions, and which of them have unsaved changes.
#[derive(Default)]
struct SessionTable {
    held: HashMap<SessionHash, SessionEntry>,
    /// Changed sessions, each with the number of its last change.
    changed: HashMap<SessionHash, u64>,
    changes: u64,
}

/// A session. Its times are of the monotonic clock, and negative before the start of the process.
struct SessionEntry {
    /// Absent if a trusted proxy signs them in with each request.
    by: Option<SignedInBy>,
    principal: String,
    began_ms: i64,
    used_ms: i64,
    /// The last use that is stored, or about to be.
    kept_ms: i64,
    made: Option<NewToken>,
    told: Option<ResultPage>,
}

/// The URL that a form redirected to, for its confirmation.
struct ResultPage {
    path: String,
    at_ms: u64,
}

/// An access token that was just created in a session.
struct NewToken {
    name: String,
    token: AccessToken,
    at_ms: u64,
}

/// A failed sign-in attempt.
struct FailedSignIn {
    at_ms: u64,
    from: Option<IpAddr>,
}

impl Sessions {
    /// Loads the sessions stored before this process started, on a primary.
    pub(super) fn new(clock: Arc<dyn Clock>, registry: Option<Registry>) -> Self {
        let mut key = [0; 32];
        if let Some(registry) = &registry {
            key = registry.web_form_key();
        } else {
            // Without randomness no session can be created either, so a key of zeros never signs a valid form.
            let _checked_when_a_session_is_made = getrandom::fill(&mut key);
        }
        let kept = registry.as_ref().map(Registry::web_sessions).transpose().unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "sessions of before cannot be read");
            None
        });
        let (now_ms, wall_ms) = (monotonic(&*clock), clock.now_ms());
        let mut book = SessionTable::default();
        for (id, session) in kept.unwrap_or_default() {
            let began_ms = now_ms.saturating_sub(wall_ms.saturating_sub(session.began_ms));
            let used_ms = now_ms.saturating_sub(wall_ms.saturating_sub(session.used_ms).max(0));
            let held = SessionEntry::new(Some(session.by), session.principal, began_ms, used_ms);
            // A session that began in the future means that a clock was wrong; its age is unknown.
            if began_ms <= now_ms && held.lives(now_ms) {
                book.held.insert(id, held);
            } else {
                book.note(id);
            }
        }
        Self { clock, key, book: Arc::new(Mutex::new(book)), registry, attempts: Mutex::default() }
    }

    /// Stores changes, so that they survive a restart. If that fails, the next call tries again.
    pub(super) async fn keep(&self) -> Result<(), StoreError> {
        let changed = self.book().changed.clone();
        let Some(registry) = self.registry.as_ref().filter(|_| !changed.is_empty()) else {
            // Nothing is stored on a replica.
            self.book().changed.clear();
            return Ok(());
        };
        let (book, clock) = (Arc::clone(&self.book), Arc::clone(&self.clock));
        let look = move |id: &SessionHash| {
            let wall_ms = clock.now_ms().saturating_sub(monotonic(&*clock));
            let book = book.lock().unwrap_or_else(PoisonError::into_inner);
            let session = book.held.get(id)?;
            Some(WebSession {
                by: session.by?,
                principal: session.principal.clone(),
                began_ms: wall_ms.saturating_add(session.began_ms),
                used_ms: wall_ms.saturating_add(session.used_ms),
            })
        };
        registry.keep_web_sessions(changed.keys().copied().collect(), look).await?;
        self.book().changed.retain(|id, number| changed.get(id) != Some(number));
        Ok(())
    }

    /// The same while a client waits for the answer: signing in and out works even if the disk accepts no writes.
    pub(super) async fn keep_or_warn(&self) {
        if let Err(error) = self.keep().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "sessions are not written down yet, and a restart now forgets what changed");
        }
    }

    /// Starts a session; returns its ID, which only the browser keeps.
    pub(super) fn begin(&self, by: SignedInBy, principal: &str) -> Result<String, NoRandomness> {
        let id = new_id()?;
        let now_ms = monotonic(&*self.clock);
        let mut book = self.book();
        book.make_room(principal, now_ms);
        let hash = kept(&id);
        book.held.insert(hash, SessionEntry::new(Some(by), principal.to_owned(), now_ms, now_ms));
        book.note(hash);
        Ok(id)
    }

    /// How an active session was started. This counts as use if the user `acts`: automatic requests of a page do not
    /// extend a session.
    pub(super) fn find(&self, id: &str, acts: bool) -> Option<SignedInBy> {
        let (now_ms, shown_ms) = (monotonic(&*self.clock), self.clock.monotonic_ms());
        let mut book = self.book();
        let key = kept(id);
        let session = book.held.get_mut(&key)?;
        if !session.lives(now_ms) {
            book.remove(key);
            return None;
        }
        session.made.take_if(|made| shown_ms.saturating_sub(made.at_ms) >= SHOWN_WITHIN_MS);
        let by = session.by?;
        if acts {
            session.used_ms = now_ms;
            if now_ms.saturating_sub(session.kept_ms) >= USE_GRAIN_MS {
                session.kept_ms = now_ms;
                book.note(key);
            }
        }
        Some(by)
    }

    /// The person of a session.
    pub(super) fn principal(&self, id: &str) -> Option<String> {
        self.book().held.get(&kept(id)).map(|session| session.principal.clone())
    }

    /// The session of a person whom a trusted proxy signs in with each request: one for all their browsers. Its ID is
    /// derived from their name, and never leaves this node.
    pub(super) fn of_proxy(&self, principal: &str) -> String {
        let id = blake3::keyed_hash(&self.key, &[PROXY_PREFIX, principal.as_bytes()].concat());
        let id = URL_SAFE_NO_PAD.encode(id.as_bytes());
        let now_ms = monotonic(&*self.clock);
        let (mut book, hash) = (self.book(), kept(&id));
        if !book.held.contains_key(&hash) {
            book.make_room(principal, now_ms);
        }
        let session =
            book.held.entry(hash).or_insert_with(|| SessionEntry::new(None, principal.to_owned(), now_ms, now_ms));
        (session.began_ms, session.used_ms) = (now_ms, now_ms);
        id
    }

    /// Holds a new access token for the next page of this session about it.
    pub(super) fn show_once(&self, id: &str, name: &str, token: AccessToken) {
        let at_ms = self.clock.monotonic_ms();
        if let Some(session) = self.book().held.get_mut(&kept(id)) {
            session.made = Some(NewToken { name: name.to_owned(), token, at_ms });
        }
    }

    /// Takes a new access token of this session by name; it is returned once.
    pub(super) fn take_shown(&self, id: &str, name: &str) -> Option<AccessToken> {
        let now_ms = self.clock.monotonic_ms();
        let mut book = self.book();
        let session = book.held.get_mut(&kept(id))?;
        let made = session.made.take_if(|made| made.name == name)?;
        (now_ms.saturating_sub(made.at_ms) < SHOWN_WITHIN_MS).then_some(made.token)
    }

    /// Remembers the URL of the page that shows a confirmation once.
    pub(super) fn tell_once(&self, id: &str, path: &str) {
        let at_ms = self.clock.monotonic_ms();
        if let Some(session) = self.book().held.get_mut(&kept(id)) {
            session.told = Some(ResultPage { path: path.to_owned(), at_ms });
        }
    }

    /// Whether a page should show the confirmation; true once.
    pub(super) fn take_told(&self, id: &str, path: &str) -> bool {
        let now_ms = self.clock.monotonic_ms();
        let mut book = self.book();
        let told = book.held.get_mut(&kept(id)).and_then(|session| session.told.take_if(|told| told.path == path));
        told.is_some_and(|told| now_ms.saturating_sub(told.at_ms) < SHOWN_WITHIN_MS)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        self.book().remove(kept(id));
    }

    /// Ends every session of a principal.
    pub(super) fn end_all(&self, principal: &str) {
        self.book().remove_where(|session| session.principal == principal);
    }

    /// The token of a form, which only the holder of this ID can produce.
    pub(super) fn form_token(&self, id: &str) -> String {
        self.form_hash(id).to_hex().to_string()
    }

    /// Whether a form has the token of the holder of this ID; in constant time.
    pub(super) fn is_form_token(&self, id: &str, presented: &str) -> bool {
        blake3::Hash::from_hex(presented).is_ok_and(|presented| presented == self.form_hash(id))
    }

    fn form_hash(&self, id: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, &[FORM_PREFIX, id.as_bytes()].concat())
    }

    /// Counts a failed sign-in attempt; returns the seconds to wait if there were too many.
    pub(super) fn failed(&self, from: Option<IpAddr>) -> Result<(), u64> {
        let now_ms = self.clock.monotonic_ms();
        let attempt = FailedSignIn { at_ms: now_ms, from: from.map(network) };
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|one| now_ms.saturating_sub(one.at_ms) < ATTEMPTS_WITHIN_MS);
        let own: Vec<u64> = attempts.iter().filter(|one| one.from == attempt.from).map(|one| one.at_ms).collect();
        let first = if own.len() >= ATTEMPTS_OF_ONE_MAX {
            own.first().copied()
        } else if attempts.len() >= ATTEMPTS_MAX {
            attempts.front().map(|one| one.at_ms)
        } else {
            None
        };
        if let Some(first_ms) = first {
            let left_ms = ATTEMPTS_WITHIN_MS.saturating_sub(now_ms.saturating_sub(first_ms));
            return Err(left_ms.div_ceil(1_000).max(1));
        }
        attempts.push_back(attempt);
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, SessionTable> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionTable {
    /// Marks a session as changed.
    fn note(&mut self, id: SessionHash) {
        self.changes = self.changes.saturating_add(1);
        self.changed.insert(id, self.changes);
    }

    fn remove(&mut self, id: SessionHash) {
        if self.held.remove(&id).is_some() {
            self.note(id);
        }
    }

    /// Removes expired sessions and, if there are too many, the least recently used one.
    fn make_room(&mut self, principal: &str, now_ms: i64) {
        self.remove_where(|session| !session.lives(now_ms));
        let oldest = |book: &Self, of: Option<&str>| {
            let fits = book.held.iter().filter(|(_, session)| of.is_none_or(|of| session.principal == of));
            fits.min_by_key(|(_, session)| session.used_ms).map(|(id, _)| *id)
        };
        let own = self.held.values().filter(|session| session.principal == principal).count();
        let crowded = if own >= SESSIONS_OF_ONE_MAX {
            oldest(self, Some(principal))
        } else if self.held.len() >= SESSIONS_MAX {
            oldest(self, None)
        } else {
            None
        };
        if let Some(crowded) = crowded {
            self.remove(crowded);
        }
    }

    fn remove_where(&mut self, ends: impl Fn(&SessionEntry) -> bool) {
        let ended: Vec<_> = self.held.iter().filter(|(_, session)| ends(session)).map(|(id, _)| *id).collect();
        for id in ended {
            self.remove(id);
        }
    }
}

impl SessionEntry {
    const fn new(by: Option<SignedInBy>, principal: String, began_ms: i64, used_ms: i64) -> Self {
        Self { by, principal, began_ms, used_ms, kept_ms: used_ms, made: None, told: None }
    }

    const fn lives(&self, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.used_ms) < IDLE_MS && now_ms.saturating_sub(self.began_ms) < ABSOLUTE_MS
    }
}

/// The monotonic clock, as a number that allows times before the start of the process.
fn monotonic(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.monotonic_ms()).unwrap_or(i64::MAX)
}

/// 256 random bits, encoded for a cookie.
pub(super) fn new_id() -> Result<String, NoRandomness> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The stored hash of a session's ID: reading memory reveals no usable ID.
fn kept(id: &str) -> SessionHash {
    blake3::derive_key(ID_CONTEXT, id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::crypto::secret::TokenHash;

    const HOUR_MS: u64 = 3_600_000;

    fn sessions() -> (Sessions, ManualClock) {
        let clock = ManualClock::at(0);
        (Sessions::new(Arc::new(clock.clone()), None), clock)
    }

    fn hash(n: u8) -> SignedInBy {
        SignedInBy::Token(TokenHash::from_bytes([n; 32]))
    }

    #[test]
    fn new_secret_is_shown_once_in_its_session_within_a_minute() {
        let (sessions, clock) = sessions();
        let (ann, bob) = (sessions.begin(hash(1), "ann"), sessions.begin(hash(2), "bob"));
        let (ann, bob) = (ann.expect("randomness"), bob.expect("randomness"));
        let token = || AccessToken::parse("bh_0123456789abcdef").expect("a token");
        sessions.show_once(&ann, "ci", token());
        assert!(sessions.take_shown(&bob, "ci").is_none(), "another session");
        assert!(sessions.take_shown(&ann, "edge").is_none(), "another access token");
        assert_eq!(sessions.take_shown(&ann, "ci").expect("the first time").reveal(), "bh_0123456789abcdef");
        assert!(sessions.take_shown(&ann, "ci").is_none(), "once");
        sessions.show_once(&ann, "ci", token());
        clock.advance(SHOWN_WITHIN_MS);
        assert!(sessions.take_shown(&ann, "ci").is_none(), "too late");
        sessions.show_once(&ann, "ci", token());
        sessions.end(&ann);
        assert!(sessions.take_shown(&ann, "ci").is_none(), "signed out");
    }

    #[test]
    fn confirmation_is_shown_once_at_its_url_within_a_minute() {
        let (sessions, clock) = sessions();
        let (ann, bob) = (sessions.begin(hash(1), "ann"), sessions.begin(hash(2), "bob"));
        let (ann, bob) = (ann.expect("randomness"), bob.expect("randomness"));
        sessions.tell_once(&ann, "/ui/prompts/a?done=deployed");
        assert!(!sessions.take_told(&bob, "/ui/prompts/a?done=deployed"), "another session");
        assert!(!sessions.take_told(&ann, "/ui/prompts/b?done=deployed"), "another page");
        assert!(sessions.take_told(&ann, "/ui/prompts/a?done=deployed"), "the first time");
        assert!(!sessions.take_told(&ann, "/ui/prompts/a?done=deployed"), "once");
        sessions.tell_once(&ann, "/ui/prompts/a?done=deployed");
        clock.advance(SHOWN_WITHIN_MS);
        assert!(!sessions.take_told(&ann, "/ui/prompts/a?done=deployed"), "too late");
    }

    #[test]
    fn session_ends_when_idle_and_after_a_week() {
        let (sessions, clock) = sessions();
        let id = sessions.begin(hash(1), "ann").expect("randomness");
        assert_eq!(id.len(), ID_CHARACTERS, "256 bits");
        clock.advance(8 * HOUR_MS - 1);
        assert_eq!(sessions.find(&id, true), Some(hash(1)), "each use keeps it");
        clock.advance(8 * HOUR_MS);
        assert_eq!(sessions.find(&id, true), None, "8 hours without use");
        let id = sessions.begin(hash(1), "ann").expect("randomness");
        clock.advance(5 * HOUR_MS);
        assert_eq!(sessions.find(&id, false), Some(hash(1)), "an open page looks again");
        clock.advance(5 * HOUR_MS);
        assert_eq!(sessions.find(&id, true), None, "which is no use");
        let id = sessions.begin(hash(1), "ann").expect("randomness");
        for _ in 0..23 {
            clock.advance(7 * HOUR_MS);
            assert!(sessions.find(&id, true).is_some());
        }
        clock.advance(7 * HOUR_MS);
        assert_eq!(sessions.find(&id, true), None, "7 days");
        assert_eq!(sessions.find("anything else", true), None);
    }

    #[test]
    fn signing_out_ends_one_session_or_all_of_one_person() {
        let (sessions, _) = sessions();
        let begin = |token, who| sessions.begin(hash(token), who).expect("randomness");
        let (one, two, other) = (begin(1, "ann"), begin(2, "ann"), begin(3, "bob"));
        assert_ne!(one, two, "each sign-in has an id of its own");
        sessions.end(&one);
        assert_eq!((sessions.find(&one, true), sessions.find(&two, true)), (None, Some(hash(2))));
        sessions.end_all("ann");
        assert_eq!((sessions.find(&two, true), sessions.find(&other, true)), (None, Some(hash(3))));
    }

    #[test]
    fn sessions_of_one_person_are_bounded_and_the_oldest_makes_room() {
        let (sessions, clock) = sessions();
        let mut ids = Vec::new();
        for _ in 0..=SESSIONS_OF_ONE_MAX {
            ids.push(sessions.begin(hash(1), "ann").expect("randomness"));
            clock.advance(1);
        }
        assert_eq!(sessions.find(&ids[0], true), None);
        assert!(ids[1..].iter().all(|id| sessions.find(id, true).is_some()));
    }

    #[test]
    fn form_token_is_valid_for_one_session_of_one_start() {
        let (ours, _) = sessions();
        let (others, _) = sessions();
        let token = ours.form_token("a");
        for (id, presented, expected) in [
            ("a", token.as_str(), true),
            ("b", &token, false),
            ("a", "", false),
            ("a", &token[1..], false),
            ("a", &others.form_token("a"), false),
            ("a", &token.replace(['0', '1', '2', '3'], "4"), false),
        ] {
            assert_eq!(ours.is_form_token(id, presented), expected, "{id} {presented}");
        }
    }

    #[test]
    fn attempts_are_counted_by_address_and_all_together() {
        let (sessions, clock) = sessions();
        let at = |text: &str| Some(text.parse().expect("an address"));
        for _ in 0..ATTEMPTS_OF_ONE_MAX {
            sessions.failed(at("192.0.2.1")).expect("one more");
        }
        assert_eq!(sessions.failed(at("192.0.2.1")), Err(60));
        assert_eq!(sessions.failed(at("::ffff:192.0.2.1")), Err(60), "the same address in other words");
        clock.advance(59_000);
        assert_eq!(sessions.failed(at("192.0.2.1")), Err(1));
        clock.advance(1_000);
        sessions.failed(at("192.0.2.1")).expect("a minute later");
        for n in 0..ATTEMPTS_MAX - 1 {
            sessions.failed(at(&format!("198.51.100.{n}"))).expect("one more");
        }
        assert_eq!(sessions.failed(at("203.0.113.9")), Err(60), "too many from everywhere");
    }

    #[test]
    fn failed_sign_ins_group_ipv6_by_64_prefix() {
        let (sessions, _) = sessions();
        for n in 0..ATTEMPTS_OF_ONE_MAX {
            let address = format!("2001:db8:1:2::{n}").parse().expect("an address");
            sessions.failed(Some(address)).expect("one more");
        }
        let same = "2001:db8:1:2:ffff::1".parse().expect("an address");
        assert_eq!(sessions.failed(Some(same)), Err(60));
        let other = "2001:db8:1:3::1".parse().expect("an address");
        assert_eq!(sessions.failed(Some(other)), Ok(()));
    }
}
