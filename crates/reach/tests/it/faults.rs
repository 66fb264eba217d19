//! Targets and readers that behave badly.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use swarmscout_reach::CutOff;
use tokio::net::TcpSocket;
use tokio::sync::Notify;

use crate::support::{Node, Target, read, reason, task};

/// What a request ends with that never gets an answer: `reason status`.
async fn failure(sent: impl Into<Vec<u8>>) -> (String, String) {
    let target = Target::once(sent).await;
    let node = target.node(|options| options.max_body = 1000);
    let answer = node.get(target.port()).await;
    let found = format!("{} {}", reason(&answer), answer.status().as_u16());
    if let Some((reason, _)) = found.split_once(' ').filter(|(reason, _)| !reason.is_empty()) {
        assert_eq!(Node::count(node.reach.stats().failed(), reason), 1);
    }
    let text = read(answer).await.unwrap();
    assert_eq!(node.reach.stats().in_flight(), 0);
    let start = format!("cannot fetch from port {} of task web.1: ", target.port());
    let words = text.strip_prefix(&start).unwrap_or_else(|| panic!("{found}: {text}")).to_owned();
    (found, words)
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_an_error_that_names_task_and_port() {
    let many = "X: y\r\n".repeat(200);
    let large = format!("X: {}\r\n", "y".repeat(100 << 10));
    for (what, sent, expected, words) in [
        (
            "a redirect",
            "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n".to_owned(),
            "redirect 502",
            "302",
        ),
        ("not modified", "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(), "redirect 502", "304"),
        (
            "another protocol",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                .to_owned(),
            "broken 502",
            "101",
        ),
        (
            "no such status",
            "HTTP/1.1 700 X\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "broken 502",
            "700",
        ),
        ("another language", "SSH-2.0-OpenSSH\r\n".to_owned(), "broken 502", "not HTTP"),
        ("HTTP/0.9", "metrics\n".to_owned(), "broken 502", "not HTTP"),
        ("nothing", String::new(), "broken 502", "closed the connection"),
        (
            "interim answers without an end",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(10_000),
            "broken 502",
            "interim answers",
        ),
        (
            "half a header",
            "HTTP/1.1 200 OK\r\nContent-".to_owned(),
            "broken 502",
            "closed the connection",
        ),
        ("many headers", format!("HTTP/1.1 200 OK\r\n{many}\r\n"), "broken 502", ""),
        (
            "a large header",
            format!("HTTP/1.1 200 OK\r\n{large}\r\n"),
            "broken 502",
            "too large (limit 64 KiB)",
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            "broken 502",
            "not HTTP",
        ),
        (
            "a large answer",
            "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_owned(),
            "too_large 502",
            "1001 bytes",
        ),
    ] {
        let (found, text) = failure(sent).await;
        assert_eq!(found, expected, "{what}: {text}");
        assert!(text.contains(words), "{what}: {text}");
        assert!(!text.contains("10.0.0.1"), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_port_without_a_listener_is_named() {
    // It is taken, so that no other test listens on it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let node = Node::new(task(port, "http"), |_| {});
    let answer = node.get(port).await;
    assert_eq!((answer.status().as_u16(), reason(&answer)), (502, "connect"));
    let text = read(answer).await.unwrap();
    assert_eq!(text, format!("cannot fetch from port {port} of task web.1: connection refused\n"));
}

const SHORT: (&str, &str) = ("X-Prometheus-Scrape-Timeout-Seconds", "0.05");

#[tokio::test]
async fn a_target_that_never_answers_ends_with_its_readers_patience() {
    let target = Target::new(|mut connection, _| async move {
        connection.request().await;
        connection.closed().await;
    })
    .await;
    let node = target.node(|_| {});
    let path = format!("/reach/t1/http/{}/metrics", target.port());
    let answer = node.get_with(&path, &[SHORT]).await;
    assert_eq!((answer.status().as_u16(), reason(&answer)), (504, "timeout"));
    assert!(read(answer).await.unwrap().ends_with(": no answer within 47.5ms\n"));
}

/// What a body ends with.
async fn cut(node: &Node, port: u16, header: &[(&str, &str)]) -> CutOff {
    let answer = node.get_with(&format!("/reach/t1/http/{port}/metrics"), header).await;
    assert_eq!((answer.status().as_u16(), reason(&answer)), (200, ""));
    read(answer).await.unwrap_err()
}

#[tokio::test]
async fn an_answer_that_does_not_come_to_its_end_is_no_whole_one() {
    const LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nup 1\n";
    const CHUNKS: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n";
    for start in [LENGTH, CHUNKS] {
        // It closes its connection.
        let target = Target::once(start).await;
        assert_eq!(cut(&target.node(|_| {}), target.port(), &[]).await, CutOff::Broken);
        // It resets it.
        let target = Target::new(move |mut connection, _| async move {
            connection.request().await;
            connection.send(start).await;
            // hyper reads it before the reset, which would take it away.
            connection.stream.set_zero_linger().unwrap();
        })
        .await;
        let answer = target.node(|_| {}).get(target.port()).await;
        if reason(&answer).is_empty() {
            assert_eq!(read(answer).await.unwrap_err(), CutOff::Broken);
        } else {
            assert_eq!(reason(&answer), "broken");
        }
        // It sends nothing more.
        let target = Target::new(move |mut connection, _| async move {
            connection.request().await;
            connection.send(start).await;
            connection.closed().await;
        })
        .await;
        let node = target.node(|options| options.idle = Duration::from_millis(20));
        assert_eq!(cut(&node, target.port(), &[]).await, CutOff::Silent);
        assert_eq!(cut(&target.node(|_| {}), target.port(), &[SHORT]).await, CutOff::Deadline);
        let counted = Node::count(node.reach.stats().cut_off(), "silent");
        assert_eq!((counted, node.reach.stats().in_flight()), (1, 0));
    }
    let target = Target::once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n").await;
    assert_eq!(cut(&target.node(|_| {}), target.port(), &[]).await, CutOff::Broken);
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_deadline() {
    let target = Target::new(|mut connection, _| async move {
        connection.request().await;
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        while connection.send(b"1\r\nx\r\n").await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(cut(&target.node(|_| {}), target.port(), &[SHORT]).await, CutOff::Deadline);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_at_the_limit() {
    let target = Target::new(|mut connection, _| async move {
        connection.request().await;
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await;
        let piece = vec![b'x'; 64 << 10];
        while connection.send(&piece).await {}
    })
    .await;
    let node = target.node(|options| options.max_body = 8 << 20);
    let mut body = node.get(target.port()).await.into_body();
    let (mut read, mut largest) = (0, 0);
    let end = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => {
                let piece = frame.into_data().unwrap().len();
                (read, largest) = (read + piece, largest.max(piece));
            }
            Err(end) => break end,
        }
    };
    assert_eq!(end, CutOff::Limit);
    assert!(read <= 8 << 20, "{read}");
    // No more than one piece and hyper's buffer are in memory.
    assert!(largest <= 64 << 10, "{largest}");
}

/// A target that answers with a start, says when its client closes, and sends no end.
async fn open_ended(start: &'static [u8]) -> (Target, Arc<Notify>) {
    let closed = Arc::new(Notify::new());
    let says = Arc::clone(&closed);
    let target = Target::new(move |mut connection, _| {
        let closed = Arc::clone(&says);
        async move {
            connection.request().await;
            connection.send(start).await;
            connection.closed().await;
            closed.notify_one();
        }
    })
    .await;
    (target, closed)
}

const START: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";

#[tokio::test]
async fn a_reader_that_goes_away_ends_the_fetch() {
    // While it waits for the header.
    let (mut target, closed) = open_ended(b"").await;
    let node = target.node(|_| {});
    tokio::select! {
        _ = node.get(target.port()) => panic!("nothing was sent"),
        _ = target.requests.recv() => {}
    }
    closed.notified().await;
    assert_eq!((node.reach.stats().abandoned(), node.reach.stats().in_flight()), (1, 0));
    // In the middle of the body.
    let (target, closed) = open_ended(START).await;
    let node = target.node(|_| {});
    let mut body = node.get(target.port()).await.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    closed.notified().await;
    assert_eq!(node.reach.stats().abandoned(), 1);
}

/// Whatever its reader does, a fetch ends with its deadline, and gives its place back.
#[tokio::test]
async fn a_reader_that_takes_nothing_holds_no_target() {
    let (target, closed) = open_ended(START).await;
    let node = target.node(|options| options.timeout = Duration::from_millis(50));
    let answer = node.get(target.port()).await;
    closed.notified().await;
    assert_eq!(read(answer).await.unwrap_err(), CutOff::Deadline);
}

#[tokio::test]
async fn who_waits_for_a_place_is_refused_when_the_node_part_stops() {
    let mut slow = Target::new(|mut connection, _| async move {
        connection.request().await;
        pending::<()>().await;
    })
    .await;
    let node = slow.node(|options| options.fetches_per_task = 1);
    let path = format!("/reach/t1/http/{}/metrics", slow.port());
    let others = async {
        // Now the first one has the place.
        slow.requests.recv().await.unwrap();
        let stop = async { node.reach.stop() };
        let (waiting, ()) = tokio::join!(node.get_with(&path, &[]), stop);
        for answer in [waiting, node.get_with(&path, &[]).await] {
            assert_eq!((answer.status().as_u16(), reason(&answer)), (503, "busy"));
            assert!(read(answer).await.unwrap().contains("the node part stops"));
        }
    };
    tokio::select! {
        biased;
        _ = node.get_with(&path, &[]) => panic!("nothing was sent"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_slow_task_takes_its_own_places_alone() {
    let asked = Arc::new(Notify::new());
    let slow = Target::new({
        let asked = Arc::clone(&asked);
        move |mut connection, _| {
            let asked = Arc::clone(&asked);
            async move {
                connection.request().await;
                asked.notify_one();
                pending::<()>().await;
            }
        }
    })
    .await;
    let quick = Target::kept("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n").await;
    let node = slow.node(|options| {
        options.fetches_per_task = 1;
        options.fetches = 2;
    });
    let slow_task = task(slow.port(), "http");
    let mut quick_task = task(quick.port(), "http");
    quick_task.id = "t2".to_owned();
    node.list.send_replace(Arc::new([slow_task, quick_task].into_iter().collect()));
    let path = format!("/reach/t1/http/{}/metrics", slow.port());
    let mut first = std::pin::pin!(node.get_with(&path, &[]));
    let others = async {
        asked.notified().await;
        for _ in 0..3 {
            let answer = node.get_with(&path, &[SHORT]).await;
            assert_eq!((answer.status().as_u16(), reason(&answer)), (503, "busy"));
        }
        let path = format!("/reach/t2/http/{}/metrics", quick.port());
        assert_eq!(read(node.get_with(&path, &[]).await).await.unwrap(), "up\n");
    };
    tokio::select! {
        biased;
        _ = &mut first => panic!("nothing was sent"),
        () = others => {}
    }
}
