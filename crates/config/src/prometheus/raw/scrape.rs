//! A job.

use std::collections::BTreeMap;

use swarmscout_config_decoder::{FilePath, HttpKeys, Section as _, State, section};
use swarmscout_model::PromDuration;
use swarmscout_model::size::Bytes;

use super::{RelabelConfig, SdConfigs};

section! {
    /// One of `scrape_configs`: a job. Discovery and relabeling work; what concerns the scrape
    /// itself is checked and kept until this program scrapes.
    pub(crate) ScrapeConfig: "config.ScrapeConfig", "scrape_config" {
        /// The job's name, required and unique; the label `job`.
        key job_name: String = String::new(), always;
        /// Labels of the target win over those of the job.
        key honor_labels: bool = false, kept;
        /// Use timestamps of the target.
        key honor_timestamps: bool = true, always kept;
        /// Stale markers for samples with timestamps of their own.
        key track_timestamps_staleness: bool = false, always kept;
        /// URL parameters; the labels `__param_<name>`.
        key params: BTreeMap<String, Vec<String>> = BTreeMap::new();
        /// How often its targets are scraped; the label `__scrape_interval__`.
        key scrape_interval: PromDuration = PromDuration::ZERO, shown("global");
        /// How long a scrape may take; the label `__scrape_timeout__`.
        key scrape_timeout: PromDuration = PromDuration::ZERO, shown("global, at most the job's interval");
        /// The requested formats, the best first: `PrometheusProto`, `OpenMetricsText1.0.0`, `OpenMetricsText0.0.1`, `PrometheusText1.0.0`, `PrometheusText0.0.4`.
        key scrape_protocols: Option<Vec<String>> = None, shown("global, else all but PrometheusProto, which comes first with native histograms") kept;
        /// The format of a target that names none.
        key fallback_scrape_protocol: String = String::new(), kept;
        /// Scrape native histograms; the label `__scrape_native_histograms__`.
        key scrape_native_histograms: Option<bool> = None, shown("global");
        /// Scrape classic histograms beside native ones; the label `__always_scrape_classic_histograms__`.
        key always_scrape_classic_histograms: Option<bool> = None, shown("global");
        /// Turn classic histograms into native ones; the label `__convert_classic_histograms_to_nhcb__`.
        key convert_classic_histograms_to_nhcb: Option<bool> = None, shown("global");
        /// Where failed scrapes are logged.
        key scrape_failure_log_file: FilePath = FilePath::default(), shown("global") kept;
        /// The label `__metrics_path__`.
        key metrics_path: String = "/metrics".into();
        /// `http` or `https`, not checked; the label `__scheme__`.
        key scheme: String = "http".into();
        /// Ask for compressed answers.
        key enable_compression: bool = true, always kept;
        /// The largest answer of a target; 0 for no limit.
        key body_size_limit: Bytes = Bytes(0), shown("global") kept;
        /// The most samples of a scrape; 0 for no limit.
        key sample_limit: u64 = 0, shown("global") kept;
        /// The most targets of the job; with more, all of them fail. 0 for no limit.
        key target_limit: u64 = 0, shown("global");
        /// The most labels of a sample; 0 for no limit.
        key label_limit: u64 = 0, shown("global") kept;
        /// The longest name of a label; 0 for no limit.
        key label_name_length_limit: u64 = 0, shown("global") kept;
        /// The longest value of a label; 0 for no limit.
        key label_value_length_limit: u64 = 0, shown("global") kept;
        /// The most buckets of a native histogram; 0 for no limit.
        key native_histogram_bucket_limit: u64 = 0, kept;
        /// The smallest growth from bucket to bucket.
        key native_histogram_min_bucket_factor: f64 = 0.0, kept;
        /// The most dropped targets that are listed; 0 for no limit. Their count stays exact.
        key keep_dropped_targets: u64 = 0, shown("global");
        /// `utf8` or `legacy`: which label names relabeling rules may set.
        key metric_name_validation_scheme: String = String::new(), shown("global");
        /// `allow-utf-8`, `underscores`, `dots` or `values`.
        key metric_name_escaping_scheme: String = String::new(), shown("global") kept;
        /// Store additional series for every scrape.
        key extra_scrape_metrics: Option<bool> = None, shown("global") kept;
        /// How requests to targets are made.
        inline http: HttpKeys = HttpKeys::default();
        /// Rules for targets, before they are used.
        key relabel_configs: Vec<Option<RelabelConfig>> = Vec::new();
        /// Rules for samples.
        key metric_relabel_configs: Vec<Option<RelabelConfig>> = Vec::new(), kept;
        /// Where targets come from.
        inline sd: SdConfigs = SdConfigs::default();
    }
    unknown |key| if key.ends_with("_sd_configs") && !near_a_source(key) {
        Some(crate::prometheus::not_supported(key))
    } else { key.ends_with("_sd_config").then(|| format!(
        "field {key} not found in type config.ScrapeConfig: the key has an s and its value is a \
         list: write `{key}s:`"
    )) };
}

/// Whether a source of ours was probably meant: `dockerswram_sd_configs`.
fn near_a_source(key: &str) -> bool {
    let mut keys = Vec::new();
    SdConfigs::keys(&mut keys);
    let keys = keys.iter().filter(|key| key.marks.state == State::Works).map(|key| key.name);
    // Their common ending would make any two of them similar.
    let name = |key: &str| key.trim_end_matches("_sd_configs").to_owned();
    let names: Vec<_> = keys.map(name).collect();
    swarmscout_config_decoder::nearest(&name(key), names.iter().map(String::as_str)).is_some()
}
