//! `/api/v1/status/…`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{Uri, header};
use serde::Serialize;
use tokio::runtime::Handle;

use super::{ApiError, parameter, success, success_with_warnings};
use crate::App;
use crate::lifecycle::Version;
use crate::view::{ConfigInUse, Moment, Time, web_configs};

#[derive(Serialize)]
pub(super) struct Yaml {
    pub(super) yaml: String,
}

/// The configuration in use, written again: what the file says of secrets is not in it. With it
/// what is doubtful in it, where Prometheus has warnings. `format=yaml` answers the file alone, to
/// be saved.
pub(super) async fn config(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let config = Arc::clone(&app.context.program.config.borrow());
    match parameter(&uri, "format").as_str() {
        "" | "json" => {
            let moment = Moment::of(&app.context);
            let warnings = moment.reload.warnings.to_vec();
            Ok(success_with_warnings(ConfigInUse::of(&moment, &config), warnings))
        }
        "yaml" => {
            let header = [(header::CONTENT_TYPE, "application/yaml")];
            Ok((header, config.to_save()).into_response())
        }
        other => Err(ApiError::BadData(format!("unknown format {other:?}: json or yaml"))),
    }
}

pub(super) async fn flags(State(app): State<Arc<App>>) -> Response {
    let flags = app.context.program.flags.iter().map(|(name, value)| (&**name, &**value));
    success(flags.collect::<BTreeMap<_, _>>())
}

pub(super) async fn build_info(State(app): State<Arc<App>>) -> Response {
    success(Version::new(&app))
}

/// The members are Prometheus'. Those about Go report what comes nearest, or what Go reports where
/// nothing is set.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    start_time: Time,
    #[serde(rename = "CWD")]
    directory: String,
    hostname: String,
    server_time: Time,
    reload_config_success: bool,
    last_config_time: Time,
    /// Why the last reload failed; empty where it did not. Prometheus does not report it.
    last_config_error: String,
    /// The web configuration files that cannot be used, each with the reason. Prometheus does not
    /// report them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    web_config_errors: BTreeMap<String, String>,
    corruption_count: u64,
    /// Tasks.
    goroutine_count: usize,
    /// Threads that run tasks.
    #[serde(rename = "GOMAXPROCS")]
    workers: usize,
    #[serde(rename = "GOMEMLIMIT")]
    memory_limit: i64,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    storage_retention: &'static str,
}

pub(super) async fn runtime_info(State(app): State<Arc<App>>) -> Response {
    let runtimes = || app.context.program.runtimes.iter().map(Handle::metrics);
    let reload = app.context.program.reload.borrow().clone();
    success(RuntimeInfo {
        start_time: Time(app.context.program.started),
        directory: app.directory.clone(),
        hostname: app.hostname.clone(),
        server_time: Time(app.context.clock.now().system),
        reload_config_success: reload.error.is_none(),
        last_config_time: Time(reload.loaded),
        last_config_error: reload.error.as_deref().unwrap_or_default().to_owned(),
        web_config_errors: web_configs(&app.context.program)
            .into_iter()
            .filter_map(|(file, status)| Some((file, status.error?.to_string())))
            .collect(),
        corruption_count: 0,
        goroutine_count: runtimes().map(|runtime| runtime.num_alive_tasks()).sum(),
        workers: runtimes().map(|runtime| runtime.num_workers()).sum(),
        memory_limit: i64::MAX,
        gogc: "",
        godebug: "",
        storage_retention: "",
    })
}
