//! What a request may fetch, and every known way to make a server fetch something else.

use http::request::Parts;
use http::{Method, Request, Version};
use proptest::prelude::*;
use proptest::sample::select;
use swarmscout_reach::{ReachRefusal, ReachTarget, Reachable, ReachableTask, decide};

fn task(id: &str, targets: &[(&str, u16, &str)]) -> ReachableTask {
    let target =
        |(scheme, port, path): &(&str, u16, &str)| ReachTarget::new(scheme, *port, path).unwrap();
    ReachableTask {
        id: id.to_owned(),
        targets: targets.iter().map(target).collect(),
        ..ReachableTask::default()
    }
}

fn list() -> Reachable {
    let tasks = [
        task(
            "t1",
            &[("http", 8080, "/metrics"), ("https", 8443, "/"), ("http", 80, "/a b%2e/ü?x")],
        ),
        task("t2", &[("http", 9100, "/../x"), ("http", 9100, "//y"), ("http", 9100, "/%41")]),
        task("..", &[("http", 1, "/z")]),
    ];
    tasks.into_iter().collect()
}

fn parts(uri: &str) -> Option<Parts> {
    Some(Request::get(uri).body(()).ok()?.into_parts().0)
}

/// `scheme port path` of what is fetched, or the reason of the refusal.
fn outcome(parts: &Parts) -> String {
    match decide(parts, &list(), true) {
        Ok(fetch) => {
            let scheme = if fetch.https { "https" } else { "http" };
            format!("{} {scheme} {} {}", fetch.task.id, fetch.port, fetch.path)
        }
        Err(refusal) => format!("! {}", refusal.reason()),
    }
}

fn check(uri: &str, expected: &str) {
    // What is no URI never becomes a request.
    let outcome = parts(uri).map_or_else(|| "! uri".to_owned(), |parts| outcome(&parts));
    assert_eq!(outcome, expected, "{uri:?}");
}

#[test]
fn what_is_listed_is_fetched() {
    check("/reach/t1/http/8080/metrics", "t1 http 8080 /metrics");
    check("/reach/t1/http/8080/metrics?", "t1 http 8080 /metrics?");
    check("/reach/t1/http/8080/metrics?a=b&c=%2e%2e/", "t1 http 8080 /metrics?a=b&c=%2e%2e/");
    check("/reach/t1/http/8080/metrics?target=http://x/", "t1 http 8080 /metrics?target=http://x/");
    check("/reach/t1/https/8443/", "t1 https 8443 /");
    // As Prometheus sends it. vmagent cannot send this one: its path would end at the question mark.
    check("/reach/t1/http/80/a%20b%252e/%C3%BC%3Fx", "t1 http 80 /a%20b%252e/%C3%BC%3Fx");
    // As both send it.
    check("/reach/t2/http/9100/../x", "t2 http 9100 /../x");
    check("/reach/t2/http/9100//y", "t2 http 9100 //y");
    check("/reach/t2/http/9100/%2541", "t2 http 9100 /%2541");
    check("/reach/t2/http/9100/%41", "t2 http 9100 /%41");
    check("/reach/../http/1/z", ".. http 1 /z");
}

#[test]
fn nothing_else_is_fetched() {
    for (uri, expected) in [
        // Another task, scheme, port or path.
        ("/reach/t3/http/8080/metrics", "! task"),
        ("/reach/T1/http/8080/metrics", "! task"),
        ("/reach//http/8080/metrics", "! task"),
        ("/reach/t1/https/8080/metrics", "! target"),
        // The text of that refusal has the schemes that there are.
        ("/reach/t1/ftp/8080/metrics", "! path"),
        ("/reach/t1/HTTP/8080/metrics", "! path"),
        ("/reach/t1/file/8080/metrics", "! path"),
        ("/reach/t1/http/8081/metrics", "! target"),
        ("/reach/t1/http/08080/metrics", "! target"),
        ("/reach/t1/http/+8080/metrics", "! target"),
        ("/reach/t1/http/73616/metrics", "! target"),
        ("/reach/t1/http//metrics", "! target"),
        ("/reach/t1/http/8080/metrics/", "! target"),
        ("/reach/t1/http/8080/Metrics", "! target"),
        ("/reach/t1/http/8080/metric", "! target"),
        ("/reach/t1/http/8080/", "! target"),
        ("/reach/t2/http/8080/metrics", "! target"),
        // Segments and slashes.
        ("/reach/t1/http/8080/./metrics", "! target"),
        ("/reach/t1/http/8080/x/../metrics", "! target"),
        ("/reach/t1/http/8080//metrics", "! target"),
        ("/reach/t1/http/8080/metrics/..", "! target"),
        ("/reach/t1/http/8080/../../../t2/http/9100/metrics", "! target"),
        ("/reach/../reach/t1/http/8080/metrics", "! path"),
        ("//reach/t1/http/8080/metrics", "! path"),
        ("/reach/t1//http/8080/metrics", "! path"),
        ("/reach/t1/http/8080\\metrics", "! path"),
        ("/reach\\t1/http/8080/metrics", "! path"),
        ("/reach/t1/http/8080/\\metrics", "! target"),
        // Escapes: once, twice, too long, of UTF-16, of nothing.
        ("/reach/t1/http/8080/%6detrics", "! target"),
        ("/reach/t1/http/8080%2fmetrics", "! path"),
        ("/reach/t1/http/8080/%2e%2e/metrics", "! target"),
        ("/reach/t1/http/8080/%252e%252e/metrics", "! target"),
        ("/reach/t1/http/8080/..%c0%af/metrics", "! target"),
        ("/reach/t1/http/8080/..%ef%bc%8f/metrics", "! target"),
        ("/reach/t1/http/8080/%u002e/metrics", "! target"),
        ("/reach/t1/http/8080/metrics%00", "! target"),
        ("/reach/t1/http/8080/metrics%0d%0aX:%20y", "! target"),
        ("/reach/t1/http/8080/metrics%20HTTP/1.1%0d%0aHost:x", "! target"),
        ("/reach/t1/http/8080/metrics;x", "! target"),
        ("/reach/t1%2f/http/8080/metrics", "! task"),
        ("/re%61ch/t1/http/8080/metrics", "! path"),
        ("/reach/t1/http/%38080/metrics", "! target"),
        // Hosts and users.
        ("/reach/t1/http/8080@10.0.0.1/metrics", "! target"),
        ("/reach/t1@10.0.0.1/http/8080/metrics", "! task"),
        ("/reach/10.0.0.1/http/8080/metrics", "! task"),
        ("/reach/t1/http/10.0.0.1:8080/metrics", "! target"),
        ("/reach/t1/http/8080:80/metrics", "! target"),
        ("/reach/t1/http/8080/http://169.254.169.254/latest", "! target"),
        ("/reach/http://10.0.0.1/metrics", "! path"),
        ("/reach/t1/http/8080/@10.0.0.1/metrics", "! target"),
        // The beginning alone, and other pages.
        ("/reach", "! path"),
        ("/reach/", "! path"),
        ("/reach/t1", "! path"),
        ("/reach/t1/http", "! path"),
        ("/reach/t1/http/8080", "! path"),
        ("/reach/t1/http/8080?/metrics", "! path"),
        ("/REACH/t1/http/8080/metrics", "! path"),
        ("/metrics", "! path"),
        ("/", "! path"),
        ("*", "! path"),
        // Unicode: what folds or maps to the same letters, and what a path cannot hold.
        ("/reach/t1/http/8080/metric\u{17f}", "! target"),
        ("/reach/t\u{ff11}/http/8080/metrics", "! task"),
        ("/reach/t1/http/\u{ff18}080/metrics", "! target"),
        ("/reach/t1/http/8080\u{2215}metrics", "! path"),
        ("/reach/t1/http/8080/metrics\u{200b}", "! target"),
        // These never become a request: hyper refuses them before.
        ("/reach/t1/http/8080/metrics\r\nHost: x", "! uri"),
        ("/reach/t1/http/8080/metrics HTTP/1.1", "! uri"),
        ("/reach/t1/http/8080/\0metrics", "! uri"),
        // For a proxy.
        ("http://127.0.0.1/reach/t1/http/8080/metrics", "! absolute_form"),
        ("http://u:p@10.0.0.1/metrics", "! absolute_form"),
        ("https://t1:8080/metrics", "! absolute_form"),
        ("t1:8080", "! absolute_form"),
    ] {
        check(uri, expected);
    }
}

/// A fragment never leaves a client. One that does is not a part of the path.
#[test]
fn a_fragment_is_not_passed_on() {
    check("/reach/t1/http/8080/metrics#x", "t1 http 8080 /metrics");
    check("/reach/t1/http/8080/#/metrics", "! target");
}

#[test]
fn other_methods_are_refused() {
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X"] {
        let mut parts = parts("/reach/t1/http/8080/metrics").unwrap();
        parts.method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(outcome(&parts), "! method", "{method}");
        assert_eq!(ReachRefusal::Method.status(), 405);
    }
}

#[test]
fn nothing_is_fetched_for_who_is_not_admitted() {
    let parts = parts("/reach/t1/http/8080/metrics").unwrap();
    assert_eq!(decide(&parts, &list(), false).unwrap_err(), ReachRefusal::Closed);
    assert_eq!(ReachRefusal::Closed.status(), 403);
}

/// In HTTP/2 each request names its host.
#[test]
fn the_host_of_a_request_means_nothing() {
    let mut parts = parts("https://10.0.0.1:1/reach/t1/http/8080/metrics").unwrap();
    parts.version = Version::HTTP_2;
    assert_eq!(outcome(&parts), "t1 http 8080 /metrics");
}

#[test]
fn of_the_headers_three_are_passed_on() {
    let request = Request::get("/reach/t1/http/8080/metrics")
        .header("Host", "10.0.0.1")
        .header("Accept", "text/plain")
        .header("Accept", "*/*")
        .header("Accept-Encoding", "gzip")
        .header("X-Prometheus-Scrape-Timeout-Seconds", "10")
        .header("Authorization", "Bearer x")
        .header("Proxy-Authorization", "Basic x")
        .header("Proxy-Connection", "keep-alive")
        .header("Cookie", "a=b")
        .header("Connection", "X-Secret, close")
        .header("X-Secret", "x")
        .header("X-Forwarded-For", "10.0.0.1")
        .header("X-Forwarded-Host", "10.0.0.1")
        .header("X-Original-URL", "/admin")
        .header("X-HTTP-Method-Override", "DELETE")
        .header("Forwarded", "for=10.0.0.1")
        .header("Range", "bytes=0-1")
        .header("Upgrade", "h2c")
        .header("Expect", "100-continue")
        .header("Transfer-Encoding", "chunked")
        .header("Content-Length", "5")
        .header("If-None-Match", "x")
        .header("User-Agent", "x");
    let parts = request.body(()).unwrap().into_parts().0;
    let mut headers = decide(&parts, &list(), true).unwrap().headers;
    assert_eq!(headers.get_all("accept").iter().count(), 2);
    headers.remove("accept");
    assert_eq!(headers.remove("accept-encoding").unwrap(), "gzip");
    assert_eq!(headers.remove("x-prometheus-scrape-timeout-seconds").unwrap(), "10");
    assert!(headers.is_empty(), "{headers:?}");
}

#[test]
fn what_is_too_long_is_refused() {
    let long = "x".repeat(9000);
    check(&format!("/reach/t1/http/8080/metrics?{long}"), "! query");
    let fits = "x".repeat(8 << 10);
    check(&format!("/reach/t1/http/8080/metrics?{fits}"), &format!("t1 http 8080 /metrics?{fits}"));
    let mut parts = parts("/reach/t1/http/8080/metrics").unwrap();
    parts.headers.insert("accept", long.parse().unwrap());
    assert_eq!(outcome(&parts), "! headers");
}

#[test]
fn targets_of_other_schemes_are_not_listed() {
    for (scheme, port) in [("ftp", 21), ("HTTP", 80), ("", 80), ("http", 0)] {
        assert_eq!(ReachTarget::new(scheme, port, "/"), None, "{scheme} {port}");
    }
    let paths = |path: &str| {
        let target = ReachTarget::new("http", 80, path).unwrap();
        target.paths().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(paths("metrics"), ["/metrics"]);
    assert_eq!(paths(""), ["/"]);
    assert_eq!(paths("/a b"), ["/a%20b"]);
    assert_eq!(paths("/a%20b"), ["/a%2520b", "/a%20b"]);
    // What cannot be sent as it is has one way only.
    assert_eq!(paths("/a#b"), ["/a%23b"]);
    assert_eq!(paths("/a\r\nHost: x"), ["/a%0D%0AHost:%20x"]);
    // Go escapes no more than this (recorded from Go 1.26).
    assert_eq!(
        paths("/!\"$&'()*+,-.:;<=>@[]^_`{|}~")[0],
        "/%21%22$&%27%28%29%2A+,-.:;%3C=%3E@%5B%5D%5E_%60%7B%7C%7D~"
    );
}

fn segment() -> impl Strategy<Value = String> {
    let known = select(
        &[
            "reach",
            "t1",
            "t2",
            "..",
            "http",
            "https",
            "8080",
            "8443",
            "80",
            "9100",
            "metrics",
            "x",
            "y",
            "z",
            "",
            ".",
            "%2e%2e",
            "%2f",
            "%41",
            "%2541",
            "a%20b%252e",
            "%C3%BC%3Fx",
            "\\",
            "@",
            "10.0.0.1",
            ":80",
            "?",
            "#",
            "ü",
            "1",
        ][..],
    );
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[ -~]{0,6}", 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 2000, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_requested_only_what_is_listed_is_fetched(
        known_start in any::<bool>(),
        segments in prop::collection::vec(segment(), 0..9),
        method in select(&["GET", "GET", "GET", "POST"][..]),
        header in any::<Vec<u8>>(),
    ) {
        let start = if known_start { "/reach" } else { "" };
        let path = format!("/{}", segments.join("/"));
        let request = Request::builder().method(method).uri(format!("{start}{path}"));
        let request = request.header("Host", &header[..]).header("X-Forwarded-Host", &header[..]);
        if let Ok(request) = request.body(()) {
            let parts = request.into_parts().0;
            swarmscout_reach::fuzzing::only_listed(&parts, &list());
        }
    }
}
