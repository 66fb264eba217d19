//! One fault of one source.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use swarmscout_discovery::manager::{Job, JobState};
use swarmscout_model::target::{DefaultLabels, discovered};
use swarmscout_model::{LabelsBuilder, TargetSet};
use swarmscout_simulator::Fault;
use tokio::time::timeout;

use super::origin::{NameServer, Origin};
use super::rows::{Row, Spoil};
use super::site::{Log, MOST, Site};
use super::sources::Source;

/// Far longer than anything here takes.
pub(crate) const GUARD: Duration = Duration::from_mins(5);

/// How many rows of a source are tried at the same time.
const AT_ONCE: usize = 8;

/// What the kernel may hold of an answer whose reader has gone.
const IN_SOCKETS: u64 = 16 << 20;

/// What was seen of a row, at the first refresh and at a later one.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) first: Seen,
    pub(crate) later: Seen,
}

/// The observations during the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Why the refresh failed.
    pub(crate) error: Option<String>,
    /// What it left out.
    pub(crate) problems: Vec<String>,
    /// Targets that were the same as without a fault, that were missing or different, and that
    /// do not exist without a fault.
    pub(crate) same: usize,
    pub(crate) lost: usize,
    pub(crate) other: usize,
}

/// The observations of these rows of a source, `AT_ONCE` of them at a time.
pub(crate) async fn rows(
    source: Source,
    numbers: &[usize],
    patience: Duration,
    log: &Log,
) -> Vec<(usize, Option<Cell>)> {
    let mut cells = Vec::new();
    for numbers in numbers.chunks(AT_ONCE) {
        cells.extend(some_rows(source, numbers, patience, log).await);
    }
    cells
}

async fn some_rows(
    source: Source,
    numbers: &[usize],
    patience: Duration,
    log: &Log,
) -> Vec<(usize, Option<Cell>)> {
    let names = Arc::new(NameServer::start());
    let well = Attempt::new(source, format!("{source:?}-well"), None, &names);
    let mut jobs = format!("scrape_configs:\n{}", well.yaml(source));
    let mut rows = Vec::new();
    for &number in numbers {
        let attempts = Row::ALL[number].spoil(source).map(|spoil| {
            ["first", "later"].map(|when| {
                let job = format!("{source:?}-{when}-{number}");
                Attempt::new(source, job, Some(spoil.clone()), &names)
            })
        });
        for attempt in attempts.iter().flatten() {
            jobs += &attempt.yaml(source);
        }
        if let Some([first, _]) = &attempts {
            first.spoil();
        }
        rows.push((number, attempts));
    }
    let site = &Site::start(&jobs, patience, &names, log).await;
    let healthy = timeout(GUARD, well.healthy(site)).await;
    let healthy = &healthy.unwrap_or_else(|_| panic!("{source:?} has no good refresh"));
    join_all(rows.into_iter().map(|(number, attempts)| async move {
        let Some([first, later]) = attempts else { return (number, None) };
        let both = async {
            tokio::join!(first.first_refresh(site, healthy), later.later_refresh(site, healthy))
        };
        let Ok((first, later)) = timeout(GUARD, both).await else {
            let jobs = ["first", "later"].map(|when| {
                let job = site.job(&format!("{source:?}-{when}-{number}"));
                job.status.borrow().sources.clone()
            });
            panic!("{source:?}, {}: not what was waited for: {jobs:#?}", Row::ALL[number].name)
        };
        (number, Some(Cell { first, later }))
    }))
    .await
}

/// Discovered labels of targets, without the job and what is another at each run.
type Targets = BTreeSet<String>;

/// A job with what it asks.
struct Attempt {
    job: String,
    origin: Origin,
    /// The path of the list that is refreshed first.
    list: &'static str,
    spoil: Option<Spoil>,
}

/// The roles of a Swarm.
const LISTS: [&str; 4] = ["/nodes", "/services", "/tasks", "/networks"];

impl Attempt {
    fn new(source: Source, job: String, spoil: Option<Spoil>, names: &Arc<NameServer>) -> Self {
        Self { origin: source.start(&job, names), job, list: source.list(), spoil }
    }

    fn yaml(&self, source: Source) -> String {
        format!("- job_name: {}\n  {}\n", self.job, source.yaml(&self.origin))
    }

    fn spoil(&self) {
        if let Some(spoil) = &self.spoil {
            self.origin.spoil(spoil);
        }
    }

    /// The targets without a fault.
    async fn healthy(&self, site: &Site) -> Targets {
        let mut job = site.job(&self.job);
        wait(&mut job, is_well).await;
        let healthy = self.targets(&job.set.borrow());
        assert!(healthy.len() > 1, "{healthy:?}");
        healthy
    }

    /// The fault is there from the start, and then ends.
    async fn first_refresh(self, site: &Site, healthy: &Targets) -> Seen {
        let mut job = site.job(&self.job);
        let has_failed =
            |job: &JobState| job.status.sources[0].error.is_some() && !self.has_mixed_error(job);
        wait(&mut job, |job| job.set.is_ready() || has_failed(job)).await;
        let seen = self.observe(site, &job, healthy).await;
        if let Some(error) = &seen.error {
            let (status, body) = site.get(&format!("/sd/{}", self.job)).await;
            // A refresh may end meanwhile, with another error on a busy machine.
            let now = job.status.borrow().sources[0].error.clone();
            let errors = [error, &*self.origin.anonymous(&now.expect("the fault is still there"))];
            let body = self.origin.anonymous(&body);
            let names_it = errors.iter().any(|error| body.contains(error));
            assert!(status == 503 && names_it, "{}: {status}: {body}\nnot {errors:?}", self.job);
            assert_eq!(seen.same + seen.other, 0, "{}", self.job);
        }
        self.recover(&mut job, healthy).await;
        seen
    }

    /// The fault comes after a good refresh, and then ends.
    async fn later_refresh(self, site: &Site, healthy: &Targets) -> Seen {
        let mut job = site.job(&self.job);
        wait(&mut job, |job| is_well(job) && self.targets(&job.set) == *healthy).await;
        let before = job.state().set;
        self.spoil();
        let unlike = |job: &JobState| !is_well(job) || !same_groups(&job.set, &before);
        match (self.origin.server(), &self.spoil) {
            // It may have no effect. Each refresh asks once for what was changed: with the third time
            // two refreshes have ended.
            (Some(server), Some(Spoil::Path(_, Fault::Body(_)))) => {
                let struck = server.faults().struck();
                tokio::select! {
                    biased;
                    () = wait(&mut job, unlike) => {}
                    () = server.faults().struck_times(struck + 3) => {}
                }
            }
            // The refresh that runs at that moment is cancelled.
            (_, Some(Spoil::Refuse)) => {
                let refused = |error: &Arc<str>| error.starts_with("cannot connect");
                wait(&mut job, |job| job.status.sources[0].error.as_ref().is_some_and(refused))
                    .await;
            }
            _ => wait(&mut job, |job| unlike(job) && !self.has_mixed_error(job)).await,
        }
        let seen = self.observe(site, &job, healthy).await;
        if seen.error.is_some() {
            assert_eq!((seen.lost, seen.other), (0, 0), "{}: {seen:?}", self.job);
        }
        self.recover(&mut job, healthy).await;
        seen
    }

    /// Whether the last refresh failed by another list than the one that has the fault. The refresh
    /// that runs when the fault begins may have that list already. On a busy machine other lists
    /// miss a short deadline, too.
    fn has_mixed_error(&self, job: &JobState) -> bool {
        let mut others = LISTS.iter().filter(|list| **list != self.list);
        let error = job.status.sources[0].error.as_deref().unwrap_or_default();
        !self.list.is_empty() && others.any(|list| error.contains(&format!("{list}: ")))
    }

    /// Ends the fault. The refresh that runs at that moment may fail, and the failure of the one before
    /// may not be published yet; none after them fails, and no failed one takes a target away.
    async fn recover(&self, job: &mut Job, healthy: &Targets) {
        let failures = job.status.borrow().sources[0].failures;
        self.origin.heal();
        let mut last = None;
        wait(job, |job| {
            let targets = self.targets(&job.set);
            let error = &job.status.sources[0].error;
            let failed = error.is_some() && job.set.is_ready();
            last = error.clone().or(last.take());
            assert!(!failed || !targets.is_empty(), "{}: {job:?}", self.job);
            is_well(job) && targets == *healthy
        })
        .await;
        let now = job.status.borrow().sources[0].failures;
        let more = now - failures;
        let silent = matches!(&self.spoil, Some(spoil) if spoil.is_silent());
        // Refreshes with a short deadline may miss it on a busy machine.
        assert!(more <= 2 || silent, "{}: {more} refreshes failed afterwards: {last:?}", self.job);
    }

    /// What log, metrics and API report, and the targets there are.
    async fn observe(&self, site: &Site, job: &Job, healthy: &Targets) -> Seen {
        let _turn = site.turn.lock().await;
        let targets = self.targets(&job.set.borrow());
        // A refresh may end between two answers: the metrics are of one of these two, or between.
        let before = site.source(&self.job).await;
        let metrics = site.metrics().await;
        let source = site.source(&self.job).await;
        let job = &self.job;
        let error = source["lastError"].as_str().unwrap();
        let anonymous = |text: &str| self.origin.anonymous(text);
        let text = |value: &Value| anonymous(value.as_str().unwrap());
        let problem = |problem: &Value| {
            let part = |name| text(&problem[name]);
            let detail = [": ".to_owned(), part("detail")].concat();
            let detail = if detail == ": " { String::new() } else { detail };
            format!("{} {}: {}{detail}", part("kind"), part("object"), part("reason"))
        };
        let problems = source["problems"].as_array().unwrap();
        let up = metrics.sample(&format!("swarmscout_source_up{{job=\"{job}\","));
        let count = |effect| -> f64 {
            let source = source["name"].as_str().unwrap();
            let labels = format!("job=\"{job}\",source=\"{source}\",effect=\"{effect}\"");
            metrics.sample(&format!("swarmscout_source_problems{{{labels}}}"))
        };
        let (skipped, reported) = (count("skipped"), count("reported"));
        let around = [&before, &source];
        let is_like = |source: &&Value| {
            let problems = source["problems"].as_array().unwrap().len();
            let has_as_many = (skipped + reported - problems as f64).abs() < 0.5;
            has_as_many && (up == 0.0) != source["lastError"].as_str().unwrap().is_empty()
        };
        assert!(around.iter().any(is_like), "{up} {skipped} {reported}: {around:?}");
        let log = site.log.of(job);
        if !error.is_empty() {
            let failed = |line: &Value| {
                line["msg"] == "Unable to refresh target groups" && line["err"] == error
            };
            assert!(log.iter().any(failed), "{source}\n{log:#?}");
        }
        for problem in problems {
            let (message, counter) = if problem["skipped"].as_bool().unwrap() {
                ("Object skipped", "swarmscout_objects_skipped_total")
            } else {
                ("Problem reported", "swarmscout_problems_reported_total")
            };
            let noted = |line: &Value| {
                line["msg"] == message
                    && ["kind", "object", "reason", "detail"]
                        .iter()
                        .all(|name| line[*name] == problem[*name])
            };
            assert!(log.iter().any(noted), "{problem}\n{log:#?}");
            let (kind, reason) = (text(&problem["kind"]), text(&problem["reason"]));
            let series = format!("{counter}{{kind=\"{kind}\",reason=\"{reason}\"}}");
            assert!(metrics.sample(&series) > 0.0, "{series}");
        }
        if let Some(server) = self.origin.server() {
            let (bytes, times) = (server.faults().sent(), server.faults().struck());
            assert!(
                bytes <= times * (MOST + IN_SOCKETS),
                "{job}: {bytes} bytes in {times} answers"
            );
        }
        Seen {
            error: (!error.is_empty()).then(|| anonymous(error)),
            problems: problems.iter().map(problem).collect(),
            same: targets.intersection(healthy).count(),
            lost: healthy.difference(&targets).count(),
            other: targets.difference(healthy).count(),
        }
    }

    fn targets(&self, set: &TargetSet) -> Targets {
        let mut builder = LabelsBuilder::new();
        let defaults = DefaultLabels::new(&set.pool.defaults);
        let mut targets = Targets::new();
        for (group, target) in set.active() {
            let index = target.index as usize;
            discovered(&group.group, index, &defaults, &mut builder);
            builder.set("job", "");
            targets.insert(self.origin.anonymous(&format!("{:?}", builder.build())));
        }
        targets
    }
}

async fn wait(job: &mut Job, is: impl FnMut(&JobState) -> bool) {
    job.wait_for(is).await.unwrap();
}

/// Whether the last refresh succeeded, and left out nothing.
fn is_well(job: &JobState) -> bool {
    let source = &job.status.sources[0];
    source.as_of.is_some() && source.error.is_none() && source.problems.is_empty()
}

fn same_groups(a: &TargetSet, b: &TargetSet) -> bool {
    let (a, b) = (&a.groups, &b.groups);
    a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| a.is_same(b))
}
