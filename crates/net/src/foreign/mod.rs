//! Texts that come from elsewhere (a body, a message, a name), as they may be shown: without the
//! credentials of the request, and cut.
//!
//! A server may repeat the request in its answer: debug proxies do, and many error pages. What is
//! shown of an answer comes to the log, to pages, to the API, and to every reader of a list, so
//! every such text passes [`Secrets::clean`], where it enters and before anything else cuts it.
//!
//! Invariants:
//! - A secret is found as it is, percent-encoded, form-encoded, as HTML, as a string of JSON, Go or
//!   Rust, in up to three of these at once, and in base64 of either alphabet, wherever in the
//!   encoded text it stands. One that the sender or a limit has cut is found too, from
//!   [`SHORTEST`] bytes on.
//! - A secret of less than [`SHORTEST`] bytes is not searched for by itself: it would be found in
//!   every text. What it is sent in (`user:password`, a header) is longer, and is searched for.
//! - Time and memory are bounded by [`ENOUGH`], however long the text is.

mod patterns;
mod readings;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use swarmscout_model::Secret;
use swarmscout_model::secret::HIDDEN;
use zeroize::Zeroizing;

use self::patterns::Patterns;
use crate::{Url, UserInfo};

/// The most bytes that are shown of a foreign text, give or take a few.
pub const SHOWN: usize = 1024;

/// The number of bytes of a foreign text that show its start with all secrets in it whole.
pub const ENOUGH: usize = 16 << 10;

/// Shorter secrets are not searched for.
const SHORTEST: usize = 4;

/// How many of the newest secrets that change (read from files, received) are remembered.
const RECENT: usize = 32;

/// The credentials of one client: what it is configured with, and what it read and received of
/// late. Clones share them. `Debug` shows nothing of them.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    fixed: Vec<Secret>,
    /// The newest last.
    recent: VecDeque<Secret>,
    /// What is searched for, made when it is needed.
    patterns: Option<Arc<Patterns>>,
}

impl Secrets {
    /// Hides this secret for ever: it stands in the configuration.
    pub fn keep(&self, secret: &str) {
        let mut known = self.lock();
        if secret.len() >= SHORTEST && !known.fixed.iter().any(|known| known.expose() == secret) {
            known.fixed.push(Secret::new(secret));
            known.patterns = None;
        }
    }

    /// Hides a user's password for ever, alone and behind the user's name.
    pub fn keep_user(&self, user: &UserInfo) {
        let password = user.password.as_ref().map_or("", Secret::expose);
        self.keep(password);
        if !password.is_empty() {
            self.keep(&Zeroizing::new(format!("{}:{password}", user.username)));
        }
    }

    /// Hides the password in a URL for ever, as [`Self::keep_user`] does.
    pub fn keep_url(&self, url: &str) {
        if let Ok(url) = Url::parse(url)
            && let Some(user) = url.user()
        {
            self.keep_user(user);
        }
    }

    /// Hides this secret, which may be replaced by others in time.
    pub fn learn(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut known = self.lock();
        if known.fixed.iter().any(|known| known.expose() == secret) {
            return;
        }
        if let Some(at) = known.recent.iter().position(|known| known.expose() == secret) {
            let again = known.recent.remove(at);
            known.recent.extend(again);
            return;
        }
        if known.recent.len() == RECENT {
            known.recent.pop_front();
        }
        known.recent.push_back(Secret::new(secret));
        known.patterns = None;
    }

    /// Hides the value of a header, and the credentials in it.
    pub fn learn_header(&self, value: &HeaderValue) {
        let value = Zeroizing::new(String::from_utf8_lossy(value.as_bytes()).into_owned());
        self.learn(&value);
        let Some((scheme, credentials)) = value.split_once(' ') else { return };
        self.learn(credentials.trim());
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = STANDARD.decode(credentials.trim()).map(Zeroizing::new)
            && let Ok(pair) = str::from_utf8(&pair)
        {
            self.learn(pair);
            self.learn(pair.split_once(':').map_or("", |(_, password)| password));
        }
    }

    /// A foreign text as it may be shown: `<secret>` in place of secrets, and cut to [`SHOWN`]
    /// bytes. The place that a parser names at the end (`at line 1 column 2`) stays.
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let place = if text.len() > SHOWN { place(text) } else { "" };
        let whole = &text[..text.len() - place.len()];
        let start = &whole[..whole.floor_char_boundary(ENOUGH)];
        let hidden = match self.patterns() {
            Some(patterns) => patterns.find(start),
            None => Vec::new(),
        };
        if hidden.is_empty() && text.len() <= SHOWN {
            return Cow::Borrowed(text);
        }
        let (mut clean, mut at) = (String::with_capacity(start.len().min(SHOWN) + 64), 0);
        let mut cut = start.len() < whole.len();
        let end = start.len()..start.len();
        for hidden in hidden.into_iter().chain([end]) {
            let before = &start[at..hidden.start];
            let room = SHOWN.saturating_sub(clean.len());
            if before.len() > room || (before.len() == room && !hidden.is_empty()) {
                clean.push_str(&before[..before.floor_char_boundary(room)]);
                cut = true;
                break;
            }
            clean.push_str(before);
            if !hidden.is_empty() {
                clean.push_str(HIDDEN);
            }
            at = hidden.end;
        }
        if cut {
            clean.push('…');
        }
        clean.push_str(place);
        Cow::Owned(clean)
    }

    /// The same for bytes. What is not UTF-8 is replaced.
    pub fn clean_bytes(&self, bytes: &[u8]) -> String {
        let start = &bytes[..bytes.len().min(ENOUGH)];
        self.clean(&String::from_utf8_lossy(start)).into_owned()
    }

    /// [`Self::clean`] for a text that is already there, which mostly stays as it is.
    pub fn clean_in_place(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.clean(text) {
            *text = clean;
        }
    }

    fn patterns(&self) -> Option<Arc<Patterns>> {
        let mut known = self.lock();
        if known.fixed.is_empty() && known.recent.is_empty() {
            return None;
        }
        if known.patterns.is_none() {
            let secrets = known.fixed.iter().chain(&known.recent).map(Secret::expose);
            known.patterns = Some(Arc::new(Patterns::of(secrets)));
        }
        known.patterns.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The place that a parser names at the end of its message, or nothing.
fn place(text: &str) -> &str {
    let near = text.ceil_char_boundary(text.len().saturating_sub(128));
    let words = |place: &str| {
        place.split([' ', ',', '(', ')']).all(|word| {
            word.bytes().all(|byte| byte.is_ascii_digit())
                || matches!(word, "at" | "line" | "column" | "defined" | "used")
        })
    };
    let mut starts = text[near..].match_indices(" at line ").map(|(at, _)| &text[near + at..]);
    starts.find(|place| words(place)).unwrap_or_default()
}
