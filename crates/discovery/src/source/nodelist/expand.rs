//! Addresses and ranges of `nodes://` and `file://`, as Swarm 1.2.9 reads them (docker/docker
//! `pkg/discovery`, `Generate` and `NewEntry`).
//!
//! Versions of Swarm differ in one point: before 1.2, an IPv6 address lost its brackets. We differ
//! from all of them in two points. We refuse a `%` beside a range, from which Swarm makes a wrong
//! address. And we refuse a text longer than any address, since a range would multiply it.

use std::borrow::Cow;

use crate::Error;

/// The most nodes that one list may have after ranges are expanded.
pub const MOST_NODES: usize = 100_000;

/// The longest address or range, in bytes. A host name has 253 at most.
const LONGEST: usize = 300;

/// The addresses of a comma-separated list. Nothing is trimmed, and one bad piece is an error.
pub fn expand_list(list: &str) -> Result<Vec<String>, Error> {
    let mut nodes = Vec::new();
    for piece in list.split(',') {
        expand(piece, &mut nodes).map_err(Error::Other)?;
    }
    Ok(nodes)
}

/// Adds the addresses of one piece: `10.0.0.[1:200]:2375` has 200, a range from high to low has
/// none.
pub fn expand(piece: &str, nodes: &mut Vec<String>) -> Result<(), String> {
    if piece.len() > LONGEST {
        let shown = shown(piece);
        let start = &shown[..shown.floor_char_boundary(40)];
        return Err(format!("{start:?}…: longer than {LONGEST} bytes, so this is not an address"));
    }
    let Some((before, from, to, after)) = range(piece) else {
        return push(piece, piece.to_owned(), nodes);
    };
    if piece.contains('%') {
        return Err(format!("{:?}: a range and % do not go together", shown(piece)));
    }
    for number in from..=to {
        push(piece, format!("{before}{number}{after}"), nodes)?;
    }
    Ok(())
}

/// A piece without secrets, for messages. A user and a password before an address are not valid
/// here, but must not be shown.
pub(super) fn shown(piece: &str) -> Cow<'_, str> {
    match piece.rsplit_once('@') {
        Some((_, address)) => format!("xxxxx@{address}").into(),
        None => piece.into(),
    }
}

fn push(piece: &str, address: String, nodes: &mut Vec<String>) -> Result<(), String> {
    if nodes.len() >= MOST_NODES {
        return Err(format!("{:?}: more than {MOST_NODES} nodes", shown(piece)));
    }
    if let Err(reason) = split_host_port(&address) {
        let form = "write host:port, or a range as in 10.0.0.[1:200]:2375";
        return Err(format!("{:?}: {reason}: {form}", shown(piece)));
    }
    nodes.push(address);
    Ok(())
}

/// Prefix, start, end and suffix of a piece with a range of integers. Swarm's expression is
/// `\[(.+):(.+)\]`: the last colon and the last closing bracket count.
fn range(piece: &str) -> Option<(&str, i64, i64, &str)> {
    let close = piece.rfind(']')?;
    // The second part has at least one character, the first one too.
    let colon = piece[..close].rfind(':')?;
    let colon = if colon + 1 == close { piece[..colon].rfind(':')? } else { colon };
    let open = piece[..colon].find('[').filter(|open| open + 1 < colon)?;
    let from = piece[open + 1..colon].parse().ok()?;
    let to = piece[colon + 1..close].parse().ok()?;
    Some((&piece[..open], from, to, &piece[close + 1..]))
}

/// Go's `net.SplitHostPort`: the port may be anything.
pub(super) fn split_host_port(address: &str) -> Result<(&str, &str), &'static str> {
    let colon = address.rfind(':').ok_or("missing port in address")?;
    let (host, open_from, close_from) = if address.starts_with('[') {
        let close = address.find(']').ok_or("missing ']' in address")?;
        if close + 1 != colon {
            let next = address.as_bytes().get(close + 1);
            let many = next == Some(&b':');
            return Err(if many {
                "too many colons in address"
            } else {
                "missing port in address"
            });
        }
        (&address[1..close], 1, close + 1)
    } else {
        let host = &address[..colon];
        if host.contains(':') {
            return Err("too many colons in address");
        }
        (host, 0, 0)
    };
    if address[open_from..].contains('[') {
        return Err("unexpected '[' in address");
    }
    if address[close_from..].contains(']') {
        return Err("unexpected ']' in address");
    }
    Ok((host, &address[colon + 1..]))
}
