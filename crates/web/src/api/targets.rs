//! `/api/v1/targets` and `/api/v1/scrape_pools`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Uri, header};
use serde::Serialize;
use swarmscout_model::quote::Quoted;
use swarmscout_model::target::{DefaultLabels, DropReason};
use swarmscout_model::{Labels, PoolSpec, SetGroup, Target, TargetList, TargetSet};
use tokio::task::JoinSet;

use super::discovered::DiscoveredLabels;
use super::status::Yaml;
use super::{ApiError, parameter, success};
use crate::App;
use crate::view::{Job, Steps};
use swarmscout_publish::json;

/// A list is written in pieces of about this size, each when the one before is on its way: however
/// long the list, a reader costs at most this much memory.
const PIECE: usize = 64 << 10;

/// How long a reader may hold targets that are no longer in use.
const HELD: Duration = Duration::from_secs(10);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScrapePools {
    scrape_pools: Vec<String>,
}

pub(super) async fn scrape_pools(State(app): State<Arc<App>>) -> Response {
    let scrape_pools = app
        .context
        .discovery
        .jobs
        .borrow()
        .iter()
        .map(|job| job.config.name().to_string())
        .collect();
    success(ScrapePools { scrape_pools })
}

pub(super) async fn scrape_pool_config(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let job = scrape_pool(&app, &uri)?;
    let name = job.config.name();
    // A job that is not in the file brings its own.
    let yaml = match &job.yaml {
        Some(yaml) => Some(yaml.to_string()),
        None => app.context.program.config.borrow().job_yaml(name),
    };
    Ok(success(Yaml { yaml: yaml.ok_or_else(|| no_pool(name))? }))
}

fn scrape_pool(app: &App, uri: &Uri) -> Result<Job, ApiError> {
    let name = parameter(uri, "scrapePool");
    if name.is_empty() {
        return Err(ApiError::BadData(String::from("no scrapePool parameter provided")));
    }
    app.context.discovery.job(&name).ok_or_else(|| no_pool(&name))
}

fn no_pool(name: &str) -> ApiError {
    let name = Quoted(name);
    ApiError::BadData(format!("error retrieving scrape config: scrape pool {name} not found"))
}

/// What each rule makes of the labels given (`?labels=`, a JSON object).
pub(super) async fn relabel_steps(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let bad_data = |message: &str| ApiError::BadData(String::from(message));
    if parameter(&uri, "scrapePool").is_empty() {
        return Err(bad_data("no scrapePool parameter provided"));
    }
    let labels = parameter(&uri, "labels");
    if labels.is_empty() {
        return Err(bad_data("no labels parameter provided"));
    }
    let labels: BTreeMap<String, String> = serde_json::from_str(&labels)
        .map_err(|error| ApiError::BadData(format!("error parsing labels: {error}")))?;
    let job = scrape_pool(&app, &uri)?;
    let labels = labels.iter().collect::<Labels>();
    Ok(success(Steps::of(&job.config.pool.relabel, &labels)))
}

/// `?state=active|dropped|any`, `?scrapePool=`.
pub(super) async fn targets(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let state = parameter(&uri, "state").to_lowercase();
    let shows = |what| state.is_empty() || state == "any" || state == what;
    let lists = Lists::new(app, &parameter(&uri, "scrapePool"), shows("active"), shows("dropped"));
    let body = Body::from_stream(stream::unfold(lists, |mut lists| async move {
        // Other requests have their turn between two pieces.
        tokio::task::yield_now().await;
        lists.piece().map(|piece| (Ok::<_, std::convert::Infallible>(piece), lists))
    }));
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// The lists of an answer, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Begin,
    Active,
    Dropped,
    Refused,
    End,
}

/// Sets, in the order of their jobs.
type Sets = Arc<[Arc<TargetSet>]>;

/// Writes the answer piece by piece. It shows the targets of one moment. But a slow reader must not
/// hold targets that have gone, so after [`HELD`] it goes on in the newest sets.
struct Lists {
    app: Arc<App>,
    /// The job that is asked for; empty for all.
    pool: String,
    /// Of all jobs, for the counts.
    counts: BTreeMap<String, usize>,
    held: Arc<Mutex<Option<Sets>>>,
    _release: JoinSet<()>,
    active: bool,
    dropped: bool,
    /// What comes next.
    list: List,
    set: usize,
    group: usize,
    target: usize,
    /// Where that is in newer sets, as far as it can be said.
    place: Option<Place>,
    /// How many of the set stand in the list already.
    listed: u64,
    /// Whether the list has an element yet.
    empty: bool,
    texts: Option<Box<PoolTexts>>,
}

/// A job, and the source key of one of its groups.
struct Place {
    job: Arc<str>,
    group: Option<Arc<str>>,
}

/// What the targets of a job have in common.
struct PoolTexts {
    pool: Arc<PoolSpec>,
    discovered: DiscoveredLabels,
    /// The member with its name.
    scrape_pool: Vec<u8>,
    /// What each rule says of a target that it dropped.
    reasons: Vec<Option<String>>,
}

impl PoolTexts {
    fn new(pool: &Arc<PoolSpec>) -> Self {
        let mut scrape_pool = Vec::new();
        member(&mut scrape_pool, "scrapePool", pool.name());
        Self {
            pool: Arc::clone(pool),
            discovered: DiscoveredLabels::new(DefaultLabels::new(&pool.defaults)),
            scrape_pool,
            reasons: vec![None; pool.relabel.len()],
        }
    }

    /// Opens the object of a target with what was discovered of it.
    fn discovered(&mut self, out: &mut Vec<u8>, group: &SetGroup, index: u32) {
        let group = &group.relabelled.group;
        out.extend(b"{\"discoveredLabels\":");
        self.discovered.write(out, group, index as usize);
        match TargetList::of(group) {
            TargetList::Normal => {}
            list => member(out, "list", &list.to_string()),
        }
    }

    fn reason(&mut self, reason: DropReason) -> Cow<'_, str> {
        let DropReason::Relabel { rule } = reason else { return reason.describe(&[]).into() };
        let describe = || reason.describe(&self.pool.relabel);
        match self.reasons.get_mut(rule) {
            Some(known) => Cow::from(&**known.get_or_insert_with(describe)),
            None => describe().into(),
        }
    }
}

impl Lists {
    fn new(app: Arc<App>, pool: &str, active: bool, dropped: bool) -> Self {
        let all = newest(&app, "");
        let count = |set: &Arc<TargetSet>| (set.pool.name().to_string(), set.counts.dropped);
        let counts = all.iter().map(count).collect();
        let sets = if pool.is_empty() { all } else { newest(&app, pool) };
        let held = Arc::new(Mutex::new(Some(sets)));
        let of_reader = Arc::downgrade(&held);
        let release = async move {
            tokio::time::sleep(HELD).await;
            if let Some(held) = of_reader.upgrade() {
                lock(&held).take();
            }
        };
        Self {
            app,
            pool: pool.to_owned(),
            counts,
            held,
            _release: [release].into_iter().collect(),
            active,
            dropped,
            list: List::Begin,
            set: 0,
            group: 0,
            target: 0,
            place: None,
            listed: 0,
            empty: true,
            texts: None,
        }
    }

    /// The next piece of the answer.
    fn piece(&mut self) -> Option<Bytes> {
        let held = lock(&self.held).clone();
        let sets = held.unwrap_or_else(|| {
            let sets = newest(&self.app, &self.pool);
            self.find_place(&sets);
            if let Some(texts) = &mut self.texts {
                texts.discovered.forget_group();
            }
            sets
        });
        let mut out = Vec::with_capacity(PIECE + 8192);
        while self.list != List::End && out.len() < PIECE {
            self.step(&sets, &mut out);
        }
        self.place = sets.get(self.set).map(|set| Place {
            job: Arc::clone(set.pool.name()),
            group: set.groups.get(self.group).map(|group| source_of(group).clone()),
        });
        (!out.is_empty()).then(|| Bytes::from(out))
    }

    /// Goes on in other sets at the same group, or where it was.
    fn find_place(&mut self, sets: &Sets) {
        let Some(Place { job, group }) = &self.place else { return };
        let (Ok(set) | Err(set)) = sets.binary_search_by(|set| set.pool.name().cmp(job));
        self.set = set;
        let Some(set) = sets.get(set).filter(|set| set.pool.name() == job) else {
            // The job has gone: the next one begins.
            (self.group, self.target, self.listed) = (0, 0, 0);
            return;
        };
        let Some(key) = group else {
            self.group = set.groups.len();
            return;
        };
        let is_at = |group: Option<&SetGroup>| group.is_some_and(|it| source_of(it) == key);
        // Different sources of a job may have the same key: the nearest it is.
        let (before, after) = (self.group, set.groups.len().saturating_sub(self.group));
        let found = (0..before.max(after).saturating_add(1)).find_map(|distance| {
            let later = self.group + distance;
            let earlier = self.group.checked_sub(distance);
            let at = |place: usize| is_at(set.groups.get(place)).then_some(place);
            at(later).or_else(|| at(earlier?))
        });
        match found {
            Some(group) => self.group = group,
            // The group has gone: the one in its place is written whole.
            None => self.target = 0,
        }
    }

    /// Writes one target, or goes on to the next group, set or list.
    fn step(&mut self, sets: &Sets, out: &mut Vec<u8>) {
        let wanted = match self.list {
            List::Begin | List::End => false,
            List::Active => self.active,
            List::Dropped | List::Refused => self.dropped,
        };
        let Some(set) = sets.get(self.set).filter(|_| wanted) else {
            self.next_list(out);
            return;
        };
        let limit = set.pool.keep_dropped_targets;
        let full = self.list != List::Active && limit > 0 && self.listed >= limit;
        let Some(group) = set.groups.get(self.group).filter(|_| !full) else {
            (self.set, self.group, self.target, self.listed) = (self.set + 1, 0, 0, 0);
            return;
        };
        let texts = self.texts.take().filter(|texts| Arc::ptr_eq(&texts.pool, &set.pool));
        let mut texts = texts.unwrap_or_else(|| Box::new(PoolTexts::new(&set.pool)));
        let start = out.len();
        if !self.empty {
            out.push(b',');
        }
        let body = out.len();
        let more = match self.list {
            List::Active => self.active(out, set, group, &mut texts),
            List::Dropped => self.dropped(out, group, &mut texts),
            List::Refused => self.refused(out, group, &mut texts),
            List::Begin | List::End => false,
        };
        self.texts = Some(texts);
        if out.len() == body {
            out.truncate(start);
        } else {
            self.empty = false;
            self.listed += 1;
        }
        if more {
            self.target += 1;
        } else {
            (self.group, self.target) = (self.group + 1, 0);
        }
    }

    fn next_list(&mut self, out: &mut Vec<u8>) {
        self.list = match self.list {
            List::Begin => {
                out.extend(b"{\"status\":\"success\",\"data\":{\"activeTargets\":[");
                List::Active
            }
            List::Active => {
                out.extend(b"],\"droppedTargets\":[");
                List::Dropped
            }
            List::Dropped => {
                out.extend(b"],\"droppedTargetCounts\":");
                let counts = self.dropped.then_some(&self.counts);
                serde_json::to_writer(&mut *out, &counts).expect("numbers by name are JSON");
                out.extend(b",\"refusedTargets\":[");
                List::Refused
            }
            List::Refused | List::End => {
                out.extend(b"]}}");
                List::End
            }
        };
        (self.set, self.group, self.target, self.listed) = (0, 0, 0, 0);
        self.empty = true;
    }

    /// Writes an active target, unless it is a duplicate. `false`: the group is at its end.
    fn active(
        &self,
        out: &mut Vec<u8>,
        set: &TargetSet,
        group: &SetGroup,
        texts: &mut PoolTexts,
    ) -> bool {
        let Some(target) = group.relabelled.active.get(self.target) else { return false };
        if group.duplicates().binary_search(&narrow(self.target)).is_ok() {
            return true;
        }
        texts.discovered(out, group, target.index);
        out.extend(b",\"labels\":");
        json::object(out, target.public_labels());
        out.extend_from_slice(&texts.scrape_pool);
        let url = target.url(&set.pool.defaults.params);
        let global_url = self.app.global_url.of(&url);
        let label = |name| target.labels.get(name).unwrap_or_default();
        for (name, value) in [
            ("scrapeUrl", &*url),
            ("globalUrl", global_url.as_deref().unwrap_or(&url)),
            ("lastError", set.limit_error.as_deref().unwrap_or_default()),
            ("lastScrape", "0001-01-01T00:00:00Z"),
            ("health", "unknown"),
            ("scrapeInterval", label("__scrape_interval__")),
            ("scrapeTimeout", label("__scrape_timeout__")),
        ] {
            member(out, name, value);
        }
        out.extend(b",\"lastScrapeDuration\":0}");
        true
    }

    /// Writes a dropped target. `false`: the group is at its end.
    fn dropped(&self, out: &mut Vec<u8>, group: &SetGroup, texts: &mut PoolTexts) -> bool {
        let Some(target) = group.relabelled.dropped.get(self.target) else { return false };
        texts.discovered(out, group, target.index);
        out.extend_from_slice(&texts.scrape_pool);
        member(out, "dropReason", &texts.reason(target.reason));
        out.push(b'}');
        true
    }

    /// Writes a target that cannot be scraped, or is equal to another. `false`: the group has no
    /// more.
    fn refused(&self, out: &mut Vec<u8>, group: &SetGroup, texts: &mut PoolTexts) -> bool {
        let refused = &group.relabelled.refused;
        let (index, reason) = match refused.get(self.target) {
            Some(target) => (target.index, target.reason.as_str()),
            None => match group.duplicates().get(self.target - refused.len()) {
                Some(place) => {
                    let target: &Target = &group.relabelled.active[*place as usize];
                    (target.index, "duplicate: another target has the same labels and URL")
                }
                None => return false,
            },
        };
        texts.discovered(out, group, index);
        out.extend_from_slice(&texts.scrape_pool);
        member(out, "reason", reason);
        out.push(b'}');
        true
    }
}

/// The sets in use of this job; of all jobs if it is empty.
fn newest(app: &App, pool: &str) -> Sets {
    let jobs = app.context.discovery.jobs.borrow();
    let wanted = jobs.iter().filter(|job| pool.is_empty() || pool == &**job.config.name());
    wanted.map(|job| Arc::clone(&job.set.borrow())).collect()
}

fn source_of(group: &SetGroup) -> &Arc<str> {
    &group.relabelled.group.source
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Appends a member of an object that has one; its name needs no escape.
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::string(out, value);
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 targets fit in memory")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::tests::{Server, group, job, set};

    /// Reads the answer, whose pieces have one target each; `meanwhile` runs after the first.
    async fn read(meanwhile: impl FnOnce(&Server, &Lists)) -> Vec<String> {
        let now = Instant::now();
        let groups = ["a", "b", "c", "d"].map(|source| group(source, "", &[&long(source)]));
        let web = set(&Arc::new(job("web")), &groups, Vec::new());
        let server = Server::start(now, vec![web]).await;
        let app = Arc::new(App::new(server.context.clone(), &[]));
        let mut lists = Lists::new(app, "", true, false);
        let mut answer = lists.piece().unwrap().to_vec();
        meanwhile(&server, &lists);
        while let Some(piece) = lists.piece() {
            answer.extend(piece);
        }
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        let targets = answer["data"]["activeTargets"].as_array().unwrap();
        let name = |target: &serde_json::Value| target["labels"]["instance"].to_string();
        targets.iter().map(|target| name(target).replace('"', "")).collect()
    }

    /// A target of this address that fills a piece.
    fn long(address: &str) -> String {
        format!("{address} __meta_padding={}", "x".repeat(PIECE))
    }

    #[tokio::test]
    async fn a_reader_sees_one_moment() {
        let change = |server: &Server, _: &Lists| {
            let web = set(&Arc::new(job("web")), &[], Vec::new());
            server.publish(web);
        };
        assert_eq!(read(change).await, ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_slow_reader_goes_on_in_the_newest_targets() {
        let change = |server: &Server, lists: &Lists| {
            let groups = ["0", "b", "c2", "d"].map(|source| group(source, "", &[&long(source)]));
            let old = Arc::downgrade(&server.sets[0].borrow());
            server.publish(set(&Arc::new(job("web")), &groups, Vec::new()));
            assert!(old.upgrade().is_some());
            lock(&lists.held).take();
            assert!(old.upgrade().is_none(), "the reader holds old targets");
        };
        assert_eq!(read(change).await, ["a", "0", "b", "c2", "d"]);
        let remove = |server: &Server, lists: &Lists| {
            server.jobs.send_replace(Arc::from([]));
            lock(&lists.held).take();
        };
        assert_eq!(read(remove).await, ["a"]);
    }
}
