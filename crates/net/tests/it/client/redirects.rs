//! Redirects, and what crosses them.

use expect_test::expect;
use http::{HeaderName, HeaderValue};
use swarmscout_model::Secret;
use swarmscout_net::config::{Auth, Header, SecretSource};
use swarmscout_net::{Host, HttpConfig, Request};

use super::server::{Reply, Server};
use super::{AMPLE, client, get, request, text};

fn with_password() -> HttpConfig {
    let secret = |text: &str| SecretSource::Inline(Secret::new(text));
    let auth = Auth::Basic { username: secret("u"), password: secret("p") };
    HttpConfig { auth: Some(auth), ..HttpConfig::default() }
}

/// `u:p`, encoded.
const BASIC: &str = "Basic dTpw";

/// A server that sends `/` to `location` and answers everything else.
async fn redirecting(status: &'static str, location: String) -> Server {
    Server::start(move |head, _| {
        if head.starts_with("GET / ") {
            Reply::redirect(status, &location)
        } else {
            Reply::ok("here")
        }
    })
    .await
}

#[tokio::test]
async fn every_kind_is_followed() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let server = redirecting(status, "/a/../b?c".to_owned()).await;
        let response = get(&server.url("/")).await.unwrap();
        assert_eq!(
            (response.status.as_u16(), text(response).await),
            (200, "here".to_owned()),
            "{status}"
        );
        assert!(server.requests()[1].starts_with("GET /b?c HTTP/1.1\r\n"), "{status}");
    }
}

#[tokio::test]
async fn a_redirect_without_a_location_is_the_answer() {
    for reply in [
        || Reply::with("302 Found", "", "no location"),
        || Reply::redirect("304 Not Modified", "/a"),
    ] {
        let server = Server::start(move |_, _| reply()).await;
        let response = get(&server.url("/")).await.unwrap();
        assert_eq!(response.status.as_u16() / 100, 3);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn redirects_can_be_refused() {
    let server = redirecting("302 Found", "/next".to_owned()).await;
    let config = HttpConfig { follow_redirects: false, ..HttpConfig::default() };
    let response = client(&config).get(request(&server.url("/"))).await.unwrap();
    assert_eq!(
        (response.status.as_u16(), &response.headers["location"]),
        (302, &HeaderValue::from_static("/next"))
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_loop_ends() {
    let server = Server::start(|_, _| Reply::redirect("302 Found", "/")).await;
    let error = get(&server.url("/")).await.unwrap_err().to_string();
    expect!["request to SERVER failed: stopped after 10 redirects"]
        .assert_eq(&error.replace(&server.address(), "SERVER"));
    assert_eq!(server.requests().len(), 10);
}

#[tokio::test]
async fn a_location_must_be_a_url() {
    for (location, expected) in [
        (
            "ftp://a/b",
            expect![[
                r#"request to SERVER failed: failed to parse Location header: parse "ftp://a/b": host must start with unix://, tcp://, http:// or https://"#
            ]],
        ),
        (
            "http://u:pass word@h/",
            expect![[
                r#"request to SERVER failed: failed to parse Location header: parse "http://u:xxxxx@h/": net/url: invalid userinfo"#
            ]],
        ),
        (
            "http:///path",
            expect![[
                r#"request to SERVER failed: failed to parse Location header: parse "http:///path": host is missing in URL"#
            ]],
        ),
    ] {
        let server = redirecting("302 Found", location.to_owned()).await;
        let error = get(&server.url("/")).await.unwrap_err().to_string();
        expected.assert_eq(&error.replace(&server.address(), "SERVER"));
    }
}

#[tokio::test]
async fn credentials_follow_to_the_same_host_only() {
    let other = Server::start(|_, _| Reply::ok("other")).await;
    // 127.0.0.1 and localhost are the same server under two names.
    let elsewhere = format!("http://localhost:{}/", other.port());
    let server = Server::start(move |head, _| match head.lines().next().unwrap() {
        "GET /same HTTP/1.1" => Reply::redirect("302 Found", "/end"),
        "GET /other HTTP/1.1" => Reply::redirect("302 Found", &elsewhere),
        _ => Reply::ok("end"),
    })
    .await;
    let client = client(&with_password());
    let cookie = || {
        let (name, value) = (HeaderName::from_static("cookie"), HeaderValue::from_static("c=1"));
        move |url: &str| request(url).header(name, value)
    };

    client.get(cookie()(&server.url("/same"))).await.unwrap();
    assert_eq!(server.last_header("authorization").as_deref(), Some(BASIC));
    assert_eq!(server.last_header("cookie").as_deref(), Some("c=1"));

    client.get(cookie()(&server.url("/other"))).await.unwrap();
    assert_eq!(server.last_header("authorization").as_deref(), Some(BASIC));
    assert_eq!(other.last_header("authorization"), None);
    assert_eq!(other.last_header("cookie"), None);
    assert_eq!(other.last_header("user-agent").as_deref(), Some("Swarmscout/test"));
}

#[tokio::test]
async fn credentials_do_not_come_back_with_the_chain() {
    let first = Server::start(|head, _| {
        let port = head.split("port=").nth(1).and_then(|rest| rest.split(' ').next());
        match port {
            Some(port) => Reply::redirect("302 Found", &format!("http://localhost:{port}/")),
            None => Reply::ok("end"),
        }
    })
    .await;
    let back = first.url("/back");
    let second = Server::start(move |_, _| Reply::redirect("302 Found", &back)).await;
    let url = first.url(&format!("/?port={}", second.port()));
    assert_eq!(text(client(&with_password()).get(request(&url)).await.unwrap()).await, "end");
    assert_eq!(first.last_header("authorization"), None);
    assert!(first.requests()[1].starts_with("GET /back "));
}

#[tokio::test]
async fn credentials_of_the_url_are_for_that_url() {
    let server = redirecting("302 Found", "/next".to_owned()).await;
    get(&format!("http://u:p@{}/", server.address())).await.unwrap();
    assert_eq!(server.last_header("authorization").as_deref(), Some(BASIC));

    let target = Server::start(|_, _| Reply::ok("")).await;
    let server = redirecting("302 Found", format!("http://u:p@localhost:{}/", target.port())).await;
    get(&server.url("/")).await.unwrap();
    assert_eq!(target.last_header("authorization").as_deref(), Some(BASIC));
    assert_eq!(server.last_header("authorization"), None);
}

#[tokio::test]
async fn tcp_hosts_take_no_credentials_even_after_a_redirect() {
    let server = redirecting("302 Found", "/next".to_owned()).await;
    let host = Host::parse(&format!("tcp://u:p@{}", server.address())).unwrap();
    let request = Request::to(&host, "/").unwrap().timeout(AMPLE);
    client(&with_password()).get(request).await.unwrap();
    assert_eq!(server.requests().len(), 2);
    for request in server.requests() {
        assert!(!request.to_lowercase().contains("authorization"), "{request}");
    }
}

#[tokio::test]
async fn credentials_do_not_go_to_another_port() {
    let other = Server::start(|_, _| Reply::ok("other")).await;
    let server = redirecting("302 Found", other.url("/")).await;
    let secret = Header::secret("X-Token", &Secret::new("t")).unwrap();
    let config = HttpConfig { headers: vec![secret], ..with_password() };
    let answer = client(&config).get(request(&server.url("/"))).await.unwrap();
    assert_eq!(text(answer).await, "other");
    for (name, sent) in [("authorization", BASIC), ("x-token", "t")] {
        assert_eq!(server.last_header(name).as_deref(), Some(sent));
        assert_eq!(other.last_header(name), None);
    }
}

#[tokio::test]
async fn a_location_shows_no_secret_and_is_cut() {
    let long = "A".repeat(100_000);
    let server = Server::start(move |head, _| {
        let sent = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap();
        let location = format!("http://[{sent}{long}");
        Reply::redirect("302 Found", &location)
    })
    .await;
    let error = client(&with_password()).get(request(&server.url("/"))).await.unwrap_err();
    let error = error.to_string().replace(&server.address(), "SERVER");
    let start =
        r#"request to SERVER failed: failed to parse Location header: parse "http://[<secret>AAA"#;
    assert!(error.starts_with(start) && error.len() < 1200, "{error}");
}

/// The name is longer than any that is looked up, so nothing leaves this machine.
#[tokio::test]
async fn the_host_of_a_location_shows_no_secret() {
    let long = "a".repeat(70);
    let server = Server::start(move |head, _| {
        let sent =
            head.lines().find_map(|line| line.strip_prefix("authorization: Basic ")).unwrap();
        let sent = sent.trim_end_matches('=');
        Reply::redirect("302 Found", &format!("http://{sent}.{long}/"))
    })
    .await;
    let error = client(&with_password()).get(request(&server.url("/"))).await.unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("cannot connect to <secret>"), "{error}");
}
