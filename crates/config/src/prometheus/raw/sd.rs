//! Where targets come from.

use swarmscout_discovery::for_each_source;
use swarmscout_model::PromDuration;

use super::HttpClient;
use crate::engine::{Any, section};
use crate::prometheus::values::{Address, Discovery, FilePath, LabelSet};

macro_rules! sd_configs {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($config:ident))|+, section $section:ident $(, $mark:ident)?;
    )+) => {
        section! {
            /// The sources of a job. Each key holds a list; a job may have several, of several kinds.
            SdConfigs: "config.ScrapeConfig", "sd_configs" {
                $($(#[doc = $doc])+ key $key: Vec<Option<$section>> = Vec::new() $(, $mark)?;)+
                /// All others.
                inline foreign: ForeignSd = ForeignSd::default();
            }
        }
    };
}

for_each_source!(sd_configs);

section! {
    /// Prometheus' other sources. This program does not have them: a job that uses one is refused
    /// by name. Let a Prometheus discover them, or hand their targets over through
    /// `http_sd_configs` or `file_sd_configs`.
    ForeignSd: "config.ScrapeConfig", "other_sd_configs" {
        /// Amazon Web Services.
        key aws_sd_configs: Any = Any::default(), refused;
        /// Microsoft Azure.
        key azure_sd_configs: Any = Any::default(), refused;
        /// Consul.
        key consul_sd_configs: Any = Any::default(), refused;
        /// DigitalOcean.
        key digitalocean_sd_configs: Any = Any::default(), refused;
        /// Amazon EC2.
        key ec2_sd_configs: Any = Any::default(), refused;
        /// Amazon ECS.
        key ecs_sd_configs: Any = Any::default(), refused;
        /// Amazon ElastiCache.
        key elasticache_sd_configs: Any = Any::default(), refused;
        /// Eureka.
        key eureka_sd_configs: Any = Any::default(), refused;
        /// Google Compute Engine.
        key gce_sd_configs: Any = Any::default(), refused;
        /// Hetzner.
        key hetzner_sd_configs: Any = Any::default(), refused;
        /// IONOS.
        key ionos_sd_configs: Any = Any::default(), refused;
        /// Kubernetes.
        key kubernetes_sd_configs: Any = Any::default(), refused;
        /// Kuma.
        key kuma_sd_configs: Any = Any::default(), refused;
        /// Amazon Lightsail.
        key lightsail_sd_configs: Any = Any::default(), refused;
        /// Linode.
        key linode_sd_configs: Any = Any::default(), refused;
        /// Marathon.
        key marathon_sd_configs: Any = Any::default(), refused;
        /// Amazon MSK.
        key msk_sd_configs: Any = Any::default(), refused;
        /// Nerve.
        key nerve_sd_configs: Any = Any::default(), refused;
        /// Nomad.
        key nomad_sd_configs: Any = Any::default(), refused;
        /// Oracle Cloud.
        key oci_sd_configs: Any = Any::default(), refused;
        /// OpenStack.
        key openstack_sd_configs: Any = Any::default(), refused;
        /// Outscale.
        key outscale_sd_configs: Any = Any::default(), refused;
        /// OVHcloud.
        key ovhcloud_sd_configs: Any = Any::default(), refused;
        /// PuppetDB.
        key puppetdb_sd_configs: Any = Any::default(), refused;
        /// Amazon RDS.
        key rds_sd_configs: Any = Any::default(), refused;
        /// Scaleway.
        key scaleway_sd_configs: Any = Any::default(), refused;
        /// ZooKeeper serversets.
        key serverset_sd_configs: Any = Any::default(), refused;
        /// STACKIT.
        key stackit_sd_configs: Any = Any::default(), refused;
        /// Triton.
        key triton_sd_configs: Any = Any::default(), refused;
        /// Uyuni.
        key uyuni_sd_configs: Any = Any::default(), refused;
        /// Vultr.
        key vultr_sd_configs: Any = Any::default(), refused;
    }
}

section! {
    /// A group of targets that share labels.
    StaticGroup: "targetgroup.Group", "static_config" {
        /// `host:port` each.
        key targets: Vec<String> = Vec::new(), always;
        /// Labels of all of them.
        key labels: LabelSet = LabelSet::default();
    }
}

section! {
    /// Targets in files, read when they change and every `refresh_interval`.
    FileSd: "file.SDConfig", "file_sd_config" {
        /// Paths that end in `.json`, `.yml` or `.yaml`; the last part may hold one `*`. Required.
        key files: Vec<FilePath> = Vec::new();
        /// How often they are read without a notification of a change.
        key refresh_interval: PromDuration = PromDuration::from_secs(300);
    }
}

section! {
    /// Targets as a web server lists them (Prometheus' HTTP SD).
    HttpSd: "http.SDConfig", "http_sd_config" {
        /// How the server is spoken to.
        inline http: HttpClient = HttpClient::default();
        /// How often it is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60);
        /// `http://` or `https://`, required.
        key url: Address = Address::default(), always;
    }
}

section! {
    /// A classic Swarm: from its masters, as the Swarm plugin of 2016 reads it, or from its own list of nodes.
    SwarmSd: "config.SwarmSDConfig", "swarm_sd_config" {
        /// URLs of the masters: `http://`, `https://`, `tcp://` or `unix://`. Exactly one of `masters` and `discovery`.
        key masters: Vec<Address> = Vec::new(), ours;
        /// How often they are asked. With `discovery` the default is `1m`.
        key refresh_interval: PromDuration = PromDuration::from_secs(1), ours;
        /// Port of the metrics on every master and node, as a string or a number.
        key metrics_port: String = "8070".into(), ours;
        /// Where Swarm itself has its nodes from, as it was given to `swarm manage`: `etcd://`, `consul://`, `zk://`, `file://`, `token://`, `nodes://` or a list of `host:port` ([more](#lists-of-nodes-discovery)).
        key discovery: Discovery = Discovery::default(), ours;
        /// Version of the etcd API, `v2` or `v3`.
        key etcd_api: String = String::new(), shown("v2") ours;
        /// URL of the service that knows the token of `token://`.
        key token_url: Address = Address::default(), ours;
        /// How they are spoken to.
        inline http: HttpClient = HttpClient::default();
    }
    unknown |key| Some(format!(
        "unknown fields in swarm_sd_config: {}",
        crate::engine::not_found::<SwarmSd>(key)
    ));
}

section! {
    /// A filter of the Engine's lists.
    Filter: "moby.Filter", "filter" {
        /// Its name, as the Engine API has it: `label`, `desired-state`.
        key name: String = String::new(), always;
        /// Any of these.
        key values: Vec<String> = Vec::new(), always;
    }
}

section! {
    /// A Swarm of swarm mode.
    DockerSwarmSd: "moby.DockerSwarmSDConfig", "dockerswarm_sd_config" {
        /// How `http://` and `https://` hosts are spoken to.
        inline http: HttpClient = HttpClient::default();
        /// A manager: `unix://`, `tcp://`, `http://` or `https://`. Exactly one of `host` and `hosts`.
        key host: Address = Address::default();
        /// Several managers of one Swarm: asked in turn until one answers.
        key hosts: Vec<Address> = Vec::new(), ours;
        /// `services`, `tasks` or `nodes`, required.
        key role: String = String::new(), always;
        /// Port of targets without a published one.
        key port: i64 = 80, always;
        /// Which objects of the role are wanted.
        key filters: Vec<Filter> = Vec::new(), always;
        /// How often the manager is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60);
        /// Targets on the first network by name only; `ingress` counts as the last.
        key match_first_network: bool = false, ours;
        /// Port of targets on overlay networks: `published`, as in Prometheus, or `target`, the one the container listens on.
        key overlay_port: String = "published".into(), ours;
        /// How changes are learned: `auto`, the best that there is, or only `watch` (SwarmKit's control socket), `events` (the Engine's) or `poll`.
        key events: String = "auto".into(), ours;
        /// SwarmKit's control socket, where it is not `docker/swarm/control.sock` beside a `unix://` host.
        key swarmkit_socket: FilePath = FilePath::default(), ours;
    }
}

section! {
    /// Containers of one Docker engine.
    DockerSd: "moby.DockerSDConfig", "docker_sd_config" {
        /// How an `http://` or `https://` host is spoken to.
        inline http: HttpClient = HttpClient::default();
        /// The engine, required: `unix://`, `tcp://`, `http://` or `https://`.
        key host: Address = Address::default();
        /// Port of targets without one.
        key port: i64 = 80, always;
        /// Which containers are wanted.
        key filters: Vec<Filter> = Vec::new(), always;
        /// Address of containers on the host's network.
        key host_networking_host: String = "localhost".into(), always;
        /// How often the engine is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60);
        /// Targets on the first network by name only.
        key match_first_network: bool = true, always;
    }
}

section! {
    /// The records of DNS names: `tasks.<service>` has the addresses of a service's tasks. The name
    /// servers are those of `/etc/resolv.conf`, read again at each refresh, as is `search` there.
    DnsSd: "dns.SDConfig", "dns_sd_config" {
        /// Names to look up, at least one.
        key names: Vec<String> = Vec::new();
        /// How often they are looked up, whatever time to live their records have.
        key refresh_interval: PromDuration = PromDuration::from_secs(30);
        /// Which records: `SRV`, `A`, `AAAA`, `MX` or `NS`; in any case.
        key r#type: String = "SRV".into();
        /// Port of the targets, required unless the type is SRV, whose records have their own.
        key port: i64 = 0, always;
    }
}
