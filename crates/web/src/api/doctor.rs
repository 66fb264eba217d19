//! `/api/v1/doctor`: POST runs the checks, GET returns the last report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use swarmscout_diagnose::doctor::{self, Report};
use swarmscout_diagnose::status::LastDoctor;
use tokio::sync::Mutex;

use super::{ApiError, parameter, success};
use crate::{App, view};

/// A report is returned for so long.
const FRESH: Duration = Duration::from_mins(1);

/// Runs the checks, once at a time.
#[derive(Debug, Default)]
pub(crate) struct Doctor(Mutex<Option<Finished>>);

#[derive(Clone, Debug)]
struct Finished {
    report: Arc<Report>,
    started: Instant,
    at: Instant,
}

/// Runs the checks. A request that arrives while they run gets the report of the next run.
/// `suggest=1` also finds labels for services without a target.
pub(super) async fn run(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    let suggests = match &*parameter(&uri, "suggest") {
        "" | "0" | "false" => false,
        "1" | "true" => true,
        other => {
            return Err(ApiError::BadData(format!("suggest is {other:?}: write suggest=1")));
        }
    };
    let asked = Instant::now();
    let mut last = app.doctor.0.lock().await;
    // Started and finished while this request waited.
    let answers = |finished: &&Finished| {
        finished.started >= asked && (!suggests || finished.report.suggest.is_some())
    };
    if let Some(finished) = last.as_ref().filter(answers) {
        return Ok(success(Answer::of(finished)));
    }
    let user_agent = format!("Swarmscout/{}", app.context.program.build.version);
    let doctor = doctor::Doctor::new(&user_agent)
        .map_err(|error| ApiError::NotFound(format!("cannot run the checks: {error}")))?
        .in_container(app.context.discovery.own_container.clone());
    let subject = || view::doctor::subject(&app.context);
    let started = Instant::now();
    let mut report = doctor.examine(&subject(), subject).await;
    if suggests {
        report.suggest = Some(doctor.suggest(&subject()).await);
    }
    let finished = Finished { report: Arc::new(report), started, at: Instant::now() };
    let answer = success(Answer::of(&finished));
    *last = Some(finished);
    Ok(answer)
}

/// The last report, if it is fresh.
pub(super) async fn last(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let last = app.doctor.0.try_lock().map(|last| last.clone());
    let fresh = |finished: &Finished| finished.at.elapsed() <= FRESH;
    match last {
        Ok(Some(finished)) if fresh(&finished) => Ok(success(Answer::of(&finished))),
        Ok(_) => Err(ApiError::NotFound(String::from(
            "no checks ran within the last minute: POST to this address runs them",
        ))),
        Err(_) => Err(ApiError::NotFound(String::from("the checks are running: ask again"))),
    }
}

impl Doctor {
    /// The last run, if its report is still returned.
    pub(super) fn last_run(&self) -> Option<LastDoctor> {
        let last = self.0.try_lock().ok()?;
        let Finished { report, at, .. } = last.as_ref()?;
        let age = at.elapsed();
        (age <= FRESH).then(|| LastDoctor {
            age_seconds: age.as_secs_f64(),
            probed: report.probed,
            up: report.up,
            guarded: report.guarded,
        })
    }
}

/// A report, and how old it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    age_seconds: f64,
    #[serde(flatten)]
    report: &'a Report,
}

impl<'a> Answer<'a> {
    fn of(finished: &'a Finished) -> Self {
        Self { age_seconds: finished.at.elapsed().as_secs_f64(), report: &finished.report }
    }
}
