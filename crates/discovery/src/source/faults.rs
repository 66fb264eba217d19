//! For tests: what can go wrong with a server that answers over HTTP.

use bytes::Bytes;
use swarmscout_simulator::{Fault, Server};

/// A fault with its name. `None`: the port is closed.
pub(crate) type Named = (&'static str, Option<Fault>);

/// A body in place of the real one.
pub(crate) fn body(text: &'static [u8]) -> Fault {
    Fault::Body(Bytes::from_static(text))
}

/// All that any server may do, whatever it is asked for.
pub(crate) fn of_any_server() -> Vec<Named> {
    vec![
        ("refused", None),
        ("hung before the header", Some(Fault::HangBeforeHeader)),
        ("hung in the header", Some(Fault::HangInHeader)),
        ("hung in the body", Some(Fault::HangInBody)),
        ("reset", Some(Fault::Reset)),
        ("closed", Some(Fault::Close)),
        ("404", Some(Fault::Status(404, "no".to_owned()))),
        ("500", Some(Fault::Status(500, "no".to_owned()))),
        ("503", Some(Fault::Status(503, "no".to_owned()))),
        ("half an answer", Some(Fault::Truncate)),
        ("half a JSON", Some(Fault::CutJson)),
        ("too short", Some(Fault::WrongLength(100))),
        ("no JSON", Some(body(b"<html>"))),
        ("nothing", Some(body(b""))),
        ("null", Some(body(b"null"))),
        ("100,000 levels", Some(Fault::nested(100_000))),
        ("no HTTP", Some(Fault::Raw(Bytes::from_static(b"SSH-2.0-OpenSSH_9.2\r\n")))),
        ("a gzip bomb", Some(Fault::GzipBomb)),
    ]
}

/// From now on this goes wrong.
pub(crate) fn spoil(server: &Server, fault: Option<Fault>) {
    match fault {
        None => server.refuse(),
        Some(fault) => server.faults().set(fault),
    }
}
