//! `swarmscout demo`.

use std::net::SocketAddr;

use super::harness::{Folder, get};

fn targets(address: SocketAddr, job: &str) -> Vec<SocketAddr> {
    let body = get(address, &format!("/sd/{job}")).body;
    let groups: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let groups = groups.as_array().expect("a list of groups").clone();
    groups
        .iter()
        .flat_map(|group| group["targets"].as_array().expect("a list of targets"))
        .map(|target| target.as_str().expect("a string").parse().expect("IP and port"))
        .collect()
}

#[test]
fn every_target_of_the_demo_answers() {
    let folder = Folder::new();
    let (program, address) = folder.demo("1h");
    for command in ["status", "explain", "doctor"] {
        let named = format!("swarmscout {command} --url=http://{address}");
        assert!(program.log.iter().any(|line| line.contains(&named)), "{:#?}", program.log);
    }
    for (job, count, of_them) in
        [("swarm", 9, 8), ("swarm-nodes", 6, 6), ("swarm-tasks", 6, 6), ("classic", 5, 5)]
    {
        let mut targets = targets(address, job);
        assert_eq!(targets.len(), count, "{job}: {targets:?}");
        // That of shop_mail is in another network.
        targets.retain(|target| !target.to_string().starts_with("127.96."));
        assert_eq!(targets.len(), of_them, "{job}: {targets:?}");
        for target in targets {
            let answer = get(target, "/metrics");
            assert_eq!(answer.status, 200, "{job} {target}");
            assert!(answer.body.contains("demo_requests_total"), "{job} {target}");
        }
    }
    program.signal("INT");
    let (status, log) = program.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn what_happens_in_the_demo_is_seen() {
    let folder = Folder::new();
    let (mut program, address) = folder.demo("10ms");
    program.line("docker service create --name shop_pay");
    program.line("swarm-tasks: 2 new, 0 gone, 8 targets; served");
    program.line("docker service scale shop_web=5");
    program.line("swarm-tasks: 2 new, 0 gone, 10 targets; served");
    program.line("docker service update");
    program.line("swarm-tasks: 2 new, 2 gone, 10 targets; served");
    program.line("drain worker-2");
    program.line("gone, 10 targets; served");
    program.line("manager-1 loses power");
    program.line("the same targets as before; ");
    program.line("the primary master of the classic Swarm dies");
    program.line("the same targets as before; ");
    program.line("node-4 joins");
    program.line("classic: 1 new, 0 gone, 6 targets; served");
    program.line("everything returns to its first state");
    program.line("6 targets; served");
    assert_eq!(targets(address, "swarm-nodes").len(), 6);
    let metrics = get(address, "/metrics").body;
    let events = metrics
        .lines()
        .find(|line| line.starts_with("swarmscout_snapshot_feed{") && line.contains("\"events\""));
    assert!(events.is_some_and(|line| line.ends_with(" 1.0")), "{metrics}");
}

#[test]
fn a_taken_port_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let folder = Folder::new();
    let output = folder.run(&["demo", &format!("--web.listen-address={address}")]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("port 0 takes a free one"), "{stderr}");
}
