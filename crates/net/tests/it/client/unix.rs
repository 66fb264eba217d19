//! Unix sockets.

use std::os::unix::fs::PermissionsExt;

use expect_test::{Expect, expect};
use swarmscout_model::Secret;
use swarmscout_net::config::{Auth, PemSource, SecretSource, TlsConfig};
use swarmscout_net::{Host, HttpConfig, Request};

use super::server::{Reply, Server};
use super::{AMPLE, Folder, client, return_to_pool, text};

fn to(socket: &std::path::Path, path: &str) -> Request {
    Request::to(&Host::socket(socket), path).unwrap().timeout(AMPLE)
}

#[tokio::test]
async fn requests_go_through_the_socket_and_keep_it() {
    let folder = Folder::new();
    let path = folder.path("engine.sock");
    let server = Server::start_unix(&path, |_, _| Reply::ok("[]"));
    // These have no effect on a socket, not even a file that is missing.
    let missing = || Some(PemSource::File(folder.path("missing.pem")));
    let secret = || SecretSource::Inline(Secret::new("secret"));
    let client = client(&HttpConfig {
        auth: Some(Auth::Basic { username: secret(), password: secret() }),
        tls: TlsConfig { ca: missing(), cert: missing(), key: missing(), ..TlsConfig::default() },
        ..HttpConfig::default()
    });
    for _ in 0..2 {
        let host = Host::parse(&format!("unix://{}", path.display())).unwrap();
        let request = Request::to(&host, "/v1.41/nodes").unwrap();
        assert_eq!(text(client.get(request).await.unwrap()).await, "[]");
        return_to_pool().await;
    }
    assert_eq!(server.connections(), 1);
    expect![["
        GET /v1.41/nodes HTTP/1.1
        user-agent: Swarmscout/test
        host: localhost

    "]]
    .assert_eq(&server.requests()[0].replace('\r', ""));
}

#[tokio::test]
async fn no_redirect_leaves_the_socket() {
    let folder = Folder::new();
    let path = folder.path("engine.sock");
    let server = Server::start_unix(&path, |head, _| match head.lines().next().unwrap() {
        "GET /a HTTP/1.1" => {
            Reply::redirect("301 Moved Permanently", "http://elsewhere.invalid:1/b?c")
        }
        _ => Reply::ok("end"),
    });
    let response = client(&HttpConfig::default()).get(to(&path, "/a")).await.unwrap();
    assert_eq!(text(response).await, "end");
    assert!(server.requests()[1].starts_with("GET /b?c HTTP/1.1\r\n"));
}

/// The error of a request through the file `name`, which `make` made.
async fn check(make: impl FnOnce(&Folder) -> String, expected: Expect) {
    let folder = Folder::new();
    let path = folder.path(&make(&folder));
    let error = client(&HttpConfig::default()).get(to(&path, "/")).await.unwrap_err().to_string();
    expected.assert_eq(&folder.hide(&error));
}

#[tokio::test]
async fn errors_say_what_helps() {
    check(
        |_| "missing.sock".to_owned(),
        expect![[r#"cannot connect to DIR/missing.sock: no such socket: in a container, mount it (volumes: ["/var/run/docker.sock:/var/run/docker.sock"])"#]],
    )
    .await;
    check(
        |folder| {
            std::fs::create_dir(folder.path("docker.sock")).unwrap();
            "docker.sock".to_owned()
        },
        expect!["cannot connect to DIR/docker.sock: is a folder, not a socket: Docker makes one where a mounted socket did not exist; remove it and start the engine"],
    )
    .await;
    check(
        |folder| {
            folder.file("file", "");
            "file".to_owned()
        },
        expect!["cannot connect to DIR/file: not a socket"],
    )
    .await;
    check(
        |folder| {
            drop(std::os::unix::net::UnixListener::bind(folder.path("stale.sock")).unwrap());
            "stale.sock".to_owned()
        },
        expect!["cannot connect to DIR/stale.sock: connection refused: nothing listens on this socket: is the engine running? A container keeps a socket that the engine has since replaced: restart the container"],
    )
    .await;
    let folder = Folder::new();
    let path = folder.path(&"x".repeat(200));
    let error = client(&HttpConfig::default()).get(to(&path, "/")).await.unwrap_err().to_string();
    assert!(error.ends_with("the path is longer than a socket's may be (107 bytes)"), "{error}");
}

#[tokio::test]
async fn without_permission_the_group_is_named() {
    let folder = Folder::new();
    let path = folder.path("engine.sock");
    let server = Server::start_unix(&path, |_, _| Reply::ok(""));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let answer = client(&HttpConfig::default()).get(to(&path, "/")).await;
    // Root is let in whatever the mode says; the words are tested beside the code that makes them.
    match answer {
        Ok(_) => assert_eq!(server.requests().len(), 1),
        Err(error) => {
            assert!(error.to_string().contains("permission denied: the socket"), "{error}");
        }
    }
}
