//! `swarmscout doctor` and `swarmscout explain`.

use swarmscout_simulator::swarm::{ServiceSpec, Swarm};

use super::detect::Running;
use super::harness::{Folder, transcript};

/// A port on which nothing listens.
fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

#[test]
fn the_demo_shows_what_is_wrong_with_two_services() {
    let folder = Folder::new();
    let (_demo, address) = folder.demo("1h");
    let output = folder.run(&["doctor", &format!("--url=http://{address}")]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("26 targets at 20 URLs, 20 probed, 19 of them up"), "{stdout}");
    let network = "network shop_back: the scraper is not in it, and reaches no target of service \
                   shop_mail";
    assert!(stdout.contains(network), "{stdout}");
    assert!(stdout.contains("fix: docker service update --network-add shop_back"), "{stdout}");
    assert_eq!(output.status.code(), Some(1), "{stdout}");

    for (service, last) in [
        ("shop_search", "2 targets of service shop_search are listed for scraping (job swarm)."),
        (
            "shop_mail",
            "1 target of service shop_mail is listed for scraping (job swarm), but cannot be \
             reached: the scraper shares no network with the task; attach the service to a network of \
             the scraper (docker service update --network-add monitoring shop_mail), or the scraper to \
             network shop_back (docker service update --network-add shop_back SCRAPER). With a node \
             part on each node (swarmscout node), reach: node needs no network.",
        ),
        (
            "shop_report",
            "No job has a target of service shop_report: its task does not run: no node \
             satisfies the constraint node.labels.disk==ssd; no suitable node (scheduling \
             constraints not satisfied on 6 nodes).",
        ),
    ] {
        let output = folder.run(&["explain", service, &format!("--url=http://{address}")]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout.lines().last().unwrap_or_default(), last, "{stdout}");
    }

    let output = folder.run(&["explain", "shop_web", &format!("--url=http://{address}")]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        "Targets of service shop_web are listed for scraping: 3 in job swarm, 3 in job swarm-tasks."
    );
    assert!(stdout.contains("relabel_configs[0] keep") || stdout.contains("active http://"));
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let output = folder.run(&["explain", "service/gone", &format!("--url=http://{address}")]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_jobs_of_a_file_are_checked_without_a_server() {
    let folder = Folder::new();
    let target = closed_port();
    let yaml = format!(
        "scrape_configs:\n- job_name: node\n  static_configs:\n  - targets: ['{target}']\n"
    );
    let file = folder.write("prometheus.yml", &yaml);
    let file = file.display();
    let output = folder.run(&["doctor", &format!("--config.file={file}"), "--format=json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["findings"][0]["check"], "port_closed");
    assert_eq!(report["findings"][0]["subject"], "job node");
}

/// The flags that give a running program's targets their labels.
#[test]
fn the_jobs_of_a_file_have_the_labels_of_the_flags() {
    let swarm = Swarm::new(1);
    let manager = swarm.add_manager("m1");
    let network = swarm.create_network("front");
    let web = ServiceSpec::new("web", "web:1").network(&network).label("team", "red");
    swarm.create_service(web.label("prometheus.io/port", "80"));
    let folder = Folder::new();
    let socket = folder.path().join("docker.sock");
    let _engine = Running::start(&socket, &swarm, &manager);
    let url = format!("unix://{}", socket.display());
    let yaml = format!(
        "scrape_configs:\n- job_name: swarm\n  swarmscout_sd_configs: [{{host: '{url}'}}]\n"
    );
    let file = format!("--config.file={}", folder.write("prometheus.yml", &yaml).display());
    let flags = [&file, "--cluster=home", "--state.series-labels=team"];

    let output = folder.run(&[&["explain", "web", "--format=json"], &flags[..]].concat());
    let explanation: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", transcript(&folder, &output)));
    let labels = &explanation["jobs"][0]["targets"][0]["labels"];
    assert_eq!((&labels["cluster"], &labels["team"]), (&"home".into(), &"red".into()), "{labels}");

    // Without state metrics there is no target for them.
    let scout = ServiceSpec::new("scout", "swarmscout:1").network(&network);
    swarm.create_service(scout);
    for (flag, has_target) in [("--state.metrics", true), ("--no-state.metrics", false)] {
        let output = folder.run(&["explain", "scout", "--format=json", &file, flag]);
        let is_listed = transcript(&folder, &output).contains("/metrics/swarm");
        assert_eq!(is_listed, has_target, "{}", transcript(&folder, &output));
    }

    // What to run next has them, too.
    let flags = [&flags[..], &["--no-state.metrics"]].concat();
    let output = folder.run(&[&["status"], &flags[..]].concat());
    let stdout = String::from_utf8_lossy(&output.stdout);
    let doctor = "swarmscout doctor --config.file=";
    let next = stdout.lines().last().unwrap_or_default();
    let others = " --cluster=home --state.series-labels=team --state.metrics=false ";
    assert!(next.contains(doctor) && next.contains(others), "{next}");

    for (flags, error) in [
        (&["--cluster=home"][..], "--config.file"),
        (&[&file, "--state.series-labels=node"], "cannot use --state.series-labels=node"),
    ] {
        let output = folder.run(&[&["doctor"], flags].concat());
        let said = transcript(&folder, &output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(error), "{said}");
    }
}

#[test]
fn without_a_server_it_says_what_to_do() {
    let folder = Folder::new();
    let output = folder.run(&["doctor", &format!("--url={}", closed_port())]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("give its --url"), "{stderr}");
    assert!(stderr.contains("give --config.file"), "{stderr}");
}
