//! Proxies: what they are asked for, what passes through them, and the words where they refuse.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use expect_test::{Expect, expect};
use swarmscout_model::Secret;
use swarmscout_net::config::{Auth, ProxyConfig, SecretSource};
use swarmscout_net::{Client, ClientOptions, Host, HttpConfig, Request, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::server::{Reply, Server, header};
use super::tls::{Authority, acceptor, server_of, trusting};
use super::{AMPLE, Folder, client, get, request, return_to_pool, text};

fn through(proxy_url: &str) -> HttpConfig {
    with(proxy(proxy_url))
}

fn proxy(url: &str) -> ProxyConfig {
    ProxyConfig::new(&Url::parse(url).unwrap()).unwrap()
}

fn with(proxy: ProxyConfig) -> HttpConfig {
    HttpConfig { proxy, ..HttpConfig::default() }
}

fn secure(config: HttpConfig, authority: &Authority) -> HttpConfig {
    HttpConfig { tls: trusting(&authority.pem), ..config }
}

/// A proxy that lets everything through to `server`.
async fn proxy_to(server: &Server) -> Server {
    let to = server.socket_address();
    Server::start(move |_, _| Reply::tunnel(to)).await
}

/// The result of a request with `config`, with names for addresses.
async fn check_message(config: &HttpConfig, url: &str, names: &[(&str, &str)], expected: Expect) {
    let mut shown = match client(config).get(request(url)).await {
        Ok(response) => text(response).await,
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains("hunter2"), "{shown}");
    if let Some(end) = shown.find(" Connect {") {
        shown.truncate(end);
    }
    for (address, name) in names {
        shown = shown.replace(address, name);
    }
    expected.assert_eq(&shown);
}

#[tokio::test]
async fn plain_requests_are_handed_to_the_proxy() {
    let proxy = Server::start(|_, _| Reply::ok("from the proxy")).await;
    let mut way = self::proxy(&format!("http://u:p@{}", proxy.address()));
    way.connect_header("X-Connect", &Secret::new("x")).unwrap();
    let auth = Auth::Header {
        scheme: "Bearer".to_owned(),
        credentials: SecretSource::Inline(Secret::new("token")),
    };
    let config = HttpConfig { auth: Some(auth), ..with(way) };
    let client = client(&config);
    for path in ["/a?b=c", "/d"] {
        // Only the proxy resolves the name.
        let answer = client.get(request(&format!("http://server.invalid:81{path}"))).await.unwrap();
        assert_eq!(text(answer).await, "from the proxy");
        let seen = proxy.requests().pop().unwrap();
        let line = format!("GET http://server.invalid:81{path} HTTP/1.1");
        assert_eq!(seen.lines().next().unwrap(), line);
        assert_eq!(header(&seen, "host").as_deref(), Some("server.invalid:81"));
        assert_eq!(header(&seen, "authorization").as_deref(), Some("Bearer token"));
        assert_eq!(header(&seen, "proxy-authorization").as_deref(), Some("Basic dTpw"));
        assert_eq!(header(&seen, "x-connect"), None);
        return_to_pool().await;
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let authority = Authority::new();
    let server = server_of(&authority.sign_for(&["server.invalid"])).await;
    let proxy = proxy_to(&server).await;
    let mut way = self::proxy(&format!("http://u:p@{}", proxy.address()));
    for value in ["one", "two"] {
        way.connect_header("X-Connect", &Secret::new(value)).unwrap();
    }
    let client = client(&secure(with(way), &authority));
    for _ in 0..2 {
        let answer = client.get(request("https://server.invalid/path")).await.unwrap();
        assert_eq!(text(answer).await, "secure");
        return_to_pool().await;
    }
    assert_eq!((proxy.connections(), server.connections()), (1, 1), "the tunnel is kept");
    expect![[r#"
        CONNECT server.invalid:443 HTTP/1.1
        host: server.invalid:443
        x-connect: one
        x-connect: two
        user-agent: Swarmscout/test
        proxy-authorization: Basic dTpw
    "#]]
    .assert_eq(&proxy.requests().join("").replace("\r\n\r\n", "\n").replace('\r', ""));
    let seen = server.requests().pop().unwrap();
    assert!(seen.starts_with("GET /path HTTP/1.1\r\n"), "{seen}");
    for name in ["proxy-authorization", "x-connect"] {
        assert_eq!(header(&seen, name), None);
    }
}

#[tokio::test]
async fn the_proxy_may_speak_tls_itself() {
    let authority = Authority::new();
    let identity = authority.sign_for(&["127.0.0.1"]);
    let plain = Server::start(|_, _| Reply::ok("plain")).await;
    let server = server_of(&identity).await;
    let (to, direct) = (server.socket_address(), plain.url("/"));
    // HTTP/2 is not for proxies, although this one knows it.
    let tls = acceptor(&identity, None, rustls::ALL_VERSIONS, &["h2", "http/1.1"]);
    let proxy = Server::start_tls(tls, move |head, _| {
        if head.starts_with("CONNECT") { Reply::tunnel(to) } else { Reply::ok("handed over") }
    })
    .await;
    let config = through(&format!("https://{}", proxy.address()));
    let names =
        [(proxy.address(), "PROXY"), (server.address(), "SERVER"), (plain.address(), "PLAIN")];
    let names: Vec<_> = names.iter().map(|(address, name)| (address.as_str(), *name)).collect();
    let trusted = secure(config.clone(), &authority);
    check_message(&trusted, &direct, &names, expect!["handed over"]).await;
    check_message(&trusted, &format!("https://{}/", server.address()), &names, expect!["secure"])
        .await;
    check_message(
        &secure(config, &Authority::named("other")),
        &direct,
        &names,
        expect!["cannot connect to PLAIN through proxy https://PROXY: the proxy cannot be reached: the server's certificate is signed by an unknown authority: name the authority's certificate in tls_config.ca_file"],
    )
    .await;
}

#[tokio::test]
async fn hosts_of_no_proxy_are_connected_to_directly() {
    let server = Server::start(|_, _| Reply::ok("straight")).await;
    let mut way = proxy("http://127.0.0.1:1");
    way.except("example.com").unwrap();
    let client = client(&with(way));
    assert_eq!(text(client.get(request(&server.url("/"))).await.unwrap()).await, "straight");
    assert!(server.requests()[0].starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn each_hop_takes_its_own_proxy() {
    let authority = Authority::new();
    let end = server_of(&authority.sign_for(&["end.invalid"])).await;
    let second = proxy_to(&end).await;
    let first =
        Server::start(|_, _| Reply::redirect("302 Found", "https://end.invalid/there")).await;
    let (http, https) = (first.url(""), second.url(""));
    let way = ProxyConfig::from_environment(|name| match name {
        "HTTP_PROXY" => Some(http.clone()),
        "HTTPS_PROXY" => Some(https.clone()),
        _ => None,
    });
    let config = secure(with(way.unwrap()), &authority);
    let answer = client(&config).get(request("http://begin.invalid/")).await.unwrap();
    assert_eq!(text(answer).await, "secure");
    assert!(second.requests()[0].starts_with("CONNECT end.invalid:443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn docker_hosts_without_http_config_take_no_proxy() {
    let folder = Folder::new();
    let config = through("http://127.0.0.1:1");
    let socket = folder.path("docker.sock");
    let unix = Server::start_unix(&socket, |_, _| Reply::ok("unix"));
    let tcp = Server::start(|_, _| Reply::ok("tcp")).await;
    for (host, answer) in [
        (Host::socket(&socket), "unix"),
        (Host::parse(&format!("tcp://{}", tcp.address())).unwrap(), "tcp"),
    ] {
        let request = Request::to(&host, "/info").unwrap().timeout(AMPLE);
        assert_eq!(text(client(&config).get(request).await.unwrap()).await, answer);
    }
    assert_eq!((unix.requests().len(), tcp.requests().len()), (1, 1));
    let redirecting = Server::start(|_, _| Reply::redirect("302 Found", "tcp://a:1/")).await;
    let error = get(&redirecting.url("/")).await.unwrap_err().to_string();
    expect![[r#"request to SERVER failed: failed to parse Location header: parse "tcp://a:1/": URL scheme must be 'http' or 'https'"#]]
        .assert_eq(&error.replace(&redirecting.address(), "SERVER"));
}

#[tokio::test]
async fn refusals_name_the_proxy_and_the_server() {
    let check = async |reply: fn() -> Reply, user: &str, url: &str, expected: Expect| {
        let proxy = Server::start(move |_, _| reply()).await;
        let config = through(&format!("http://{user}{}", proxy.address()));
        check_message(&config, url, &[(&proxy.address(), "PROXY")], expected).await;
    };
    let unauthorized = || Reply::with("407 Proxy Authentication Required", "", "who are you?");
    for url in ["https://server.invalid/", "http://server.invalid/"] {
        check(unauthorized, "", url, expect!["cannot connect to server.invalid through proxy http://PROXY: 407 Proxy Authentication Required: write user and password into the proxy's URL"]).await;
        check(unauthorized, "u:hunter2@", url, expect!["cannot connect to server.invalid through proxy http://PROXY: 407 Proxy Authentication Required: are user and password in the proxy's URL right?"]).await;
    }
    let https = "https://server.invalid:8443/";
    // Recorded from tinyproxy.
    check(|| Reply::with("401 Unauthorized", "", ""), "u:hunter2@", https, expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: 401 Unauthorized: are user and password in the proxy's URL right?"]).await;
    check(
        || Reply::with("502 Bad Gateway", "", ""),
        "",
        https,
        expect![
            "cannot connect to server.invalid:8443 through proxy http://PROXY: 502 Bad Gateway"
        ],
    )
    .await;
    check(
        || Reply::with("403 Forbidden", "", "x".repeat(100_000)),
        "",
        https,
        expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: 403 Forbidden"],
    )
    .await;
    check(|| Reply::raw("SSH-2.0-OpenSSH\r\n"), "", https, expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: the answer is not HTTP: invalid HTTP version parsed"]).await;
    check(|| Reply::raw("").then_close(), "", https, expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: the proxy closed the connection before the answer was complete"]).await;
    check(|| Reply::raw("HTTP/1.1 200 OK\r\n\r\nearly"), "", https, expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: the proxy sent more than its answer"]).await;
    check(
        || {
            Reply::raw("HTTP/1.1 200 OK\r\n")
                .then_repeat(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
        },
        "",
        https,
        expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: the header of the answer is too large (limit 16 KiB)"],
    )
    .await;
    // Once through, it is the server that is spoken to.
    check(|| Reply::raw("HTTP/1.1 200 OK\r\n\r\n").then_close(), "", https, expect!["cannot connect to server.invalid:8443 through proxy http://PROXY: the server closed the connection during the TLS handshake"]).await;
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_distinguished_from_the_server() {
    let address = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for scheme in ["http", "https", "socks5"] {
        let config = through(&format!("{scheme}://u:hunter2@{address}"));
        let names = [(address.as_str(), "PROXY"), (scheme, "SCHEME")];
        check_message(&config, "http://server.invalid/", &names, expect!["cannot connect to server.invalid through proxy SCHEME://PROXY: the proxy cannot be reached: connection refused"]).await;
    }
    check_message(&through("http://proxy.invalid"), "http://server.invalid/", &[], expect!["cannot connect to server.invalid through proxy http://proxy.invalid:80: the proxy cannot be reached: cannot resolve the host name: Name or service not known"]).await;
}

#[tokio::test]
async fn a_silent_proxy_ends_in_time() {
    let proxy = Server::start(|_, _| Reply::raw("").then_hang()).await;
    for scheme in ["http", "socks5"] {
        let config = through(&format!("{scheme}://{}", proxy.address()));
        let options = ClientOptions::new("", Duration::from_millis(50));
        let client = Client::new(&config, options).unwrap();
        let error = client.get(request("https://server.invalid/")).await.unwrap_err();
        let expected = format!(
            "cannot connect to server.invalid through proxy {scheme}://{}: no connection within 50ms",
            proxy.address()
        );
        assert_eq!(error.to_string(), expected);
    }
}

/// A SOCKS proxy that expects messages and answers them, and then leads to `to`. What it does is
/// over when its client has left; a test waits for that, so that it fails where the proxy does.
async fn socks(script: Vec<(Vec<u8>, Vec<u8>)>, to: Option<SocketAddr>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut proxy = JoinSet::new();
    proxy.spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        for (expected, answer) in script {
            let mut message = vec![0; expected.len()];
            client.read_exact(&mut message).await.unwrap();
            assert_eq!(message, expected);
            client.write_all(&answer).await.unwrap();
        }
        if let Some(to) = to {
            let mut server = TcpStream::connect(to).await.unwrap();
            // Either side may close it.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    });
    (address, proxy)
}

const GREETING: &[u8] = &[5, 1, 0];
const GREETING_WITH_USER: &[u8] = &[5, 2, 0, 2];
const BOUND: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

fn connect_to(kind: u8, address: &[u8], port: u16) -> Vec<u8> {
    [&[5, 1, 0, kind], address, &port.to_be_bytes()].concat()
}

#[tokio::test]
async fn socks_proxies_resolve_names_themselves() {
    let authority = Authority::new();
    let plain = Server::start(|_, _| Reply::ok("plain")).await;
    let tls = server_of(&authority.sign_for(&["server.invalid"])).await;
    let name = [&[14], &b"server.invalid"[..]].concat();
    let bound_name = [&[5, 0, 0, 3, 4], &b"here"[..], &[0, 80]].concat();
    let bound_v6 = [&[5, 0, 0, 4], &[0; 16][..], &[0, 80]].concat();
    let user = [&[1, 1], &b"u"[..], &[7], b"hunter2"].concat();
    for (scheme, url, script, server, body) in [
        (
            "socks5://",
            "http://server.invalid/",
            vec![(GREETING, vec![5, 0]), (&connect_to(3, &name, 80), BOUND.to_vec())],
            &plain,
            "plain",
        ),
        (
            "socks5h://",
            "https://server.invalid/",
            vec![(GREETING, vec![5, 0]), (&connect_to(3, &name, 443), bound_name)],
            &tls,
            "secure",
        ),
        (
            "socks5://",
            "http://10.1.2.3:8080/",
            vec![(GREETING, vec![5, 0]), (&connect_to(1, &[10, 1, 2, 3], 8080), bound_v6)],
            &plain,
            "plain",
        ),
        (
            "socks5://u:hunter2@",
            "http://[::2]/",
            vec![
                (GREETING_WITH_USER, vec![5, 2]),
                (&user, vec![1, 0]),
                (&connect_to(4, &[&[0; 15][..], &[2]].concat(), 80), BOUND.to_vec()),
            ],
            &plain,
            "plain",
        ),
        (
            // A password is not sent unasked.
            "socks5://u:hunter2@",
            "http://server.invalid/",
            vec![(GREETING_WITH_USER, vec![5, 0]), (&connect_to(3, &name, 80), BOUND.to_vec())],
            &plain,
            "plain",
        ),
    ] {
        let script = script.into_iter().map(|(message, answer)| (message.to_vec(), answer));
        let (address, proxy) = socks(script.collect(), Some(server.socket_address())).await;
        let client = client(&secure(through(&format!("{scheme}{address}")), &authority));
        assert_eq!(text(client.get(request(url)).await.unwrap()).await, body);
        assert!(server.requests().pop().unwrap().starts_with("GET / HTTP/1.1\r\n"));
        drop(client);
        proxy.join_all().await;
    }
}

#[tokio::test]
async fn socks_refusals_are_reported() {
    let check = async |user: &str, script: Vec<(&[u8], &[u8])>, expected: Expect| {
        let script = script.into_iter().map(|(message, answer)| (message.into(), answer.into()));
        let (address, proxy) = socks(script.collect(), None).await;
        let config = through(&format!("socks5://{user}{address}"));
        let names = [(address.as_str(), "PROXY")];
        check_message(&config, "http://server.invalid/", &names, expected).await;
        proxy.join_all().await;
    };
    let name = [&[14], &b"server.invalid"[..]].concat();
    let connect = connect_to(3, &name, 80);
    let user = [&[1, 1], &b"u"[..], &[7], b"hunter2"].concat();
    check("", vec![(GREETING, &[5, 0xff])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy wants a user and a password: write them into its URL"]).await;
    check("", vec![(GREETING, &[5, 2])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy wants a kind of authentication that is not known"]).await;
    check("u:hunter2@", vec![(GREETING_WITH_USER, &[5, 0xff])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy wants a kind of authentication that is not known"]).await;
    check("u:hunter2@", vec![(GREETING_WITH_USER, &[5, 2]), (&user, &[1, 1])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy refuses user or password of its URL"]).await;
    check("u:hunter2@", vec![(GREETING_WITH_USER, &[5, 2]), (&user, &[5, 0])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy does not speak SOCKS 5"]).await;
    check("", vec![(GREETING, b"HTTP/1.1 400 Bad Request\r\n\r\n")], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy does not speak SOCKS 5"]).await;
    check("", vec![(GREETING, &[])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy closed the connection"]).await;
    for (reply, expected) in [
        (
            1,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy failed"
            ],
        ),
        (
            2,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy's rules do not allow it"
            ],
        ),
        (
            3,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy finds the network unreachable"
            ],
        ),
        (
            4,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy finds no route to the host, or cannot resolve its name"
            ],
        ),
        (
            5,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: connection refused, says the proxy"
            ],
        ),
        (
            6,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy got no answer in time"
            ],
        ),
        (
            7,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy does not know CONNECT"
            ],
        ),
        (
            8,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy does not know this kind of address"
            ],
        ),
        (
            99,
            expect![
                "cannot connect to server.invalid through proxy socks5://PROXY: the proxy refuses with code 99"
            ],
        ),
    ] {
        let refusal = [5, reply, 0, 1, 0, 0, 0, 0, 0, 0];
        check("", vec![(GREETING, &[5, 0]), (&connect, &refusal)], expected).await;
    }
    check("", vec![(GREETING, &[5, 0]), (&connect, &[5, 0, 0, 9])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy does not speak SOCKS 5"]).await;
    check("", vec![(GREETING, &[5, 0]), (&connect, &[5, 0, 0, 1, 127])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: the proxy closed the connection"]).await;
    let long = format!("u:{}@", "hunter2".repeat(40));
    check(&long, vec![(GREETING_WITH_USER, &[5, 2])], expect!["cannot connect to server.invalid through proxy socks5://PROXY: user or password of the proxy is longer than 255 bytes"]).await;
}
