//! Targets made from lists; the stores have tests of their own.

use std::fmt::Write as _;
use std::sync::Arc;

use expect_test::expect;
use serde_json::Value;
use swarmscout_model::{Budget, PromDuration};
use swarmscout_net::HttpConfig;

use super::expand::expand_list;
use super::*;
use crate::RefreshScope;

mod file;
mod protocols;
mod stores;

/// The configuration of a list at this URL.
fn config(url: &str) -> NodeListConfig {
    NodeListConfig {
        location: Location::parse(url).unwrap(),
        etcd_api: EtcdApi::V2,
        token_url: None,
        refresh_interval: PromDuration::from_secs(60),
        metrics_port: "8070".to_owned(),
        http: HttpConfig::default(),
    }
}

/// The output of the real `swarm list` of three versions for 32 lists.
const RECORDED: &str = include_str!("../../../tests/fixtures/swarm-list.json");

#[test]
fn lists_are_read_as_by_swarm() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let lists = recorded["nodes"].as_object().unwrap();
    assert_eq!(lists.len(), 32);
    for (list, by_version) in lists {
        let recorded = &by_version["1.2.9"];
        let expected: Vec<_> = recorded["stdout"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node.as_str().unwrap())
            .collect();
        match (expand_list(list), recorded["exit"].as_u64()) {
            (Ok(nodes), Some(0)) => assert_eq!(nodes, expected, "{list}"),
            // Swarm hands the address to a function that takes % for an instruction.
            (Err(_), Some(0)) => assert_eq!(list, "10.0.0.[1:2]:2375%d"),
            (Err(error), _) => {
                // `2026/11/23 00:19:26 address node-a: missing port in address, please check …`
                let stderr = recorded["stderr"][0].as_str().unwrap();
                let reason = stderr[20..].split(", please").next().unwrap();
                let reason = reason.rsplit_once(": ").map_or(reason, |(_, reason)| reason);
                assert!(error.to_string().contains(reason), "{list}: {error}, not {reason}");
            }
            (Ok(nodes), _) => panic!("{list} was refused, and gives {nodes:?}"),
        }
    }
}

/// A range repeats the text around it 100,000 times.
#[test]
fn an_address_is_no_longer_than_addresses_are() {
    let long = "x".repeat(1000);
    for list in [format!("{long}:2375"), format!("{long}[1:100000]:2375")] {
        let error = expand_list(&list).unwrap_err().to_string();
        assert!(error.contains("longer than 300 bytes") && error.len() < 500, "{error}");
    }
}

/// A password belongs to a store; who writes one before an address need not read it in the log.
#[test]
fn no_error_about_an_address_shows_a_password() {
    let long = format!("scout:s3cret@{}:2375", "x".repeat(1000));
    for list in
        ["scout:s3cret@10.0.0.1:2375", "scout:s3cret@10.0.0.[1:3]:2375", "s3cret@a[1:2]%", &long]
    {
        let error = expand_list(list).unwrap_err().to_string();
        assert!(error.starts_with("\"xxxxx@") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn the_service_of_a_token_is_shown_without_a_password() {
    let location = Location::parse("token://scout:s3cret@service/t0ken").unwrap();
    assert_eq!(location.to_string(), "token://xxxxx@service/xxxxx");
}

/// A store with a fixed list.
struct Fixed(Listing);

impl Store for Fixed {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        let listing = self.0.clone();
        Box::pin(async { Ok(listing) })
    }
}

/// A store that was opened already.
struct Boxed(Box<dyn Store>);

impl Store for Boxed {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        self.0.list()
    }

    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.0.changed()
    }

    fn secrets(&self) -> Secrets {
        self.0.secrets()
    }
}

fn node_list(store: impl Store + 'static) -> NodeList {
    NodeList {
        secrets: store.secrets(),
        store: Box::new(store),
        what: "a store".to_owned(),
        metrics_port: "8070".to_owned(),
        longest_pause: Duration::from_mins(1),
        stood: false,
        backoff: Backoff::default(),
        logged: None,
        groups: Groups::new(),
        held: Budget::unlimited().nothing(),
        budget: Budget::unlimited(),
    }
}

fn show(refreshed: &Refreshed<Groups>) -> String {
    let mut text = String::new();
    for group in &refreshed.value {
        let _ = writeln!(text, "{} {:?}", group.source, group.labels);
        for target in &group.targets {
            let _ = writeln!(text, "  {target:?}");
        }
    }
    for Problem { kind, object, reason, detail } in &refreshed.problems {
        let _ = writeln!(text, "problem: {kind} {object:?}: {reason}: {detail}");
    }
    text
}

#[tokio::test]
async fn targets_are_beside_each_engine_and_the_primary() {
    let nodes = ["10.0.0.1:2375", "node-2:2376", "[fe80::1]:2375", " 10.0.0.4:2375"];
    let mut list = node_list(Fixed(Listing {
        nodes: nodes.map(str::to_owned).to_vec(),
        primary: Some("10.0.0.9:3375".to_owned()),
        problems: Vec::new(),
    }));
    let first = list.fetch(RefreshScope::Full).await.unwrap();
    expect![[r#"
        swarm_masters {__meta_swarm_primary="10.0.0.9:3375", __meta_swarm_role="master"}
          {__address__="10.0.0.9:8070", instance="10.0.0.9:3375"}
        swarm_nodes {__meta_swarm_primary="10.0.0.9:3375", __meta_swarm_role="node"}
          {__address__="node-2:8070", instance="node-2:2376"}
          {__address__="[fe80::1]:8070", instance="[fe80::1]:2375"}
          {__address__="10.0.0.1:8070", instance="10.0.0.1:2375"}
        problem: node " 10.0.0.4:2375": address that is not host:port: 
    "#]]
    .assert_eq(&show(&first));
    // An unchanged group is the same value.
    let second = list.fetch(RefreshScope::Full).await.unwrap();
    assert!(first.value.iter().zip(&second.value).all(|(a, b)| Arc::ptr_eq(a, b)));
}

#[tokio::test]
async fn a_list_without_nodes_has_no_group() {
    let refreshed = node_list(Fixed(Listing::default())).fetch(RefreshScope::Full).await.unwrap();
    expect![[""]].assert_eq(&show(&refreshed));
}

/// A watch that breaks, but for the ninth time.
struct Broken(u32);

impl Store for Broken {
    fn list(&mut self) -> BoxFuture<'_, Result<Listing, Error>> {
        Box::pin(async { Ok(Listing::default()) })
    }

    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.0 += 1;
        let lasts = self.0 == 9;
        Box::pin(async move {
            if lasts {
                std::future::pending::<()>().await;
            }
            Err(Error::Other("no watch today".to_owned()))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_waits_longer_each_time() {
    let mut list = node_list(Broken(0));
    let check = |half_seconds: u32, pause: Duration| {
        let least = Duration::from_millis(500) * half_seconds;
        assert!((least..=2 * least).contains(&pause), "{half_seconds}: {pause:?}");
    };
    for half_seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let began = Instant::now();
        list.changed().await;
        check(half_seconds, began.elapsed());
    }
    // One lasts until the next refresh is due: that one succeeds.
    let due = Duration::from_mins(1);
    assert!(tokio::time::timeout(due, list.changed()).await.is_err());
    let began = Instant::now();
    list.changed().await;
    check(1, began.elapsed());
}
