//! What services are made from, and a Swarm of any size for benchmarks.

use super::Swarm;
use super::objects::{
    ContainerSpec, EndpointSpec, Json, Map, Mode, Mount, NetworkTarget, Placement, Port,
    ServiceSpec, TaskSpec,
};

/// The plugins of an engine 20.10.
pub(super) const PLUGINS: &str = r#"[{"Type":"Log","Name":"awslogs"},{"Type":"Log","Name":"fluentd"},{"Type":"Log","Name":"gcplogs"},{"Type":"Log","Name":"gelf"},{"Type":"Log","Name":"journald"},{"Type":"Log","Name":"json-file"},{"Type":"Log","Name":"local"},{"Type":"Log","Name":"logentries"},{"Type":"Log","Name":"splunk"},{"Type":"Log","Name":"syslog"},{"Type":"Network","Name":"bridge"},{"Type":"Network","Name":"host"},{"Type":"Network","Name":"ipvlan"},{"Type":"Network","Name":"macvlan"},{"Type":"Network","Name":"null"},{"Type":"Network","Name":"overlay"},{"Type":"Volume","Name":"local"}]"#;

/// The certificate authority of a Swarm that is gone.
pub(super) const TLS_INFO: &str = r#"{"TrustRoot":"-----BEGIN CERTIFICATE-----\nMIIBajCCARCgAwIBAgIUHeKSgVuxi1F/wXiJRaJ6SFe9lJowCgYIKoZIzj0EAwIw\nEzERMA8GA1UEAxMIc3dhcm0tY2EwHhcNMjYxMTIzMDAxNzAwWhcNNDYxMTE4MDAx\nNzAwWjATMREwDwYDVQQDEwhzd2FybS1jYTBZMBMGByqGSM49AgEGCCqGSM49AwEH\nA0IABF0yCUJg9WBBXxaViF3l39cMy2Q8tF4JkhbIG4oqa4IWg4MhuAssnf4o7jlq\nDz2RHLHXL9e/Ljy8392qDTjPwwOjQjBAMA4GA1UdDwEB/wQEAwIBBjAPBgNVHRMB\nAf8EBTADAQH/MB0GA1UdDgQWBBT7T1l33Eaw5Fu0/odD6msw3XOJMTAKBggqhkjO\nPQQDAgNIADBFAiEAjYztkw3zPtfn36VEbh72VTYlN40xMu6MUwTBsbRWffoCIGq9\nSJ7K/7JB0r6vnqqUKZm3DYnS83ZhtotNaOM7Lb9T\n-----END CERTIFICATE-----\n","CertIssuerSubject":"MBMxETAPBgNVBAMTCHN3YXJtLWNh","CertIssuerPublicKey":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXTIJQmD1YEFfFpWIXeXf1wzLZDy0XgmSFsgbiiprghaDgyG4Cyyd/ijuOWoPPZEcsdcv178uPLzf3aoNOM/DAw=="}"#;

impl ServiceSpec {
    /// One replica without networks and ports.
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: Map::new(),
            task_template: TaskSpec {
                container_spec: Some(ContainerSpec {
                    image: image.to_owned(),
                    labels: Map::new(),
                    args: Vec::new(),
                    hostname: String::new(),
                    env: Vec::new(),
                    init: false,
                    mounts: Vec::new(),
                    healthcheck: None,
                    dns_config: Map::new(),
                    secrets: Vec::new(),
                    configs: Vec::new(),
                    isolation: "default",
                }),
                resources: Json::new(r#"{"Limits":{},"Reservations":{}}"#),
                restart_policy: None,
                placement: Placement::default(),
                networks: Vec::new(),
                force_update: 0,
                runtime: Some("container"),
            },
            mode: Mode::Replicated { replicas: 1 },
            update_config: None,
            endpoint_spec: EndpointSpec { mode: "vip".to_owned(), ports: Vec::new() },
        }
    }

    /// Wants this many tasks.
    #[must_use]
    pub fn replicas(self, replicas: u64) -> Self {
        Self { mode: Mode::Replicated { replicas }, ..self }
    }

    /// Wants a task on every node.
    #[must_use]
    pub fn global(self) -> Self {
        Self { mode: Mode::Global {}, ..self }
    }

    /// Any other mode.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Attaches the tasks to the network of this ID.
    #[must_use]
    pub fn network(mut self, id: &str) -> Self {
        let network = NetworkTarget { target: id.to_owned(), aliases: Vec::new() };
        self.task_template.networks.push(network);
        self
    }

    /// Publishes a TCP port of the tasks in the ingress network; `published` 0: the Swarm picks.
    #[must_use]
    pub fn publish(self, target: u64, published: u64) -> Self {
        self.port(port("tcp", target, published, "ingress"))
    }

    /// Publishes a TCP port of the tasks on their nodes; `published` 0: the engine picks.
    #[must_use]
    pub fn publish_on_host(self, target: u64, published: u64) -> Self {
        self.port(port("tcp", target, published, "host"))
    }

    /// Publishes a UDP port of the tasks in the ingress network.
    #[must_use]
    pub fn publish_udp(self, target: u64, published: u64) -> Self {
        self.port(port("udp", target, published, "ingress"))
    }

    /// Publishes any port.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.endpoint_spec.ports.push(port);
        self
    }

    /// Reached by DNS alone: without virtual address.
    #[must_use]
    pub fn dnsrr(mut self) -> Self {
        "dnsrr".clone_into(&mut self.endpoint_spec.mode);
        self
    }

    /// Sets a label of the service.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a label of the containers.
    #[must_use]
    pub fn container_label(mut self, name: &str, value: &str) -> Self {
        self.container().labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Tasks run only where this is true: `node.role==worker`.
    #[must_use]
    pub fn constraint(mut self, constraint: &str) -> Self {
        self.task_template.placement.constraints.push(constraint.to_owned());
        self
    }

    /// Sets an environment variable: `NAME=value`.
    #[must_use]
    pub fn env(mut self, variable: String) -> Self {
        self.container().env.push(variable);
        self
    }

    /// Mounts a volume.
    #[must_use]
    pub fn volume(mut self, source: &str, target: &str) -> Self {
        let (source, target) = (source.to_owned(), target.to_owned());
        self.container().mounts.push(Mount { r#type: "volume", source, target });
        self
    }

    /// Gives the containers a config of this ID and name.
    #[must_use]
    pub fn config(mut self, id: &str, name: &str) -> Self {
        let file = format!(r#"{{"Name":"/{name}","UID":"0","GID":"0","Mode":292}}"#);
        let config = format!(r#"{{"File":{file},"ConfigID":"{id}","ConfigName":"{name}"}}"#);
        self.container().configs.push(Json::new(config));
        self
    }

    /// Gives the containers a secret of this ID and name.
    #[must_use]
    pub fn secret(mut self, id: &str, name: &str) -> Self {
        let file = format!(r#"{{"Name":"{name}","UID":"0","GID":"0","Mode":292}}"#);
        let secret = format!(r#"{{"File":{file},"SecretID":"{id}","SecretName":"{name}"}}"#);
        self.container().secrets.push(Json::new(secret));
        self
    }

    /// Sets the image.
    pub fn set_image(&mut self, image: &str) {
        image.clone_into(&mut self.container().image);
    }

    fn container(&mut self) -> &mut ContainerSpec {
        let container = &mut self.task_template.container_spec;
        container.as_mut().expect("only a service without containers has no container")
    }
}

fn port(protocol: &'static str, target: u64, published: u64, mode: &'static str) -> Port {
    Port {
        name: String::new(),
        protocol,
        target_port: target,
        published_port: published,
        publish_mode: mode,
    }
}

/// Tasks of a service in a grown Swarm, at most.
pub(super) const TASKS: usize = 50;

pub(super) fn grow(
    swarm: &Swarm,
    nodes: usize,
    tasks: usize,
    most: usize,
    edit: impl Fn(usize, ServiceSpec) -> ServiceSpec,
) {
    let node = |i: usize, id: &str| {
        swarm.edit_node(id, |node| {
            let zone = format!("eu-central-1{}", ["a", "b", "c"][i % 3]);
            node.spec.labels.insert("zone".to_owned(), zone);
            node.description.engine.labels.insert("rack".to_owned(), format!("r{}", i % 40));
        });
    };
    for i in 0..nodes {
        // Managers as in real life: an odd number of them, and few.
        let manager = i == 0 || (nodes >= 10 && i < 3);
        let id = if manager {
            swarm.add_manager(&format!("manager-{}", i + 1))
        } else {
            swarm.add_worker(&format!("worker-{i}"))
        };
        node(i, &id);
    }
    let networks: Vec<_> = (0..tasks.div_ceil(2000).clamp(2, 100))
        .map(|i| swarm.create_network(&format!("net-{i}")))
        .collect();
    let mut left = tasks;
    for i in 0.. {
        if left == 0 {
            break;
        }
        let replicas = left.min(most);
        left -= replicas;
        let service = edit(i, realistic(i, &networks));
        swarm.create_service(service.replicas(replicas as u64));
    }
}

/// A service as people have them: labels of a stack and a proxy, environment, mounts, limits, two
/// networks, and for one in five a published port.
fn realistic(i: usize, networks: &[String]) -> ServiceSpec {
    let stack = format!("shop-{}", i / 5);
    let name = format!("{stack}_service-{i}");
    let host = format!("Host(`service-{i}.example.com`) && PathPrefix(`/api`)");
    let mut service = ServiceSpec::new(&name, "registry.example.com/shop/service:1.42.0")
        .label("com.docker.stack.namespace", &stack)
        .label("com.docker.stack.image", "registry.example.com/shop/service:1.42.0")
        .label("traefik.enable", "true")
        .label(&format!("traefik.http.routers.service-{i}.rule"), &host)
        .label("prometheus.port", "8080")
        .container_label("com.docker.stack.namespace", &stack)
        .container_label("logging", "promtail")
        .network(&networks[i % networks.len()])
        .network(&networks[(i + 1) % networks.len()])
        .volume(&format!("{stack}_data"), "/var/lib/service")
        .env(format!("SERVICE_NAME={name}"))
        .env(
            "DATABASE_URL=postgres://shop:********@db.example.com:5432/shop?sslmode=require".into(),
        )
        .env("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317".into())
        .env("LOG_LEVEL=info".into());
    if i.is_multiple_of(5) {
        service = service.publish(8080, 0);
    }
    service.task_template.resources = Json::new(
        r#"{"Limits":{"NanoCPUs":1000000000,"MemoryBytes":536870912},"Reservations":{"MemoryBytes":268435456}}"#,
    );
    let policy = r#"{"Condition":"any","Delay":5000000000,"MaxAttempts":0}"#;
    service.task_template.restart_policy = Some(Json::new(policy));
    service
}
