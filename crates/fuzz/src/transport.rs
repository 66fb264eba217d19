//! What stands below the sources: addresses, and compressed answers.

use std::io::Read as _;

use swarmscout_net::{Host, Url, fuzzing, redact_url};

use crate::checks;

/// As much is inflated before a bomb is believed to be one.
const MAX_INFLATED: usize = 8 << 20;

/// The first line is a URL or a Docker host, the second one a place that a redirect names.
pub fn url(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let (text, reference) = text.split_once('\n').unwrap_or((&text, ""));
    let redacted = redact_url(text);
    if let Ok(host) = Host::parse(text) {
        let again = Host::parse(&host.to_string());
        assert!(again.is_ok() || host.scheme().takes_http_config(), "{host} cannot be read again");
        assert_eq!(host.socket_path().is_none(), host.port().is_some());
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            checks::password_is_hidden(text, &[&error.to_string(), &redacted]);
            return;
        }
    };
    let shown = url.to_string();
    checks::password_is_hidden(text, &[&shown, &redacted, &format!("{url:?}")]);
    if let Ok(again) = Url::parse(&shown) {
        assert_eq!(again.to_string(), shown, "another when shown and read");
    }
    if url.host().is_empty() {
        return;
    }
    match fuzzing::join(&url, reference) {
        Ok(joined) => {
            // Only a reference that names a host leads to another one.
            let other = Url::parse(reference).is_ok_and(|reference| {
                !reference.host().is_empty()
                    || !reference.scheme().is_empty()
                    || reference.user().is_some()
            });
            assert!(other || joined.host() == url.host(), "{url} and {reference:?}: {joined}");
        }
        Err(error) => checks::password_is_hidden(reference, &[&error.to_string()]),
    }
}

/// A gzip stream, whole, in pieces and as flate2 reads it. It may hold more than one member.
pub fn gzip(stream: &[u8]) {
    let whole = inflate([stream]);
    let pieces = inflate(stream.chunks(5));
    assert_eq!(whole.is_err(), pieces.is_err());
    let Ok((ended, text)) = whole else { return };
    assert_eq!(pieces, Ok((ended, text.clone())), "another in pieces");
    if !ended {
        return;
    }
    let mut expected = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(stream);
    let read = decoder.read_to_end(&mut expected);
    assert!(read.is_ok() && text == expected || stream.is_empty(), "another than flate2 reads");
}

fn inflate<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(bool, Vec<u8>), &'static str> {
    let mut text = Vec::new();
    let ended = fuzzing::inflate(pieces, |bytes| {
        text.extend_from_slice(bytes);
        text.len() < MAX_INFLATED
    })?;
    text.truncate(MAX_INFLATED);
    Ok((ended, text))
}
