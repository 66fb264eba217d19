//! `basic_auth_users`: the hashes of passwords, and how a password is checked.
//!
//! bcrypt is slow on purpose, so it never runs on the threads of the server, and only once at a time.
//! A user's last good password is remembered by a keyed digest: a request with it costs a
//! microsecond and waits for nothing. Everything else waits in a short [queue](PasswordQueue).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{self, SystemRandom};
use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use swarmscout_net::cpu::Pool;
use zeroize::Zeroizing;

/// The highest cost that is accepted: one check takes some 15 s.
const MAX_COST: u32 = 18;

/// From this cost on a check takes about a second, or more.
const EXPENSIVE: u32 = 14;

/// bcrypt reads no more of a password.
const MAX_PASSWORD: usize = 72;

/// The most checks that wait or run.
const MAX_WAITING: usize = 16;

/// The most of them for one client.
const MAX_OF_CLIENT: usize = 4;

/// The places that are kept for clients that have given a good password within [`LATELY`].
const KEPT: usize = 4;
const LATELY: Duration = Duration::from_hours(24);

/// How many of these clients are remembered.
const MAX_KNOWN: usize = 1024;

/// A client that is known already is noted again after this time.
const NOTED: Duration = Duration::from_mins(1);

const RANDOM: &str = "the operating system has random bytes";

/// Where passwords are checked, one at a time.
static CHECKS: Pool = Pool::single("passwords");

/// Trailing bits of a salt have no meaning, and some programs set them.
const SALT: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
const DIGEST: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD);

/// The bcrypt hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: u32,
    salt: [u8; 16],
    digest: [u8; 23],
}

impl PasswordHash {
    /// Reads `$2y$10$…`. The error does not show the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const MAKE: &str = "make one by htpasswd -nBC 10 \"\" | tr -d ':\\n'";
        let malformed = || format!("not a bcrypt hash: {MAKE}");
        let ["", version, cost, encoded] = text.split('$').collect::<Vec<_>>()[..] else {
            return Err(malformed());
        };
        match version {
            "2a" | "2b" | "2y" => {}
            "2" | "2x" => {
                return Err(format!(
                    "bcrypt hashes of version ${version}$ are not supported: {MAKE}"
                ));
            }
            _ => return Err(malformed()),
        }
        if cost.len() != 2 || encoded.len() != 53 || !encoded.is_ascii() {
            return Err(malformed());
        }
        let cost = match cost.parse() {
            Ok(cost @ 4..=MAX_COST) => cost,
            Ok(cost @ 19..=31) => {
                return Err(format!(
                    "bcrypt cost {cost}: one check of this password would take about {}; use a \
                     cost of 10 to 12, {MAX_COST} at most",
                    shown(time_of(cost))
                ));
            }
            _ => return Err(format!("bcrypt cost {cost} is not 04 to {MAX_COST}")),
        };
        let (mut salt, mut digest) = ([0; 16], [0; 23]);
        let whole = SALT.decode_slice(&encoded[..22], &mut salt) == Ok(16)
            && DIGEST.decode_slice(&encoded[22..], &mut digest) == Ok(23);
        if !whole {
            return Err(malformed());
        }
        Ok(Self { cost, salt, digest })
    }

    /// What is to be said of its cost.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.cost >= EXPENSIVE).then(|| {
            format!(
                "bcrypt cost {}: one check of this password takes about {} on this machine, and all \
                 others wait for it; use a cost of 10 to 12",
                self.cost,
                shown(time_of(self.cost))
            )
        })
    }
}

/// Shows the cost only.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

/// How long a check of this cost takes on this machine. Each step of the cost doubles it.
fn time_of(cost: u32) -> Duration {
    const MEASURED: u32 = 4;
    static TIME: OnceLock<Duration> = OnceLock::new();
    let time = TIME.get_or_init(|| {
        let began = Instant::now();
        black_box(bcrypt::bcrypt(MEASURED, [0; 16], b"\0"));
        began.elapsed()
    });
    time.saturating_mul(1 << (cost - MEASURED))
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        0..=1 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 2..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// The users of one version of a file. Clones share what they remember.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    by_name: BTreeMap<String, User>,
    /// What the password of an unknown user is compared with. It has the highest cost of all.
    unknown: PasswordHash,
    /// Made at random, so a digest says nothing about a password.
    key: hmac::Key,
    running: Mutex<HashMap<Digest, WeakShared<Check>>>,
}

struct User {
    hash: PasswordHash,
    /// That of the last good password.
    good: Mutex<Option<Digest>>,
}

/// A digest of a user's name and a password.
type Digest = [u8; 32];

/// A check that all requests with the same name and password wait for.
type Check = BoxFuture<'static, bool>;

/// What is said of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the user's.
    Good,
    /// It is not, or there is no such user.
    Bad,
    /// It was not checked: too many others wait. This one may come again after the time given.
    Busy(Duration),
}

impl Users {
    /// Users with the hashes of their passwords.
    #[expect(clippy::missing_panics_doc, reason = "random bytes never fail")]
    pub fn new(hashes: &BTreeMap<String, PasswordHash>) -> Self {
        let user = |hash: &PasswordHash| User { hash: hash.clone(), good: Mutex::default() };
        let cost = hashes.values().map(|hash| hash.cost).max().unwrap_or(4);
        let mut unknown = PasswordHash { cost, salt: [0; 16], digest: [0; 23] };
        rand::fill(&mut unknown.salt).expect(RANDOM);
        Self(Arc::new(Inner {
            by_name: hashes.iter().map(|(name, hash)| (name.clone(), user(hash))).collect(),
            unknown,
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect(RANDOM),
            running: Mutex::default(),
        }))
    }

    /// These users, with the good passwords that `before` remembers of those whose hash is the same.
    pub(crate) fn remembering(&self, before: &Self) -> Self {
        let user = |(name, user): (&String, &User)| {
            let same = before.0.by_name.get(name).filter(|before| before.hash == user.hash);
            let good = Mutex::new(same.and_then(|before| *lock(&before.good)));
            (name.clone(), User { hash: user.hash.clone(), good })
        };
        Self(Arc::new(Inner {
            by_name: self.0.by_name.iter().map(user).collect(),
            unknown: self.0.unknown.clone(),
            key: before.0.key.clone(),
            running: Mutex::default(),
        }))
    }

    /// Whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.0.by_name.is_empty()
    }

    /// Whether there is a user of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.by_name.contains_key(name)
    }

    /// Checks a password that came from a client at `client`. Like Go's bcrypt it reads no more
    /// than 72 bytes.
    #[expect(clippy::missing_panics_doc, reason = "a check that never ran has not ended")]
    pub async fn check(
        &self,
        name: &str,
        password: &[u8],
        client: Option<IpAddr>,
        queue: &Arc<PasswordQueue>,
    ) -> Verdict {
        let password = Password::new(password);
        let digest = self.0.digest(name, &password);
        if self.0.knows(name, &digest) {
            queue.admitted(client, Instant::now());
            return Verdict::Good;
        }
        let check = {
            let mut running = lock(&self.0.running);
            if let Some(check) = running.get(&digest).and_then(WeakShared::upgrade) {
                check
            } else {
                let place = match queue.enter(client) {
                    Ok(place) => place,
                    Err(retry_after) => return Verdict::Busy(retry_after),
                };
                running.retain(|_, check| check.upgrade().is_some());
                let check = Arc::clone(&self.0).run(name.to_owned(), password, digest, place);
                let check: Shared<Check> = check.boxed().shared();
                running.insert(digest, check.downgrade().expect("it has not ended"));
                check
            }
        };
        if !check.await {
            return Verdict::Bad;
        }
        queue.admitted(client, Instant::now());
        Verdict::Good
    }
}

/// Shows no hash.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.by_name.keys()).finish()
    }
}

impl Inner {
    fn digest(&self, name: &str, password: &Password) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&name.len().to_le_bytes());
        context.update(name.as_bytes());
        context.update(password.key());
        context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    fn knows(&self, name: &str, digest: &Digest) -> bool {
        let good = self.by_name.get(name).and_then(|user| *lock(&user.good));
        good.is_some_and(|good| verify_slices_are_equal(&good, digest).is_ok())
    }

    /// Once started, it goes on even if no request waits for it.
    async fn run(
        self: Arc<Self>,
        name: String,
        password: Password,
        digest: Digest,
        place: Place,
    ) -> bool {
        CHECKS
            .run(move |_| {
                let began = Instant::now();
                let user = self.by_name.get(&name);
                let is_good = self.compare(user.map(|user| &user.hash), &password);
                if let Some(user) = user.filter(|_| is_good) {
                    *lock(&user.good) = Some(digest);
                }
                place.queue.took(began.elapsed());
                is_good
            })
            .await
    }

    /// Takes the same time for every wrong password, also for an unknown user.
    fn compare(&self, hash: Option<&PasswordHash>, password: &Password) -> bool {
        let PasswordHash { cost, salt, digest } = hash.unwrap_or(&self.unknown);
        let computed = bcrypt::bcrypt(*cost, *salt, password.key());
        let is_equal = verify_slices_are_equal(&computed[..23], digest).is_ok();
        let is_good = is_equal & hash.is_some();
        if !is_good {
            for cost in missing(*cost, self.unknown.cost) {
                black_box(bcrypt::bcrypt(cost, *salt, password.key()));
            }
        }
        is_good
    }
}

/// The costs that take, after a check of `cost`, the time that is missing to one of `highest`.
fn missing(cost: u32, highest: u32) -> impl Iterator<Item = u32> {
    cost..highest
}

/// A password as bcrypt reads it: at most 72 bytes, with a zero at the end if there is room.
struct Password {
    bytes: Zeroizing<[u8; MAX_PASSWORD]>,
    used: usize,
}

impl Password {
    fn new(password: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; MAX_PASSWORD]);
        let read = password.len().min(MAX_PASSWORD);
        bytes[..read].copy_from_slice(&password[..read]);
        Self { bytes, used: (read + 1).min(MAX_PASSWORD) }
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

/// The passwords that wait to be checked: few, and few of one client, so that none can fill it. Many
/// clients together can. So some places are kept for clients that have given a good password lately.
#[derive(Debug, Default)]
pub struct PasswordQueue {
    waiting: Mutex<HashMap<Option<IpAddr>, usize>>,
    /// When each client last gave a good password.
    known: Mutex<HashMap<Option<IpAddr>, Instant>>,
    /// Milliseconds that the last check took.
    last: AtomicU64,
}

impl PasswordQueue {
    /// The error says after what time there may be room.
    pub(crate) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Place, Duration> {
        let client = client.map(client_network);
        let places = if self.is_known(client) { MAX_WAITING } else { MAX_WAITING - KEPT };
        let mut waiting = lock(&self.waiting);
        let all: usize = waiting.values().sum();
        let own = waiting.get(&client).copied().unwrap_or_default();
        if all >= places || own >= MAX_OF_CLIENT {
            let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
            return Err(last.saturating_mul(u32::try_from(all).unwrap_or(u32::MAX)));
        }
        waiting.insert(client, own + 1);
        Ok(Place { queue: Arc::clone(self), client })
    }

    fn is_known(&self, client: Option<IpAddr>) -> bool {
        lock(&self.known).get(&client).is_some_and(|at| at.elapsed() <= LATELY)
    }

    /// This client has given a good password.
    fn admitted(&self, client: Option<IpAddr>, now: Instant) {
        let client = client.map(client_network);
        let mut known = lock(&self.known);
        match known.get_mut(&client) {
            Some(at) if now.duration_since(*at) < NOTED => {}
            Some(at) => *at = now,
            None => {
                if known.len() >= MAX_KNOWN {
                    let oldest = known.iter().min_by_key(|(_, at)| **at).map(|(client, _)| *client);
                    known.remove(&oldest.expect("it is full"));
                }
                known.insert(client, now);
            }
        }
    }

    fn took(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.last.store(milliseconds, Ordering::Relaxed);
    }
}

/// The addresses that one client can have: one of IPv4, but 2^64 of IPv6.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A place in the queue, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<PasswordQueue>,
    client: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.queue.waiting);
        if let Some(own) = waiting.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.client);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
