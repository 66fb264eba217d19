//! Follows what a manager says of this node, over several managers.
//!
//! Invariants:
//! - The last good answer stays, with its age, as long as no manager has another one.
//! - An answer for another node, or one that is not valid, is never used.
//! - A manager that fails is followed by the next one at once; if all have failed, there is a pause, longer
//!   each time.
//! - Answers that come early and change nothing come less and less often.
//! - Every manager learns where this node part listens, and what it finds of the network, not only the
//!   one that is followed: each of them publishes targets.

mod others;

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use swarmscout_net::{Body, Client, ENOUGH, HttpConfig, Request, Url};
use swarmscout_refresh::rotation::Rotation;
use swarmscout_refresh::{Backoff, RefreshContext};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::error::RequestFailure;
use crate::labels::AllowedLabels;
use crate::query::{NODE_PART_HEADER, NodeRef, Registration};
use crate::report::{LinkPath, PeerReport};
use crate::wire::{self, MAX_ANSWER, NodeTasks};
use crate::{Error, is_container_id};

/// How long a manager is asked to wait for a change. Many proxies cut answers that take a minute.
const WAIT: Duration = Duration::from_secs(50);

/// How much longer an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The longest pause after all managers have failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The first pause after an answer that came early without a change, and the one after every change.
const EARLY_PAUSE: Duration = Duration::from_millis(50);

/// What to do without a manager.
const GIVE_A_URL: &str =
    "it is empty: give the URL of a Swarmscout on a manager, such as https://manager-1:9465";

/// How much of the body of a refusal is shown, in bytes.
const SHOWN_OF_REFUSAL: usize = 512;

/// A longer version of an answer is not repeated, in bytes.
const LONGEST_VERSION: usize = 256;

/// The age of what the manager knows, in seconds.
const AGE: HeaderName = HeaderName::from_static("x-swarmscout-oldest-source-age-seconds");

/// Whom to follow, and who follows.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// URLs of Swarmscouts on managers: `https://manager-1:9465`. At least one.
    pub managers: Vec<String>,
    /// How they are spoken to.
    pub http: HttpConfig,
    /// What may name this node, the surest first. As long as it is empty and may change, no manager is
    /// asked.
    pub node: watch::Receiver<Vec<NodeRef>>,
    /// What is registered; `None` if another part of this node does that.
    pub registration: Option<Registration>,
    /// What is found of the network to other nodes.
    pub report: watch::Receiver<Arc<PeerReport>>,
    /// The labels that are wanted.
    pub labels: AllowedLabels,
    /// How long a manager is asked to wait: for tests of what a wait does.
    pub wait: Duration,
}

impl ClientSettings {
    /// The usual ones for these managers and this node.
    pub fn new(managers: Vec<String>, node: watch::Receiver<Vec<NodeRef>>) -> Self {
        let (http, labels) = (HttpConfig::default(), AllowedLabels::default());
        let report = watch::channel(Arc::default()).1;
        Self { managers, http, node, registration: None, report, labels, wait: WAIT }
    }
}

/// What is known of this node and its tasks.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// The last good answer; `None` before the first one.
    pub tasks: Option<Arc<NodeTasks>>,
    /// When the Swarm was last confirmed to be so, as the manager says.
    pub as_of: Option<std::time::Instant>,
    /// The manager that answered last, without its password.
    pub manager: Option<Arc<str>>,
    /// Why the managers do not answer; `None` while one does.
    pub error: Option<Arc<str>>,
    /// Answers since the start.
    pub answers: u64,
    /// Requests that failed since the start.
    pub failures: u64,
    /// Registrations with managers that are not followed, since the start.
    pub registrations: u64,
    /// Those that failed.
    pub failed_registrations: u64,
}

/// Shows what is known, newest first.
pub type TaskFeed = watch::Receiver<Arc<Followed>>;

/// Follows managers.
#[derive(Debug)]
pub struct Follower {
    asker: Arc<Asker>,
    rotation: Rotation,
    /// The ID of this node, once it is known.
    node: Option<String>,
    /// The version of the last good answer.
    version: Option<HeaderValue>,
    publish: watch::Sender<Arc<Followed>>,
    /// The kinds of failures that were logged since the last good answer.
    logged: Option<String>,
}

/// Asks managers.
#[derive(Debug)]
struct Asker {
    managers: Vec<Manager>,
    client: Client,
    settings: ClientSettings,
}

#[derive(Debug)]
struct Manager {
    /// Without its password.
    name: Arc<str>,
    /// Up to `/api/v1/nodes/`.
    base: String,
}

/// A good answer.
enum News {
    /// Nothing has changed.
    Same,
    Tasks(Arc<NodeTasks>, Option<HeaderValue>),
}

impl Follower {
    /// Fails if a URL or the TLS options cannot be used.
    pub fn new(settings: ClientSettings, context: &RefreshContext) -> Result<Self, Error> {
        let unusable = |url: &str, reason: String| Error::Manager {
            url: swarmscout_net::redact_url(url),
            reason,
        };
        let client = Client::new(&settings.http, context.client_options(CONNECT_WITHIN));
        let client = client.map_err(|error| unusable("", error.to_string()))?;
        let manager = |url: &String| {
            if url.is_empty() {
                return Err(unusable(url, GIVE_A_URL.to_owned()));
            }
            if !url.contains("://") {
                let reason = "it has no scheme: write http:// or https:// before it";
                return Err(unusable(url, reason.to_owned()));
            }
            client.secrets().keep_url(url);
            let parsed = Url::parse(url).map_err(|error| unusable(url, error.to_string()))?;
            Request::new(url).map_err(|error| unusable(url, error.to_string()))?;
            if parsed.query().is_some() || url.contains('#') {
                return Err(unusable(url, "it must have no query and no fragment".to_owned()));
            }
            let base = format!("{}/api/v1/nodes/", url.trim_end_matches('/'));
            Ok(Manager { name: parsed.to_string().into(), base })
        };
        let managers = settings.managers.iter().map(manager).collect::<Result<Vec<_>, _>>()?;
        if managers.is_empty() {
            return Err(unusable("", GIVE_A_URL.to_owned()));
        }
        let rotation = Rotation::new(managers.len());
        let publish = watch::Sender::default();
        let asker = Arc::new(Asker { managers, client, settings });
        Ok(Self { asker, rotation, node: None, version: None, publish, logged: None })
    }

    /// What is known from now on.
    pub fn subscribe(&self) -> TaskFeed {
        self.publish.subscribe()
    }

    /// Follows until it is dropped.
    pub async fn run(self) {
        let others = others::register(Arc::clone(&self.asker), self.publish.clone());
        tokio::join!(self.follow(), others);
    }

    async fn follow(mut self) {
        // Without a sender that is all there will be.
        let mut names = self.asker.settings.node.clone();
        let _ = names.wait_for(|names| !names.is_empty()).await;
        let mut failures = Backoff::default();
        let mut early = Backoff::new(EARLY_PAUSE);
        let mut report = self.asker.settings.report.clone();
        loop {
            let asked = Instant::now();
            report.mark_unchanged();
            let followed = self.rotation.current();
            let answered = tokio::select! {
                answered = self.round() => Some(answered),
                // The request that waits has an old one.
                () = changed(&mut report) => None,
            };
            let Some(answered) = answered else {
                // The manager did not fail.
                while self.rotation.current() != followed {
                    self.rotation.advance();
                }
                sleep(EARLY_PAUSE).await;
                continue;
            };
            match answered {
                Ok(is_same) => {
                    failures.succeeded();
                    if is_same && asked.elapsed() < self.asker.settings.wait / 2 {
                        sleep(early.failed(LONGEST_PAUSE)).await;
                    } else {
                        early.succeeded();
                        sleep(EARLY_PAUSE).await;
                    }
                }
                Err(errors) => {
                    self.report(&errors);
                    sleep(failures.failed(LONGEST_PAUSE)).await;
                }
            }
        }
    }

    /// Publishes why no manager answered, and logs it unless failures of these kinds were the last ones.
    fn report(&mut self, errors: &[Error]) {
        let join = |texts: Vec<String>| {
            let mut texts = texts;
            texts.dedup();
            texts.join("; ")
        };
        let kinds = join(errors.iter().map(Error::kind).collect());
        let text = join(errors.iter().map(ToString::to_string).collect());
        if self.logged.as_ref() != Some(&kinds) {
            // One that registers nothing is there for its probes: these work, and other nodes report
            // the same paths.
            if self.asker.settings.registration.is_some() {
                tracing::error!(err = text, "Cannot learn the tasks of this node");
            } else {
                tracing::info!(
                    err = text,
                    "Managers do not get what this node finds of the network"
                );
            }
            self.logged = Some(kinds);
        }
        self.change(|known| known.error = Some(text.into()));
    }

    /// Asks one manager after the other until one answers. Returns whether nothing has changed.
    async fn round(&mut self) -> Result<bool, Vec<Error>> {
        let mut round = self.rotation.round();
        let mut failed = Vec::new();
        while let Some(turn) = self.rotation.next(&mut round) {
            let asked =
                self.asker.ask(turn.index, self.node.as_deref(), self.version.as_ref()).await;
            match asked {
                Ok((news, age)) => {
                    // A proxy may take the version away: then the same answer comes again, at once.
                    let news = match news {
                        News::Tasks(tasks, version) if self.has(&tasks) => {
                            self.version = version;
                            News::Same
                        }
                        news => news,
                    };
                    let is_same = matches!(news, News::Same);
                    self.take(turn.index, news, age);
                    let _ = self.rotation.answered(round, turn.index, |_| String::new());
                    return Ok(is_same);
                }
                Err(error) => {
                    self.change(|known| known.failures += 1);
                    failed.push(error);
                    round.failed(turn, swarmscout_refresh::Error::Panic(String::new()));
                }
            }
        }
        let _: swarmscout_refresh::Error = self.rotation.exhausted(round);
        if failed.iter().all(Error::denies_the_node) {
            // It may have joined again, with another ID.
            self.node = None;
        }
        Err(failed)
    }

    fn has(&self, tasks: &NodeTasks) -> bool {
        self.publish.borrow().tasks.as_deref() == Some(tasks)
    }

    fn take(&mut self, manager: usize, news: News, age: Duration) {
        let manager = Arc::clone(&self.asker.managers[manager].name);
        let as_of = Instant::now().into_std().checked_sub(age);
        let is_first = self.publish.borrow().answers == 0;
        let had_failed = self.publish.borrow().error.is_some();
        if is_first || had_failed {
            tracing::info!(%manager, "Following the tasks of this node");
        }
        let tasks = match news {
            News::Same => None,
            News::Tasks(tasks, version) => {
                self.node = Some(tasks.node.id.clone());
                self.version = version;
                Some(tasks)
            }
        };
        self.logged = None;
        self.change(|known| {
            known.tasks = tasks.or_else(|| known.tasks.take());
            known.as_of = as_of.max(known.as_of);
            known.manager = Some(manager);
            known.error = None;
            known.answers += 1;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Followed)) {
        self.publish.send_modify(|known| change(Arc::make_mut(known)));
    }
}

impl Asker {
    /// Asks a manager for this node, or by each name of it until the manager knows one.
    async fn ask(
        &self,
        manager: usize,
        node: Option<&str>,
        version: Option<&HeaderValue>,
    ) -> Result<(News, Duration), Error> {
        if let Some(id) = node {
            return self.ask_for(manager, &NodeRef::Id(id.to_owned()), version).await;
        }
        let (mut tried, mut forbidden) = (Vec::new(), None);
        let names = self.settings.node.borrow().clone();
        for node in &names {
            match self.ask_for(manager, node, version).await {
                Err(Error::UnknownNode { manager, node }) => {
                    tried.push(format!("{manager} knows no node {node}"));
                }
                // By another name it may be ours.
                Err(error @ Error::NotOurs { .. }) => drop(forbidden.get_or_insert(error)),
                answered => return answered,
            }
        }
        if let Some(error) = forbidden {
            return Err(error);
        }
        if tried.is_empty() {
            tried.push("nothing names this node".to_owned());
        }
        Err(Error::WhichNode { tried: tried.join(", ") })
    }

    /// What to ask a manager of a node.
    fn request(&self, manager: usize, node: &NodeRef) -> Result<Request, Error> {
        let Manager { name, base } = &self.managers[manager];
        let ClientSettings { registration, report, labels, .. } = &self.settings;
        let encoded = utf8_percent_encode(&node.to_string(), NON_ALPHANUMERIC).to_string();
        let request = Request::new(&format!("{base}{encoded}/tasks"));
        let mut request = request
            .map_err(|error| unanswered(name, &error))?
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(NODE_PART_HEADER, HeaderValue::from_static("1"))
            .max_body(MAX_ANSWER);
        if let Some(Registration { port, overlay }) = registration {
            request = request.query("port", &port.to_string());
            if let Some(overlay) = overlay {
                let overlay =
                    utf8_percent_encode(&overlay.to_string(), NON_ALPHANUMERIC).to_string();
                request = request.query("overlay", &overlay);
            }
        }
        let further = labels.further();
        if !further.is_empty() {
            let further = utf8_percent_encode(&further, NON_ALPHANUMERIC).to_string();
            request = request.query("labels", &further);
        }
        let report = report.borrow();
        for path in LinkPath::ALL {
            if let Some(of_path) = report.of(path) {
                request = request.query(path.parameter(), &of_path.to_string());
            }
        }
        Ok(request)
    }

    async fn ask_for(
        &self,
        manager: usize,
        node: &NodeRef,
        version: Option<&HeaderValue>,
    ) -> Result<(News, Duration), Error> {
        let (name, wait) = (&self.managers[manager].name, self.settings.wait);
        let failed = |reason: String, failure| failed(name, reason, failure);
        let mut request = self
            .request(manager, node)?
            .timeout(wait + ANSWER_WITHIN)
            .query("wait", &format!("{}ms", wait.as_millis()));
        // The version is a digest of the answer: any manager's.
        if let Some(version) = version {
            request = request.header(IF_NONE_MATCH, version.clone());
        }
        let answer = self.client.get(request).await.map_err(|error| unanswered(name, &error))?;
        let age = answer.headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok());
        let age = Duration::from_secs(age.unwrap_or_default());
        match answer.status {
            StatusCode::NOT_MODIFIED if version.is_some() => Ok((News::Same, age)),
            StatusCode::OK => {
                let version = answer.headers.get(ETAG).filter(|it| it.len() <= LONGEST_VERSION);
                let version = version.cloned();
                let bad = |mut reason: String| {
                    self.client.secrets().clean_in_place(&mut reason);
                    reason.truncate(reason.floor_char_boundary(SHOWN_OF_REFUSAL));
                    Error::Answer { manager: name.to_string(), reason }
                };
                let body = answer.body.bytes().await;
                let body = body.map_err(|error| unanswered(name, &error))?;
                let tasks = wire::read(&body).map_err(bad)?;
                check(node, &tasks).map_err(bad)?;
                Ok((News::Tasks(Arc::new(tasks), version), age))
            }
            status => {
                let Refusal { text, is_of_api } = self.refusal(answer.body).await;
                match status {
                    // A server that is not a Swarmscout has no such message.
                    StatusCode::NOT_FOUND if is_of_api => {
                        let (manager, node) = (name.to_string(), node.to_string());
                        tracing::debug!(%manager, node, "A manager does not know this node");
                        Err(Error::UnknownNode { manager, node })
                    }
                    StatusCode::FORBIDDEN => {
                        Err(Error::NotOurs { manager: name.to_string(), reason: text })
                    }
                    StatusCode::NOT_FOUND => {
                        let text = format!(
                            "status {status}: it is not a Swarmscout, or its URL has a path that is not \
                             its --web.route-prefix: {text}"
                        );
                        Err(failed(text, RequestFailure::Status(status)))
                    }
                    _ => Err(failed(
                        format!("status {status}: {text}"),
                        RequestFailure::Status(status),
                    )),
                }
            }
        }
    }

    /// What a refusal says, on one line: the message of the API, else the beginning.
    async fn refusal(&self, mut body: Body) -> Refusal {
        let mut bytes = Vec::new();
        while bytes.len() < ENOUGH
            && let Ok(Some(piece)) = body.chunk().await
        {
            bytes.extend_from_slice(&piece);
        }
        let of_api = serde_json::from_slice::<ApiError>(&bytes).ok();
        let is_of_api = of_api.is_some();
        let said = of_api.map_or(bytes, |ApiError { error }| error.into_bytes());
        let text = self.client.secrets().clean_bytes(&said);
        let text = &text[..text.floor_char_boundary(SHOWN_OF_REFUSAL)];
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words = words.filter(|word| !word.is_empty()).collect::<Vec<_>>();
        Refusal { text: words.join(" "), is_of_api }
    }
}

/// What a manager says instead of an answer.
struct Refusal {
    text: String,
    /// Whether it speaks as the API does.
    is_of_api: bool,
}

/// An error of the API.
#[derive(serde::Deserialize)]
struct ApiError {
    error: String,
}

fn failed(manager: &str, reason: String, failure: RequestFailure) -> Error {
    Error::Request { manager: manager.to_owned(), reason, failure }
}

fn unanswered(manager: &str, error: &swarmscout_net::Error) -> Error {
    let failure = match error {
        swarmscout_net::Error::Connect { cause, .. } => RequestFailure::Connect(*cause),
        _ => RequestFailure::Other,
    };
    let mut reason = error.to_string();
    if ["tls_config", "client certificate"].iter().any(|words| reason.contains(words)) {
        reason += " (tls_config stands in the file of --manager.http-config)";
    }
    failed(manager, reason, failure)
}

/// Resolves when there is another value; never, once the sender is gone.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether an answer is for this node.
fn check(asked: &NodeRef, tasks: &NodeTasks) -> Result<(), String> {
    let NodeTasks { node, tasks, .. } = tasks;
    let is_ours = match asked {
        NodeRef::Id(id) => node.id == *id,
        NodeRef::Name(name) => node.name == *name,
        NodeRef::Container(id) => {
            is_container_id(id) && tasks.iter().any(|task| task.container == *id)
        }
    };
    if is_ours {
        return Ok(());
    }
    Err(format!("it is for the node {} ({}), and {asked} was asked for", node.id, node.name))
}

#[cfg(test)]
mod tests;
