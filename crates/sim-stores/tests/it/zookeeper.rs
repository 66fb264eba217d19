//! ZooKeeper, frame by frame.

use swarmscout_sim_stores::zookeeper::ZooKeeper;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const RECORDED: &str = include_str!("../../fixtures/zookeeper/exchange.txt");

const NODES: &str = "/recorded/docker/swarm/nodes";
const LEADER: &str = "/recorded/docker/swarm/leader";

#[tokio::test]
async fn frames_are_those_of_zookeeper() {
    let zookeeper = ZooKeeper::start(1).unwrap();
    // Sessions are transactions too, and theirs had a writer.
    let mut writer = TcpStream::connect(zookeeper.addr(0)).await.unwrap();
    write(&mut writer, &bytes(first_request())).await;
    let started = read(&mut writer).await.unwrap();
    let session = i64::from_be_bytes(started[8..16].try_into().unwrap());
    for path in ["/recorded", "/recorded/docker", "/recorded/docker/swarm", NODES] {
        assert!(zookeeper.create(path, ""));
    }
    let node = |number| format!("{NODES}/10.77.1.{number}:2375");
    assert!(zookeeper.create_ephemeral(&node(11), "", session));
    assert!(zookeeper.set(&node(11), "10.77.1.11:2375"));
    assert!(zookeeper.set(&node(11), "10.77.1.11:2375"));

    let mut reader = TcpStream::connect(zookeeper.addr(0)).await.unwrap();
    let mut about = "";
    let mut compared = 0;
    for line in RECORDED.lines() {
        match line.split_at_checked(2) {
            Some(("# ", name)) => about = name,
            Some(("> ", request)) => {
                if about == "connect, of a client that has seen more" {
                    reader = TcpStream::connect(zookeeper.addr(0)).await.unwrap();
                }
                write(&mut reader, &bytes(request)).await;
            }
            Some(("! ", action)) => {
                about = action;
                assert!(match action {
                    "the primary is made" => zookeeper.create(LEADER, ""),
                    "its address is written" => zookeeper.set(LEADER, "10.77.1.1:3641"),
                    "a node joins" => zookeeper.create_ephemeral(&node(2), "", session),
                    "a node leaves" => zookeeper.delete(&node(11)),
                    "it leaves, too" => zookeeper.delete(&node(2)),
                    "a node is made that only user:secret may read" => {
                        zookeeper.protect("user:secret");
                        zookeeper.create("/recorded/locked", "treasure")
                    }
                    _ => panic!("{action} is not known"),
                });
            }
            Some(("< ", answer)) => {
                let got = read(&mut reader).await.unwrap();
                assert_eq!(comparable(about, got), comparable(about, bytes(answer)), "{about}");
                compared += 1;
            }
            Some((". ", _)) => assert!(read(&mut reader).await.is_err(), "{about}"),
            _ => {}
        }
    }
    assert_eq!(compared, 28);
}

fn first_request() -> &'static str {
    RECORDED.lines().find_map(|line| line.strip_prefix("> ")).unwrap()
}

/// A frame, in hexadecimal, without what is another one at each run: the number and password of a
/// session, the times and the owner in a `Stat`. Children in the order of their names.
fn comparable(about: &str, mut frame: Vec<u8>) -> String {
    const HEADER: usize = 16;
    const STAT: usize = 68;
    let children = about.starts_with("children");
    let has_stat = children || about.starts_with("exists") || about.starts_with("data");
    if about == "connect" {
        frame[8..16].fill(0);
        frame[20..36].fill(0);
    } else if has_stat && frame.len() >= HEADER + STAT {
        let stat = frame.len() - STAT;
        frame[stat + 16..stat + 32].fill(0);
        frame[stat + 44..stat + 52].fill(0);
        if children {
            // Their number comes first.
            let names = &mut frame[HEADER + 4..stat];
            let sorted = sorted(names);
            names.copy_from_slice(&sorted);
        }
    }
    hex(&frame)
}

/// The same strings in the order of their bytes.
fn sorted(mut strings: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(length) = strings.first_chunk() {
        let end = 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap();
        all.push(&strings[..end]);
        strings = &strings[end..];
    }
    all.sort_unstable();
    all.concat()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

async fn write(stream: &mut TcpStream, frame: &[u8]) {
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, frame].concat()).await.unwrap();
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut frame = vec![0; length.try_into().unwrap()];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}
