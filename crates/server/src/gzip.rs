//! gzip for clients that accept it.

use std::io::Write as _;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

use swarmscout_gzip_parts::LEVEL;

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
pub fn is_accepted(headers: &HeaderMap) -> bool {
    let weight = |coding: &str| {
        headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|element| {
                let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
                let (_, weight) = parameters.split_once('=').unwrap_or(("", "1"));
                name.trim()
                    .eq_ignore_ascii_case(coding)
                    .then(|| weight.trim().parse::<f32>().unwrap_or(0.0))
            })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

/// Compresses a body piece by piece, as it is asked for.
pub(crate) fn compress(body: Body) -> Body {
    let encoder = GzEncoder::new(Vec::new(), LEVEL);
    Body::from_stream(stream::unfold(Some((body, encoder)), |state| async move {
        let (mut body, mut encoder) = state?;
        while let Some(frame) = body.frame().await {
            let written = match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => encoder.write_all(&data),
                Ok(Err(_trailers)) => continue,
                Err(error) => return Some((Err(error), None)),
            };
            written.expect("writing to memory never fails");
            if encoder.get_ref().len() >= 16 << 10 {
                let bytes = Bytes::from(std::mem::take(encoder.get_mut()));
                return Some((Ok(bytes), Some((body, encoder))));
            }
        }
        let rest = encoder.finish().expect("writing to memory never fails");
        Some((Ok(Bytes::from(rest)), None))
    }))
}

/// Whether compressing a body of this size is worth it.
pub(crate) fn is_worth_it(body: &Body) -> bool {
    body.size_hint().upper().is_none_or(|size| size > 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_header_as_the_rfc_says() {
        for (value, accepted) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("GZIP", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, *", false),
            ("*", true),
            ("br, zstd", false),
            ("identity", false),
            ("gzip;q=x", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(is_accepted(&headers), accepted, "{value}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }
}
