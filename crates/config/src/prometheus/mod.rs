//! The schema of a `prometheus.yml`: every section with its keys, and the rules that hold between
//! them.

pub(crate) mod check;
pub(crate) mod foreign_keys;
pub(crate) mod raw;

/// Of a source that this program does not have.
pub(crate) fn not_supported(key: &str) -> String {
    format!(
        "{key} is not supported: this program discovers Docker Swarms; let a Prometheus discover \
         these targets, or hand them over by http_sd_configs or file_sd_configs"
    )
}
