//! Cases that only one protocol has.

use std::sync::Arc as Shared;

use expect_test::Expect;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use swarmscout_model::Secret;
use swarmscout_net::config::{Auth, PemSource, SecretSource};
use swarmscout_sim_stores::consul::{Agent, Consul as SimulatedConsul};
use swarmscout_sim_stores::etcd::{Etcd, Member, RECORDED};
use swarmscout_sim_stores::tokens::Tokens;
use swarmscout_simulator::{Fault, Listen, Response, Server};

use super::*;

fn open_url(url: &str) -> Box<dyn Store> {
    open_config(&config(url))
}

fn open_config(config: &NodeListConfig) -> Box<dyn Store> {
    open(config, &BuildContext::new("Swarmscout/test")).unwrap()
}

fn etcd3(url: &str) -> Box<dyn Store> {
    open_config(&NodeListConfig { etcd_api: EtcdApi::V3, ..config(url) })
}

fn address(server: &Server) -> String {
    server.addr().unwrap().to_string()
}

/// One listing, with `SERVER` in place of the server's address.
async fn list(store: &mut Box<dyn Store>, server: &Server) -> String {
    let text = match store.list().await {
        Ok(Listing { mut nodes, primary, .. }) => {
            nodes.sort();
            let primary = primary.map(|primary| format!(", primary {primary}"));
            format!("{nodes:?}{}", primary.unwrap_or_default())
        }
        Err(error) => error.to_string(),
    };
    text.replace(&address(server), "SERVER")
}

async fn check(store: &mut Box<dyn Store>, server: &Server, expected: Expect) {
    expected.assert_eq(&list(store, server).await);
}

#[tokio::test]
async fn etcd2_every_recorded_layout() {
    let mut text = String::new();
    for (case, _) in RECORDED {
        let member = Member::recorded(Listen::Tcp, case).unwrap().unwrap();
        let path = match *case {
            "dockerd-cluster-store" => "store".to_owned(),
            case => {
                let version = case.trim_start_matches("swarm-").split('-').next().unwrap();
                format!("swarm-{}", version.replace('.', ""))
            }
        };
        let mut store = open_url(&format!("etcd://{}/{path}", address(&member.server)));
        let _ = writeln!(text, "{case}: {}", list(&mut store, &member.server).await);
    }
    expect![[r#"
        dockerd-cluster-store: ["10.77.1.15:2375"]
        swarm-0.2.0: ["10.77.1.11:2375"]
        swarm-0.2.0-after-expiry: []
        swarm-0.4.0: ["10.77.1.11:2375"]
        swarm-1.0.1: ["10.77.1.11:2375"]
        swarm-1.1.0: ["10.77.1.11:2375", "10.77.1.12:2375"], primary 10.77.1.1:3431
        swarm-1.2.9: ["10.77.1.11:2375", "10.77.1.12:2375"], primary 10.77.1.1:3432
    "#]]
    .assert_eq(&text);
}

#[tokio::test]
async fn etcd2_the_root_is_not_a_list() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    let server = &member.server;
    let mut store = open_url(&format!("etcd://{}", address(server)));
    check(&mut store, server, expect!["etcd://SERVER: no list of nodes at any of /docker/swarm/nodes, /docker/nodes, /: no node ever joined, or the path is another one"]).await;
    // Neither is one with other things in it.
    etcd.set("/coreos.com/network/config", "{}", None);
    etcd.set("/a-key", "a value", None);
    check(&mut store, server, expect!["etcd://SERVER: no list of nodes at any of /docker/swarm/nodes, /docker/nodes, /: no node ever joined, or the path is another one"]).await;
    // Swarm 0.2.0 writes to the very path.
    etcd.set("/10.0.0.1:2375", "10.0.0.1:2375", Some(38));
    store.changed().await.unwrap();
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    etcd.set("/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375", Some(60));
    store.changed().await.unwrap();
    check(&mut store, server, expect![[r#"["10.0.0.2:2375"]"#]]).await;
}

/// libnetwork writes beside the nodes, and others write to the root.
#[tokio::test]
async fn etcd2_events_elsewhere_are_not_changes() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    let mut store = open_url(&format!("etcd://{}", address(&member.server)));
    assert!(store.list().await.is_err());
    etcd.set("/docker/network/v1.0/endpoint/x", "{}", None);
    etcd.set("/coreos.com/network/subnets/x", "{}", None);
    member.server.forget_requests();
    tokio::select! {
        biased;
        changed = store.changed() => panic!("{changed:?}"),
        () = member.server.requested(3) => {}
    }
    etcd.set("/docker/nodes/10.0.0.1:2375", "10.0.0.1:2375", Some(60));
    store.changed().await.unwrap();
    check(&mut store, &member.server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
}

#[tokio::test]
async fn etcd2_a_folder_that_goes_takes_its_nodes() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    etcd.set("/a/b/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", Some(60));
    let mut store = open_url(&format!("etcd://{}/a//b/", address(&member.server)));
    check(&mut store, &member.server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    etcd.delete("/a");
    store.changed().await.unwrap();
    check(&mut store, &member.server, expect!["etcd://SERVER/a/b: no list of nodes at any of /a/b/docker/swarm/nodes, /a/b/docker/nodes, /a/b: no node ever joined, or the path is another one"]).await;
}

#[tokio::test]
async fn etcd2_switched_off_says_what_to_do() {
    let etcd = Etcd::default();
    etcd.switch_v2(false);
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    let mut store = open_url(&format!("etcd://{}/swarm", address(&member.server)));
    check(&mut store, &member.server, expect!["http://SERVER/v2/keys/swarm/docker/swarm?quorum=true&recursive=true: there is no version 2 of the API: start etcd with --enable-v2, or write etcd_api: v3 if the nodes are kept there"]).await;
}

#[tokio::test]
async fn etcd2_reads_are_quorum_reads_with_user_and_odd_keys() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    etcd.set("/a b%/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", Some(60));
    let url = format!("etcd://an%40user:pass%2Fword@{}/a b%", address(&member.server));
    let mut store = open_url(&url);
    check(&mut store, &member.server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    let request = member.server.requests().remove(0);
    assert_eq!(request.path, "/v2/keys/a%20b%25/docker/swarm");
    assert_eq!(request.query, "quorum=true&recursive=true");
    // `an@user:pass/word`
    assert_eq!(request.headers["authorization"], "Basic YW5AdXNlcjpwYXNzL3dvcmQ=");
    member.server.faults().set(Fault::Status(401, "no".to_owned()));
    let error = store.list().await.unwrap_err().to_string();
    assert!(error.contains("an@user:xxxxx@") && !error.contains("word"), "{error}");
    let shown = format!("{:?} {}", config(&url), config(&url).location);
    assert!(shown.contains("xxxxx") && !shown.contains("word"), "{shown}");
}

#[tokio::test]
async fn tls_options_make_it_https() {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let tls = ServerConfig::builder_with_provider(Shared::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let etcd = Etcd::default();
    etcd.set("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", Some(60));
    let member = Member::start(Listen::Tls(Shared::new(tls)), &etcd).unwrap();
    let port = member.server.addr().unwrap().port();
    let mut config = config(&format!("etcd://localhost:{port}/swarm"));
    config.http.tls.ca = Some(PemSource::Inline(Secret::new(certificate.pem())));
    assert_eq!(open_config(&config).list().await.unwrap().nodes, ["10.0.0.1:2375"]);
}

#[tokio::test]
async fn etcd3_finds_its_gateway_by_itself() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", None);
    let mut store = etcd3(&format!("etcd://{}/swarm", address(&member.server)));
    for (base, requests) in [("/v3alpha", 3), ("/v3alpha", 1), ("/v3beta", 3), ("/v3", 2)] {
        etcd.set_gateway(base);
        member.server.forget_requests();
        assert_eq!(store.list().await.unwrap().nodes, ["10.0.0.1:2375"], "{base}");
        assert_eq!(member.server.request_count(), requests, "{base}");
    }
    etcd.set_gateway("/v4");
    check(
        &mut store,
        &member.server,
        expect!["http://SERVER: there is no JSON gateway at any of /v3, /v3beta, /v3alpha"],
    )
    .await;
}

#[tokio::test]
async fn etcd3_shows_a_token_and_gets_a_new_one() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    let server = &member.server;
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", None);
    let url = |user: &str| format!("etcd://{user}{}/swarm", address(server));
    // The store asks for no password yet.
    let mut store = etcd3(&url("root:r@"));
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    etcd.require_user("root", "r");
    check(&mut etcd3(&url("")), server, expect![[r#"http://SERVER/v3/kv/range: server returned HTTP status 400 Bad Request: {"error":"etcdserver: user name is empty","message":"etcdserver: user name is empty","code":3}"#]]).await;
    check(&mut etcd3(&url("root:wrong@")), server, expect![[r#"http://SERVER/v3/auth/authenticate: server returned HTTP status 400 Bad Request: {"error":"etcdserver: authentication failed, invalid user ID or password","message":"etcdserver: authentication failed, invalid user ID or password","code":3}"#]]).await;
    let mut store = etcd3(&url("root:r@"));
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    etcd.end_tokens();
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    // A watch whose token ended breaks, and the next listing has another one.
    etcd.end_tokens();
    let error = store.changed().await.unwrap_err().to_string();
    expect!["http://SERVER/v3/watch: the watch was ended: rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"].assert_eq(&error.replace(&address(server), "SERVER"));
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    etcd.put("/swarm/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375", None);
    store.changed().await.unwrap();
    for request in server.requests() {
        assert!(!request.path.contains("wrong") && !request.query.contains("wrong"));
    }
}

/// Libraries for the third version leave out the slash that all keys of the second one have.
#[tokio::test]
async fn etcd3_keys_may_start_without_a_slash() {
    let etcd = Etcd::default();
    let member = Member::start(Listen::Tcp, &etcd).unwrap();
    etcd.put("swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", None);
    etcd.put("swarm/docker/swarm/leader", "10.0.0.9:3375", None);
    let mut store = etcd3(&format!("etcd://{}/swarm", address(&member.server)));
    check(&mut store, &member.server, expect![[r#"["10.0.0.1:2375"], primary 10.0.0.9:3375"#]])
        .await;
    etcd.put("swarm/docker/swarm/nodes/10.0.0.2:2375", "10.0.0.2:2375", None);
    store.changed().await.unwrap();
    check(
        &mut store,
        &member.server,
        expect![[r#"["10.0.0.1:2375", "10.0.0.2:2375"], primary 10.0.0.9:3375"#]],
    )
    .await;
}

#[tokio::test]
async fn consul_has_markers_sessions_and_tokens() {
    let consul = SimulatedConsul::default();
    let agent = Agent::start(Listen::Tcp, &consul).unwrap();
    let server = &agent.server;
    let mut store = open_url(&format!("consul://{}/swarm", address(server)));
    // A master makes the folder before a node joins.
    consul.put("swarm/docker/swarm/nodes", "", None);
    check(&mut store, server, expect!["[]"]).await;
    consul.put("swarm/docker/swarm/nodes/10.0.0.1:2375", "10.0.0.1:2375", Some("s1"));
    consul.put("swarm/docker/swarm/leader", "10.0.0.9:3375", Some("s2"));
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"], primary 10.0.0.9:3375"#]]).await;
    // A master that no longer leads leaves its address behind.
    consul.release("swarm/docker/swarm/leader");
    store.changed().await.unwrap();
    check(&mut store, server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
    consul.require_token("t0ken");
    check(&mut store, server, expect!["http://SERVER/v1/kv/swarm/docker/swarm?recurse: server returned HTTP status 403 Forbidden: Permission denied: anonymous token lacks permission 'key:read'"]).await;
    let mut config = config(&format!("consul://{}/swarm", address(server)));
    config.http.auth = Some(Auth::Header {
        scheme: "Bearer".to_owned(),
        credentials: SecretSource::Inline(Secret::new("t0ken")),
    });
    check(&mut open_config(&config), server, expect![[r#"["10.0.0.1:2375"]"#]]).await;
}

#[tokio::test]
async fn consul_nodes_of_0_2_0_are_at_the_path() {
    for (path, below) in [("", ""), ("/swarm", "swarm/")] {
        let consul = SimulatedConsul::default();
        let agent = Agent::start(Listen::Tcp, &consul).unwrap();
        for key in ["10.0.0.1:2375", "a-key", "a/folder/10.0.0.9:2375"] {
            consul.put(&format!("{below}{key}"), key, None);
        }
        let mut store = open_url(&format!("consul://{}{path}", address(&agent.server)));
        assert_eq!(store.list().await.unwrap().nodes, ["10.0.0.1:2375"], "{path}");
        consul.put(&format!("{below}10.0.0.2:2375"), "10.0.0.2:2375", None);
        store.changed().await.unwrap();
        assert_eq!(store.list().await.unwrap().nodes.len(), 2, "{path}");
    }
}

#[tokio::test]
async fn tokens_are_asked_for_and_never_shown() {
    let tokens = Tokens::start(Listen::Tcp).unwrap();
    tokens.register("t0ken", &["10.0.0.1:2375", "10.0.0.2:2375"]);
    let with_url = |token: &str, url: String| NodeListConfig {
        token_url: Some(url),
        ..config(&format!("token://{token}"))
    };
    let server = &tokens.server;
    for slash in ["", "/"] {
        let mut store = open_config(&with_url("t0ken", format!("{}{slash}", server.url())));
        assert_eq!(list(&mut store, server).await, r#"["10.0.0.1:2375", "10.0.0.2:2375"]"#);
    }
    let mut store = open_config(&with_url("s3cret", server.url().to_owned()));
    check(&mut store, server, expect!["http://SERVER/v1/clusters/xxxxx: server returned HTTP status 404 Not Found: 404 page not found"]).await;
    // A list without anything, as Go writes it.
    server.faults().set(Fault::Body("null\n".into()));
    check(
        &mut store,
        server,
        expect!["http://SERVER/v1/clusters/xxxxx: server returned HTTP status 404 Not Found: null"],
    )
    .await;
    let quoting = Response { status: 404, ..Response::new("text/plain", "no cluster s3cret") };
    server.faults().set(Fault::Answer(quoting));
    check(&mut store, server, expect!["http://SERVER/v1/clusters/xxxxx: server returned HTTP status 404 Not Found: no cluster <secret>"]).await;
    server.faults().set(Fault::Body("{\"nodes\":[]}".into()));
    check(&mut store, server, expect![[r#"http://SERVER/v1/clusters/xxxxx: server returned HTTP status 404 Not Found: {"nodes":[]}"#]]).await;

    let config = config("token://s3cret");
    let Err(error) = open(&config, &BuildContext::new("test")) else { panic!("no server to ask") };
    expect!["token:// needs token_url: the public service that Swarm asked is gone"]
        .assert_eq(&error.to_string());
    for url in ["token://s3cret", "token://discovery.example.com/v1/s3cret"] {
        let config = super::config(url);
        assert!(!format!("{config:?} {}", config.location).contains("s3cret"));
    }
}
