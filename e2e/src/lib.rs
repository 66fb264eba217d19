//! What the end-to-end tests start: real engines in network namespaces, Swarmscout, Prometheus.
//!
//! Everything started here is owned by a value and ends with it. Nothing listens outside the
//! loopback device and the bridge of the namespaces. Needs root and the packages that `.ci/run`
//! installs.

pub mod alerting;
pub mod beside;
pub mod cases;
pub mod certificates;
pub mod cluster;
pub mod dns;
pub mod docker;
pub mod exposition;
pub mod process;
pub mod program;
pub mod proxy;
pub mod queries;
pub mod scratch;
pub mod store;
pub mod tunnel;
pub mod webhook;
pub mod witness;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Asks `probe` until it gives something, at most for `within`. The last error says why it did not.
pub fn until<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + within * slowness();
    loop {
        match probe() {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= end => {
                return Err(error).with_context(|| format!("{what}: not within {within:?}"));
            }
            Err(_) => pause(),
        }
    }
}

/// The gap between two probes: what a real engine does cannot be waited for otherwise.
#[expect(clippy::disallowed_methods, reason = "a probe with a deadline, not a test that hopes")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(50) * slowness());
}

/// How many times slower than usual this machine is: `SLOWNESS`, which `e2e/cgroup2` sets.
fn slowness() -> u32 {
    std::env::var("SLOWNESS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// GETs a JSON document from a server of ours.
pub fn get_json(url: &str) -> Result<Value> {
    Ok(serde_json::from_str(&get(url)?)?)
}

/// GETs a page from a server of ours; another status than 200 is an error that holds the body.
pub fn get(url: &str) -> Result<String> {
    let (status, body) = get_any(url)?;
    if status != 200 {
        bail!("{url}: {status}: {body}");
    }
    Ok(body)
}

/// GETs a page whatever its status.
pub fn get_any(url: &str) -> Result<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(url).call().with_context(|| url.to_owned())?;
    let body = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
    Ok((response.status().as_u16(), body))
}
