//! URLs are read as Go reads them.

use proptest::prelude::*;
use swarmscout_model::Secret;
use swarmscout_net::{Host, Request, Scheme, Url, redact_url};

/// A text, and how Go 1.26's `url.Parse` reads it: the error after `!`, or scheme, opaque part,
/// user (name, password, whether there is one), host, host name, port, escaped path and raw query.
///
/// Not in the table, because ours differ: the words after `invalid host:`, a wrong escape in a
/// password (Go shows it), and a query, which is escaped when it is read, not when it is sent.
const GO: &[(&str, &str)] = &[
    ("http://h", "http|||h|h|||"),
    ("http://h:80/a?b#c", "http|||h:80|h|80|/a|b"),
    ("HTTP://H/", "http|||H|H||/|"),
    (
        "127.0.0.1:2375",
        r#"! parse "127.0.0.1:2375": first path segment in URL cannot contain colon"#,
    ),
    ("localhost:2375", "localhost|2375||||||"),
    ("h/a:b", "||||||h/a:b|"),
    ("a:b/c", "a|b/c||||||"),
    ("//h/p", "|||h|h||/p|"),
    ("///p", "||||||///p|"),
    ("/p?q", "||||||/p|q"),
    ("", "|||||||"),
    ("?q", "|||||||q"),
    (":x", r#"! parse ":x": missing protocol scheme"#),
    ("http:///p", "http||||||/p|"),
    ("http://", "http|||||||"),
    ("http:opaque", "http|opaque||||||"),
    ("http://[::1]:9090/", "http|||[::1]:9090|::1|9090|/|"),
    ("http://[::1]", "http|||[::1]|::1|||"),
    ("http://[::1", r#"! parse "http://[::1": missing ']' in host"#),
    ("http://::1/", r#"! parse "http://::1/": invalid port "::1" after host"#),
    ("http://h:1:2/", r#"! parse "http://h:1:2/": invalid port ":1:2" after host"#),
    ("tcp://h:1:2", "tcp|||h:1:2|h:1|2||"),
    ("http://[1.2.3.4]/", r#"! parse "http://[1.2.3.4]/": invalid IP-literal"#),
    ("http://a[::1]/", r#"! parse "http://a[::1]/": invalid IP-literal"#),
    ("http://h:port/", r#"! parse "http://h:port/": invalid port ":port" after host"#),
    ("http://h:/", "http|||h:|h||/|"),
    ("http://h:-1/", r#"! parse "http://h:-1/": invalid port ":-1" after host"#),
    ("http://h h/", r#"! parse "http://h h/": invalid character " " in host name"#),
    ("http://h{}/", r#"! parse "http://h{}/": invalid character "{" in host name"#),
    ("http://h%20/", r#"! parse "http://h%20/": invalid URL escape "%20""#),
    ("http://%c3%bc/", "http|||ü|ü||/|"),
    ("http://ü/", "http|||ü|ü||/|"),
    ("http://h_1/", "http|||h_1|h_1||/|"),
    ("http://u:p@h/", r#"http||"u" "p" true|h|h||/|"#),
    ("http://u@h/", r#"http||"u" "" false|h|h||/|"#),
    ("http://u:@h/", r#"http||"u" "" true|h|h||/|"#),
    ("http://:p@h/", r#"http||"" "p" true|h|h||/|"#),
    ("http://u:p@x@h/", r#"http||"u" "p@x" true|h|h||/|"#),
    ("http://u p@h/", r#"! parse "http://u p@h/": net/url: invalid userinfo"#),
    ("http://@h/", r#"http||"" "" false|h|h||/|"#),
    ("http://u:p%40@h/", r#"http||"u" "p@" true|h|h||/|"#),
    ("http://h/a b", "http|||h|h||/a%20b|"),
    ("http://h/%zz", r#"! parse "http://h/%zz": invalid URL escape "%zz""#),
    ("http://h/%2", r#"! parse "http://h/%2": invalid URL escape "%2""#),
    ("http://h/%2F", "http|||h|h||/%2F|"),
    ("http://h/é", "http|||h|h||/%C3%A9|"),
    ("http://h/?%zz", "http|||h|h||/|%zz"),
    ("http://h/\n", r#"! parse "http://h/\n": net/url: invalid control character in URL"#),
    ("1http://h", r#"! parse "1http://h": first path segment in URL cannot contain colon"#),
    ("ht_tp://h", r#"! parse "ht_tp://h": first path segment in URL cannot contain colon"#),
    ("http://h/a?b?c", "http|||h|h||/a|b?c"),
    ("http://h?", "http|||h|h|||"),
    ("http://h?a", "http|||h|h|||a"),
    ("http://h:99999/", "http|||h:99999|h|99999|/|"),
    ("unix:///var/run/docker.sock", "unix||||||/var/run/docker.sock|"),
    ("mailto:a@b", "mailto|a@b||||||"),
    ("*", "||||||*|"),
    ("http://h\\/", r#"! parse "http://h\\/": invalid character "\\" in host name"#),
    ("http://h<>\"/", r#"http|||h<>"|h<>"||/|"#),
    ("http://h#f", "http|||h|h|||"),
    ("http://h/;{}|^`", "http|||h|h||/;%7B%7D%7C%5E%60|"),
];

#[test]
fn go_reads_the_same() {
    for (text, expected) in GO {
        let read = match Url::parse(text) {
            Err(error) => format!("! {error}"),
            Ok(url) => {
                let user = url.user().map(|user| {
                    let password = user.password.as_ref();
                    let shown = password.map_or("", Secret::expose);
                    format!("{:?} {shown:?} {}", user.username, password.is_some())
                });
                format!(
                    "{}|{}|{}|{}|{}|{}|{}|{}",
                    url.scheme(),
                    url.opaque().unwrap_or_default(),
                    user.unwrap_or_default(),
                    url.host(),
                    url.hostname(),
                    url.port().unwrap_or_default(),
                    url.path(),
                    url.query().unwrap_or_default(),
                )
            }
        };
        assert_eq!(&read, expected, "{text:?}");
    }
}

#[test]
fn passwords_that_are_not_escaped_do_not_show() {
    // It is neither in the error nor, where Go takes it for a URL, in the text of the URL.
    const WORDS: &str = "the user and password before @ must be percent-encoded: write %23 for #, \
                         %2F for /, %3F for ?";
    for (text, expected) in [
        ("http://u:hunter2#x@host/", WORDS),
        ("http://u:hunter2?x@host/", WORDS),
        ("http://u:hunter2/x@host/", WORDS),
        ("http://u:12345#x@host/", WORDS),
        ("http://u:pass@hunter2#x@host/", WORDS),
        ("http://u:pass@a:hunter2/x@host/", WORDS),
        ("http://u:pass@hunter2/x@host/", ""),
        ("http://u:pass@hunter2?x@host/", ""),
        ("http://u:hunter2 @host/", "net/url: invalid userinfo"),
        ("http://u:hunter2%zz@host/", "net/url: invalid userinfo"),
        ("http://u:hunter2@[host/", "missing ']' in host"),
    ] {
        match Url::parse(text) {
            Ok(url) => assert_eq!((&*url.to_string(), ""), ("http://u:xxxxx@host/", expected)),
            Err(error) => {
                let shown = redact_url(text);
                assert_eq!(error.to_string(), format!("parse {shown:?}: {expected}"));
                assert!(shown.starts_with("http://u:xxxxx@"), "{shown}");
            }
        }
        for error in [Host::parse(text).map(drop), Request::new(text).map(drop)] {
            let shown = error.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
    // Without a scheme, as in DOCKER_HOST.
    for text in ["u:hunter2@h:1", "u:hunter2#x@h:1", "u:hunter2?x@h:1", "u:hunter2/x@h:1"] {
        let error = Host::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(r#"parse "u:xxxxx@h:1": "#), "{error}");
    }
    // An @ elsewhere does not end a user.
    for text in ["http://h:80/a@b?c=d@e", "http://h?c=d@e", "http://u@h/a@b"] {
        assert_eq!(Url::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn docker_hosts_are_read() {
    // Text, scheme, host name, port, address, shown.
    for (text, scheme, hostname, port, address, shown) in [
        (
            "tcp://10.0.0.1:2375",
            Scheme::Tcp,
            "10.0.0.1",
            2375,
            "10.0.0.1:2375",
            "tcp://10.0.0.1:2375",
        ),
        ("tcp://manager", Scheme::Tcp, "manager", 80, "manager", "tcp://manager"),
        ("https://manager", Scheme::Https, "manager", 443, "manager", "https://manager"),
        ("http://[::1]:80/", Scheme::Http, "::1", 80, "[::1]:80", "http://[::1]:80/"),
        ("http://h:", Scheme::Http, "h", 80, "h", "http://h:"),
        ("http://u:p@h:1/p", Scheme::Http, "h", 1, "h:1", "http://u:xxxxx@h:1/p"),
    ] {
        let host = Host::parse(text).unwrap();
        assert_eq!(
            (host.scheme(), host.hostname(), host.port(), host.address().as_str()),
            (scheme, hostname, Some(port), address)
        );
        assert_eq!(host.to_string(), shown);
    }
    let host = Host::parse("unix:///var/run/docker.sock").unwrap();
    assert_eq!(host.socket_path(), Some("/var/run/docker.sock".as_ref()));
    assert_eq!((host.hostname(), host.port()), ("", None));
    assert_eq!(
        (host.address(), host.to_string()),
        ("/var/run/docker.sock".into(), "unix:///var/run/docker.sock".into())
    );
}

#[test]
fn what_is_not_a_docker_host_is_refused() {
    for (text, expected) in [
        (
            "127.0.0.1:2375",
            r#"parse "127.0.0.1:2375": first path segment in URL cannot contain colon"#,
        ),
        (
            "localhost:2375",
            r#"parse "localhost:2375": host must start with unix://, tcp://, http:// or https://"#,
        ),
        (
            "/var/run/docker.sock",
            r#"parse "/var/run/docker.sock": host must start with unix://, tcp://, http:// or https://"#,
        ),
        ("", r#"parse "": host must start with unix://, tcp://, http:// or https://"#),
        (
            "npipe:////./pipe/docker_engine",
            r#"parse "npipe:////./pipe/docker_engine": named pipes exist on Windows only: use tcp:// or https://"#,
        ),
        (
            "ssh://h",
            r#"parse "ssh://h": host must start with unix://, tcp://, http:// or https://"#,
        ),
        (
            "unix://",
            r#"parse "unix://": path of the socket is missing, as in unix:///var/run/docker.sock"#,
        ),
        ("unix:/x", r#"parse "unix:/x": write unix:///x, in small letters and with three slashes"#),
        (
            "UNIX:///x",
            r#"parse "UNIX:///x": write unix:///x, in small letters and with three slashes"#,
        ),
        (
            "unix://var/run/docker.sock",
            r#"parse "unix://var/run/docker.sock": the path must be absolute: write unix:///var/run/docker.sock"#,
        ),
        ("tcp://", r#"parse "tcp://": host is missing in URL"#),
        ("tcp://:2375", r#"parse "tcp://:2375": host is missing in URL"#),
        ("http://h:65536", r#"parse "http://h:65536": port is not between 0 and 65535"#),
        ("http://ü/", r#"parse "http://ü/": host name is not ASCII: write it in its xn-- form"#),
    ] {
        assert_eq!(Host::parse(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_path_starts_with_a_slash() {
    let host = Host::parse("tcp://h").unwrap();
    let error = Request::to(&host, "info").unwrap_err().to_string();
    assert_eq!(error, r#"parse "info": path does not start with a slash"#);
}

#[test]
fn requests_want_an_absolute_url() {
    for (text, expected) in [
        ("/path", r#"parse "/path": URL scheme must be 'http' or 'https'"#),
        ("unix:///a", r#"parse "unix:///a": URL scheme must be 'http' or 'https'"#),
        ("http:///a", r#"parse "http:///a": host is missing in URL"#),
        ("http:a", r#"parse "http:a": host is missing in URL"#),
    ] {
        assert_eq!(Request::new(text).unwrap_err().to_string(), expected);
    }
}

proptest! {
    /// Nothing that resembles a URL makes the parser stumble, and what was read can be shown and
    /// requested, or is refused.
    #[test]
    fn any_text_is_read_or_refused(text in r"[a-z:/@%\[\]?#.0-9 üC3B]{0,24}|(http|tcp|unix)://\PC{0,16}") {
        if let Ok(url) = Url::parse(&text) {
            let _ = (url.to_string(), url.hostname(), url.port());
        }
        if let Ok(host) = Host::parse(&text) {
            let _ = (host.to_string(), host.address(), host.hostname(), host.port());
            let request = Request::to(&host, &format!("/{text}"));
            prop_assert!(request.is_ok());
        }
        if let Ok(request) = Request::new(&text) {
            let _ = format!("{request:?}");
        }
    }
}
