//! Against a server that answers like an Engine, with a stream of events that the test holds.

use std::collections::HashMap;
use std::sync::Mutex;

use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;
use swarmscout_refresh::RefreshContext;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;

/// What the server answers, and what it was asked.
#[derive(Debug)]
struct Engine {
    /// By path without version and query. One that is missing is not found.
    answers: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
    /// Where the next stream of events comes from, one for each connection.
    streams: Mutex<Vec<mpsc::Receiver<String>>>,
}

impl Engine {
    fn set(&self, path: &str, answer: &str) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer.to_owned());
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let mut header = String::new();
            while stream.read_line(&mut header).await.unwrap_or(0) > 2 {
                header.clear();
            }
            let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let target = target.strip_prefix("/v1.41").unwrap_or(&target).to_owned();
            let path = target.split('?').next().unwrap_or_default().to_owned();
            self.asked.lock().unwrap().push(target);
            let answer = self.answers.lock().unwrap().get(&path).cloned();
            let head = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n";
            if path == "/events" {
                let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                let events = self.streams.lock().unwrap().pop();
                let mut events = events.expect("the test has a stream for each connection");
                while let Some(event) = events.recv().await {
                    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                    stream.write_all(chunk.as_bytes()).await.unwrap();
                }
                let _ = stream.write_all(b"0\r\n\r\n").await;
                continue;
            }
            let text = match (&*path, answer) {
                ("/_ping", _) => format!("{head}Content-Length: 0\r\n\r\n"),
                (_, Some(answer)) => {
                    format!("{head}Content-Length: {}\r\n\r\n{answer}", answer.len())
                }
                (_, None) => {
                    "HTTP/1.1 404 Not Found\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\n{}"
                        .to_owned()
                }
            };
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

struct Setup {
    engine: Arc<Engine>,
    events: Vec<mpsc::Sender<String>>,
    facts: watch::Receiver<Arc<FactsSet>>,
    ends: Arc<Ends>,
    tasks: JoinSet<()>,
}

/// A follower of a server with these containers, and this number of streams of events, the first one last.
async fn start(containers: &[(&str, &str)], streams: usize) -> Setup {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    let (events, received): (Vec<_>, Vec<_>) = (0..streams).map(|_| mpsc::channel(8)).unzip();
    let engine = Arc::new(Engine {
        answers: Mutex::default(),
        asked: Mutex::default(),
        streams: Mutex::new(received),
    });
    list(&engine, containers);
    let mut tasks = JoinSet::new();
    let server = Arc::clone(&engine);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(Arc::clone(&server).serve(stream));
        }
    });
    let config = EngineConfig {
        hosts: vec![host],
        port: 80,
        filters: Vec::new(),
        refresh_interval: PromDuration::from_secs(60),
        http: swarmscout_net::HttpConfig::default(),
    };
    let local = LocalEngine::new(&config, &RefreshContext::new("test")).unwrap();
    let (sender, facts) = watch::channel(Arc::default());
    let (ends, unavailable) = (Arc::<Ends>::default(), Arc::<Unavailable>::default());
    let labels: Arc<[String]> = Arc::from(["com.docker.swarm.service.name".to_owned()]);
    let follower = EngineFollower::new(local, labels, sender, Arc::clone(&ends), unavailable);
    tasks.spawn(follower.run());
    Setup { engine, events, facts, ends, tasks }
}

fn list(engine: &Engine, containers: &[(&str, &str)]) {
    let listed: Vec<_> = containers
        .iter()
        .map(|(id, state)| format!(r#"{{"Id":"{id}","State":"{state}"}}"#))
        .collect();
    engine.set("/containers/json", &format!("[{}]", listed.join(",")));
    for (id, state) in containers {
        let path = format!("/containers/{id}/json");
        engine.set(&path, &detail(id, state));
    }
}

fn detail(id: &str, state: &str) -> String {
    format!(
        r#"{{"Id":"{id}","Name":"/n{id}","State":{{"Status":"{state}","Pid":7,"ExitCode":3,
        "FinishedAt":"2026-11-29T10:00:01Z"}},"Config":{{"Image":"i","Labels":{{
        "com.docker.swarm.service.name":"web","secret":"x"}}}},"HostConfig":{{"NetworkMode":"host"}}}}"#
    )
}

fn event(action: &str, id: &str, time: i64) -> String {
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{
        "exitCode":"137","com.docker.swarm.service.name":"web"}}}},"timeNano":{time}}}"#
    )
}

async fn until(facts: &mut watch::Receiver<Arc<FactsSet>>, ids: &[&str]) -> Arc<FactsSet> {
    let is_there = |set: &Arc<FactsSet>| {
        set.source.is_some()
            && set.containers.len() == ids.len()
            && ids.iter().all(|id| set.containers.contains_key(*id))
    };
    facts.wait_for(is_there).await.expect("the follower runs").clone()
}

fn died(ends: &Ends) -> Vec<String> {
    let mut out =
        swarmscout_exposition::families::Families::new(swarmscout_exposition::Format::Text);
    ends.write(&mut out);
    let text = out.finish();
    let counted = |line: &&str| line.contains("deaths_total{") && !line.ends_with(" 0");
    text.lines().filter(counted).map(str::to_owned).collect()
}

#[tokio::test]
async fn facts_follow_the_events() {
    let mut setup = start(&[("a", "running")], 1).await;
    let first = until(&mut setup.facts, &["a"]).await;
    assert_eq!(
        *first.containers["a"],
        Facts {
            id: "a".into(),
            name: Some("na".into()),
            image: Some("i".into()),
            labels: vec![("com.docker.swarm.service.name".into(), "web".into())],
            pid: Some(7),
            network: Some(NetworkMode::Host),
            state: Some(ContainerState::Running),
            health: Some(Health::Unchecked),
            last_exit_code: Some(3),
            ..Facts::default()
        }
    );
    assert_eq!(setup.ends.present(), ["web"]);
    setup.engine.set("/containers/b/json", &detail("b", "running"));
    setup.events[0].try_send(event("start", "b", 1)).unwrap();
    let second = until(&mut setup.facts, &["a", "b"]).await;
    assert!(Arc::ptr_eq(&first.containers["a"], &second.containers["a"]));
    setup.events[0].try_send(event("die", "b", 2) + &event("destroy", "b", 3)).unwrap();
    until(&mut setup.facts, &["a"]).await;
    setup.events[0].try_send(event("destroy", "a", 4)).unwrap();
    until(&mut setup.facts, &[]).await;
    assert!(setup.ends.present().is_empty());
    assert_eq!(
        died(&setup.ends),
        [
            r#"swarmscout_container_deaths_total{container_label_com_docker_swarm_service_name="web",exit_code="137"} 1"#
        ]
    );
}

/// A container that was made and is gone between two streams is counted once: the next stream starts
/// at the last event that was seen.
#[tokio::test]
async fn no_event_is_lost_or_counted_twice_between_streams() {
    let mut setup = start(&[("a", "running")], 2).await;
    until(&mut setup.facts, &["a"]).await;
    // Streams are handed out from the end.
    let second = setup.events.remove(0);
    let first = setup.events.remove(0);
    first.try_send(event("die", "c", 5_000_000_007)).unwrap();
    // Facts without C, but published again: the event has been taken.
    setup.facts.changed().await.unwrap();
    second.try_send(event("die", "c", 5_000_000_007)).unwrap();
    second.try_send(event("die", "c", 6_000_000_000)).unwrap();
    setup.engine.set("/containers/b/json", &detail("b", "exited"));
    list(&setup.engine, &[("a", "running"), ("b", "exited")]);
    second.try_send(event("create", "d", 7_000_000_000)).unwrap();
    drop(first);
    until(&mut setup.facts, &["a", "b"]).await;
    setup
        .facts
        .wait_for(|_| died(&setup.ends).len() == 1 && died(&setup.ends)[0].ends_with(" 2"))
        .await
        .unwrap();
    let asked = setup.engine.asked.lock().unwrap().clone();
    let events: Vec<_> = asked.iter().filter(|path| path.starts_with("/events")).collect();
    assert_eq!(events.len(), 2, "{asked:?}");
    assert!(events[1].ends_with("&since=5.000000007"), "{events:?}");
    setup.tasks.abort_all();
}

/// An Engine takes the time of an event before its turn to send it.
#[tokio::test]
async fn an_event_counts_that_comes_after_a_newer_one() {
    let mut setup = start(&[("a", "running")], 1).await;
    until(&mut setup.facts, &["a"]).await;
    let events = event("die", "b", 3_000) + &event("die", "c", 2_000);
    setup.events[0].try_send(events + &event("destroy", "a", 4_000)).unwrap();
    until(&mut setup.facts, &[]).await;
    let died = died(&setup.ends);
    assert!(died[0].ends_with(" 2"), "{died:?}");
}

#[tokio::test]
async fn an_end_has_the_kill_that_was_reported_before_it() {
    let mut setup = start(&[("a", "running")], 1).await;
    until(&mut setup.facts, &["a"]).await;
    let events = event("oom", "a", 1_000) + &event("die", "a", 2_000) + &event("die", "a", 3_000);
    setup.events[0].try_send(events + &event("destroy", "a", 4_000)).unwrap();
    until(&mut setup.facts, &[]).await;
    let killed = setup.ends.take_killed();
    let nanos = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let killed = killed.iter().map(|one| (nanos(one.at), one.reported.map(nanos)));
    assert_eq!(killed.collect::<Vec<_>>(), [(2_000, Some(1_000)), (3_000, None)]);
}

/// A container that has ended stays as it is; one that runs may have been started again.
#[tokio::test]
async fn a_listing_reads_only_what_may_be_new() {
    let mut setup = start(&[("a", "running"), ("b", "exited")], 2).await;
    until(&mut setup.facts, &["a", "b"]).await;
    list(&setup.engine, &[("a", "running"), ("b", "exited"), ("c", "created")]);
    drop(setup.events.pop());
    until(&mut setup.facts, &["a", "b", "c"]).await;
    let asked = setup.engine.asked.lock().unwrap().clone();
    let count = |path: &str| asked.iter().filter(|asked| *asked == path).count();
    assert_eq!(
        ["a", "b", "c"].map(|id| count(&format!("/containers/{id}/json"))),
        [2, 1, 1],
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_container_that_cannot_be_read_hides_no_other_one() {
    let mut setup = start(&[("a", "running"), ("b", "running")], 1).await;
    until(&mut setup.facts, &["a", "b"]).await;
    setup.engine.set("/containers/c/json", &" ".repeat(5 << 20));
    setup.engine.set("/containers/d/json", &detail("d", "running"));
    setup.events[0].try_send(event("start", "c", 1) + &event("start", "d", 2)).unwrap();
    until(&mut setup.facts, &["a", "b", "d"]).await;
    let asked = setup.engine.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/events")).count(), 1, "{asked:?}");
}

/// An event that is too large has a list in its place, and many of them do not have many.
#[tokio::test]
async fn events_that_are_too_large_cost_one_listing() {
    let mut setup = start(&[("a", "running")], 1).await;
    until(&mut setup.facts, &["a"]).await;
    list(&setup.engine, &[("a", "running"), ("b", "running")]);
    let large = event(&"x".repeat(2 << 20), "b", 1);
    setup.events[0].try_send(large.clone()).unwrap();
    until(&mut setup.facts, &["a", "b"]).await;
    list(&setup.engine, &[("a", "running"), ("b", "running"), ("c", "running")]);
    for _ in 0..4 {
        setup.events[0].send(large.clone()).await.unwrap();
        setup.events[0].send(event("start", "c", 2)).await.unwrap();
    }
    until(&mut setup.facts, &["a", "b", "c"]).await;
    setup.events[0].send(event("destroy", "c", 3)).await.unwrap();
    until(&mut setup.facts, &["a", "b"]).await;
    let asked = setup.engine.asked.lock().unwrap().clone();
    let lists = asked.iter().filter(|path| path.starts_with("/containers/json")).count();
    assert_eq!(lists, 2, "{asked:?}");
}

#[test]
fn listings_for_events_that_are_too_large_are_a_minute_apart() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut relist = Relist::default();
    assert!(!relist.take(at(0)));
    let mut taken = Vec::new();
    for second in 0..150 {
        if second < 100 {
            relist.request(at(second));
        }
        taken.extend(relist.take(at(second)).then_some(second));
    }
    assert_eq!(taken, [0, 60, 120]);
}
