//! The keys of a Swarm whose services say how they are scraped.

use std::path::PathBuf;

use swarmscout_config_decoder::{Address, Cx, FilePath, HttpKeys, refresh_interval, section};
use swarmscout_docker::EngineConfig;
use swarmscout_model::PromDuration;
use swarmscout_model::quote::Quoted;

use super::config::{Reach, Scraper, SwarmscoutConfig, SwarmscoutOptions, UnreachableTargets};
use super::engines::PlainEngineConfig;
use super::presets::Preset;
use super::settings::dialects::{DIALECTS, Dialect};
use super::settings::keys::is_name;
use crate::SdConfig;
use crate::source::SourceKeys;
use crate::source::keys::{check_events, check_hosts, engine};

section! {
    /// A Swarm whose services say in their [labels](labels.md) how they are scraped. Each key has a
    /// default: `[{}]` is a whole list.
    pub SwarmscoutSdKeys: "swarmscout.SDConfig", "swarmscout_sd_config" {
        /// How `http://` and `https://` hosts are spoken to.
        inline http: HttpKeys = HttpKeys::default();
        /// A manager: `unix://`, `tcp://`, `http://` or `https://`. At most one of `host` and `hosts`.
        key host: Address = Address::default(), ours;
        /// Several managers of one Swarm: asked in turn until one answers.
        key hosts: Vec<Address> = Vec::new(), shown("[unix:///var/run/docker.sock]") ours;
        /// Instead of managers: plain engines, all of them.
        key engines: Vec<EngineKeys> = Vec::new(), ours;
        /// How often the manager is asked.
        key refresh_interval: PromDuration = PromDuration::from_secs(60), ours;
        /// How changes are learned: `auto`, the best that there is, or only `watch` (SwarmKit's control socket), `events` (the Engine's) or `poll`.
        key events: String = "auto".into(), ours;
        /// SwarmKit's control socket, where it is not `docker/swarm/control.sock` beside a `unix://` host.
        key swarmkit_socket: FilePath = FilePath::default(), ours;
        /// What our labels begin with.
        key label_prefix: String = "prometheus.io/".into(), ours;
        /// Labels of other programs that count, the first of them first.
        key dialects: Vec<String> = DIALECTS.iter().map(|dialect| dialect.name.to_owned()).collect(), always ours shown("[containersolutions, llacroix, docker-flow-monitor, blog-dots, blog-dashes, blog-underscores]");
        /// Only services of these stacks. Empty: all.
        key stacks: Vec<String> = Vec::new(), ours;
        /// Only these services, by their whole names. Empty: all.
        key services: Vec<String> = Vec::new(), ours;
        /// Networks that the scraper is in, by name or ID. At most one of `networks` and `scraper`; without both, those of the container that this program runs in.
        key networks: Vec<String> = Vec::new(), ours;
        /// The service of the scraper: the scraper is in the networks of its tasks.
        key scraper: String = String::new(), ours;
        /// What to do with targets that the scraper does not reach: `keep` or `drop`.
        key unreachable: String = "keep".into(), ours;
        /// Who fetches from tasks: `direct`, the scraper itself, or `node`, [the node part](labels.md#by-the-node-part) on the task's node, for the scraper.
        key reach: String = "direct".into(), ours;
        /// What is scraped without labels.
        key presets: Vec<String> = Preset::ALL.map(|preset| preset.as_str().to_owned()).into(), always ours shown("[dockerd, cadvisor, node-exporter, swarmscout-node, swarmscout, swarm-state]");
        /// Only endpoints of this class. Empty: all without a class; the others have lists of their own.
        key class: String = String::new(), ours;
    }
}

section! {
    /// An engine without swarm mode, for example with Compose: the labels are those of its containers.
    pub EngineKeys: "swarmscout.Engine", "engine" {
        /// `unix://`, `tcp://`, `http://` or `https://`, required.
        key host: Address = Address::default(), ours;
        /// The label `node` of its targets. Empty: the host name of the engine.
        key node: String = String::new(), ours;
    }
}

impl SourceKeys for SwarmscoutSdKeys {
    fn check_each(&mut self, relabels: bool, cx: &mut Cx<'_>) -> Vec<SdConfig> {
        if self.engines.is_empty() {
            return vec![self.check(relabels, cx)];
        }
        let http = self.http.client(cx);
        let at = &self.at;
        for key in ["host", "hosts", "swarmkit_socket"] {
            if at.has(key) {
                let text = format!("at most one of {key} & engines must be configured");
                cx.error(at.key(key), text);
            }
        }
        let options = self.options(cx);
        let mut sources = Vec::new();
        cx.within("engines", |cx| {
            for (i, keys) in self.engines.iter().enumerate() {
                let hosts = std::slice::from_ref(&keys.host);
                cx.item(i, |cx| {
                    cx.within("host", |cx| check_hosts(hosts, "host", &self.http, &http, cx));
                });
                sources.push((hosts, keys.node.as_str()));
            }
        });
        refresh_interval(self.refresh_interval, at, cx);
        let source = |(hosts, node): (&[Address], &str)| {
            SdConfig::PlainEngine(PlainEngineConfig {
                engine: EngineConfig {
                    hosts: hosts.iter().map(|host| host.0.clone()).collect(),
                    port: 0,
                    filters: Vec::new(),
                    refresh_interval: self.refresh_interval,
                    http: http.clone(),
                },
                node: (!node.is_empty()).then(|| node.into()),
                options: options.clone(),
            })
        };
        sources.into_iter().map(source).collect()
    }

    fn check(&mut self, _: bool, cx: &mut Cx<'_>) -> SdConfig {
        let http = self.http.client(cx);
        let at = &self.at;
        let local = [Address("unix:///var/run/docker.sock".to_owned())];
        let (key, addresses) = match (self.host.0.is_empty(), &self.hosts[..]) {
            (true, []) => ("hosts", &local[..]),
            (false, []) => ("host", std::slice::from_ref(&self.host)),
            (is_alone, hosts) => {
                if !is_alone {
                    let text = "at most one of host & hosts must be configured";
                    cx.error(at.key("hosts"), text);
                }
                ("hosts", hosts)
            }
        };
        cx.within(key, |cx| check_hosts(addresses, key, &self.http, &http, cx));
        let events = check_events(&self.events, at, cx);
        // Neither port nor filters are keys here.
        let engine = engine(0, &[], self.refresh_interval, addresses, at, http, cx);
        let options = self.options(cx);
        let socket = &self.swarmkit_socket.0;
        let swarmkit_socket = (!socket.is_empty()).then(|| PathBuf::from(socket));
        SdConfig::Swarmscout(SwarmscoutConfig { engine, events, swarmkit_socket, options })
    }
}

impl SwarmscoutSdKeys {
    /// Which targets are made of what runs.
    fn options(&self, cx: &mut Cx<'_>) -> SwarmscoutOptions {
        let at = &self.at;
        if self.label_prefix.is_empty() {
            cx.error(at.key("label_prefix"), "label_prefix must not be empty");
        }
        let name = |name: &str| match name {
            "" => Err("empty name".to_owned()),
            name => Ok(name.to_owned()),
        };
        let scraper = match (&self.networks[..], &*self.scraper) {
            ([], "") => Scraper::Here,
            ([], service) => Scraper::Service(service.into()),
            (networks, service) => {
                if !service.is_empty() {
                    let text = "at most one of networks & scraper must be configured";
                    cx.error(at.key("scraper"), text);
                }
                let networks = each("networks", networks, cx, name).into_iter();
                Scraper::Networks(networks.map(Into::into).collect())
            }
        };
        let unreachable = match &*self.unreachable {
            "keep" => UnreachableTargets::Keep,
            "drop" => UnreachableTargets::Drop,
            other => {
                let text = format!("invalid unreachable {other}, expected keep or drop");
                cx.error(at.key("unreachable"), text);
                UnreachableTargets::default()
            }
        };
        let reach = match &*self.reach {
            "direct" => Reach::Direct,
            "node" => Reach::Node,
            other => {
                let text = format!("invalid reach {other}, expected direct or node");
                cx.error(at.key("reach"), text);
                Reach::default()
            }
        };
        if !self.class.is_empty() && !is_name(&self.class) {
            let expected = "expected lower case letters, digits, _ and -";
            cx.error(at.key("class"), format!("invalid class {}, {expected}", Quoted(&self.class)));
        }
        SwarmscoutOptions {
            label_prefix: self.label_prefix.clone(),
            dialects: each("dialects", &self.dialects, cx, |name| {
                let known = DIALECTS.iter().map(|dialect| dialect.name);
                let dialect = Dialect::named(name).map(|dialect| dialect.name.to_owned());
                dialect.ok_or_else(|| unknown("dialect", name, known))
            }),
            stacks: each("stacks", &self.stacks, cx, name),
            services: each("services", &self.services, cx, name),
            scraper,
            unreachable,
            reach,
            presets: each("presets", &self.presets, cx, |name| {
                let known = Preset::ALL.into_iter().map(Preset::as_str);
                Preset::parse(name).ok_or_else(|| unknown("preset", name, known))
            }),
            class: self.class.clone(),
        }
    }
}

/// Reads each of some names below `key`. One that is not valid is an error, and left out.
fn each<T>(
    key: &str,
    names: &[String],
    cx: &mut Cx<'_>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut all = Vec::with_capacity(names.len());
    cx.within(key, |cx| {
        for (i, name) in names.iter().enumerate() {
            cx.item(i, |cx| match read(name) {
                Ok(name) => all.push(name),
                Err(text) => cx.error_here(text),
            });
        }
    });
    all
}

fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    format!("unknown {kind} {}, expected one of: {}", Quoted(name), known.join(", "))
}
