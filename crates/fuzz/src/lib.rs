//! Everything that reads what others wrote, as functions of bytes that fail by panicking: the
//! bodies of the fuzz targets.
//!
//! `fuzz/` links each of them with libFuzzer, on nightly. They stand here so that a plain
//! `cargo test` replays the recorded answers, the corpus that fuzzing left and every finding
//! (`tests/replay.rs`), on stable and with nothing but Rust.
//!
//! A body does not only call a parser. It holds what comes out against something: the same bytes in
//! other pieces, another parser, the same written and read again, or what must be true of every
//! label set.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a body reports what is wrong")]

pub mod checks;
pub mod classic;
pub mod config;
pub mod engine;
pub mod labels;
pub mod listing;
pub mod names;
pub mod nodes;
pub mod reach;
pub mod relabel;
pub mod seeds;
pub mod storage;
pub mod stores;
pub mod transport;
pub mod values;
pub mod web_config;

/// One thing that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its file in `fuzz/fuzz_targets` and of its folders here.
    pub name: &'static str,
    /// Takes any bytes. Panics where something is wrong.
    pub run: fn(&[u8]),
    /// What it begins with: recorded answers, and what the tests know.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "classic_info", run: classic::info, seeds: seeds::classic_info },
    Target { name: "config", run: config::file, seeds: seeds::config },
    Target { name: "consul", run: stores::consul, seeds: seeds::consul },
    Target { name: "dns_answer", run: names::dns_answer, seeds: seeds::dns_answer },
    Target { name: "engine_containers", run: engine::containers, seeds: seeds::containers },
    Target { name: "engine_info", run: engine::info, seeds: seeds::engine_info },
    Target { name: "engine_networks", run: engine::networks, seeds: seeds::networks },
    Target { name: "engine_nodes", run: engine::nodes, seeds: seeds::nodes },
    Target { name: "engine_services", run: engine::services, seeds: seeds::services },
    Target { name: "engine_tasks", run: engine::tasks, seeds: seeds::tasks },
    Target { name: "etcd2", run: stores::etcd2, seeds: seeds::etcd2 },
    Target { name: "etcd3", run: stores::etcd3, seeds: seeds::etcd3 },
    Target { name: "events", run: engine::events, seeds: seeds::events },
    Target { name: "file_sd", run: listing::file_sd, seeds: seeds::file_sd },
    Target { name: "gzip", run: transport::gzip, seeds: seeds::gzip },
    Target { name: "http_sd", run: listing::http_sd, seeds: seeds::http_sd },
    Target { name: "json_reader", run: engine::json_reader, seeds: seeds::json_reader },
    Target { name: "labels", run: labels::labels, seeds: seeds::labels },
    Target { name: "node_list", run: names::node_list, seeds: seeds::node_list },
    Target { name: "node_tasks", run: nodes::node_tasks, seeds: seeds::node_tasks },
    Target { name: "peer_packet", run: nodes::peer_packet, seeds: seeds::peer_packet },
    Target { name: "reach", run: reach::request, seeds: seeds::reach },
    Target { name: "reach_tables", run: reach::tables, seeds: seeds::reach_tables },
    Target { name: "regex", run: relabel::regex, seeds: seeds::regex },
    Target { name: "relabel", run: relabel::rules, seeds: seeds::relabel },
    Target { name: "resolv_conf", run: names::resolv_conf, seeds: seeds::resolv_conf },
    Target { name: "roles", run: engine::roles, seeds: seeds::roles },
    Target { name: "scan", run: engine::scan, seeds: seeds::scan },
    Target { name: "sd_round_trip", run: listing::round_trip, seeds: seeds::http_sd },
    Target { name: "storage", run: storage::file, seeds: seeds::storage },
    Target { name: "token", run: stores::token, seeds: seeds::token },
    Target { name: "url", run: transport::url, seeds: seeds::url },
    Target { name: "values", run: values::values, seeds: seeds::values },
    Target { name: "web_config", run: web_config::file, seeds: seeds::web_config },
    Target { name: "zookeeper", run: stores::zookeeper, seeds: seeds::zookeeper },
];
