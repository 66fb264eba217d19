use std::collections::VecDeque;
use std::sync::Mutex;

use expect_test::{Expect, expect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::report::PathReport;

/// A server that sends these answers in turn, the last one again and again, and notes requests. A `HEAD`
/// has an answer of its own.
struct Scripted {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

/// What a server answers, and the requests that it got.
struct Script {
    answers: Mutex<VecDeque<String>>,
    to_head: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(answers: impl IntoIterator<Item = String>) -> Self {
        Self::with_head(response("200 OK", "", ""), answers).await
    }

    async fn with_head(to_head: String, answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let answers = Mutex::new(answers.into_iter().collect());
        let script = Arc::new(Script { answers, to_head, requests: Arc::clone(&requests) });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.spawn(serve(stream, Arc::clone(&script)));
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers one request; an empty text closes the connection.
async fn serve(mut stream: TcpStream, script: Arc<Script>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let answer = if request.starts_with(b"HEAD ") {
        script.to_head.clone()
    } else {
        let mut answers = script.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap()
    };
    script.requests.lock().unwrap().push(String::from_utf8(request).unwrap());
    if answer == "hang" {
        std::future::pending::<()>().await;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// Of a manager that does not have the node.
fn unknown() -> String {
    response("404 Not Found", "", r#"{"status":"error","errorType":"not_found","error":"no node"}"#)
}

fn tasks(node: &str, task: &str) -> String {
    let container = "a".repeat(64);
    let body = format!(
        r#"{{"status":"success","data":{{"node":{{"id":"{node}","name":"pi"}},"tasks":[{{"id":"{task}","container":"{container}"}}]}}}}"#
    );
    response("200 OK", &format!("etag: \"{task}\"\r\n"), &body)
}

fn follower(servers: &[&Scripted], node: Vec<NodeRef>) -> Follower {
    follower_of(servers.iter().map(|server| server.url.clone()).collect(), node)
}

fn follower_of(managers: Vec<String>, node: Vec<NodeRef>) -> Follower {
    Follower::new(settings(managers, node), &RefreshContext::new("test")).unwrap()
}

fn settings(managers: Vec<String>, node: Vec<NodeRef>) -> ClientSettings {
    ClientSettings {
        wait: Duration::from_secs(1),
        labels: AllowedLabels::with(["team"]).unwrap(),
        registration: Some(Registration { port: 9500, overlay: Some([10, 0, 9, 3].into()) }),
        ..ClientSettings::new(managers, watch::channel(node).1)
    }
}

/// Follows until this holds of what is known.
async fn until(follower: Follower, holds: impl FnMut(&Arc<Followed>) -> bool) -> Arc<Followed> {
    let mut feed = follower.subscribe();
    tokio::select! {
        () = follower.run() => panic!("it runs for ever"),
        known = feed.wait_for(holds) => Arc::clone(&known.unwrap()),
    }
}

fn id(id: &str) -> Vec<NodeRef> {
    vec![NodeRef::Id(id.to_owned())]
}

fn first_task(known: &Followed) -> Option<&str> {
    known.tasks.as_ref().map(|tasks| &*tasks.tasks[0].id)
}

#[tokio::test]
async fn it_says_who_it_is_and_what_it_has() {
    let server = Scripted::start([tasks("n1", "t1"), response("304 Not Modified", "", "")]).await;
    let known = until(follower(&[&server], id("n1")), |known| known.answers > 1).await;
    assert_eq!((first_task(&known), known.failures), (Some("t1"), 0));
    let requests = server.requests();
    let line = requests[0].lines().next().unwrap();
    assert_eq!(
        line,
        "GET /api/v1/nodes/n1/tasks?port=9500&overlay=10%2E0%2E9%2E3&labels=team&wait=1000ms HTTP/1.1"
    );
    assert!(
        !requests[0].contains("if-none-match") && requests[1].contains("if-none-match: \"t1\"")
    );
}

#[tokio::test]
async fn another_manager_is_asked_at_once_and_the_last_answer_stays() {
    let refusing = Scripted::start([
        tasks("n1", "t1"),
        response("503 Service Unavailable", "", "shutting\ndown"),
    ])
    .await;
    let other =
        Scripted::start([tasks("n1", "t2"), response("500 Internal Server Error", "", "broken")])
            .await;
    let known =
        until(follower(&[&refusing, &other], id("n1")), |known| known.error.is_some()).await;
    assert_eq!((first_task(&known), known.answers), (Some("t2"), 2));
    let error = known.error.as_deref().unwrap();
    assert!(error.contains("status 503 Service Unavailable: shutting down"), "{error}");
    assert!(error.contains("broken") && known.as_of.is_some());
}

#[tokio::test]
async fn what_is_not_the_answer_for_this_node_is_refused() {
    let huge = "x".repeat(usize::try_from(MAX_ANSWER).unwrap() + 1);
    let success =
        |data: &str| response("200 OK", "", &format!(r#"{{"status":"success","data":{data}}}"#));
    let node = r#"{"node":{"id":"n1"},"tasks":"#;
    for (answer, expected) in [
        (tasks("n2", "t1"), "it is for the node n2 (pi), and n1 was asked for"),
        (response("200 OK", "", "<html>"), "expected value at line 1 column 1"),
        (response("200 OK", "", &huge), "larger than"),
        (success("{}"), "missing field `node`"),
        (success(r#"{"node":{"id":""}}"#), "it names no node"),
        (success(&format!(r#"{node}[{{"id":"../x"}}]}}"#)), "its ID is not one"),
        (success(&format!(r#"{node}[{{"id":"t","container":"../.."}}]}}"#)), "64 hexadecimal"),
        (success(&format!(r#"{node}[{{"id":"b"}},{{"id":"a"}}]}}"#)), "order of their IDs"),
        (success(&format!(r#"{node}[{{}}{}]}}"#, ",{}".repeat(200_000))), "too many parts"),
        (
            success(&format!(r#"{node}[{{"id":"t","x":[1{}]}}]}}"#, ",1".repeat(1 << 20))),
            "too many",
        ),
        (
            success(&format!(
                r#"{node}[],"peers":[{{"id":"a","address":"192.0.2.1","port":1}},{{"id":"a","address":"192.0.2.2","port":1}}]}}"#
            )),
            "its peers are not in the order",
        ),
        (
            success(&format!(
                r#"{node}[{{"id":"t","reach":[{{"scheme":"ftp","port":1,"path":"/"}}]}}]}}"#
            )),
            "targets is not one",
        ),
        (response("302 Found", "location: http://127.0.0.1:1/x\r\n", ""), "127.0.0.1:1"),
        (unknown(), "SWARMSCOUT_NODE_ID"),
        (response("404 Not Found", "", "404 page not found\n"), "it is not a Swarmscout"),
        // What it says is not cut where it says what to do.
        (
            response(
                "503 Service Unavailable",
                "",
                &format!(r#"{{"status":"error","error":"{} do this"}}"#, "x".repeat(400)),
            ),
            "x do this",
        ),
        (String::new(), "cannot ask"),
    ] {
        let server = Scripted::start([answer]).await;
        let known = until(follower(&[&server], id("n1")), |known| known.error.is_some()).await;
        let error = known.error.as_deref().unwrap();
        assert!(error.contains(expected), "{error}: {expected}");
        assert!(known.tasks.is_none() && error.len() < 700, "{error}");
    }
}

#[tokio::test]
async fn the_same_answer_again_comes_less_and_less_often() {
    let unversioned = tasks("n1", "t1").replace("etag: \"t1\"\r\n", "");
    let server = Scripted::start([unversioned]).await;
    let asked = Instant::now();
    until(follower(&[&server], id("n1")), |known| known.answers == 6).await;
    assert!(asked.elapsed() > EARLY_PAUSE * 8, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_node_is_known_by_the_first_of_its_names_that_the_swarm_has() {
    let names = vec![NodeRef::Container("a".repeat(64)), NodeRef::Name("pi".to_owned())];
    let server = Scripted::start([unknown(), tasks("n1", "t1"), tasks("n1", "t2")]).await;
    let known = until(follower(&[&server], names.clone()), |known| known.answers > 1).await;
    assert_eq!(first_task(&known), Some("t2"));
    let requests = server.requests();
    assert!(requests[1].contains("/nodes/name%3Api/"), "{requests:?}");
    assert!(requests[2].contains("/nodes/n1/"), "{requests:?}");
    // Of a Swarm that has none of its names.
    let server = Scripted::start([unknown()]).await;
    let known = until(follower(&[&server], names), |known| known.error.is_some()).await;
    assert!(known.error.as_deref().unwrap().contains("{{.Node.ID}}"), "{known:?}");
}

/// A text that differs from one request to the next does not make another failure.
#[test]
fn failures_of_one_kind_are_logged_once() {
    use swarmscout_net::ConnectCause::{Refused, Unresolved};
    let request = |reason: &str, failure| Error::Request {
        manager: "http://m:9465".to_owned(),
        reason: reason.to_owned(),
        failure,
    };
    let connect = |reason, cause| request(reason, RequestFailure::Connect(cause));
    let status =
        |reason, code| request(reason, RequestFailure::Status(StatusCode::from_u16(code).unwrap()));
    for (before, now, is_logged) in [
        (connect("no such name (1)", Unresolved), connect("no such name (2)", Unresolved), false),
        (connect("a", Unresolved), connect("a", Refused), true),
        (status("503: at 10:00", 503), status("503: at 10:01", 503), false),
        (status("503", 503), status("401", 401), true),
        (request("a", RequestFailure::Other), request("b", RequestFailure::Other), true),
    ] {
        let mut follower = follower_of(vec!["http://m:9465".to_owned()], id("n1"));
        follower.report(&[before]);
        let logged = follower.logged.clone();
        follower.report(std::slice::from_ref(&now));
        assert_eq!(follower.logged != logged, is_logged, "{now}");
        // What is published has its text.
        assert_eq!(follower.publish.borrow().error.as_deref(), Some(&*now.to_string()));
    }
}

/// The first lines of the requests that a server got.
fn lines(server: &Scripted) -> Vec<String> {
    server.requests().iter().map(|request| request.lines().next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn managers_that_are_not_followed_learn_where_it_listens_and_what_it_finds() {
    let hanging = || [tasks("n1", "t1"), "hang".to_owned()];
    let (first, second) = (Scripted::start(hanging()).await, Scripted::start(hanging()).await);
    let forbidden = response("403 Forbidden", "", "");
    let third = Scripted::with_head(forbidden, [tasks("n1", "t1")]).await;
    let servers = [&first, &second, &third].map(|server| server.url.clone());
    let (report, receiver) = watch::channel(Arc::default());
    let settings =
        ClientSettings { report: receiver, wait: WAIT, ..settings(servers.to_vec(), id("n1")) };
    let follower = Follower::new(settings, &RefreshContext::new("test")).unwrap();
    let mut known = follower.subscribe();
    let mut following = JoinSet::new();
    following.spawn(follower.run());
    // Registrations wake no reader.
    let counted = async |known: &mut TaskFeed, count: u64| {
        while known.borrow().registrations < count {
            tokio::task::yield_now().await;
        }
        known.borrow().failed_registrations
    };
    assert_eq!(counted(&mut known, 2).await, 1);
    let registered = "HEAD /api/v1/nodes/n1/tasks?port=9500&overlay=10%2E0%2E9%2E3&labels=team";
    assert_eq!(lines(&second), [format!("{registered} HTTP/1.1")]);
    assert_eq!(lines(&third), [format!("{registered} HTTP/1.1")]);
    while first.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    // What it finds of the network ends the request that waits, and is said to all.
    let path = PathReport::parse("ua,db").unwrap();
    report.send_replace(Arc::new(PeerReport { host: Some(path), overlay: None }));
    while first.requests().len() < 3 || second.requests().len() < 2 {
        tokio::task::yield_now().await;
    }
    following.abort_all();
    let marked = |request: &String| request.contains("x-swarmscout-node-part: 1\r\n");
    assert!(first.requests().iter().chain(&second.requests()).all(marked));
    let (first, second) = (lines(&first), lines(&second));
    assert!(first[1].starts_with("GET ") && !first[1].contains("peers."), "{first:?}");
    assert!(first[2].starts_with("GET ") && first[2].contains("&peers.host=ua,db&"), "{first:?}");
    assert!(second[1].ends_with("&peers.host=ua,db HTTP/1.1"), "{second:?}");
    assert!(known.has_changed().unwrap() && known.borrow().failures == 0);
}

#[tokio::test]
async fn a_manager_that_denies_a_name_is_asked_by_the_next_one() {
    let names = vec![NodeRef::Id("old".to_owned()), NodeRef::Name("pi".to_owned())];
    let forbidden = || response("403 Forbidden", "", "it is not you");
    let server = Scripted::start([forbidden(), tasks("n1", "t1")]).await;
    let known = until(follower(&[&server], names.clone()), |known| known.answers > 0).await;
    assert_eq!(first_task(&known), Some("t1"));
    let server = Scripted::start([forbidden()]).await;
    let known = until(follower(&[&server], names), |known| known.error.is_some()).await;
    let error = known.error.as_deref().unwrap();
    assert!(error.ends_with("refuses: it is not you"), "{error}");
}

#[test]
fn a_manager_that_cannot_be_asked_is_refused_at_the_start() {
    for managers in
        [&[][..], &["manager:9465"], &["ftp://m"], &["https://m/?x=1"], &["https://m/#x"]]
    {
        let managers = managers.iter().map(|url| (*url).to_owned()).collect();
        let settings = ClientSettings::new(managers, watch::channel(id("n1")).1);
        assert!(
            Follower::new(settings.clone(), &RefreshContext::new("test")).is_err(),
            "{settings:?}"
        );
    }
}

#[test]
fn a_manager_that_is_no_url_is_named() {
    let check = |manager: &str, expected: Expect| {
        let managers = vec![manager.to_owned()];
        let settings = ClientSettings::new(managers, watch::channel(id("n1")).1);
        let error = Follower::new(settings, &RefreshContext::new("test")).unwrap_err();
        expected.assert_eq(&error.to_string());
    };
    check(
        "",
        expect![[
            r#"cannot use the manager "": it is empty: give the URL of a Swarmscout on a manager, such as https://manager-1:9465"#
        ]],
    );
    check(
        "10.0.0.1:9465",
        expect![[
            r#"cannot use the manager "10.0.0.1:9465": it has no scheme: write http:// or https:// before it"#
        ]],
    );
}

#[test]
fn an_error_of_certificates_names_the_flag() {
    use swarmscout_net::ConnectCause::{Refused, Tls};
    for (cause, reason, names_flag) in [
        (
            Tls,
            "the server's certificate is signed by an unknown authority: name the authority's certificate in tls_config.ca_file",
            true,
        ),
        (Tls, "the server wants a client certificate: set tls_config.cert_file and key_file", true),
        (Tls, "the server refused our client certificate (UnknownCA)", true),
        (Tls, "the server does not speak TLS here: is http:// meant?", false),
        (Refused, "connection refused", false),
    ] {
        let (to, reason) = ("m:9465".to_owned(), reason.to_owned());
        let error = unanswered("m", &swarmscout_net::Error::Connect { to, cause, reason });
        assert_eq!(error.to_string().contains("--manager.http-config"), names_flag, "{error}");
    }
}
