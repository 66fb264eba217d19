//! 200 reloads a minute under load, of good files and bad ones: nothing leaks, no target is lost,
//! no series outlives its job. What the process holds at the end is held against what it held after
//! the first minute, with the same file both times. What must never be ends the run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use swarmscout_simulator::Listen;
use swarmscout_simulator::classic::{Cluster, Master};

use crate::process::{pause_until, until};
use crate::programs::{Program, Running, get, reload};
use crate::refresh::Swarm;
use crate::report::{Report, count, mebibytes};

const PER_MINUTE: u32 = 200;
/// The first one lets everything be allocated that is allocated once.
const MINUTES: u32 = 4;
/// The most memory at the end, as a share of that after the first minute. The allocator gives pages
/// back when it likes to; one set of targets lost with each reload would be many times as much.
const GROWTH: f64 = 1.15;
/// Readers that ask for everything all the time.
const READERS: usize = 4;
const TASKS: usize = 500;
const NODES: usize = 100;
const FROM_FILE: usize = 200;

pub fn run(report: &mut Report) -> Result<()> {
    let world = World {
        swarm: Swarm::start(20, TASKS)?,
        master: Master::start(Listen::Tcp, &Cluster::of(NODES), (1, 2, 9))?,
    };
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    fs::create_dir(&out)?;
    let targets: Vec<_> = (0..FROM_FILE).map(|i| format!("10.1.0.{i}:80")).collect();
    fs::write(
        folder.path().join("found.json"),
        serde_json::json!([{ "targets": targets }]).to_string(),
    )?;
    let directory = format!("--file-sd.directory={}", out.display());
    let scout = Program::Swarmscout.start_with(
        folder.path(),
        &Good::base().file(&world),
        &["--web.enable-lifecycle", &directory],
    )?;
    let guaranteed = Guaranteed::learn(&scout)?;
    let mut storm = Storm { scout, out, world, guaranteed, random: Random(0x5eed) };

    let mut counted = Counted::default();
    let mut held = Vec::new();
    for minute in 1..=MINUTES {
        let of_minute = storm.minute()?;
        let now = Held::at_rest(&storm.scout)?;
        let wanted = held.first().map(|first: &Held| first.memory * GROWTH);
        let wanted = wanted.map_or_else(String::new, |most| format!("<= {}", mebibytes(most)));
        let what = format!("memory after {minute} min of reloads");
        report.row(&what, now.memory, None, &wanted, mebibytes);
        held.push(now);
        counted.bad += of_minute.bad;
        counted.answers += of_minute.answers;
        counted.took += of_minute.took;
    }
    let rate = f64::from(MINUTES * PER_MINUTE) / counted.took.as_secs_f64() * 60.0;
    let what = format!("{} reloads, {} of a bad file; a minute", MINUTES * PER_MINUTE, counted.bad);
    report.row(&what, rate, None, &PER_MINUTE.to_string(), count);
    report.row("answers without a lost target meanwhile", counted.answers as f64, None, "", count);
    report.row("most memory", storm.scout.process.peak_memory()?, None, "", mebibytes);
    let [before, .., after] = held[..] else { bail!("there are several minutes") };
    let mut more = Vec::new();
    for (name, before, after) in [
        ("tasks", before.tasks, after.tasks),
        ("file descriptors", before.descriptors, after.descriptors),
        ("connections", before.sockets, after.sockets),
    ] {
        report.row(&format!("{name} after them"), after, None, &format!("<= {before}"), count);
        more.extend((after > before).then_some(name));
    }
    more.extend((after.memory > before.memory * GROWTH).then_some("memory"));
    ensure!(more.is_empty(), "more than after the first minute: {}", more.join(", "));
    Ok(())
}

/// What happened in some time.
#[derive(Default)]
struct Counted {
    bad: u32,
    answers: u64,
    took: Duration,
}

struct World {
    swarm: Swarm,
    master: Master,
}

/// A good file: the jobs that are always there, and some that come and go.
struct Good {
    /// The job `changed` is another one with each of these.
    change: u32,
    extra: BTreeSet<u32>,
}

impl Good {
    fn base() -> Self {
        Self { change: 0, extra: BTreeSet::new() }
    }

    fn random(random: &mut Random) -> Self {
        let extra = (0..random.below(8)).map(|_| random.below(30)).collect();
        Self { change: random.below(1000), extra }
    }

    fn jobs(&self) -> BTreeSet<String> {
        let extra = self.extra.iter().map(|i| format!("extra-{i}"));
        ["tasks", "nodes", "changed"].map(str::to_owned).into_iter().chain(extra).collect()
    }

    fn file(&self, World { swarm, master }: &World) -> String {
        let (host, master) = (swarm.url(), master.server.url());
        let mut text = format!(
            "scrape_configs:\n\
             - job_name: tasks\n  dockerswarm_sd_configs: [{{host: '{host}', role: tasks, refresh_interval: 1s}}]\n\
             - job_name: nodes\n  swarm_sd_configs: [{{masters: ['{master}'], refresh_interval: 1s}}]\n\
             - job_name: changed\n  file_sd_configs: [{{files: [found.json]}}]\n  \
               relabel_configs: [{{target_label: change, replacement: '{}'}}]\n",
            self.change
        );
        for i in &self.extra {
            // Of different sources: each of them starts and ends with its job.
            let sources = match i % 4 {
                0 => format!("static_configs: [{{targets: ['10.2.0.{i}:80']}}]"),
                1 => format!(
                    "dockerswarm_sd_configs: [{{host: '{host}', role: services, port: {i}, refresh_interval: 1s}}]"
                ),
                2 => format!(
                    "swarm_sd_configs: [{{masters: ['{master}'], metrics_port: {}, refresh_interval: 1s}}]",
                    9000 + i
                ),
                _ => format!("file_sd_configs: [{{files: [found.json, 'nothing-{i}.json']}}]"),
            };
            writeln!(text, "- job_name: extra-{i}\n  {sources}").expect("a string takes all");
        }
        text
    }
}

/// What is wrong with a file.
fn bad(good: &str, random: &mut Random) -> Vec<u8> {
    let text = match random.below(6) {
        0 => good.replacen("job_name: nodes", "job_name: tasks", 1),
        1 => good.replacen("files:", "fiels:", 1),
        2 => good.replacen("replacement: '", "regex: '(', replacement: '", 1),
        3 => good.replacen("refresh_interval: 1s", "refresh_interval: soon", 1),
        4 => good[..good.rfind('}').unwrap_or(0)].to_owned(),
        _ => return [good.as_bytes(), b"\xff\xfe"].concat(),
    };
    text.into_bytes()
}

/// How many targets every good file has at least.
struct Guaranteed(Vec<(&'static str, usize)>);

impl Guaranteed {
    /// What the first complete refreshes find.
    fn learn(scout: &Running) -> Result<Self> {
        let counts = ["tasks", "nodes", "changed"].map(|job| {
            let count = until(job, Duration::from_mins(1), || targets(&scout.url, job))?;
            ensure!(count > 0, "{job} has no targets");
            Ok((job, count))
        });
        Ok(Self(counts.into_iter().collect::<Result<_>>()?))
    }
}

/// The number of a job's targets; `None` where there is no answer yet.
fn targets(url: &str, job: &str) -> Result<Option<usize>> {
    get(&format!("{url}/sd/{job}?meta=0")).map(|body| number(&body)).transpose()
}

fn number(list: &[u8]) -> Result<usize> {
    let list: Value = serde_json::from_slice(list)?;
    let groups = list.as_array().context("no list")?.iter();
    Ok(groups.filter_map(|group| group["targets"].as_array()).map(Vec::len).sum())
}

/// What the process has.
#[derive(Clone, Copy)]
struct Held {
    memory: f64,
    tasks: f64,
    descriptors: f64,
    sockets: f64,
}

impl Held {
    fn now(scout: &Running) -> Result<Self> {
        let info = get(&format!("{}/api/v1/status/runtimeinfo", scout.url)).context("no answer")?;
        let info: Value = serde_json::from_slice(&info)?;
        let (descriptors, sockets) = scout.process.descriptors()?;
        Ok(Self {
            memory: scout.process.memory()?,
            tasks: info["data"]["goroutineCount"].as_f64().context("no tasks")?,
            descriptors,
            sockets,
        })
    }

    /// The least of some moments: what is there all the time.
    fn at_rest(scout: &Running) -> Result<Self> {
        let mut least = Self::now(scout)?;
        let started = Instant::now();
        for i in 1..=50 {
            pause_until(started + i * Duration::from_millis(100));
            let now = Self::now(scout)?;
            least.memory = least.memory.min(now.memory);
            least.tasks = least.tasks.min(now.tasks);
            least.descriptors = least.descriptors.min(now.descriptors);
            least.sockets = least.sockets.min(now.sockets);
        }
        Ok(least)
    }
}

struct Storm {
    scout: Running,
    /// Where the program writes files of targets.
    out: PathBuf,
    world: World,
    guaranteed: Guaranteed,
    random: Random,
}

impl Storm {
    /// A minute of reloads under load. In the end the file is the first one again.
    fn minute(&mut self) -> Result<Counted> {
        let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        let Self { scout, out, world, guaranteed, random } = self;
        let began = Instant::now();
        let bad = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|_| scope.spawn(|| read_on(&scout.url, guaranteed, &stop, &answers)))
                .collect();
            let result = reloads(scout, out, world, guaranteed, random);
            stop.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().expect("a reader does not panic")?;
            }
            result
        })?;
        let took = began.elapsed();
        reload_good(scout, world, &Good::base())?;
        Ok(Counted { bad, answers: answers.into_inner(), took })
    }
}

/// Reloads of one minute; how many of them were of a bad file.
fn reloads(
    scout: &Running,
    out: &Path,
    world: &World,
    guaranteed: &Guaranteed,
    random: &mut Random,
) -> Result<u32> {
    let gap = Duration::from_mins(1) / PER_MINUTE;
    let mut jobs = Good::base().jobs();
    let mut bad_files = 0;
    let began = Instant::now();
    for i in 1..=PER_MINUTE {
        let good = Good::random(random);
        if random.below(3) == 0 {
            bad_files += 1;
            reload(scout, &bad(&good.file(world), random), false)?;
        } else {
            jobs = reload_good(scout, world, &good)?;
        }
        check(scout, out, &jobs, guaranteed)?;
        pause_until(began + gap * i);
    }
    Ok(bad_files)
}

fn reload_good(scout: &Running, world: &World, good: &Good) -> Result<BTreeSet<String>> {
    reload(scout, good.file(world).as_bytes(), true)?;
    Ok(good.jobs())
}

/// That nothing is lost, and nothing is left over.
fn check(
    scout: &Running,
    out: &Path,
    jobs: &BTreeSet<String>,
    Guaranteed(guaranteed): &Guaranteed,
) -> Result<()> {
    for (job, at_least) in guaranteed {
        let served = targets(&scout.url, job)?.with_context(|| format!("no /sd/{job}"))?;
        ensure!(served >= *at_least, "{job}: {served} targets of {at_least} are served");
        if let Ok(list) = fs::read(out.join(format!("{job}.json"))) {
            let written = number(&list)?;
            ensure!(written >= *at_least, "{job}: {written} targets of {at_least} are in the file");
        }
    }
    let metrics = get(&format!("{}/metrics", scout.url)).context("no metrics")?;
    for line in std::str::from_utf8(&metrics)?.lines().filter(|line| !line.starts_with('#')) {
        for label in ["job=\"", "config=\"", "scrape_job=\""] {
            let Some((before, rest)) = line.split_once(label) else { continue };
            let (job, _) = rest.split_once('"').context("no end of a label")?;
            let whole = before.ends_with(['{', ',']);
            ensure!(!whole || jobs.contains(job), "a series of no job: {line}");
        }
    }
    Ok(())
}

/// Reads everything, again and again.
fn read_on(
    url: &str,
    Guaranteed(guaranteed): &Guaranteed,
    stop: &AtomicBool,
    read: &AtomicU64,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        for (job, at_least) in guaranteed {
            let served = targets(url, job)?.with_context(|| format!("no /sd/{job}"))?;
            ensure!(served >= *at_least, "{job}: {served} targets of {at_least} are served");
            read.fetch_add(1, Ordering::Relaxed);
        }
        for path in ["/", "/metrics", "/api/v1/targets", "/api/v1/sources"] {
            get(&format!("{url}{path}")).with_context(|| format!("no {path}"))?;
            read.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Enough for choices, and the same ones in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(limit)).expect("it is below a u32")
    }
}
