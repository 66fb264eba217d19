//! For fuzz targets and tests. No part of this crate's interface.

use std::sync::Arc;

use crate::engine::{
    ApiVersion, Decoder, Element, ListScanner, Listed, Object, ScanError, refusal,
};
pub use crate::swarmkit::Listing;

/// What an Engine says in the body of a refusal, and which version it asks for.
pub fn read_refusal(body: &[u8]) -> (String, Option<ApiVersion>) {
    let message = refusal::message(body, &swarmscout_net::Secrets::default());
    let version = ApiVersion::asked_for(&message);
    (message, version)
}

/// Elements of a list: as they were sent, where they begin, and whether they are too large.
pub type Elements = Vec<(Vec<u8>, u64, bool)>;

/// The elements of a list that arrives in these pieces.
pub fn elements<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_element: usize,
) -> Result<Elements, ScanError> {
    let mut elements = Vec::new();
    scan(pieces, max_element, |element| {
        elements.push((element.text.to_vec(), element.offset, element.too_large));
        Ok(())
    })?;
    Ok(elements)
}

/// The objects of a list that arrives in these pieces, without a cache: the reference for reading
/// with one.
pub fn objects<'a, T: Object>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_element: usize,
) -> Result<Listed<T>, ScanError> {
    let (mut objects, mut decoder) = (Vec::new(), Decoder::default());
    scan(pieces, max_element, |element| {
        objects.extend(decoder.decode(element)?.map(Arc::new));
        Ok(())
    })?;
    Ok((objects, decoder.take_problems()))
}

fn scan<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_element: usize,
    mut each: impl FnMut(Element<'_>) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    let mut scanner = ListScanner::new(max_element);
    for piece in pieces {
        scanner.push(piece, &mut each)?;
    }
    scanner.finish()
}
