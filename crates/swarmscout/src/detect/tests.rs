use expect_test::{Expect, expect};

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::read(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn the_engine_is_the_one_that_docker_would_speak_to() {
    let secure = [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")];
    let home = [("DOCKER_TLS_VERIFY", "1"), ("HOME", "/home/a")];
    let empty = [("DOCKER_TLS_VERIFY", ""), ("DOCKER_HOST", "")];
    for (host, others, expected) in [
        ("", &empty[..], "unix:///var/run/docker.sock -"),
        ("unix:///run/user/1/docker.sock", &secure, "unix:///run/user/1/docker.sock -"),
        ("tcp://m:2375", &[], "tcp://m:2375 -"),
        ("tcp://m", &[], "tcp://m:2375 -"),
        ("m:1", &[], "tcp://m:1 -"),
        ("tcp://u:p@m", &[], "tcp://u:p@m:2375 -"),
        ("tcp://:2375", &[], "tcp://localhost:2375 -"),
        ("tcp://[::1]", &[], "tcp://[::1]:2375 -"),
        ("tcp://m/prefix/", &[], "tcp://m:2375/prefix -"),
        ("tcp://m", &secure, "https://m:2376 /c"),
        ("tcp://m:1", &home, "https://m:1 /home/a/.docker"),
        ("http://m:1", &secure, "http://m:1 -"),
        ("https://m:1", &[], "https://m:1 -"),
    ] {
        let mut variables = vec![("DOCKER_HOST", host)];
        variables.extend_from_slice(others);
        let engine = environment(&variables).engine().unwrap_or_else(|e| panic!("{host}: {e}"));
        let folder = engine.certificates.map_or(String::from("-"), |p| p.display().to_string());
        assert_eq!(format!("{} {folder}", engine.url), expected, "{host} {others:?}");
    }
}

#[test]
fn ssh_is_refused_with_what_to_do() {
    let error = environment(&[("DOCKER_HOST", "ssh://me@m")]).engine().unwrap_err();
    expect!["DOCKER_HOST is ssh://me@m, and ssh:// is not spoken here: forward the engine's socket (ssh -L /tmp/docker.sock:/var/run/docker.sock …) and set DOCKER_HOST=unix:///tmp/docker.sock"].assert_eq(&error);
}

#[tokio::test]
async fn a_password_in_docker_host_does_not_show() {
    for host in
        ["tcp://u:hunter2@127.0.0.1:1", "tcp://u:hunter2#x@127.0.0.1:1", "ssh://u:hunter2/x@m"]
    {
        let error = detect(&environment(&[("DOCKER_HOST", host)])).await.unwrap_err();
        assert!(error.contains("://u:xxxxx@") && !error.contains("hunter2"), "{error}");
    }
}

/// The configuration made from an answer to `/info`: it parses without a warning.
#[track_caller]
fn check(info: &str, expected: &Expect) {
    let info = info.replacen('{', r#"{"Containers": 1, "#, 1).replace(", }", "}");
    let info = Info::read(info.as_bytes()).expect("it is JSON of the right shape");
    let engine = Engine { url: String::from("unix:///d.sock"), certificates: None };
    let text = match classify(&info) {
        Ok(jobs) => format!("{}\n{}", jobs.what, engine.yaml(jobs.named)),
        Err(error) => error,
    };
    expected.assert_eq(&text);
}

#[test]
fn a_manager_gives_what_its_services_declare() {
    check(
        r#"{"Swarm": {"LocalNodeState": "active", "ControlAvailable": true}}"#,
        &expect![[r#"
        a manager of a Swarm
        scrape_configs:
          - job_name: swarm
            swarmscout_sd_configs:
              - host: "unix:///d.sock"
          - job_name: swarm-nodes
            dockerswarm_sd_configs:
              - host: "unix:///d.sock"
                role: nodes
                port: 9323
          - job_name: swarm-tasks
            dockerswarm_sd_configs:
              - host: "unix:///d.sock"
                role: tasks
                filters:
                  - name: desired-state
                    values: [running]
            relabel_configs:
              - source_labels: [__meta_dockerswarm_task_state]
                regex: running
                action: keep
    "#]],
    );
}

#[test]
fn an_engine_alone_gives_its_containers() {
    check(
        r#"{"Swarm": {"LocalNodeState": "inactive"}, "SystemStatus": null}"#,
        &expect![[r#"
        an engine without Swarm
        scrape_configs:
          - job_name: swarm
            swarmscout_sd_configs:
              - engines:
                  - host: "unix:///d.sock"
          - job_name: docker
            docker_sd_configs:
              - host: "unix:///d.sock"
    "#]],
    );
    check(
        "{}",
        &expect![[r#"
        an engine without Swarm
        scrape_configs:
          - job_name: swarm
            swarmscout_sd_configs:
              - engines:
                  - host: "unix:///d.sock"
          - job_name: docker
            docker_sd_configs:
              - host: "unix:///d.sock"
    "#]],
    );
}

#[test]
fn a_classic_master_gives_its_nodes() {
    check(
        r#"{"SystemStatus": [["Role", "primary"], ["Strategy", "spread"], ["Nodes", "0"]]}"#,
        &expect![[r#"
            a master of classic Swarm
            scrape_configs:
              - job_name: swarm
                swarm_sd_configs:
                  - masters:
                      - "unix:///d.sock"
        "#]],
    );
    check(
        r#"{"DriverStatus": [["\bNodes", "1"], ["a", "b"], [" └ Containers", "1"]]}"#,
        &expect![[r#"
            a master of classic Swarm
            scrape_configs:
              - job_name: swarm
                swarm_sd_configs:
                  - masters:
                      - "unix:///d.sock"
        "#]],
    );
}

#[test]
fn others_get_an_error_that_says_what_to_do() {
    let state = |swarm: &str| format!(r#"{{"Swarm": {swarm}}}"#);
    check(
        &state(
            r#"{"LocalNodeState": "active", "RemoteManagers": [{"NodeID": "x", "Addr": "10.0.0.1:2377"}, {"Addr": "[fd00::1]:2377"}]}"#,
        ),
        &expect![
            "this engine is a worker of a Swarm, and only managers know what runs: start this on a manager (10.0.0.1, fd00::1), or set DOCKER_HOST to one"
        ],
    );
    check(
        &state(r#"{"LocalNodeState": "active", "RemoteManagers": null}"#),
        &expect![
            "this engine is a worker of a Swarm, and only managers know what runs: start this on a manager (none is known), or set DOCKER_HOST to one"
        ],
    );
    check(
        &state(r#"{"LocalNodeState": "locked"}"#),
        &expect![
            "this engine is a manager of a locked Swarm: run `docker swarm unlock` on it first"
        ],
    );
    check(
        &state(r#"{"LocalNodeState": "pending"}"#),
        &expect!["this engine is still joining its Swarm: start again once it is in"],
    );
    check(
        &state(r#"{"LocalNodeState": "error", "Error": "certificate expired"}"#),
        &expect!["the Swarm of this engine is in state error: certificate expired"],
    );
}

#[test]
fn another_server_is_not_an_engine() {
    let error = classify(&Info::default()).expect_err("nothing speaks for an engine");
    expect!["the answer to GET /info is not that of a Docker Engine; set DOCKER_HOST to one"]
        .assert_eq(&error);
}

#[test]
fn certificates_go_into_the_configuration() {
    let engine =
        Engine { url: String::from("https://m:2376"), certificates: Some("/a \"b\"".into()) };
    expect![[r#"
        scrape_configs:
          - job_name: swarm
            swarmscout_sd_configs:
              - host: "https://m:2376"
                tls_config:
                  ca_file: "/a \"b\"/ca.pem"
                  cert_file: "/a \"b\"/cert.pem"
                  key_file: "/a \"b\"/key.pem"
          - job_name: swarm-nodes
            dockerswarm_sd_configs:
              - host: "https://m:2376"
                role: nodes
                port: 9323
                tls_config:
                  ca_file: "/a \"b\"/ca.pem"
                  cert_file: "/a \"b\"/cert.pem"
                  key_file: "/a \"b\"/key.pem"
          - job_name: swarm-tasks
            dockerswarm_sd_configs:
              - host: "https://m:2376"
                role: tasks
                filters:
                  - name: desired-state
                    values: [running]
                tls_config:
                  ca_file: "/a \"b\"/ca.pem"
                  cert_file: "/a \"b\"/cert.pem"
                  key_file: "/a \"b\"/key.pem"
            relabel_configs:
              - source_labels: [__meta_dockerswarm_task_state]
                regex: running
                action: keep
    "#]]
    .assert_eq(&engine.yaml(MANAGER.named));
    assert!(engine.http_config().tls.key.is_some());
}
