//! Whom a node part and a server let in with the certificates of `tls init`.

use std::net::SocketAddr;

use expect_test::expect;
use swarmscout_net::{Client, ClientOptions, ENOUGH, Request};

use super::harness::{DEADLINE, Folder, Program};

/// Asks for each path with the certificate in one of the files of `tls init`, and with this name of the
/// server, if it is not the one in the URL.
fn ask(
    folder: &Folder,
    file: &str,
    name: Option<&str>,
    address: SocketAddr,
    paths: &[&str],
) -> String {
    let file = folder.path().join("tls").join(file);
    let mut http = swarmscout_config::load_http_config(&file).expect("tls init writes it");
    http.tls.server_name = name.map(str::to_owned);
    let client = Client::new(&http, ClientOptions::new("test", DEADLINE)).expect("it is good");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("threads can be started").block_on(async {
        let mut said = String::new();
        for path in paths {
            let url = format!("https://{address}{path}");
            let request = Request::new(&url).expect("it is a URL").timeout(DEADLINE);
            let mut answer = client.get(request).await.expect("it answers");
            let chunk = answer.body.chunk().await.expect("it sends a body").unwrap_or_default();
            let begin = String::from_utf8_lossy(&chunk[..chunk.len().min(ENOUGH)]);
            let line = match answer.status.as_u16() {
                403 => format!("{path}: 403 {begin}"),
                status => format!("{path}: {status}\n"),
            };
            said.push_str(&line);
        }
        said
    })
}

/// A node has the key of `node.pem`. With it, an attacker on the node reads nothing of other nodes, and
/// nothing of a manager but the tasks of this node.
#[test]
fn the_certificate_of_nodes_opens_no_door_but_that_to_tasks() {
    let folder = Folder::new();
    let made = folder.run(&["tls", "init", "--hosts=localhost"]);
    assert!(made.status.success(), "{made:?}");
    let listen = "--web.listen-address=127.0.0.1:0";
    let mut command = folder.command();
    command.args(["node", listen, "--docker.host=", "--web.config.file=tls/node-web.yml"]);
    let mut node = Program::spawn(&mut command);
    let address = node.address();
    let name = Some("swarmscout-node");
    let paths = ["/metrics", "/metrics/own", "/reach/t1/http/80/metrics", "/", "/x"];
    expect![[r#"
        /metrics: 403 forbidden: the client certificate "swarmscout-node" does not have the right "metrics"
        /metrics/own: 403 forbidden: the client certificate "swarmscout-node" does not have the right "metrics"
        /reach/t1/http/80/metrics: 403 forbidden: the client certificate "swarmscout-node" does not have the right "metrics"
        /: 403 forbidden: the client certificate "swarmscout-node" does not have the right "read"
        /x: 403 forbidden: the client certificate "swarmscout-node" does not have the right "read"
    "#]]
    .assert_eq(&ask(&folder, "node-http.yml", name, address, &paths));
    // Without --manager there is nothing to reach.
    let paths = ["/metrics/own", "/reach/t1/http/80/metrics", "/", "/x"];
    expect![[r#"
        /metrics/own: 200
        /reach/t1/http/80/metrics: 404
        /: 403 forbidden: the client certificate "swarmscout-client" does not have the right "read"
        /x: 403 forbidden: the client certificate "swarmscout-client" does not have the right "read"
    "#]]
    .assert_eq(&ask(&folder, "http.yml", name, address, &paths));

    folder.write("prometheus.yml", "scrape_configs: [{job_name: a}]\n");
    let mut server = folder.start(&["--web.config.file=tls/web.yml"]);
    let address = server.address();
    let paths =
        ["/sd/a", "/metrics", "/metrics/swarm", "/", "/api/v1/targets", "/api/v1/nodes/n1/tasks"];
    expect![[r#"
        /sd/a: 403 forbidden: the client certificate "swarmscout-node" does not have the right "lists"
        /metrics: 403 forbidden: the client certificate "swarmscout-node" does not have the right "metrics"
        /metrics/swarm: 403 forbidden: the client certificate "swarmscout-node" does not have the right "metrics"
        /: 403 forbidden: the client certificate "swarmscout-node" does not have the right "read"
        /api/v1/targets: 403 forbidden: the client certificate "swarmscout-node" does not have the right "read"
        /api/v1/nodes/n1/tasks: 503
    "#]].assert_eq(&ask(&folder, "node-http.yml", None, address, &paths));
    expect![[r#"
        /sd/a: 200
        /metrics: 200
        /metrics/swarm: 200
        /: 200
        /api/v1/targets: 200
        /api/v1/nodes/n1/tasks: 503
    "#]]
    .assert_eq(&ask(&folder, "http.yml", None, address, &paths));
}

#[test]
fn status_of_a_node_part_says_what_it_is() {
    let folder = Folder::new();
    let mut command = folder.command();
    command.args(["node", "--web.listen-address=127.0.0.1:0", "--docker.host="]);
    let mut node = Program::spawn(&mut command);
    let url = format!("--url=http://{}", node.address());
    for args in [&["status"][..], &["doctor"], &["explain", "service/web"]] {
        let output = folder.run(&[args, &[&url]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("this is the node part (swarmscout node)"), "{args:?}: {said}");
    }
}
