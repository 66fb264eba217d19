//! The schema of a `prometheus.yml`: every section with its keys, and the rules that hold between
//! them.

pub(crate) mod check;
pub(crate) mod foreign_keys;
pub(crate) mod raw;

use swarmscout_config_decoder::reference_of;

/// Every section of the file with every key: type, default, and what this version makes of it.
/// Markdown; `docs/configuration.md` holds it word for word.
pub fn reference() -> String {
    reference_of::<raw::File>()
}

/// Of a source that this program does not have.
pub(crate) fn not_supported(key: &str) -> String {
    format!(
        "{key} is not supported: this program discovers Docker Swarms; let a Prometheus discover \
         these targets, or hand them over by http_sd_configs or file_sd_configs"
    )
}
