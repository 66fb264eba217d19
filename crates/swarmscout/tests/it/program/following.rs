//! One program follows another.

use std::net::TcpListener;

use super::harness::{Folder, Program, get, wait_for};

/// Only a wait can bring a change: the next refresh is in an hour.
#[test]
fn a_change_reaches_the_second_program_and_an_end_loses_nothing() {
    let folder = Folder::new();
    let targets = |list: &str| folder.write("list.json", list);
    targets(r#"[{"targets":["a:1"]}]"#);
    folder.write(
        "prometheus.yml",
        "scrape_configs: [{job_name: list, file_sd_configs: [{files: [list.json]}]}]",
    );
    let mut first = folder.start(&[]);
    let address = first.address();

    // Nothing listens there any longer.
    let dead = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let dead = dead.expect("a free port");
    let second = Folder::new();
    second.write(
        "prometheus.yml",
        &format!(
            "scrape_configs:\n- job_name: list\n  http_sd_configs:\n  \
             - {{urls: ['http://{dead}/sd/list', 'http://{address}/sd/list'], refresh_interval: 1h}}\n"
        ),
    );
    let mut follower = second.start(&[]);
    let follower_address = follower.address();
    wait_for(follower_address, "/sd/list", "a:1");
    wait_for(address, "/metrics", "swarmscout_http_waiting 1");
    for address in ["b:1", "c:1"] {
        targets(&format!(r#"[{{"targets":["{address}"]}}]"#));
        wait_for(follower_address, "/sd/list", address);
    }
    let name = format!(r#""__meta_url":"http://{dead}/sd/list""#);
    assert!(get(follower_address, "/sd/list").body.contains(&name));
    targets("[]");
    wait_for(follower_address, "/sd/list", "[]\n");
    targets(r#"[{"targets":["d:1"]}]"#);
    wait_for(follower_address, "/sd/list", "d:1");

    // A reader that waits does not hold up the end.
    first.signal("TERM");
    let (status, log) = first.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("cut off"), "{log}");
    wait_for(follower_address, "/api/v1/sources", r#""health":"down""#);
    wait_for(follower_address, "/sd/list", "d:1");

    targets(r#"[{"targets":["e:1"]}]"#);
    let listen = format!("--web.listen-address={address}");
    let mut command = folder.command();
    let _again = Program::spawn(command.arg(listen));
    wait_for(follower_address, "/sd/list", "e:1");
    targets(r#"[{"targets":["f:1"]}]"#);
    wait_for(follower_address, "/sd/list", "f:1");
}
