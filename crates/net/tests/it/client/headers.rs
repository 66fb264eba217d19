//! `http_headers`: what is sent, what crosses to another host, and what cannot be sent.

use expect_test::expect;
use http::HeaderValue;
use http::header::ACCEPT;
use swarmscout_model::Secret;
use swarmscout_net::config::Header;
use swarmscout_net::{Host, HttpConfig, Request};

use super::server::{Reply, Server};
use super::{AMPLE, Folder, client, request};

fn with(headers: Vec<Header>) -> HttpConfig {
    HttpConfig { headers, ..HttpConfig::default() }
}

fn value(name: &str, value: &str) -> Header {
    Header::value(name, value).unwrap()
}

fn secret(name: &str, value: &str) -> Header {
    Header::secret(name, &Secret::new(value)).unwrap()
}

/// The headers of the last request, but for those that every request has.
fn sent(server: &Server) -> Vec<String> {
    let request = server.requests().pop().unwrap();
    let lines = request.lines().skip(1).take_while(|line| !line.is_empty());
    let always = ["user-agent:", "accept-encoding:", "host:"];
    lines.filter(|line| !always.iter().any(|name| line.starts_with(name))).map(Into::into).collect()
}

#[tokio::test]
async fn every_value_is_sent_in_order() {
    let folder = Folder::new();
    let server = Server::start(|_, _| Reply::ok("")).await;
    let client = client(&with(vec![
        value("X-Name", "one"),
        value("x-name", "two, and ü"),
        secret("X-Name", "three"),
        Header::file("X-Name", folder.file("four", " four\n")).unwrap(),
        value("Empty", ""),
        value("Accept", "text/plain"),
    ]));
    let own = || request(&server.url("/")).header(ACCEPT, HeaderValue::from_static("a/b"));
    client.get(own()).await.unwrap();
    expect![[r#"
        [
            "accept: a/b",
            "accept: text/plain",
            "x-name: one",
            "x-name: two, and ü",
            "x-name: three",
            "x-name: four",
            "empty: ",
        ]
    "#]]
    .assert_debug_eq(&sent(&server));
    folder.file("four", "five");
    client.get(own()).await.unwrap();
    assert_eq!(sent(&server)[5], "x-name: five", "files are read for each request");
}

#[tokio::test]
async fn secrets_stay_with_the_first_host() {
    let folder = Folder::new();
    let other = Server::start(|_, _| Reply::ok("")).await;
    let elsewhere = format!("http://localhost:{}/", other.port());
    let server = Server::start(move |head, _| match head.lines().next().unwrap() {
        "GET /same HTTP/1.1" => Reply::redirect("302 Found", "/end"),
        "GET /other HTTP/1.1" => Reply::redirect("302 Found", &elsewhere),
        _ => Reply::ok(""),
    })
    .await;
    let client = client(&with(vec![
        value("X-Plain", "a"),
        value("Cookie", "b"),
        secret("X-Secret", "c"),
        Header::file("X-File", folder.file("d", "d")).unwrap(),
    ]));
    client.get(request(&server.url("/same"))).await.unwrap();
    assert_eq!(sent(&server), ["x-plain: a", "cookie: b", "x-secret: c", "x-file: d"]);
    client.get(request(&server.url("/other"))).await.unwrap();
    assert_eq!(sent(&other), ["x-plain: a"]);
}

#[tokio::test]
async fn docker_hosts_without_http_config_get_none() {
    let server = Server::start(|_, _| Reply::ok("")).await;
    let host = Host::parse(&format!("tcp://{}", server.address())).unwrap();
    let request = Request::to(&host, "/").unwrap().timeout(AMPLE);
    client(&with(vec![secret("X-Secret", "a")])).get(request).await.unwrap();
    assert!(sent(&server).is_empty());
}

#[tokio::test]
async fn what_cannot_be_sent_is_reported_without_it() {
    let folder = Folder::new();
    let server = Server::start(|_, _| Reply::ok("")).await;
    let name = Header::value("X Name", "a").unwrap_err().to_string();
    expect![[r#"cannot send header "X Name": it is not a name that a header can have"#]]
        .assert_eq(&name);
    let two_lines = Header::secret("X-A", &Secret::new("hunter2\nb")).unwrap_err().to_string();
    expect![[
        r#"cannot send header "X-A": its value holds a line break or another control character"#
    ]]
    .assert_eq(&two_lines);
    for (content, expected) in [
        (
            Some(&b"a\nhunter2"[..]),
            expect![[
                r#"cannot send header "x-a": its value holds a line break or another control character"#
            ]],
        ),
        (Some(b"\xffhunter2"), expect!["cannot use header file DIR/file: not UTF-8 text"]),
        (None, expect!["cannot use header file DIR/file: no such file"]),
    ] {
        match content {
            Some(content) => drop(folder.file("file", content)),
            None => std::fs::remove_file(folder.path("file")).unwrap(),
        }
        let config = with(vec![Header::file("X-A", folder.path("file")).unwrap()]);
        let error = client(&config).get(request(&server.url("/"))).await.unwrap_err();
        expected.assert_eq(&folder.hide(&error.to_string()));
    }
    assert_eq!(server.connections(), 0);
    let shown = format!("{:?}", with(vec![secret("X-A", "hunter2"), value("X-B", "plain")]));
    assert!(shown.contains("plain") && !shown.contains("hunter2"), "{shown}");
}
