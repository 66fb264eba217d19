//! Simulated members against answers of etcd 3.4.23.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use swarmscout_sim_stores::etcd::{Etcd, Member};
use swarmscout_simulator::Listen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use swarmscout_simulator::testing::{get, request, split};

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/etcd-", $name))
    };
}

/// A text with `#` in place of what differs from run to run: indexes, times, identities.
fn shape(text: &str) -> String {
    let names = [
        "modifiedIndex\":",
        "createdIndex\":",
        "ttl\":",
        "expiration\":\"",
        "\"index\":",
        "X-Etcd-Index: ",
        "X-Raft-Index: ",
        "X-Raft-Term: ",
        "X-Etcd-Cluster-Id: ",
        "Content-Length: ",
        "token\":\"",
        "cleared [",
    ];
    let mut shape = String::new();
    let mut rest = text;
    while let Some((place, name)) =
        names.iter().filter_map(|name| Some((rest.find(name)? + name.len(), name))).min()
    {
        let of_value = |c: char| c.is_ascii_alphanumeric() || ".:-/".contains(c);
        let value = rest[place..].find(|c| !of_value(c)).unwrap_or(rest.len() - place);
        shape.push_str(&rest[..place]);
        shape.push('#');
        rest = &rest[place + value..];
        assert!(value > 0 || !name.is_empty());
    }
    shape + rest
}

fn member(etcd: &Etcd) -> Member {
    Member::start(Listen::Tcp, etcd).unwrap()
}

/// Header and shape of the body of an answer, new or recorded.
fn seen(answer: &str) -> (Vec<String>, String) {
    let (head, body) = split(answer);
    // Whether a body is chunked depends on its length, which depends on the numbers in it.
    let head = head.iter().filter(|line| !line.starts_with("Content-Length"));
    (head.map(|line| shape(line)).collect(), shape(&body))
}

/// What curl wrote: chunks are joined in it already, and trailers come after the body.
fn as_sent(recorded: &str) -> String {
    let trailer = "Grpc-Trailer-Content-Type: application/grpc\r\n";
    recorded.replace("Transfer-Encoding: chunked\r\n", "").replace(trailer, "")
}

#[tokio::test]
async fn directories_are_reported_as_by_etcd() {
    let etcd = Etcd::default();
    let member = member(&etcd);
    let node =
        |path: &str, address: &str| etcd.set(&format!("{path}/{address}"), address, Some(60));
    let modern = |path: &str, nodes: &[&str]| {
        for address in nodes {
            node(&format!("{path}/docker/swarm/nodes"), address);
        }
    };
    node("/swarm-020", "10.77.1.11:2375");
    modern("/swarm-040", &["10.77.1.11:2375"]);
    modern("/swarm-101", &["10.77.1.11:2375"]);
    for path in ["/swarm-110", "/swarm-129"] {
        etcd.set(&format!("{path}/docker/swarm/leader"), "10.77.1.1:3431", Some(15));
        modern(path, &["10.77.1.11:2375", "10.77.1.12:2375"]);
    }
    etcd.set("/swarm-129/docker/swarm/leader", "10.77.1.1:3432", Some(17));
    for (path, recorded) in [
        ("swarm-020", recorded!("v2/swarm-0.2.0.json")),
        ("swarm-040", recorded!("v2/swarm-0.4.0.json")),
        ("swarm-101", recorded!("v2/swarm-1.0.1.json")),
        ("swarm-110", recorded!("v2/swarm-1.1.0.json")),
        ("swarm-110/docker/swarm/nodes", recorded!("v2/swarm-1.1.0-nodes-only.json")),
        ("swarm-129", recorded!("v2/swarm-1.2.9.json")),
    ] {
        let (_, body) =
            get(&member.server, &format!("/v2/keys/{path}?recursive=true")).await.unwrap();
        assert_eq!(shape(&body), shape(recorded), "{path}");
    }
    etcd.expire("/swarm-020/10.77.1.11:2375");
    let (_, body) = get(&member.server, "/v2/keys/swarm-020?recursive=true").await.unwrap();
    assert_eq!(shape(&body), shape(recorded!("v2/swarm-0.2.0-after-expiry.json")));
}

#[tokio::test]
async fn refusals_of_version_2() {
    let etcd = Etcd::default();
    let member = member(&etcd);
    let check = async |path: &str, recorded: &str| {
        let answer = request(&member.server, "GET", path).await.unwrap();
        assert_eq!(seen(&answer), seen(&as_sent(recorded)), "{path}");
    };
    etcd.set("/x", "a", None);
    check("/v2/keys/nothing", recorded!("v2/missing-key-with-headers.txt")).await;
    for _ in 0..1001 {
        etcd.set("/x", "a", None);
    }
    let path = "/v2/keys/x?wait=true&waitIndex=2";
    let answer = request(&member.server, "GET", path).await.unwrap();
    let expected = recorded!("v2/watch-cleared-with-headers.txt").replace("[14/2]", "[3/2]");
    assert_eq!(seen(&answer), seen(&expected));
    etcd.switch_v2(false);
    check("/v2/keys/swarm", recorded!("v2/off-with-headers.txt")).await;
}

#[tokio::test]
async fn changes_of_version_2() {
    let etcd = Etcd::default();
    let member = member(&etcd);
    etcd.set("/swarm-129/docker/swarm/nodes/10.77.1.12:2375", "10.77.1.12:2375", Some(55));
    let wait = |key: &str, index: u64| {
        format!("/v2/keys/{key}?wait=true&recursive=true&waitIndex={index}")
    };
    // One that waits already, and one that asks for what was.
    let path = wait("swarm-129", 2);
    let waiting = get(&member.server, &path);
    let change = async {
        etcd.set("/other", "x", None);
        etcd.set("/swarm-129/docker/swarm/nodes/10.77.1.12:2375", "10.77.1.12:2375", Some(60));
    };
    let ((_, body), ()) = tokio::join!(async { waiting.await.unwrap() }, change);
    assert_eq!(shape(&body), shape(recorded!("v2/watch-set.json")));
    assert_eq!(get(&member.server, &path).await.unwrap().1, body);

    etcd.set("/swarm-020/10.77.1.11:2375", "10.77.1.11:2375", Some(6));
    etcd.expire("/swarm-020/10.77.1.11:2375");
    let (_, body) = get(&member.server, &wait("swarm-020", 5)).await.unwrap();
    assert_eq!(shape(&body), shape(recorded!("v2/watch-expire.json")));

    // A folder takes its keys with it.
    etcd.delete("/swarm-129");
    let (_, body) = get(&member.server, &wait("swarm-129/docker/swarm", 6)).await.unwrap();
    assert_eq!(
        body,
        "{\"action\":\"delete\",\"node\":{\"key\":\"/swarm-129\",\"dir\":true,\"modifiedIndex\":6,\
         \"createdIndex\":1},\"prevNode\":{\"key\":\"/swarm-129\",\"dir\":true,\"modifiedIndex\":1,\
         \"createdIndex\":1}}\n"
    );
}

/// POSTs, and reads this many lines of the body, or all of it.
async fn post(
    member: &Member,
    path: &str,
    token: Option<&str>,
    body: &Value,
    lines: Option<usize>,
) -> String {
    let mut stream = TcpStream::connect(member.server.addr().unwrap()).await.unwrap();
    let body = body.to_string();
    let token = token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    if let Some(lines) = lines {
        let in_body = |answer: &[u8]| {
            let text = String::from_utf8_lossy(answer);
            text.matches("}\n").count()
        };
        while in_body(&answer) < lines {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
        // The next chunk would have to be read for its end.
        answer.extend(b"0\r\n\r\n");
    } else {
        stream.read_to_end(&mut answer).await.unwrap();
    }
    String::from_utf8(answer).unwrap()
}

fn swarm_keys() -> Value {
    let [key, end] =
        ["/swarm/docker/swarm/", "/swarm/docker/swarm0"].map(|key| STANDARD.encode(key));
    json!({ "key": key, "range_end": end })
}

fn watch(start: u64) -> Value {
    let mut create = swarm_keys();
    create["start_revision"] = json!(start.to_string());
    create["prev_kv"] = json!(true);
    json!({ "create_request": create })
}

#[tokio::test]
async fn the_gateway_of_version_3() {
    let etcd = Etcd::default();
    let member = member(&etcd);
    let call = async |method: &str, token: Option<&str>, body: &Value| {
        post(&member, &format!("/v3/{method}"), token, body, None).await
    };
    let range = swarm_keys();
    let answer = call("kv/range", None, &range).await;
    assert_eq!(split(&answer).1, recorded!("v3/range-nothing.json"));

    etcd.put("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", None);
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375", Some(7));
    etcd.put("/swarm/docker/swarm/leader", "10.0.0.1:3375", None);
    etcd.put("/swarm/docker/swarm0", "after the last one", None);
    etcd.drop_key("/swarm/docker/swarm0");
    let answer =
        call("kv/range", None, &range).await.replace("revision\":\"6\"", "revision\":\"4\"");
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/range-with-headers.txt"))));
    let answer = post(&member, "/v3alpha/kv/range", None, &range, None).await;
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/other-version-with-headers.txt"))));

    let user = json!({ "name": "a", "password": "b" });
    let answer = call("auth/authenticate", None, &user).await;
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/authenticate-off-with-headers.txt"))));
    etcd.require_user("root", "r");
    let answer = call("kv/range", None, &range).await;
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/range-without-token-with-headers.txt"))));
    let answer = call("kv/range", Some("bogus.1"), &range).await;
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/range-wrong-token-with-headers.txt"))));
    let answer = call("auth/authenticate", None, &user).await;
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/authenticate-wrong-with-headers.txt"))));
    let user = json!({ "name": "root", "password": "r" });
    let answer = call("auth/authenticate", None, &user).await;
    assert_eq!(seen(&answer), seen(&as_sent(recorded!("v3/authenticate-with-headers.txt"))));
    let answer: Value = serde_json::from_str(&split(&answer).1).unwrap();
    let answer = call("kv/range", answer["token"].as_str(), &range).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn watches_of_version_3() {
    let etcd = Etcd::default();
    let member = member(&etcd);
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", None);
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375", Some(7));
    etcd.put("/swarm/docker/swarm/leader", "10.0.0.1:3375", None);
    let recorded = as_sent(recorded!("v3/watch-with-headers.txt"));
    let first_lines = |count: usize| {
        let (head, body) = recorded.split_once("\r\n\r\n").unwrap();
        let lines: Vec<_> = body.split_inclusive('\n').take(count).collect();
        format!("{head}\r\n\r\n{}", lines.concat())
    };
    let answer = post(&member, "/v3/watch", None, &watch(2), Some(2)).await;
    assert_eq!(split(&answer).1, split(&first_lines(2)).1);
    assert_eq!(split(&answer).0, split(&first_lines(2)).0);

    etcd.drop_key("/swarm/docker/swarm/nodes/10.0.0.2:2375");
    let answer = post(&member, "/v3/watch", None, &watch(5), Some(2)).await;
    let line = |number: usize| recorded.lines().filter(|line| line.starts_with('{')).nth(number);
    assert_eq!(split(&answer).1.lines().nth(1), line(2));
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", None);
    let answer = post(&member, "/v3/watch", None, &watch(6), Some(2)).await;
    assert_eq!(split(&answer).1.lines().nth(1), line(3));

    etcd.compact();
    let answer = post(&member, "/v3/watch", None, &watch(2), Some(2)).await;
    let expected = recorded!("v3/watch-compacted.json")
        .replace("compact_revision\":\"4\"", "compact_revision\":\"6\"");
    assert_eq!(split(&answer).1, expected);
    etcd.require_user("root", "r");
    let answer = post(&member, "/v3/watch", Some("bogus.1"), &watch(7), Some(1)).await;
    assert_eq!(split(&answer).1, recorded!("v3/watch-wrong-token.json"));
}
