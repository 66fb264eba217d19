use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use expect_test::expect;
use swarmscout_discovery::JobConfig;
use swarmscout_discovery::manager::JobState;
use swarmscout_docker::engine::{Attachment, LabelMap, Lists, Port};
use swarmscout_model::PoolSpec;
use swarmscout_publish::testing::{group, set};
use swarmscout_swarm::Feed;

use super::*;
use crate::doctor::{Doctor, ObservedJob, Subject, SwarmState};

/// Answers connections with metrics, or wants credentials.
fn server(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            if connection.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\nup 1\n");
                connection.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    port
}

fn service(name: &str, image: &str, ports: &[u16], labels: &[(&str, &str)]) -> Arc<Service> {
    let port =
        |port: &u16| Port { protocol: "tcp".into(), target: u32::from(*port), ..Port::default() };
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Arc::new(Service {
        id: name.into(),
        name: name.into(),
        image: image.into(),
        mode: Mode::Replicated,
        ports: ports.iter().map(port).collect(),
        labels: Arc::new(LabelMap::new(labels.collect())),
        ..Service::default()
    })
}

/// A running task in an overlay network of this machine.
fn task(service: &Arc<Service>) -> Arc<Task> {
    let attachment = Attachment {
        network: "n".into(),
        name: "front".into(),
        driver: "overlay".into(),
        ingress: false,
        addresses: vec!["127.0.0.1".parse().unwrap()],
    };
    Arc::new(Task {
        id: format!("{}.1", service.id).into(),
        service: Arc::clone(&service.id),
        state: "running".into(),
        desired_state: "running".into(),
        attachments: vec![attachment],
        ..Task::default()
    })
}

#[tokio::test]
async fn metrics_of_silent_services_are_found_and_exporters_named() {
    let (first, second, guarded) = (server("200 OK"), server("200 OK"), server("401 Unauthorized"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let traefik = "traefik.http.services.api.loadbalancer.server.port";
    let text = second.to_string();
    let services = [
        service("shop_api", "shop/api:1", &[closed, first], &[(traefik, &text)]),
        service("shop_admin", "shop/admin:1", &[guarded], &[]),
        service("shop_db", "postgres:17", &[closed], &[]),
        service("shop_none", "shop/none:1", &[closed], &[]),
        // Somebody has thought about these.
        service("shop_off", "shop/off:1", &[first], &[("prometheus.io/scrape", "false")]),
        service("shop_web", "shop/web:1", &[first], &[]),
    ];
    let lists = Lists {
        tasks: services.iter().map(task).collect(),
        services: services.into(),
        ..Lists::default()
    };
    let web = group("0", "__meta_dockerswarm_service_name=shop_web", &["10.0.0.1:80"]);
    let job = ObservedJob {
        config: Arc::new(JobConfig::new("swarm", Vec::new())),
        state: JobState {
            set: Arc::new(set(&PoolSpec::new("swarm"), &[web])),
            status: Arc::default(),
        },
    };
    let swarm = SwarmState {
        feed: Arc::new(Feed::new("x".into())),
        snapshot: Some(Arc::new(Snapshot::from(&lists))),
        as_of: None,
        tasks: None,
    };
    let subject = Subject { jobs: vec![job], swarms: vec![swarm], ..Subject::default() };
    let Suggestions { services, suggestions } =
        Doctor::new("test").unwrap().suggest(&subject).await;
    assert_eq!(services, 4);
    let text = suggestions.iter().map(|one| {
        let Suggestion { service, found, stack_file, command, advice, .. } = one;
        format!("{service}: {}\n{stack_file}{command}\n{advice}\n", found.join(" "))
    });
    let text = text.collect::<String>();
    let ports = [(first, "FIRST"), (second, "SECOND"), (guarded, "GUARDED")];
    let text = ports.iter().fold(text, |text, (port, name)| text.replace(&port.to_string(), name));
    expect![[r#"
        shop_admin: http://127.0.0.1:GUARDED/metrics
        deploy:
          labels:
            prometheus.io/port: "GUARDED"
        docker service update --label-add 'prometheus.io/port=GUARDED' shop_admin
        it wants credentials: also write prometheus.io/class, for the job of your Prometheus that has them
        shop_api: http://127.0.0.1:FIRST/metrics http://127.0.0.1:SECOND/metrics
        deploy:
          labels:
            prometheus.io/port: "FIRST"
            prometheus.io/pSECOND.port: "SECOND"
        docker service update --label-add 'prometheus.io/port=FIRST' --label-add 'prometheus.io/pSECOND.port=SECOND' shop_api

        shop_db: 

        it has no metrics of its own: run quay.io/prometheuscommunity/postgres-exporter beside it, with prometheus.io/port: "9187"
    "#]].assert_eq(&text);
}

#[test]
fn paths_and_parameters_are_labels_too() {
    let found = |port, path: &str| Found {
        port,
        path: path.to_owned(),
        url: String::new(),
        is_shared: true,
        listener: Listener::Metrics,
    };
    let found = [found(8200, "/v1/sys/metrics?format=prometheus"), found(80, "/metrics")];
    let labels = labels("prometheus.io/", &found);
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    expect![[r#"
        prometheus.io/port=8200
        prometheus.io/path=/v1/sys/metrics
        prometheus.io/param.format=prometheus
        prometheus.io/p80.port=80"#]]
    .assert_eq(&labels.join("\n"));
}

#[test]
fn a_published_port_is_reached_at_the_node() {
    let port =
        |target, published| Port { protocol: "tcp".into(), target, published, ..Port::default() };
    let web = Service { ports: vec![port(80, 8080)], ..Service::default() };
    let node = Node { id: "n".into(), address: "10.9.0.1".into(), ..Node::default() };
    let lists = Lists { nodes: vec![Arc::new(node)], ..Lists::default() };
    let snapshot = Snapshot::from(&lists);
    let silent =
        Silent { snapshot: &snapshot, service: &web, prefix: "", row: None, ports: vec![80] };
    let apart = Task { node: "n".into(), ..(*task(&service("web", "", &[], &[]))).clone() };
    let show = |task: &Task, own: Option<&BTreeSet<Arc<str>>>| {
        let doors = doors_of(&silent, task, 80, own);
        let doors =
            doors.iter().map(|door| format!("{}:{} {}", door.host, door.port, door.is_shared));
        doors.collect::<Vec<_>>().join(", ")
    };
    let (other, same) = (BTreeSet::from(["m".into()]), BTreeSet::from(["n".into()]));
    expect!["10.9.0.1:8080 false"].assert_eq(&show(&apart, Some(&other)));
    expect!["127.0.0.1:80 true"].assert_eq(&show(&apart, Some(&same)));
    expect!["127.0.0.1:80 true, 10.9.0.1:8080 false"].assert_eq(&show(&apart, None));
    let host = Task { host_ports: vec![port(80, 9100)], ..apart };
    expect!["10.9.0.1:9100 true"].assert_eq(&show(&host, Some(&other)));
}
