//! Real files in one folder a test, and what the manager restores from them. The clock runs: no
//! test waits for it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use swarmscout_model::{PromDuration, TargetSet};

use super::*;
use crate::config::CustomConfig;
use crate::limits::{LONGEST_ENGINE_LABEL, Meter};
use crate::manager::JobState;
use crate::scripted::{Answer, Script, group, targets};
use crate::{JobConfig, Manager};

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarmscout-storage-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn folder(&self) -> PathBuf {
        self.0.join("storage")
    }

    /// The names in the storage's folder, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// The only file with groups.
    fn file(&self) -> PathBuf {
        let names = self.names();
        let [name] = &names.iter().filter(|name| name.ends_with(".groups")).collect::<Vec<_>>()[..]
        else {
            panic!("{names:?}")
        };
        self.folder().join(name)
    }

    /// A program that stores here.
    fn manager(&self) -> Manager {
        let mut context = BuildContext::new("test");
        // Nothing is written before the end, unless it is the first.
        let timing = Timing { gap: Duration::from_hours(1), ..Timing::default() };
        context.storage = Some(Storage::with_timing(self.folder(), &context, timing));
        Manager::new(context)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn set_when(manager: &Manager, like: impl FnMut(&Arc<TargetSet>) -> bool) -> Arc<TargetSet> {
    let mut set = manager.jobs().borrow()[0].set.clone();
    set.wait_for(like).await.unwrap().clone()
}

async fn state_when(manager: &Manager, like: impl FnMut(&JobState) -> bool) -> JobState {
    let mut job = manager.jobs().borrow()[0].clone();
    job.wait_for(like).await.unwrap()
}

fn addresses(set: &TargetSet) -> Vec<&str> {
    set.active().filter_map(|(_, target)| target.labels.get("__address__")).collect()
}

fn one(script: &Script) -> Vec<JobConfig> {
    vec![JobConfig::new("a", vec![script.config()])]
}

/// Runs a program that finds these targets, and ends it.
async fn run_before(scratch: &Scratch, answer: Answer) {
    let mut manager = scratch.manager();
    let script = Script::answering(3600, answer);
    manager.apply(one(&script));
    set_when(&manager, |set| set.is_ready()).await;
    manager.shutdown().await;
}

#[tokio::test]
async fn a_source_has_its_targets_again_before_it_answers() {
    let scratch = Scratch::new();
    let groups = vec![group("g:1", &["a", "b"]), group("g:2", &["c"])];
    run_before(&scratch, Answer::Groups(groups.clone())).await;
    assert_eq!(fs::metadata(scratch.file()).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(scratch.folder()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(scratch.names().len(), 2, "{:?}", scratch.names());

    let mut manager = scratch.manager();
    let script = Script::answering(3600, Answer::Fail("no route"));
    manager.apply(one(&script));
    let is_restored =
        |job: &JobState| job.set.is_complete() && job.status.sources[0].error.is_some();
    let JobState { set: restored, status } = state_when(&manager, is_restored).await;
    assert_eq!(addresses(&restored), ["a", "b", "c"]);
    let source = &status.sources[0];
    assert!(source.restored && source.as_of.unwrap() < Instant::now());
    assert_eq!((source.targets, source.error.as_deref()), (3, Some("no route")));
    assert_eq!(manager.stats().storage.restored.get(), 1);

    // It answers, and nothing downstream changes.
    script.change(Answer::Groups(groups));
    let now = state_when(&manager, |job| !job.status.sources[0].restored).await;
    assert!(Arc::ptr_eq(&now.set.groups, &restored.groups));
    assert!(now.status.sources[0].as_of > source.as_of);
    script.change(Answer::Groups(vec![group("g:1", &["a", "b"]), group("g:2", &["d"])]));
    let set = set_when(&manager, |set| addresses(set) == ["a", "b", "d"]).await;
    assert!(set.groups[0].is_same(&restored.groups[0]));
    manager.shutdown().await;
}

#[tokio::test]
async fn the_age_counts_on() {
    let scratch = Scratch::new();
    run_before(&scratch, targets(&["a"])).await;
    let read = |path: &Path| {
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        format::read(file, length, &mut Meter::unlimited(LONGEST_ENGINE_LABEL)).unwrap()
    };
    let stored = read(&scratch.file());
    for (as_of, at_least, at_most) in [
        (SystemTime::now() - Duration::from_hours(5), 5 * 3600, 5 * 3600 + 600),
        (SystemTime::UNIX_EPOCH, 50 * 365 * 86_400, u64::MAX),
        // The clock was set back: the age counts from the start.
        (SystemTime::now() + Duration::from_hours(5), 0, 600),
    ] {
        let file = File::create(scratch.file()).unwrap();
        format::write(file, stored.key, as_of, &stored.groups).unwrap();
        let mut manager = scratch.manager();
        manager.apply(one(&Script::answering(3600, Answer::Hang)));
        let job = state_when(&manager, |job| job.set.is_ready()).await;
        let age = job.status.oldest_age(Instant::now()).as_secs();
        assert!((at_least..at_most).contains(&age), "{as_of:?}: {age}");
        manager.shutdown().await;
        // It says when the source answered, however often the program starts.
        let shown =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        assert_eq!(shown(read(&scratch.file()).as_of), shown(as_of));
    }
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_not_restored() {
    let scratch = Scratch::new();
    run_before(&scratch, targets(&["a"])).await;
    let mut context = BuildContext::new("test");
    context.refresh.budget = Budget::new(swarmscout_model::size::Bytes(100));
    context.storage = Some(Storage::new(scratch.folder(), &context));
    let mut manager = Manager::new(context);
    let script = Script::answering(3600, Answer::Hang);
    manager.apply(one(&script));
    script.refreshed(1).await;
    manager.context_storage().in_folder(|_| ()).await.unwrap();
    assert!(!manager.jobs().borrow()[0].set.borrow().is_ready());
    let stats = Arc::clone(manager.stats());
    manager.shutdown().await;
    assert_eq!(stats.storage.unreadable.get(), 1);
}

#[tokio::test]
async fn restored_targets_count_until_the_source_answers() {
    let scratch = Scratch::new();
    run_before(&scratch, targets(&["a"])).await;
    let mut context = BuildContext::new("test");
    let budget = context.refresh.budget.clone();
    context.storage = Some(Storage::new(scratch.folder(), &context));
    let mut manager = Manager::new(context);
    let script = Script::answering(3600, Answer::Hang);
    manager.apply(one(&script));
    set_when(&manager, |set| set.is_ready()).await;
    assert!(budget.used() > 0);
    manager.shutdown().await;
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn the_newest_is_written_at_the_end() {
    let scratch = Scratch::new();
    let mut manager = scratch.manager();
    let script = Script::answering(3600, targets(&["a"]));
    manager.apply(one(&script));
    for address in ["b", "c", "d"] {
        script.change(targets(&[address]));
        set_when(&manager, |set| addresses(set) == [address]).await;
    }
    let stats = Arc::clone(manager.stats());
    manager.shutdown().await;
    // The first one, if it came to that, and the last one.
    assert!((1..=2).contains(&stats.storage.writes.get()));
    let mut manager = scratch.manager();
    manager.apply(one(&Script::answering(3600, Answer::Hang)));
    assert_eq!(addresses(&*set_when(&manager, |set| set.is_ready()).await), ["d"]);
}

#[tokio::test]
async fn what_a_source_that_is_gone_had_is_kept_for_its_return() {
    let scratch = Scratch::new();
    let mut manager = scratch.manager();
    let script = Script::answering(3600, targets(&["a"]));
    manager.apply(one(&script));
    set_when(&manager, |set| set.is_ready()).await;
    manager.apply(Vec::new());
    manager.shutdown().await;
    assert!(scratch.file().is_file());
}

#[tokio::test]
async fn sources_that_cannot_be_distinguished_are_not_stored() {
    let scratch = Scratch::new();
    let mut manager = scratch.manager();
    // Both are called the same.
    let scripts = ["a", "b"].map(|address| Script::answering(3600, targets(&[address])));
    let sources = scripts.iter().map(Script::config).collect();
    manager.apply(vec![JobConfig::new("a", sources)]);
    set_when(&manager, |set| set.is_ready()).await;
    manager.shutdown().await;
    assert!(!scratch.folder().exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_replaced() {
    let scratch = Scratch::new();
    run_before(&scratch, targets(&["a"])).await;
    let good = fs::read(scratch.file()).unwrap();
    let elsewhere = scratch.0.join("elsewhere");
    let spoil: [&dyn Fn(&Path); 5] = [
        &|path| fs::write(path, &good[..good.len() - 1]).unwrap(),
        &|path| fs::write(path, "").unwrap(),
        // That of another source.
        &|path| {
            format::write(File::create(path).unwrap(), Key([1; 16]), SystemTime::now(), &[])
                .unwrap();
        },
        // A link is not followed, even to a good one.
        &|path| {
            fs::write(&elsewhere, &good).unwrap();
            fs::remove_file(path).unwrap();
            symlink(&elsewhere, path).unwrap();
        },
        // Readable only by root.
        &|path| {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        },
    ];
    for spoil in spoil {
        let file = scratch.file();
        spoil(&file);
        let mut manager = scratch.manager();
        let stats = Arc::clone(manager.stats());
        let script = Script::answering(3600, Answer::Hang);
        manager.apply(one(&script));
        script.refreshed(1).await;
        // Read before it is written, one after the other.
        manager.context_storage().in_folder(|_| ()).await.unwrap();
        assert!(!manager.jobs().borrow()[0].set.borrow().is_ready());
        assert_eq!(stats.storage.restored.get(), 0);
        manager.shutdown().await;
        assert_eq!(stats.storage.unreadable.get(), 1);
        run_before(&scratch, targets(&["a"])).await;
        assert_eq!(fs::metadata(&file).unwrap().len(), good.len() as u64);
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), good);
}

#[tokio::test]
async fn counters_of_state_metrics_are_stored_within_a_limit() {
    let scratch = Scratch::new();
    let context = BuildContext::new("test");
    let storage = Storage::new(scratch.folder(), &context);
    assert_eq!(storage.read_counters().await, Ok(None));
    storage.write_counters(b"{}"[..].into()).await.unwrap();
    assert_eq!(storage.read_counters().await, Ok(Some(b"{}"[..].into())));
    let file = scratch.folder().join("counters.json");
    File::options().write(true).open(&file).unwrap().set_len((32 << 20) + 1).unwrap();
    let large = Err("counters.json is larger than 33554432 bytes".to_owned());
    assert_eq!(storage.read_counters().await, large);
    storage.write_counters(b"[]"[..].into()).await.unwrap();
    assert_eq!(storage.read_counters().await, Ok(Some(b"[]"[..].into())));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(storage.read_counters().await, Err("not a regular file".to_owned()));
    // A folder in their place cannot be replaced, and a metric shows that.
    let failing = || context.stats.storage.failing_counters.get();
    assert_eq!(failing(), 0);
    storage.write_counters(b"{}"[..].into()).await.unwrap_err();
    assert_eq!(failing(), 1);
    fs::remove_dir(&file).unwrap();
    storage.write_counters(b"{}"[..].into()).await.unwrap();
    assert_eq!(failing(), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_reported_once_and_costs_nothing_else() {
    let scratch = Scratch::new();
    // A file in its place: even root cannot write a folder there.
    fs::write(scratch.folder(), "").unwrap();
    let mut manager = scratch.manager();
    let stats = Arc::clone(manager.stats());
    let named = |what: &'static str| {
        let script = Script::answering(3600, targets(&[what]));
        let SdConfig::Custom(config) = script.config() else { unreachable!("it is one") };
        SdConfig::Custom(CustomConfig { display_name: what.into(), ..config })
    };
    manager.apply(vec![JobConfig::new("a", vec![named("a"), named("b")])]);
    assert_eq!(addresses(&*set_when(&manager, |set| set.is_complete()).await), ["a", "b"]);
    manager.shutdown().await;
    assert!(stats.storage.failures.get() >= 2);
    assert_eq!((stats.storage.writes.get(), stats.storage.failing.get()), (0, 0));
}

#[tokio::test]
async fn only_one_process_writes_and_the_next_one_takes_over() {
    let scratch = Scratch::new();
    run_before(&scratch, targets(&["a"])).await;
    let other = Storage::new(scratch.folder(), &BuildContext::new("test"));
    let lock = |folder: &mut Folder| {
        folder.replace(Key([1; 16]), SystemTime::now(), &[], true).map_err(|e| e.to_string())
    };
    other.in_folder(lock).await.unwrap().unwrap();

    // It reads all the same.
    let mut manager = scratch.manager();
    let script = Script::answering(3600, Answer::Fail("no route"));
    manager.apply(one(&script));
    assert_eq!(addresses(&*set_when(&manager, |set| set.is_ready()).await), ["a"]);
    let storage = manager.context_storage();
    let refused = storage.in_folder(lock).await.unwrap().unwrap_err();
    assert!(refused.contains("another Swarmscout keeps its targets there"), "{refused}");
    drop(other);
    storage.in_folder(lock).await.unwrap().unwrap();
}

#[tokio::test]
async fn files_of_sources_that_are_gone_go_after_a_week() {
    let scratch = Scratch::new();
    run_before(&scratch, targets(&["a"])).await;
    fs::write(scratch.folder().join("notes.txt"), "mine").unwrap();
    let all = scratch.names();
    let days = |days: u64| SystemTime::now() + Duration::from_hours(24 * days);

    // The file of a configured source stays, however old it is.
    let mut manager = scratch.manager();
    manager.apply(one(&Script::answering(3600, Answer::Hang)));
    manager.context_storage().sweep(days(100)).await;
    assert_eq!(scratch.names(), all);
    manager.shutdown().await;

    let storage = scratch.manager().context_storage();
    storage.sweep(days(6)).await;
    assert_eq!(scratch.names(), all);
    storage.sweep(days(8)).await;
    assert_eq!(scratch.names(), ["lock", "notes.txt"]);
}

#[test]
fn pauses_follow_from_size_and_failures() {
    let timing = Timing::default();
    let seconds = |pause: Duration| pause.as_secs();
    assert_eq!(
        [0, 400 << 10, 5 << 20, 1 << 40].map(|n| seconds(timing.pause(n))),
        [30, 30, 320, 1800]
    );
    assert_eq!(
        [1, 2, 3, 7, u32::MAX].map(|n| seconds(timing.pause_after(n))),
        [30, 60, 120, 1800, 1800]
    );
}

#[test]
fn a_source_of_the_file_has_a_key_that_its_interval_does_not_change() {
    let key = |interval| {
        let script = Script::new(interval);
        let SdConfig::Custom(config) = script.config() else { unreachable!("it is one") };
        let refresh_interval = Some(PromDuration::from_secs(interval));
        Key::of(&SdConfig::Custom(CustomConfig { refresh_interval, ..config }))
    };
    assert_eq!(key(1), key(2));
}
