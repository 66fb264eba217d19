//! How long a change of a Swarm takes to be served while others go on, what that costs, and whether
//! something is missed: tasks by the watch, at two sizes; services and nodes by `/events`.
//!
//! Now and then the one task of a small service dies, and its replacement is waited for: from the
//! moment the simulated Swarm has reported it until `/sd` shows its ID, seen by `HEAD` and `ETag`.
//! Beside it a job holds all tasks, and its list is read and counted once a second. In the end it
//! is compared with that of a second program that begins with a listing.
//!
//! A minute for each size; `FOLLOW_SECONDS` sets another time. Prometheus 2.42 runs beside it at
//! the smaller size, where nothing else changes; at the larger one stand figures of Prometheus 3.14
//! that were measured elsewhere, at half the number of tasks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use swarmscout_simulator::swarm::{Action, Changes, Object, ServiceSpec};

use crate::process::{pause_until, until};
use crate::programs::{Program, Running, agent};
use crate::refresh::Swarm;
use crate::report::{Report, count, mebibytes, milliseconds, seconds};

const SMALL: (usize, usize) = (1000, 10_000);
const LARGE: (usize, usize) = (10_000, 100_000);

/// Tasks that die and are replaced each second.
const DEATHS: u32 = 100;

/// Between two changes that are waited for.
const GAP: Duration = Duration::from_millis(300);

/// Changes of services and nodes that are waited for, of each.
const REPORTED: usize = 40;
/// What Prometheus shows of changes it shows after seconds.
const CHANGES_OF_PEER: usize = 8;

/// Prometheus 3.14 at 50,000 tasks, refreshing every 5 s: p50 and p99.
const PEER_LARGE: (f64, f64) = (33.0, 49.0);

/// The service whose task dies.
const PROBE: &str = "probe";

pub fn run(report: &mut Report) -> Result<()> {
    let time = std::env::var("FOLLOW_SECONDS").ok().map(|text| text.parse()).transpose();
    let time = Duration::from_secs(time.context("FOLLOW_SECONDS")?.unwrap_or(60));
    let what = "; peer: Prometheus 3.14 at 50,000, measured elsewhere";
    tasks(report, LARGE, time, Some(PEER_LARGE), what)?;
    let peer = Program::Prometheus.is_there().then(at_peer).transpose()?;
    tasks(report, SMALL, time, peer.map(|times| (times.at(50), times.at(99))), "")?;
    by_events(report)
}

/// Tasks that die, by the watch.
fn tasks(
    report: &mut Report,
    (nodes, tasks): (usize, usize),
    time: Duration,
    peer: Option<(f64, f64)>,
    about_peer: &str,
) -> Result<()> {
    let swarm = Swarm::start_watched(nodes, tasks)?;
    add_probe(&swarm);
    let folder = tempfile::tempdir()?;
    let scout = Program::Swarmscout.start(folder.path(), &config(&swarm, "watch"))?;
    let wanted = tasks + 1;
    let list = format!("{}/sd/all?meta=0", scout.url);
    let mut reader = Reader::new(&list);
    until("all tasks", Duration::from_mins(2), || {
        Ok((reader.count().unwrap_or(0) == wanted).then_some(()))
    })?;

    let (cpu, began) = (scout.process.cpu()?, Instant::now());
    let stop = AtomicBool::new(false);
    let (times, deaths, counts) = std::thread::scope(|scope| {
        let deaths = scope.spawn(|| die(&swarm, &stop));
        let counts = scope.spawn(|| {
            let mut counts = Vec::new();
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                counts.push(reader.count()?);
                next = Instant::now().max(next + Duration::from_secs(1));
                pause_until(next);
            }
            Ok::<_, anyhow::Error>(counts)
        });
        let times = probe(&swarm, &scout, began + time);
        stop.store(true, Ordering::Relaxed);
        let counts = counts.join().expect("counting does not panic")?;
        Ok::<_, anyhow::Error>((times?, deaths.join().expect("killing does not panic"), counts))
    })?;
    let took = began.elapsed().as_secs_f64();
    let share = (scout.process.cpu()? - cpu) / took;
    let memory = scout.process.peak_memory()?;
    let missed = differences(&swarm, &list)?;

    let size = format!(
        "{nodes} nodes, {tasks} tasks, {:.0} of them replaced a second",
        f64::from(deaths) / took
    );
    let rows = [
        ("p50", 50, peer.map(|peer| peer.0), ""),
        ("p99", 99, peer.map(|peer| peer.1), "< 250 ms"),
        ("longest", 100, None, ""),
    ];
    for (name, percent, peer, wanted) in rows {
        let about_peer = if peer.is_some() { about_peer } else { "" };
        let what =
            format!("from report of a task's replacement to /sd, {size}, {name}{about_peer}");
        report.row(&what, times.at(percent), peer, wanted, milliseconds);
    }
    report.row("such replacements", times.0.len() as f64, None, "", count);
    report.row(&format!("for {took:.0} s: CPU a second"), share, None, "< 0.5 s", seconds);
    report.row("peak memory", memory, None, "< 1.5 GB", mebibytes);
    let (least, most) = (counts.iter().min(), counts.iter().max());
    let range = |count: Option<&usize>| count.map_or(f64::NAN, |count| *count as f64);
    let lists = counts.len();
    let what = |most| format!("tasks in {lists} lists read meanwhile, the {most} in one");
    report.row(&what("fewest"), range(least), None, &wanted.to_string(), count);
    report.row(&what("most"), range(most), None, &wanted.to_string(), count);
    report.row("targets that a fresh listing has otherwise", missed as f64, None, "0", count);
    let shown = format!("{:?} of {wanted}", (least, most));
    // A task that died is dropped a moment before its replacement is a target.
    let near = |count: &usize| count.abs_diff(wanted) <= DEATHS as usize;
    ensure!(counts.iter().all(near), "tasks that were served meanwhile: {shown}");
    ensure!(missed == 0, "{missed} targets differ from those of a fresh listing");
    Ok(())
}

/// The service whose task dies now and then. It has a network to be reached in.
fn add_probe(swarm: &Swarm) {
    let network = swarm.state.create_network("probes");
    swarm.state.create_service(ServiceSpec::new(PROBE, "demo:1").network(&network));
}

/// All tasks that are wanted, one target each, distinguished by their ID; and the one of the probe.
fn config(swarm: &Swarm, events: &str) -> String {
    let source = format!(
        "{{host: '{}', role: tasks, events: {events}, match_first_network: true}}",
        swarm.url()
    );
    let running =
        "{source_labels: [__meta_dockerswarm_task_desired_state], regex: running, action: keep}";
    format!(
        "scrape_configs:\n\
         - job_name: all\n  dockerswarm_sd_configs: [{source}]\n  relabel_configs:\n  - {running}\n  \
         - {{source_labels: [__meta_dockerswarm_task_id], target_label: task}}\n  \
         - {{source_labels: [__meta_dockerswarm_service_name], target_label: service}}\n\
         - job_name: {PROBE}\n  dockerswarm_sd_configs: [{source}]\n  relabel_configs:\n  - {running}\n  \
         - {{source_labels: [__meta_dockerswarm_service_name], regex: {PROBE}, action: keep}}\n"
    )
}

/// Lets tasks die until it is asked to stop; how many did.
fn die(swarm: &Swarm, stop: &AtomicBool) -> u32 {
    let mut changes = swarm.state.changes();
    let tasks = swarm.state.tasks().into_iter().filter(swarmscout_simulator::swarm::Task::is_live);
    let probe = probe_service(swarm);
    let mut tasks: Vec<_> =
        tasks.filter(|task| task.service_id != probe).map(|task| task.meta.id).collect();
    let (mut deaths, mut at) = (0, 0);
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // A prime: one task after the other of services all over the Swarm.
        at = (at + 7919) % tasks.len();
        deaths += u32::from(swarm.state.kill_task(&tasks[at]));
        while let Some(change) = changes.try_next() {
            if let (Action::Create, Object::Task(task)) = (change.action, change.object)
                && task.service_id != probe
            {
                task.meta.id.clone_into(&mut tasks[at]);
            }
        }
        next += Duration::from_secs(1) / DEATHS;
        pause_until(next);
    }
    deaths
}

fn probe_service(swarm: &Swarm) -> String {
    let services = swarm.state.services();
    let probe = services.into_iter().find(|service| service.spec.name == PROBE);
    probe.expect("it was added").meta.id
}

/// Lets the probe's task die now and then, and waits each time until its replacement is served.
fn probe(swarm: &Swarm, scout: &Running, end: Instant) -> Result<Times> {
    let service = probe_service(swarm);
    let mut changes = swarm.state.changes();
    let mut eye = Eye::new(&format!("{}/sd/{PROBE}", scout.url));
    let mut times = Vec::new();
    let mut next = Instant::now();
    while Instant::now() < end {
        let task = swarm.state.tasks_of(&service).remove(0).meta.id;
        drain(&mut changes, &service);
        ensure!(swarm.state.kill_task(&task), "the probe's task does not run");
        let reported = Instant::now();
        let replacement = drain(&mut changes, &service).context("it is not replaced")?;
        until("the replacement", Duration::from_mins(1), || {
            Ok(eye.sees(&replacement)?.then_some(()))
        })?;
        times.push(reported.elapsed().as_secs_f64());
        next = Instant::now().max(next + GAP);
        pause_until(next);
    }
    Ok(Times::new(times))
}

/// Takes the changes so far; gives the ID of the newest task of this service that came.
fn drain(changes: &mut Changes, service: &str) -> Option<String> {
    let mut newest = None;
    while let Some(change) = changes.try_next() {
        if let (Action::Create, Object::Task(task)) = (change.action, change.object)
            && task.service_id == service
        {
            newest = Some(task.meta.id.clone());
        }
    }
    newest
}

/// How many targets differ between this list and the one of a program that listed just now.
fn differences(swarm: &Swarm, list: &str) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let fresh = Program::Swarmscout.start(folder.path(), &config(swarm, "poll"))?;
    let mut reader = Reader::new(&format!("{}/sd/all?meta=0", fresh.url));
    until("a fresh listing", Duration::from_mins(2), || Ok(reader.count().ok()))?;
    let (fresh, ours) = (reader.targets()?, Reader::new(list).targets()?);
    let gone = fresh.iter().filter(|(target, labels)| ours.get(*target) != Some(labels)).count();
    Ok(gone + ours.keys().filter(|target| !fresh.contains_key(*target)).count())
}

/// Makes the change of this number, and says what to search for.
type Change<'a> = &'a dyn Fn(usize) -> String;

/// Services that get another label, and nodes that are drained, by `/events`.
fn by_events(report: &mut Report) -> Result<()> {
    let (nodes, tasks) = SMALL;
    let swarm = Swarm::start(nodes, tasks)?;
    add_probe(&swarm);
    let service = probe_service(&swarm);
    let node = swarm.state.nodes().pop().context("there are nodes")?;
    let (id, name) = (node.meta.id, node.description.hostname);
    let folder = tempfile::tempdir()?;
    let config = format!(
        "{}- job_name: node\n  dockerswarm_sd_configs: [{{host: '{}', role: nodes, events: events}}]\n  \
         relabel_configs:\n  \
         - {{source_labels: [__meta_dockerswarm_node_hostname], regex: {name}, action: keep}}\n",
        config(&swarm, "events"),
        swarm.url(),
    );
    let scout = Program::Swarmscout.start(folder.path(), &config)?;
    let label = |number: usize| {
        swarm.state.label_service(&service, "refresh", &number.to_string());
        format!("\"__meta_dockerswarm_service_label_refresh\":\"{number}\"")
    };
    let drain = |number: usize| {
        let availability = if number.is_multiple_of(2) {
            swarm.state.activate_node(&id);
            "active"
        } else {
            swarm.state.drain_node(&id);
            "drain"
        };
        format!("\"__meta_dockerswarm_node_availability\":\"{availability}\"")
    };
    let cases: [(&str, &str, Change<'_>); 2] =
        [("a service's label", PROBE, &label), ("a node's availability", "node", &drain)];
    for (what, job, change) in cases {
        let mut eye = Eye::new(&format!("{}/sd/{job}", scout.url));
        until("the job", Duration::from_mins(1), || {
            Ok(eye.sees("__meta_dockerswarm").unwrap_or(false).then_some(()))
        })?;
        let mut times = Vec::new();
        for number in 1..=REPORTED {
            let text = change(number);
            let reported = Instant::now();
            until(what, Duration::from_mins(1), || Ok(eye.sees(&text)?.then_some(())))?;
            times.push(reported.elapsed().as_secs_f64());
            pause_until(reported + GAP);
        }
        let times = Times::new(times);
        for (name, percent, wanted) in [("p50", 50, ""), ("p99", 99, "< 1 s"), ("longest", 100, "")]
        {
            let row = format!(
                "{what} changed until served, by /events, {nodes} nodes, {tasks} tasks, {name}"
            );
            report.row(&row, times.at(percent), None, wanted, milliseconds);
        }
    }
    Ok(())
}

/// The same death of a task as seen in the peer's list of targets.
fn at_peer() -> Result<Times> {
    let swarm = Swarm::start(SMALL.0, SMALL.1)?;
    add_probe(&swarm);
    let service = probe_service(&swarm);
    let folder = tempfile::tempdir()?;
    let config = format!(
        "scrape_configs:\n- job_name: {PROBE}\n  scrape_interval: 1h\n  \
         dockerswarm_sd_configs: [{{host: '{}', role: tasks, refresh_interval: 5s}}]\n  relabel_configs:\n  \
         - {{source_labels: [__meta_dockerswarm_task_desired_state], regex: running, action: keep}}\n  \
         - {{source_labels: [__meta_dockerswarm_service_name], regex: {PROBE}, action: keep}}\n",
        swarm.url()
    );
    let peer = Program::Prometheus.start(folder.path(), &config)?;
    let mut eye = Eye::new(&format!("{}/api/v1/targets?state=active", peer.url));
    let mut changes = swarm.state.changes();
    until("the probe", Duration::from_mins(2), || {
        Ok(eye.sees("__meta_dockerswarm").unwrap_or(false).then_some(()))
    })?;
    let mut times = Vec::new();
    for number in 0..CHANGES_OF_PEER {
        let task = swarm.state.tasks_of(&service).remove(0).meta.id;
        ensure!(swarm.state.kill_task(&task), "the probe's task does not run");
        let reported = Instant::now();
        let replacement = drain(&mut changes, &service).context("it is not replaced")?;
        until("the replacement", Duration::from_mins(2), || {
            Ok(eye.sees(&replacement)?.then_some(()))
        })?;
        times.push(reported.elapsed().as_secs_f64());
        // Not always at the same moment between two refreshes.
        pause_until(Instant::now() + Duration::from_millis(700) * u32::try_from(number)?);
    }
    Ok(Times::new(times))
}

/// Seconds, shortest first.
pub struct Times(pub Vec<f64>);

impl Times {
    pub fn new(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    pub fn at(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }
}

/// Reads a small list again and again: by `HEAD` until that reports another `ETag`, where there is
/// one.
pub struct Eye {
    agent: ureq::Agent,
    url: String,
    etag: Option<String>,
    body: String,
}

impl Eye {
    pub fn new(url: &str) -> Self {
        Self { agent: agent(), url: url.to_owned(), etag: None, body: String::new() }
    }

    pub fn sees(&mut self, text: &str) -> Result<bool> {
        let tag = |headers: &ureq::http::HeaderMap| {
            headers.get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned)
        };
        if self.etag.is_some() && tag(self.agent.head(&self.url).call()?.headers()) == self.etag {
            return Ok(self.body.contains(text));
        }
        let mut response = self.agent.get(&self.url).call()?;
        self.etag = tag(response.headers());
        self.body = response.body_mut().with_config().limit(1 << 30).read_to_string()?;
        Ok(self.body.contains(text))
    }
}

/// Reads a large list, on one connection.
struct Reader {
    agent: ureq::Agent,
    url: String,
}

impl Reader {
    fn new(url: &str) -> Self {
        Self { agent: agent(), url: url.to_owned() }
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut response = self.agent.get(&self.url).call()?;
        ensure!(response.status() == 200, "{}: {}", self.url, response.status());
        Ok(response.body_mut().with_config().limit(4 << 30).read_to_vec()?)
    }

    /// Elements of the list: each is a line, and one target where labels distinguish targets.
    fn count(&mut self) -> Result<usize> {
        let body = self.read()?;
        Ok(body.split(|byte| *byte == b'\n').filter(|line| line.first() == Some(&b'{')).count())
    }

    /// The targets, each with its labels.
    fn targets(&mut self) -> Result<BTreeMap<String, Value>> {
        let groups: Vec<Value> = serde_json::from_slice(&self.read()?)?;
        let target = |group: Value| {
            let task = group["labels"]["task"].as_str().unwrap_or_default();
            (format!("{} {task}", group["targets"]), group["labels"].clone())
        };
        Ok(groups.into_iter().map(target).collect())
    }
}
