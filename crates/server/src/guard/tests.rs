use axum::body::Body;
use http::Request;

use super::*;
use crate::ExternalUrl;

/// Listens on loopback alone, or on all addresses.
fn guard(loopback_only: bool) -> Guard {
    let options = ServerOptions {
        external_url: Some(ExternalUrl {
            scheme: String::from("https"),
            authority: String::from("Proxy.example:8443"),
            path: String::from("/x"),
        }),
        allowed_hosts: vec![String::from("Swarm_Scout.example"), String::from("overlay")],
        ..ServerOptions::default()
    };
    let addresses = if loopback_only { "127.0.0.1:9465" } else { "0.0.0.0:9465" };
    Guard::new(&options, "machine-1", &[addresses.parse().unwrap()])
}

/// A request with these headers: `Host: a | Origin: b`.
fn request(uri: &str, headers: &str) -> Request<Body> {
    let headers = headers.split(" | ").filter(|header| !header.is_empty());
    let headers = headers.map(|header| header.split_once(':').unwrap());
    let builder = headers.fold(Request::post(uri), |builder, (name, value)| {
        builder.header(name, value.trim_start_matches(' '))
    });
    builder.body(Body::empty()).unwrap()
}

#[test]
fn a_change_is_refused_to_pages_of_other_sites() {
    let guard = guard(false);
    for (headers, allowed) in [
        // From a program: curl sends only this.
        ("Host: 192.0.2.1:9465", true),
        // From a page of this server.
        ("Host: localhost:9465 | Origin: http://localhost:9465", true),
        ("Host: localhost:9465 | Origin: HTTP://LOCALHOST:9465", true),
        ("Host: LocalHost:9465 | Origin: http://localhost.:9465", true),
        ("Host: localhost | Origin: http://localhost", true),
        ("Host: localhost:80 | Origin: http://localhost", true),
        ("Host: localhost | Origin: http://localhost:80", true),
        ("Host: [::1]:9465 | Origin: http://[0:0:0:0:0:0:0:1]:9465", true),
        ("Host: localhost:9465 | Referer: http://localhost:9465/a?b=//c#d", true),
        ("Host: localhost:9465 | Referer: http://localhost:9465", true),
        (
            "Host: localhost:9465 | Origin: http://localhost:9465 | Sec-Fetch-Site: same-origin",
            true,
        ),
        ("Host: localhost:9465 | Sec-Fetch-Site: Same-Origin", true),
        ("Host: localhost:9465 | Sec-Fetch-Site: NONE", true),
        // Through a proxy, which passes the host on or does not.
        ("Host: proxy.example:8443 | Origin: https://proxy.example:8443", true),
        ("Host: 127.0.0.1:9465 | Origin: https://proxy.example:8443", true),
        ("Host: 127.0.0.1:9465 | Referer: https://proxy.example:8443/x/", true),
        ("Host: proxy.example | Origin: https://proxy.example", true),
        // Another scheme, port or host.
        ("Host: 127.0.0.1:9465 | Origin: http://proxy.example:8443", false),
        ("Host: 127.0.0.1:9465 | Origin: https://proxy.example", false),
        ("Host: localhost:9465 | Origin: http://localhost:9466", false),
        ("Host: localhost:9465 | Origin: http://localhost", false),
        ("Host: localhost:9465 | Origin: https://localhost", false),
        ("Host: localhost:9465 | Origin: http://127.0.0.1:9465", false),
        ("Host: [::1]:9465 | Origin: http://[::2]:9465", false),
        ("Host: localhost:9465 | Origin: http://evil.test", false),
        ("Host: localhost:9465 | Origin: http://localhost:9465.evil.test", false),
        ("Host: localhost:9465 | Origin: http://localhost:9465@evil.test", false),
        ("Host: localhost:9465 | Referer: http://evil.test/http://localhost:9465/", false),
        ("Host: localhost:9465 | Referer: http://evil.test?http://localhost:9465", false),
        // Not an origin.
        ("Host: localhost:9465 | Origin: null", false),
        ("Host: localhost:9465 | Origin: NULL", false),
        ("Host: localhost:9465 | Origin:", false),
        ("Host: localhost:9465 | Origin: localhost:9465", false),
        ("Host: localhost:9465 | Origin: http://localhost:9465/", false),
        ("Host: localhost:9465 | Origin: ftp://localhost:9465", false),
        ("Host: localhost:9465 | Referer: about:blank", false),
        ("Host: localhost:9465 | Referer:", false),
        // Lists, and headers that are given more than once.
        ("Host: localhost:9465 | Origin: http://localhost:9465 http://evil.test", false),
        ("Host: localhost:9465 | Origin: http://localhost:9465, http://evil.test", false),
        ("Host: localhost:9465 | Origin: http://localhost:9465 | Origin: http://evil.test", false),
        ("Host: localhost:9465 | Origin: http://evil.test | Origin: http://localhost:9465", false),
        (
            "Host: localhost:9465 | Origin: http://localhost:9465 | Referer: http://evil.test/",
            false,
        ),
        ("Host: localhost:9465 | Sec-Fetch-Site: same-origin, cross-site", false),
        ("Host: localhost:9465 | Sec-Fetch-Site: same-origin | Sec-Fetch-Site: cross-site", false),
        ("Host: localhost:9465 | Sec-Fetch-Site: cross-site | Sec-Fetch-Site: none", false),
        // From anywhere but here.
        ("Host: localhost:9465 | Sec-Fetch-Site: cross-site", false),
        ("Host: localhost:9465 | Sec-Fetch-Site: Cross-Site", false),
        ("Host: localhost:9465 | Sec-Fetch-Site: same-site", false),
        ("Host: localhost:9465 | Sec-Fetch-Site:", false),
        ("Host: localhost:9465 | Origin: http://localhost:9465 | Sec-Fetch-Site: same-site", false),
    ] {
        let refusal = guard.refuse_change(&request("/-/quit", headers));
        assert_eq!(refusal.is_none(), allowed, "{headers}: {refusal:?}");
    }
}

/// Against DNS rebinding: to the browser all of these are requests of one site to itself.
#[test]
fn a_host_is_known_or_an_address() {
    for (host, known) in [
        ("127.0.0.1:9465", true),
        ("203.0.113.7", true),
        ("[::1]:9465", true),
        ("[::ffff:127.0.0.1]", true),
        ("localhost:1", true),
        ("LOCALHOST.:9465", true),
        ("machine-1:9465", true),
        ("proxy.example", true),
        ("PROXY.EXAMPLE:8443", true),
        ("swarm_scout.example:9465", true),
        ("overlay", true),
        ("evil.test:9465", false),
        ("localhost.evil.test:9465", false),
        ("evil.localhost", false),
        ("machine-1.evil.test", false),
        ("localhost:9465@evil.test", false),
        ("evil@localhost:9465", false),
        ("localhost, evil.test", false),
        ("localhost:port", false),
        ("localhost:65536", false),
        ("[::1", false),
        ("[::g]", false),
        ("::1", false),
        ("127.0.0.1.evil.test", false),
        ("2130706433", false),
        ("", false),
        (".", false),
    ] {
        let headers = format!("Host: {host}");
        let change = guard(false).refuse_change(&request("/-/quit", &headers));
        assert_eq!(change.is_none(), known, "change, {host:?}: {change:?}");
        let read = guard(true).refuse_read(&request("/sd/a", &headers));
        assert_eq!(read.is_none(), known, "read, {host:?}: {read:?}");
        let page = format!("Host: {host} | Origin: http://{host} | Sec-Fetch-Site: same-origin");
        let change = guard(false).refuse_change(&request("/-/quit", &page));
        assert_eq!(change.is_none(), known, "page, {host:?}: {change:?}");
        // A Prometheus in an overlay network may use any name.
        assert_eq!(guard(false).refuse_read(&request("/sd/a", &headers)), None, "{host:?}");
    }
}

#[test]
fn each_host_of_a_request_is_known() {
    for (uri, headers, read, change) in [
        ("/sd/a", "", true, false),
        ("/sd/a", "Host: localhost | Host: evil.test", false, false),
        ("/sd/a", "Host: evil.test | Host: localhost", false, false),
        ("http://evil.test/sd/a", "Host: localhost", false, false),
        ("http://localhost/sd/a", "Host: evil.test", false, false),
        ("http://localhost/sd/a", "Host: localhost", true, true),
        // Which of the two the page belongs to cannot be known.
        ("http://overlay/sd/a", "Host: localhost | Origin: http://localhost", true, false),
    ] {
        let request = request(uri, headers);
        assert_eq!(guard(true).refuse_read(&request).is_none(), read, "{uri} {headers}");
        assert_eq!(guard(true).refuse_change(&request).is_none(), change, "{uri} {headers}");
    }
}

#[test]
fn only_loopback_counts_as_loopback() {
    for (addresses, expected) in [
        (&["127.0.0.1:1"][..], true),
        (&["127.9.9.9:1", "[::1]:1"], true),
        (&["[::ffff:127.0.0.1]:1"], true),
        (&["127.0.0.1:1", "192.0.2.1:1"], false),
        (&["0.0.0.0:1"], false),
        (&["[::]:1"], false),
        (&[], false),
    ] {
        let parsed: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let guard = Guard::new(&ServerOptions::default(), "", &parsed);
        assert_eq!(guard.loopback_only, expected, "{addresses:?}");
    }
}

#[test]
fn a_refusal_is_short_and_holds_no_control_character() {
    let host = HeaderValue::from_bytes(&[&b"\x80<b>\t"[..], &[b'x'; 5000]].concat()).unwrap();
    let mut request = request("/-/quit", "");
    request.headers_mut().insert(HOST, host);
    let refusal = guard(false).refuse_change(&request).unwrap();
    assert!(refusal.contains(r"\x80<b>\txxx") && refusal.contains("x…"), "{refusal}");
    assert!(refusal.len() < 300, "{refusal}");
}

/// No browser opens a unix socket; a proxy in front of one may pass on what a browser sent.
#[test]
fn on_a_unix_socket_only_browsers_need_a_known_host() {
    for loopback_only in [true, false] {
        let guard = guard(loopback_only);
        for (headers, read, change) in [
            ("Host: anything.example", true, true),
            ("", true, true),
            ("Host: evil.example | Origin: http://evil.example", true, false),
            ("Host: localhost | Origin: http://evil.example", true, false),
            ("Host: localhost | Sec-Fetch-Site: cross-site", true, false),
            ("Host: localhost | Origin: https://proxy.example:8443", true, true),
        ] {
            let mut request = request("/", headers);
            request.extensions_mut().insert(Peer { address: None, doors: None, certificate: None });
            assert_eq!(guard.refuse_read(&request).is_none(), read, "{headers}");
            assert_eq!(guard.refuse_change(&request).is_none(), change, "{headers}");
        }
    }
}

#[test]
fn a_request_is_for_one_host() {
    for (version, uri, headers, expected) in [
        (Version::HTTP_11, "/", "", false),
        (Version::HTTP_11, "/", "Host: a", false),
        (Version::HTTP_11, "/", "Host: a | Host: b", true),
        (Version::HTTP_11, "/", "Host: a | Host: a", true),
        (Version::HTTP_11, "/", "Host: | Host: a", true),
        // There, the Host is ignored.
        (Version::HTTP_11, "http://a/", "Host: b", false),
        (Version::HTTP_2, "http://a/", "", false),
        (Version::HTTP_2, "http://a/", "Host: A", false),
        (Version::HTTP_2, "http://a/", "Host: b", true),
    ] {
        let mut request = request(uri, headers);
        *request.version_mut() = version;
        assert_eq!(names_two_hosts(&request), expected, "{version:?} {uri} {headers}");
    }
}
