//! The ways in for the fuzz targets of `crates/fuzz`. No part of this crate's interface.

use bytes::Bytes;

use crate::gzip::Inflater;
use crate::{Error, Url};

/// Where a redirect to `reference` leads from `base`.
pub fn join(base: &Url, reference: &str) -> Result<Url, Error> {
    base.join(reference)
}

/// Inflates a gzip stream that arrives in these pieces, and hands over what comes out, until `each`
/// says that it is enough. Whether the stream came to its end.
pub fn inflate<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut each: impl FnMut(&[u8]) -> bool,
) -> Result<bool, &'static str> {
    let mut inflater = Inflater::new();
    for piece in pieces {
        inflater.feed(Bytes::copy_from_slice(piece));
        while let Some(bytes) = inflater.next()? {
            if !each(&bytes) {
                return Ok(false);
            }
        }
    }
    Ok(inflater.is_whole())
}
