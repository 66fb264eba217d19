//! The top of the file, and the sections of it that are small.

use std::collections::BTreeMap;

use swarmscout_config_decoder::{FilePath, TlsKeys, Value as _, section};
use swarmscout_model::PromDuration;
use swarmscout_model::size::Bytes;

use super::{Alerting, RemoteRead, RemoteWrite, ScrapeConfig};

section! {
    /// The whole file.
    pub(crate) File: "config.Config", "file" {
        /// Defaults for all jobs.
        key global: Global = Global::default(), always;
        /// Settings of the Go runtime.
        key runtime: Runtime = Runtime::default(), ignored;
        /// Alertmanagers, for a server only.
        key alerting: Alerting = Alerting::default(), kept;
        /// Rule files, for a server only. The last part of a path may hold one `*`.
        key rule_files: Vec<FilePath> = Vec::new(), kept;
        /// Files with more jobs, read at each load and reload. The last part of a path may hold one `*`. A file holds `scrape_configs` and nothing else; its relative paths begin in its own folder.
        key scrape_config_files: Vec<FilePath> = Vec::new();
        /// The jobs.
        key scrape_configs: Vec<Option<ScrapeConfig>> = Vec::new();
        /// The local database, for a server only.
        key storage: Storage = Storage::default(), kept;
        /// Where spans are sent.
        key tracing: Tracing = Tracing::zero(), kept;
        /// Where samples are sent.
        key remote_write: Vec<Option<RemoteWrite>> = Vec::new(), kept;
        /// Where samples are read from, for a server only.
        key remote_read: Vec<Option<RemoteRead>> = Vec::new(), kept;
        /// How OTLP metrics are received.
        key otlp: Otlp = Otlp::default(), kept;
    }
    unknown |key| key.starts_with("x-").then(|| format!(
        "field {key} not found in type config.Config: Prometheus has no keys of one's own: write the \
         anchor (&name) where its value is used first"
    ));
}

section! {
    /// One of `scrape_config_files`.
    pub(crate) ScrapeConfigFile: "config.ScrapeConfigs", "scrape_config_file" {
        /// The jobs.
        key scrape_configs: Vec<Option<ScrapeConfig>> = Vec::new();
    }
    unknown |key| {
        let mut keys = Vec::new();
        File::keys(&mut keys);
        keys.iter().any(|known| known.name == key).then(|| format!(
            "field {key} not found in type config.ScrapeConfigs: it belongs in the main file, \
             this one is named by scrape_config_files and holds scrape_configs alone"
        ))
    };
}

section! {
    /// Defaults for all jobs. An empty section has no effect.
    pub(crate) Global: "config.GlobalConfig", "global" {
        /// How often targets are scraped; the label `__scrape_interval__`.
        key scrape_interval: PromDuration = PromDuration::ZERO, shown("1m");
        /// How long a scrape may take; the label `__scrape_timeout__`. At most the interval.
        key scrape_timeout: PromDuration = PromDuration::ZERO, shown("10s");
        /// The requested formats, the best first.
        key scrape_protocols: Option<Vec<String>> = None, shown("see scrape_config") kept;
        /// How often rules are evaluated.
        key evaluation_interval: PromDuration = PromDuration::ZERO, shown("1m") ignored;
        /// How far back rules read.
        key rule_query_offset: PromDuration = PromDuration::ZERO, ignored;
        /// Where queries are logged.
        key query_log_file: FilePath = FilePath::default(), ignored;
        /// Where failed scrapes are logged.
        key scrape_failure_log_file: FilePath = FilePath::default(), kept;
        /// Labels of all samples that leave. `$NAME` and `${NAME}` are taken from the environment, `$$` is a dollar sign.
        key external_labels: BTreeMap<String, String> = BTreeMap::new(), ignored;
        /// The largest answer of a target; 0 for no limit.
        key body_size_limit: Bytes = Bytes(0), kept;
        /// The most samples of a scrape; 0 for no limit.
        key sample_limit: u64 = 0, kept;
        /// The most targets of a job; with more, all of them fail. 0 for no limit.
        key target_limit: u64 = 0;
        /// The most labels of a sample; 0 for no limit.
        key label_limit: u64 = 0, kept;
        /// The longest name of a label; 0 for no limit.
        key label_name_length_limit: u64 = 0, kept;
        /// The longest value of a label; 0 for no limit.
        key label_value_length_limit: u64 = 0, kept;
        /// The most dropped targets that are listed for a job; 0 for no limit. Their count stays exact.
        key keep_dropped_targets: u64 = 0;
        /// `utf8` or `legacy`: which label names relabeling rules may set.
        key metric_name_validation_scheme: String = String::new(), shown("utf8");
        /// `allow-utf-8`, `underscores`, `dots` or `values`.
        key metric_name_escaping_scheme: String = String::new(), shown("allow-utf-8; underscores with legacy names") kept;
        /// Scrape native histograms; the label `__scrape_native_histograms__`.
        key scrape_native_histograms: Option<bool> = None, shown("false");
        /// Turn classic histograms into native ones; the label `__convert_classic_histograms_to_nhcb__`.
        key convert_classic_histograms_to_nhcb: bool = false;
        /// Scrape classic histograms beside native ones; the label `__always_scrape_classic_histograms__`.
        key always_scrape_classic_histograms: bool = false;
        /// Store additional series for every scrape.
        key extra_scrape_metrics: Option<bool> = None, shown("false") kept;
    }
}

section! {
    /// Settings of the Go runtime, which this program does not have.
    pub(crate) Runtime: "config.RuntimeConfig", "runtime" {
        /// Percentage of growth before a garbage collection.
        key gogc: i64 = 75;
    }
}

section! {
    /// The local database.
    pub(crate) Storage: "config.StorageConfig", "storage" {
        /// Blocks of samples.
        key tsdb: Option<Tsdb> = None;
        /// Exemplars.
        key exemplars: Option<Exemplars> = None;
    }
}

section! {
    /// Blocks of samples.
    pub(crate) Tsdb: "config.TSDBConfig", "tsdb" {
        /// How late a sample may come.
        key out_of_order_time_window: PromDuration = PromDuration::ZERO;
        /// Share of stale series, 0 to 1, at which they are compacted.
        key stale_series_compaction_threshold: f64 = 0.0;
        /// Encoding of chunks.
        key chunk_encoding: ChunkEncoding = ChunkEncoding::default();
        /// How long and how much is kept.
        key retention: Option<Retention> = None;
    }
}

section! {
    /// Encoding of chunks.
    pub(crate) ChunkEncoding: "config.ChunkEncodingConfig", "chunk_encoding" {
        /// `xor` or `xor2`.
        key floats: String = String::new();
    }
}

section! {
    /// How long and how much is kept.
    pub(crate) Retention: "config.TSDBRetentionConfig", "retention" {
        /// How long.
        key time: PromDuration = PromDuration::ZERO;
        /// How much.
        key size: Bytes = Bytes(0);
        /// How much of the disk, in percent.
        key percentage: f64 = 0.0;
    }
}

section! {
    /// Exemplars.
    pub(crate) Exemplars: "config.ExemplarsConfig", "exemplars" {
        /// How many are kept.
        key max_exemplars: i64 = 0;
    }
}

section! {
    /// Where spans are sent.
    pub(crate) Tracing: "config.TracingConfig", "tracing" {
        /// `grpc` or `http`.
        key client_type: String = "grpc".into();
        /// Host and port, required.
        key endpoint: String = String::new();
        /// Share of requests that are traced, 0 to 1.
        key sampling_fraction: f64 = 0.0;
        /// Without TLS.
        key insecure: bool = false;
        /// TLS options.
        key tls_config: TlsKeys = TlsKeys::default();
        /// More headers.
        key headers: BTreeMap<String, String> = BTreeMap::new();
        /// `gzip` or nothing.
        key compression: String = String::new();
        /// How long sending may take.
        key timeout: PromDuration = PromDuration::ZERO;
    }
}

section! {
    /// How OTLP metrics are received.
    pub(crate) Otlp: "config.OTLPConfig", "otlp" {
        /// Make all resource attributes labels.
        key promote_all_resource_attributes: bool = false;
        /// Make these resource attributes labels.
        key promote_resource_attributes: Vec<String> = Vec::new();
        /// Leave these out of all.
        key ignore_resource_attributes: Vec<String> = Vec::new();
        /// How names are translated.
        key translation_strategy: String = "UnderscoreEscapingWithSuffixes".into();
        /// Keep `service.name`, `service.namespace` and `service.instance.id` in `target_info`.
        key keep_identifying_resource_attributes: bool = false;
        /// Turn explicit histograms into native ones.
        key convert_histograms_to_nhcb: bool = false;
        /// Make the scope's metadata labels.
        key promote_scope_metadata: bool = false;
        /// Put `key_` before labels that begin with `_`.
        key label_name_underscore_sanitization: bool = true;
        /// Keep several underscores in a row.
        key label_name_preserve_multiple_underscores: bool = true;
    }
}
