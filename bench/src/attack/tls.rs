//! Attacks on TLS and passwords.

use std::io::Write as _;

use super::Running;
use super::site::{Door, Site};

/// The head of a TLS record that announces more than is sent, and the start of a `ClientHello`.
const HALF_A_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];

pub(super) fn handshakes(site: &Site, running: &Running) {
    running.on_threads(8, |running| {
        drop(site.connect(Door::Tls)?);
        running.count(1);
        Ok(())
    });
}

pub(super) fn half_handshakes(site: &Site, running: &Running) {
    let socket = || {
        let mut stream = site.socket(Door::Tls)?;
        stream.write_all(HALF_A_HELLO)?;
        Ok(stream)
    };
    running.keep_open(1_000, socket, |stream| stream.write_all(&[0]).is_ok());
}

pub(super) fn passwords(site: &Site, running: &Running) {
    guess(site, running, "reader");
}

pub(super) fn unknown_users(site: &Site, running: &Running) {
    guess(site, running, "stranger");
}

/// Another password each time.
fn guess(site: &Site, running: &Running, user: &str) {
    running.on_threads(16, |running| {
        let guess = format!("{user}:{}", running.done());
        running.count(1);
        site.request(Door::Tls, "/sd/many", &guess).map(drop)
    });
}
