//! Where targets come from.

use swarmscout_config_decoder::{Any, section};
use swarmscout_discovery::{for_each_source, source};

macro_rules! sd_configs {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($folder:ident::$config:ident))|+,
            keys $keys_folder:ident::$keys:ident, faults [$($fault:ident),*] $(, $mark:ident)?;
    )+) => {
        section! {
            /// The sources of a job. Each key holds a list; a job may have several, of several kinds.
            pub(crate) SdConfigs: "config.ScrapeConfig", "sd_configs" {
                $($(#[doc = $doc])+ key $key: Vec<Option<source::$keys_folder::$keys>> = Vec::new() $(, $mark)?;)+
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
    pub(crate) ForeignSd: "config.ScrapeConfig", "other_sd_configs" {
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
