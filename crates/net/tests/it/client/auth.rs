//! Credentials: where they come from, and that they show nowhere.

use expect_test::{Expect, expect};
use swarmscout_model::Secret;
use swarmscout_net::config::{Auth, PemSource, SecretSource, TlsConfig};
use swarmscout_net::{Host, HttpConfig, Request, Url};

use super::server::{Reply, Server};
use super::{Folder, client, request, try_client};

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

fn config(auth: Auth) -> HttpConfig {
    HttpConfig { auth: Some(auth), ..HttpConfig::default() }
}

/// The `Authorization` that a server gets.
async fn sent(auth: Auth, url_user: &str) -> Option<String> {
    let server = Server::start(|_, _| Reply::ok("")).await;
    let url = format!("http://{url_user}{}/", server.address());
    client(&config(auth)).get(request(&url)).await.unwrap();
    server.last_header("authorization")
}

#[tokio::test]
async fn each_kind_is_sent() {
    let basic = || Auth::Basic { username: inline("user"), password: inline("päss") };
    assert_eq!(sent(basic(), "").await.as_deref(), Some("Basic dXNlcjpww6Rzcw=="));
    // The URL's own come first: a:b.
    assert_eq!(sent(basic(), "a:b@").await.as_deref(), Some("Basic YTpi"));
    assert_eq!(sent(basic(), "a%40:%3a@").await.as_deref(), Some("Basic YUA6Og=="));
    let header =
        |scheme: &str, text| Auth::Header { scheme: scheme.to_owned(), credentials: inline(text) };
    assert_eq!(sent(header("Bearer", "token"), "").await.as_deref(), Some("Bearer token"));
    assert_eq!(sent(header("Token", "x"), "").await.as_deref(), Some("Token x"));
}

#[tokio::test]
async fn files_are_read_for_each_request() {
    let folder = Folder::new();
    let token = folder.file("token", "first\n");
    let server = Server::start(|_, _| Reply::ok("")).await;
    let credentials = SecretSource::File(token);
    let client = client(&config(Auth::Header { scheme: "Bearer".to_owned(), credentials }));
    for (content, expected) in [("first\n", "Bearer first"), ("  second \r\n\n", "Bearer second")] {
        folder.file("token", content);
        client.get(request(&server.url("/"))).await.unwrap();
        assert_eq!(server.last_header("authorization").as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    let server = Server::start(|_, _| Reply::ok("")).await;
    let check = async |name: &str, expected: Expect| {
        let auth =
            Auth::Basic { username: inline("u"), password: SecretSource::File(folder.path(name)) };
        let error = client(&config(auth)).get(request(&server.url("/"))).await.unwrap_err();
        expected.assert_eq(&folder.hide(&error.to_string()));
    };
    check("missing", expect!["cannot use password file DIR/missing: no such file"]).await;
    check("", expect!["cannot use password file DIR/: not a regular file"]).await;
    folder.file("large", vec![b'x'; (4 << 20) + 1]);
    check("large", expect!["cannot use password file DIR/large: larger than 4194304 bytes"]).await;
    folder.file("binary", [0xff, 0xfe]);
    check("binary", expect!["cannot use password file DIR/binary: not UTF-8 text"]).await;
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_secret_that_no_header_can_carry_is_refused() {
    let server = Server::start(|_, _| Reply::ok("")).await;
    let auth = Auth::Header { scheme: "Bearer".to_owned(), credentials: inline("two\nlines") };
    let error = client(&config(auth)).get(request(&server.url("/"))).await.unwrap_err().to_string();
    expect!["cannot send credentials: it holds a line break or another control character"]
        .assert_eq(&error);
}

#[tokio::test]
async fn secrets_show_nowhere() {
    const SECRET: &str = "hunter2";
    let folder = Folder::new();
    let mut shown = Vec::new();
    let pem = || Some(PemSource::Inline(Secret::new(SECRET)));
    let config = |auth| HttpConfig { auth: Some(auth), ..HttpConfig::default() };
    let server = Server::start(|_, _| Reply::raw("no http").then_close()).await;

    for auth in [
        Auth::Basic { username: inline("u"), password: inline(SECRET) },
        Auth::Basic { username: inline("u"), password: inline("hunter2\n") },
        Auth::Header { scheme: "Bearer".to_owned(), credentials: inline(SECRET) },
        Auth::Header { scheme: "Bearer".to_owned(), credentials: inline("hunter2\n") },
        Auth::Header {
            scheme: "Bearer".to_owned(),
            credentials: SecretSource::File(folder.file("secret", "hunter2\n\x01hunter2")),
        },
    ] {
        let config = config(auth);
        shown.push(format!("{config:?}"));
        let client = client(&config);
        shown.push(format!("{client:?}"));
        let error = client.get(request(&server.url("/"))).await.unwrap_err();
        shown.push(format!("{error} {error:?}"));
    }

    let tls = TlsConfig { ca: pem(), cert: pem(), key: pem(), ..TlsConfig::default() };
    for tls in [
        tls.clone(),
        TlsConfig { ca: None, ..tls.clone() },
        TlsConfig { ca: None, cert: None, ..tls.clone() },
    ] {
        let config = HttpConfig { tls, ..HttpConfig::default() };
        let error = try_client(&config).unwrap_err();
        shown.push(format!("{config:?} {error} {error:?}"));
    }

    for text in [
        "http://u:hunter2@127.0.0.1:1/",
        "http://u:hunter2@h:port/",
        "http://u:hunter2 @h/",
        "http://u:a/hunter2@h/",
        "http://u:hunter2%@h/",
        "unix://u:hunter2@",
        "npipe://u:hunter2@h",
        "ftp://u:hunter2@h",
        "u:hunter2@h",
        "//u:hunter2@h",
        "http://u:hunter2@h/%zz",
        "http://u:hunter2@h\n/",
        "tcp://u:hunter2@h:99999",
        "http://u:hunter2@xn--\u{fc}/",
    ] {
        match Url::parse(text) {
            Ok(url) => shown.push(format!("{url} {url:?} {:?}", url.user())),
            Err(error) => shown.push(format!("{error} {error:?}")),
        }
        match Host::parse(text) {
            Ok(host) if host.socket_path().is_some() => {}
            Ok(host) => {
                let request = Request::to(&host, "/").unwrap();
                shown.push(format!("{host} {host:?} {} {request:?}", host.address()));
                let error = client(&HttpConfig::default()).get(request).await.unwrap_err();
                shown.push(format!("{error} {error:?}"));
            }
            Err(error) => shown.push(format!("{error} {error:?}")),
        }
        match Request::new(text) {
            Ok(request) => shown.push(format!("{request:?}")),
            Err(error) => shown.push(format!("{error} {error:?}")),
        }
    }
    assert!(shown.len() > 50);
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("aHVudGVyMg"), "{text}");
    }
}
