//! Fetches metrics of this node's tasks for a scraper that shares no network with them:
//! `GET /reach/<task>/<http|https>/<port>/<path>?<query>`.
//!
//! A task of an overlay network also has an address on its node's `docker_gwbridge`, and the node
//! itself reaches any port of it. So a program in the host's network fetches what the scraper cannot.
//!
//! **Invariant: whatever a request says, what is fetched is a listed target of a task of this node, at
//! an address that this task has on a bridge of the node, within a deadline and a size limit.** No
//! credential of the request is passed on, no redirect followed, no proxy used. It may use `model` and `net`.
//!
//! | module | does |
//! |---|---|
//! | `decision` | from request and list to one fetch or a refusal: pure |
//! | `address` | from the kernel's tables to one address: pure |
//! | `process` | makes sure that a number is that of the container's process, reads its tables |
//! | `connection` | opens, keeps and closes connections to one task |
//! | `body` | passes an answer on, within its limits |
//!
//! A query is passed on as it is: it is what `__param_*` labels become, and rules of the scraper may
//! set it. It cannot change where the fetch goes. But an exporter that asks others, as the blackbox
//! exporter does, asks them what the query says.
//!
//! A target over `https` is not asked for a name: its address changes with each task, and no
//! certificate has it. The connection does not leave the node, and carries nothing that is secret.
//!
//! Nothing is decompressed: the size limit counts bytes as they come, and a small answer that inflates
//! to a large one is the reader's to refuse.

mod address;
mod body;
mod connection;
mod decision;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod process;
mod stats;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Empty;
use hyper::body::Incoming;
use swarmscout_net::explain_exchange;
use tokio::sync::{AcquireError, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

pub use body::{CutOff, ReachBody};
pub use decision::{
    AllowedFetch, REACH_PREFIX, ReachRefusal, ReachTarget, Reachable, ReachableTask, decide,
};
pub use stats::ReachStats;

use body::{Held, Limits};
use connection::{IDLE, Kept, MAX_HEADER};
use decision::TIMEOUT;
use failure::ReachFailure;
use process::{NoAddress, Process, Tables};
use stats::{Ended, Running};

/// Says in an answer why it is not that of the target. Headers of a target with this name are not
/// passed on.
const ERROR: HeaderName = HeaderName::from_static("x-swarmscout-reach-error");

/// The content headers of a target's answer, which are passed on.
const CONTENT: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// How much sooner a fetch ends than its reader stops waiting, so that the reader gets the reason: at most
/// this, and a twentieth of the time.
const SOONER: Duration = Duration::from_millis(250);

/// What limits the fetches.
#[derive(Clone, Debug)]
pub struct ReachOptions {
    /// `/proc` of the host (`--path.procfs`).
    pub procfs: PathBuf,
    /// `/sys`, as this process sees it: it shows which interfaces of its own network are bridges.
    pub sysfs: PathBuf,
    /// Sent as `User-Agent`.
    pub user_agent: HeaderValue,
    /// The time of a fetch whose reader does not say how long it waits: that of a Prometheus.
    pub timeout: Duration,
    /// The most time of a fetch, whatever its reader says; at most five minutes.
    pub max_timeout: Duration,
    /// How long a target may send nothing in the middle of its answer.
    pub idle: Duration,
    /// The most bytes of an answer, as they come from the target.
    pub max_body: u64,
    /// Fetches at one time.
    pub fetches: usize,
    /// Fetches at one time from one task: one that never answers takes no place from others.
    pub fetches_per_task: usize,
}

impl ReachOptions {
    /// The defaults.
    pub fn new(user_agent: HeaderValue) -> Self {
        Self {
            procfs: "/proc".into(),
            sysfs: "/sys".into(),
            user_agent,
            timeout: Duration::from_secs(10),
            max_timeout: Duration::from_mins(2),
            idle: Duration::from_secs(15),
            max_body: 64 << 20,
            fetches: 256,
            fetches_per_task: 8,
        }
    }
}

/// Answers reach requests.
#[derive(Debug)]
pub struct Reach {
    options: ReachOptions,
    tables: Tables,
    reachable: watch::Receiver<Arc<Reachable>>,
    processes: Mutex<Processes>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stats: Arc<ReachStats>,
}

/// What is known of the containers that were fetched from.
#[derive(Debug, Default)]
struct Processes {
    /// The list that they were last compared with.
    list: Arc<Reachable>,
    by_task: HashMap<String, (Arc<ReachableTask>, Arc<Process>)>,
}

impl Reach {
    /// Fetches what is listed at the moment of each request. It must live in a Tokio runtime.
    pub fn new(options: ReachOptions, reachable: watch::Receiver<Arc<Reachable>>) -> Self {
        Self {
            tables: Tables { procfs: options.procfs.clone(), sysfs: options.sysfs.clone() },
            places: Arc::new(Semaphore::new(options.fetches)),
            options,
            reachable,
            processes: Mutex::default(),
            tasks: TaskTracker::new(),
            stats: Arc::default(),
        }
    }

    /// What was counted.
    pub fn stats(&self) -> &ReachStats {
        &self.stats
    }

    /// Lets no fetch begin any more: those that wait for a place are refused at once. Fetches that run
    /// go on.
    pub fn stop(&self) {
        self.places.close();
        for (_, process) in self.processes().by_task.values() {
            process.places.close();
        }
    }

    /// Answers a request, whose body is not read. `admitted` says whether the reader may use reach:
    /// it showed a certificate that the listener verified, or `--reach.insecure` is given. The path
    /// must be the whole one, as it was sent.
    pub async fn answer(&self, request: &Parts, admitted: bool) -> Response<ReachBody> {
        let reachable = Arc::clone(&self.reachable.borrow());
        let fetch = match decide(request, &reachable, admitted) {
            Ok(fetch) => fetch,
            Err(refusal) => return self.refuse(refusal),
        };
        let running = Running::new(&self.stats);
        let (task, port) = (Arc::clone(&fetch.task), fetch.port);
        let mut running = Some(running);
        let failure = match self.fetch(fetch, &reachable, &mut running).await {
            Ok(answer) => return answer,
            Err(failure) => failure,
        };
        if failure == ReachFailure::NoAddress(NoAddress::Internal) {
            if let Some(running) = running {
                running.refused();
            }
            return self.refuse(ReachRefusal::Internal);
        }
        if let Some(running) = running {
            running.ended(&Ended::Failed(failure.number()));
        }
        tracing::debug!(task = task.name, port, error = %failure, "Cannot fetch from a task");
        let text = format!("cannot fetch from port {port} of task {}: {failure}\n", shown(&task));
        error(failure.status(), ReachFailure::REASONS[failure.number()], text)
    }

    fn refuse(&self, refusal: ReachRefusal) -> Response<ReachBody> {
        self.stats.count_refused(refusal);
        let mut answer = error(refusal.status(), refusal.reason(), format!("{refusal}\n"));
        if refusal == ReachRefusal::Method {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        }
        answer
    }

    /// Fetches the header of the answer, and leaves the rest to a task that takes `running`.
    async fn fetch(
        &self,
        fetch: AllowedFetch,
        reachable: &Arc<Reachable>,
        running: &mut Option<Running>,
    ) -> Result<Response<ReachBody>, ReachFailure> {
        let within = within(&fetch.headers, &self.options);
        let deadline = Instant::now() + within;
        let process = timeout_at(deadline, self.process(&fetch.task, reachable)).await;
        let process = process.map_err(|_| ReachFailure::Timeout(within))??;
        let places = async {
            // Its own first: who waits for a slow task takes no place from others.
            let own = Arc::clone(&process.places).acquire_owned().await?;
            let all = Arc::clone(&self.places).acquire_owned().await?;
            Ok::<_, AcquireError>([own, all])
        };
        let places = timeout_at(deadline, places).await.map_err(|_| ReachFailure::Busy)?;
        let places = places.map_err(|_| ReachFailure::Stopping)?;
        let exchange = self.exchange(&fetch, &process, within);
        let (connection, answer) =
            timeout_at(deadline, exchange).await.map_err(|_| ReachFailure::Timeout(within))??;
        let max = self.options.max_body;
        check(&answer, max)?;
        let (parts, incoming) = answer.into_parts();
        let size = incoming.size_hint().exact();
        let running = running.take().expect("a fetch is counted once");
        let stats = Arc::clone(&self.stats);
        let kept = Held { connection, process, places, running, stats };
        let limits = Limits { deadline, idle: self.options.idle, max };
        let mut answer = Response::new(body::pass_on(incoming, limits, kept, &self.tasks));
        *answer.status_mut() = parts.status;
        for name in CONTENT {
            if let Some(value) = parts.headers.get(&name) {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        if let Some(size) = size {
            answer.headers_mut().insert(CONTENT_LENGTH, size.into());
        }
        guard(answer.headers_mut());
        Ok(answer)
    }

    /// Sends the request, once more on a new connection if a kept one turns out to be closed.
    async fn exchange(
        &self,
        fetch: &AllowedFetch,
        process: &Process,
        within: Duration,
    ) -> Result<(Kept, Response<Incoming>), ReachFailure> {
        let mut kept = Kept::take(process, fetch.port, fetch.https);
        loop {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => self.connect(fetch, process, within).await?,
            };
            let request = self.request(fetch, connection.address);
            match connection.send(request).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(_) if connection.used => {}
                Err(error) => {
                    return Err(ReachFailure::Broken(explain_exchange(&error, MAX_HEADER)));
                }
            }
        }
    }

    async fn connect(
        &self,
        fetch: &AllowedFetch,
        process: &Process,
        within: Duration,
    ) -> Result<Kept, ReachFailure> {
        let address = process.address(&self.tables, &fetch.task).await?;
        let address = SocketAddr::from((address, fetch.port));
        let opened = Kept::open(address, fetch.https, within, &self.tasks).await;
        let connection = opened.map_err(|error| {
            process.forget_address();
            let reason = match error {
                swarmscout_net::Error::Connect { reason, .. } => reason,
                error => error.to_string(),
            };
            ReachFailure::Connect(reason)
        })?;
        // The address was that of the task, if the task is there now.
        if !process.is_alive() {
            return Err(NoAddress::Ended(fetch.task.pid).into());
        }
        self.stats.count_connection();
        Ok(connection)
    }

    fn request(&self, fetch: &AllowedFetch, address: SocketAddr) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = Uri::from(fetch.path.clone());
        *request.headers_mut() = fetch.headers.clone();
        let host = HeaderValue::try_from(address.to_string());
        request.headers_mut().insert(HOST, host.expect("an address is plain text"));
        request.headers_mut().insert(USER_AGENT, self.options.user_agent.clone());
        request
    }

    /// The running container of a task.
    async fn process(
        &self,
        task: &Arc<ReachableTask>,
        reachable: &Arc<Reachable>,
    ) -> Result<Arc<Process>, NoAddress> {
        if let Some(known) = self.processes().known(task, reachable) {
            return Ok(known);
        }
        let opened = Process::open(&self.tables, task, self.options.fetches_per_task).await?;
        let mut processes = self.processes();
        // Another request may have been faster.
        if let Some(known) = processes.known(task, reachable) {
            return Ok(known);
        }
        let opened = Arc::new(opened);
        processes.by_task.insert(task.id.clone(), (Arc::clone(task), Arc::clone(&opened)));
        Ok(opened)
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processes {
    /// The process of a task, if it was opened and is there. Forgets what is listed no more.
    fn known(&mut self, task: &ReachableTask, list: &Arc<Reachable>) -> Option<Arc<Process>> {
        if !Arc::ptr_eq(&self.list, list) {
            self.list = Arc::clone(list);
            self.by_task.retain(|id, _| list.has(id));
        }
        let (opened_for, process) = self.by_task.get(&task.id)?;
        let same = opened_for.pid == task.pid
            && opened_for.container == task.container
            && opened_for.host_network == task.host_network
            && opened_for.addresses == task.addresses;
        if same && process.is_alive() {
            return Some(Arc::clone(process));
        }
        self.by_task.remove(&task.id);
        None
    }
}

/// How long a fetch may take: a little less than its reader waits.
fn within(headers: &HeaderMap, options: &ReachOptions) -> Duration {
    let said = headers.get(TIMEOUT).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let said = said.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    let timeout = said.filter(|timeout| !timeout.is_zero()).unwrap_or(options.timeout);
    let timeout = timeout.min(options.max_timeout).min(IDLE);
    timeout.saturating_sub(SOONER.min(timeout / 20))
}

/// Whether an answer can be passed on.
fn check(answer: &Response<Incoming>, max: u64) -> Result<(), ReachFailure> {
    let status = answer.status();
    if status.is_redirection() {
        return Err(ReachFailure::Redirect(status));
    }
    if !(200..600).contains(&status.as_u16()) {
        return Err(ReachFailure::Broken(format!("it answered with status {status}")));
    }
    let size = answer.body().size_hint().lower();
    if size > max {
        return Err(ReachFailure::TooLarge { size, limit: max });
    }
    Ok(())
}

/// The name of a task, for a text.
fn shown(task: &ReachableTask) -> String {
    const MOST: usize = 200;
    let name = if task.name.is_empty() { &task.id } else { &task.name };
    name.chars().take(MOST).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Keeps a browser from running what a task sent as if it came from this node.
fn guard(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
}

/// An answer of our own.
fn error(status: StatusCode, reason: &'static str, text: String) -> Response<ReachBody> {
    let mut answer = Response::new(ReachBody::text(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    guard(headers);
    headers.insert(ERROR, HeaderValue::from_static(reason));
    answer
}

#[cfg(test)]
mod tests;
