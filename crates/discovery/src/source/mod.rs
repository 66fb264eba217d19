//! The sources of the configuration file.
//!
//! The folder of a source has its keys in the configuration file, its configuration, its client, its
//! labels and its recorded answers. [`for_each_source!`](crate::for_each_source) lists them all. The
//! list makes [`SdConfig`] here, the keys of a job in the crate of the configuration file, and the
//! columns of the fault table. A new source needs its folder and its line there.

pub mod classic;
pub mod custom;
mod decoding;
mod disk;
pub mod dns;
pub mod docker;
pub mod dockerswarm;
#[cfg(test)]
pub(crate) mod faults;
pub mod file;
pub mod http;
mod keys;
mod listing;
mod lossy;
mod moby;
pub mod nodelist;
mod partition;
pub(crate) mod replica;
pub mod static_configs;
pub mod swarmscout;

use std::fmt;

use ::http::StatusCode;
use swarmscout_config_decoder::{Cx, Section};
use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;
use swarmscout_net::{HttpConfig, Secrets};
use swarmscout_refresh::RefreshContext;
use swarmscout_refresh::supervisor::Pace;

use crate::config::BuildContext;
use crate::storage::Identity;
use crate::{BoxDiscoverer, Error};

/// Calls the macro `$then` with the list of all sources, in the order of the documentation:
///
/// ```text
/// /// What the key is for, for users.
/// key: Variant(folder::Configuration), keys folder::Keys, faults [Columns], mark;
/// ```
///
/// - `key` holds a list in a job of the configuration file;
/// - each of its items makes one of the variants of [`SdConfig`](crate::SdConfig), whose
///   configuration is in the source's folder;
/// - `Keys` is the section of an item ([`SourceKeys`]);
/// - `Columns` are those of the fault table in `docs/robustness.md`; each needs its server in the
///   test that makes it;
/// - the mark `ours` means that Prometheus has no such key.
#[macro_export]
macro_rules! for_each_source {
    ($then:ident) => {
        $then! {
            /// Targets written in the file.
            static_configs: Static(static_configs::StaticConfig),
                keys static_configs::StaticKeys, faults [];
            /// Targets in JSON or YAML files.
            file_sd_configs: File(file::FileConfig), keys file::FileSdKeys, faults [File];
            /// Targets as a web server lists them.
            http_sd_configs: Http(http::HttpSdConfig), keys http::HttpSdKeys, faults [Http];
            /// A classic Swarm: its masters and nodes.
            swarm_sd_configs: Classic(classic::ClassicConfig) | NodeList(nodelist::NodeListConfig),
                keys classic::SwarmSdKeys,
                faults [Masters, ListFile, Etcd2, Etcd3, Consul, Token, ZooKeeper], ours;
            /// A Swarm of swarm mode: its services, tasks or nodes.
            dockerswarm_sd_configs: DockerSwarm(dockerswarm::DockerSwarmConfig),
                keys dockerswarm::DockerSwarmSdKeys, faults [Nodes, Services, Tasks, OtherLists];
            /// A Swarm whose services say in their labels how they are scraped.
            swarmscout_sd_configs: Swarmscout(swarmscout::SwarmscoutConfig)
                | PlainEngine(swarmscout::PlainEngineConfig),
                keys swarmscout::SwarmscoutSdKeys, faults [Labels, Engines], ours;
            /// Containers of one Docker engine.
            docker_sd_configs: Docker(docker::DockerConfig),
                keys docker::DockerSdKeys, faults [Docker];
            /// The records of DNS names.
            dns_sd_configs: Dns(dns::DnsConfig), keys dns::DnsSdKeys, faults [Dns];
        }
    };
}

/// What the configuration file says of one source: a section of keys in the source's folder.
pub trait SourceKeys: Section {
    /// Checks it by the rules that hold between its keys. Without rules of its job (`relabels`) no
    /// rule would turn static targets that are URLs into hosts: they are refused.
    fn check(&mut self, relabels: bool, cx: &mut Cx<'_>) -> SdConfig;

    /// The same for a section that may make several sources.
    fn check_each(&mut self, relabels: bool, cx: &mut Cx<'_>) -> Vec<SdConfig> {
        vec![self.check(relabels, cx)]
    }
}

/// The configuration of a source. It is in the source's folder. Its `Debug` shows no secret.
pub trait SourceConfig: fmt::Debug {
    /// Prometheus' name of the mechanism: `dockerswarm`, `file`; classic Swarm's is `swarm`.
    fn mechanism(&self) -> &'static str;

    /// The display name of what it queries, without secrets: `unix:///var/run/docker.sock role
    /// tasks`.
    fn describe(&self) -> String;

    /// How often to refresh without a notification. `None` if one refresh is enough.
    fn refresh_interval(&self) -> Option<PromDuration>;

    /// The Docker Engine that it queries, if it queries one. Then what follows is that of the Engine.
    fn engine(&self) -> Option<&EngineConfig> {
        None
    }

    /// Whether it reads from this machine: from a file, or with a unix socket among its hosts.
    fn is_local(&self) -> bool {
        self.engine().is_some_and(EngineConfig::is_local)
    }

    /// How many servers one refresh may try, one after the other.
    fn hosts(&self) -> usize {
        self.urls().len().max(1)
    }

    /// The settings for its HTTP servers, if it has any.
    fn http(&self) -> Option<&HttpConfig> {
        self.engine().map(|engine| &engine.http)
    }

    /// Hides the credentials that stand in it.
    fn keep_secrets(&self, secrets: &Secrets) {
        if let Some(http) = self.http() {
            http.keep_secrets(secrets);
        }
        self.urls().iter().for_each(|url| secrets.keep_url(url));
    }

    /// URLs as written, which may hold a user and a password.
    fn urls(&self) -> &[String] {
        self.engine().map_or(&[], |engine| &engine.hosts)
    }

    /// Identifies the source across a restart. `None` if its targets are in the configuration file
    /// itself, and are not stored.
    fn identity(&self) -> Option<Identity>;

    /// Makes its discoverer, which sends no request yet. Fails if addresses or the files that it
    /// needs at once (certificates) cannot be used.
    fn build(&self, context: &BuildContext) -> Result<BoxDiscoverer, Error>;

    /// When to refresh it, and how long each refresh may take.
    fn pace(&self, context: &RefreshContext) -> Pace {
        match self.refresh_interval() {
            Some(interval) => Pace::asking(self.hosts(), self.is_local(), interval, context),
            None => Pace::once(self.is_local()),
        }
    }
}

macro_rules! sd_config {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($folder:ident::$config:ident))|+,
            keys $keys_folder:ident::$keys:ident, faults [$($fault:ident),*] $(, $mark:ident)?;
    )+) => {
        /// A source of targets, as the configuration file names it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum SdConfig {
            $($(
                #[doc = concat!("One of `", stringify!($key), "`.")]
                $variant($folder::$config),
            )+)+
            /// A discoverer of the program that uses this crate. No configuration file names it.
            Custom(custom::CustomConfig),
        }

        impl SdConfig {
            /// The configuration in the folder of its source.
            pub fn source(&self) -> &dyn SourceConfig {
                match self {
                    $($(Self::$variant(config) => config,)+)+
                    Self::Custom(config) => config,
                }
            }
        }
    };
}

for_each_source!(sd_config);

macro_rules! all_configs {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $($variant:ident($folder:ident::$config:ident))|+,
            keys $keys_folder:ident::$keys:ident, faults [$($fault:ident),*] $(, $mark:ident)?;
    )+) => {
        /// The configurations of all sources.
        pub mod configs {
            $($(pub use super::$folder::$config;)+)+
        }
    };
}

for_each_source!(all_configs);

/// Whether a host is a unix socket.
fn is_socket(host: &str) -> bool {
    host.starts_with("unix://")
}

/// How much of the body of an error is shown, in characters.
const SHOWN_OF_REFUSAL: usize = 200;

/// The error for an answer whose status is not a success.
fn refused(url: String, status: StatusCode, body: &[u8], secrets: &Secrets) -> Error {
    let text = secrets.clean_bytes(body);
    let message = text.trim().chars().take(SHOWN_OF_REFUSAL).collect();
    Error::Status { url, status, message }
}
