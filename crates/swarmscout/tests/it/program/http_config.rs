//! Sources with the whole of `http_config`: what the file and the environment say reaches the wire.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Output;

use expect_test::expect;

use super::harness::{Folder, transcript};

/// Ends the proxy of a test.
const STOP: &str = "STOP\r\n\r\n";

/// Runs `check service-discovery` for the job `a` of `config`, in which `PROXY` is a proxy that
/// answers in place of every server, in an environment that names it as well. What was said, and the
/// requests that the proxy saw.
fn discover(folder: &Folder, config: &str, answer: fn(&str) -> &str) -> (Output, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    folder.write("c.yml", &config.replace("PROXY", &address.to_string()));
    std::thread::scope(|scope| {
        let proxy = scope.spawn(|| serve(&listener, answer));
        let mut command = folder.command();
        command.env("HTTP_PROXY", address.to_string());
        let output = command.args(["check", "service-discovery", "c.yml", "a"]).output();
        stop(address);
        (output.expect("the binary is there"), proxy.join().expect("the proxy ends well"))
    })
}

fn serve(listener: &TcpListener, answer: fn(&str) -> &str) -> Vec<String> {
    let mut requests = Vec::new();
    loop {
        let (mut client, _) = listener.accept().expect("it listens");
        let request = read(&mut client);
        if request == STOP {
            return requests;
        }
        let Some(line) = request.lines().next() else { continue };
        // A refresh that has all its lists waits for no other answer.
        let _ = write!(client, "HTTP/1.1 {}", answer(line));
        requests.push(request);
    }
}

fn read(client: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
        request.push(byte[0]);
    }
    let mut request = String::from_utf8(request).expect("a head is text");
    let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    client.read_exact(&mut body).expect("it sends");
    request.push_str(str::from_utf8(&body).expect("a form is text"));
    request
}

fn stop(address: SocketAddr) {
    let mut proxy = TcpStream::connect(address).expect("it listens");
    proxy.write_all(STOP.as_bytes()).expect("it reads");
}

/// Requests without what is not from the file.
fn shown(requests: &[String]) -> String {
    let mut text = String::new();
    for request in requests {
        let lines = request.lines().filter(|line| {
            !["user-agent", "accept", "x-prometheus"].iter().any(|name| line.starts_with(name))
        });
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn http_sd_goes_through_a_proxy_with_headers_and_a_token() {
    let folder = Folder::new();
    folder.write("secret", "s3cret\n");
    folder.write("scope", "from a file\n");
    let config = "\
scrape_configs:
- job_name: a
  http_sd_configs:
  - url: http://inventory.invalid/targets
    proxy_url: http://user:password@PROXY
    http_headers: {X-Scope: {values: [one, two], files: [scope]}}
    oauth2:
      client_id: id
      client_secret_file: secret
      token_url: http://tokens.invalid/token
      scopes: [read]
      proxy_from_environment: true
";
    let (output, requests) = discover(&folder, config, |line| match line {
        "POST http://tokens.invalid/token HTTP/1.1" => {
            "200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"t0ken\",\"token_type\":\"bearer\"}"
        }
        "GET http://inventory.invalid/targets HTTP/1.1" => {
            "200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n[{\"targets\":[\"h:1\"]}]"
        }
        _ => "404 Not Found\r\nConnection: close\r\n\r\n",
    });
    let said = transcript(&folder, &output);
    assert!(said.starts_with("exit code 0\n") && said.contains("h:1"), "{said}");
    assert!(!said.contains("s3cret") && !said.contains("password"), "{said}");
    expect![[r#"
        POST http://tokens.invalid/token HTTP/1.1
        authorization: Basic aWQ6czNjcmV0
        content-type: application/x-www-form-urlencoded
        host: tokens.invalid
        content-length: 40

        grant_type=client_credentials&scope=read
        GET http://inventory.invalid/targets HTTP/1.1
        x-scope: one
        x-scope: two
        x-scope: from a file
        proxy-authorization: Basic dXNlcjpwYXNzd29yZA==
        authorization: Bearer t0ken
        host: inventory.invalid

    "#]]
    .assert_eq(&shown(&requests));
}

#[test]
fn engines_and_masters_are_asked_through_a_proxy() {
    for source in [
        "dockerswarm_sd_configs: [{host: 'http://engine.invalid:2375', role: nodes, KEYS}]",
        "docker_sd_configs: [{host: 'http://engine.invalid:2375', KEYS}]",
        "swarm_sd_configs: [{masters: ['http://engine.invalid:2375'], KEYS}]",
    ] {
        let folder = Folder::new();
        let keys = "proxy_url: 'http://PROXY', http_headers: {X-Scope: {secrets: [s3cret]}}";
        let source = source.replace("KEYS", keys);
        let config = format!("scrape_configs:\n- job_name: a\n  {source}\n");
        // No server listens there.
        let (output, requests) = discover(&folder, &config, |line| {
            if line.contains("/info ") {
                "200 OK\r\nConnection: close\r\n\r\n{\"DriverStatus\":[[\"Nodes\",\"0\"]]}"
            } else {
                "200 OK\r\nConnection: close\r\n\r\n[]"
            }
        });
        let said = transcript(&folder, &output);
        assert!(said.starts_with("exit code 0\n") && !said.contains("s3cret"), "{said}");
        assert!(!requests.is_empty());
        for request in requests {
            assert!(request.contains(" http://engine.invalid:2375/"), "{request}");
            assert!(request.contains("\r\nx-scope: s3cret\r\n"), "{request}");
        }
    }
}

/// What `check ready` says of a server, and the requests that the server saw.
fn check_ready(folder: &Folder, args: &[&str], answer: fn(&str) -> &str) -> (Output, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener, answer));
        let url = format!("--url=http://{address}");
        let output = folder.run(&[&["check", "ready", &url], args].concat());
        stop(address);
        (output, server.join().expect("the server ends well"))
    })
}

#[test]
fn a_check_sends_the_credentials_of_its_file() {
    let folder = Folder::new();
    folder.write("http.yml", "basic_auth: {username: u, password: p}\n");
    let ready = |_: &str| "200 OK\r\nContent-Length: 5\r\n\r\nReady";
    let (output, requests) = check_ready(&folder, &["--http.config.file=http.yml"], ready);
    expect![[r"
        exit code 0
        --- stdout
        --- stderr
          SUCCESS:  Ready
    "]]
    .assert_eq(&transcript(&folder, &output));
    assert!(requests[0].contains("\r\nauthorization: Basic dTpw\r\n"), "{requests:?}");

    let refused = |_: &str| "401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let (output, _) = check_ready(&folder, &[], refused);
    let text = transcript(&folder, &output);
    assert!(text.contains(
        "status=401: give the credentials (basic_auth) in a file, with --http.config.file"
    ));

    let output = folder.run(&["check", "ready", "--http.config.file=none.yml"]);
    expect![[r#"
        exit code 1
        --- stdout
        --- stderr
          FAILED: none.yml: cannot read the configuration file: no such file
    "#]]
    .assert_eq(&transcript(&folder, &output));
}
