//! Real files in a folder of each test's own, on a paused clock: a pause is over as soon as nothing
//! else happens.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use expect_test::expect;
use swarmscout_model::{Completeness, PoolSpec, TargetSet};
use tokio::time::{Instant, sleep};

use super::writer::{CHECK, PATIENCE, SHORTEST_GAP};
use super::*;
use crate::testing::{group, missing, set};

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarmscout-file-sd-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The names in the folder, hidden ones too, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// Changes when a file is replaced or touched.
    fn identity(&self, name: &str) -> (u64, i64, i64) {
        let metadata = fs::symlink_metadata(self.path(name)).unwrap();
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(directory: &Path) -> Options {
    Options {
        directory: directory.to_owned(),
        format: Format::Json,
        mode: Mode(0o644),
        removed: Removed::Empty,
    }
}

/// Jobs as the target manager would hand them over.
struct Jobs {
    all: watch::Sender<Arc<[SetReceiver]>>,
    sets: BTreeMap<&'static str, watch::Sender<Arc<TargetSet>>>,
}

impl Jobs {
    /// Jobs without a complete set.
    fn new(names: &[&'static str]) -> Self {
        let mut jobs = Self { all: watch::Sender::new(Arc::from([])), sets: BTreeMap::new() };
        jobs.become_(names);
        jobs
    }

    /// Replaces the jobs, as a reload does.
    fn become_(&mut self, names: &[&'static str]) {
        self.sets.retain(|name, _| names.contains(name));
        for name in names {
            self.sets.entry(name).or_insert_with(|| {
                let missing = Arc::from([missing("static/0")]);
                let completeness = Completeness::Pending { missing, sources: 1 };
                let set = TargetSet { completeness, ..set(&PoolSpec::new(*name), &[]) };
                watch::Sender::new(Arc::new(set))
            });
        }
        self.all.send_replace(self.sets.values().map(watch::Sender::subscribe).collect());
    }

    /// A complete refresh found these targets.
    fn find(&self, name: &str, targets: &[&str]) {
        let set = set(&PoolSpec::new(name), &[group("a", "", targets)]);
        self.sets[name].send_replace(Arc::new(set));
    }

    fn write_into(&self, folder: &Path) -> FileSd {
        self.write_with(options(folder))
    }

    fn write_with(&self, options: Options) -> FileSd {
        FileSd::start(options, self.all.subscribe(), Arc::default(), || {})
    }
}

impl FileSd {
    /// Waits until a file's status is as it should be.
    async fn until(&self, job: &str, is: impl Fn(&FileStatus) -> bool) -> FileStatus {
        let find = |files: &[FileStatus]| {
            files.iter().find(|file| file.job.as_deref() == Some(job) && is(file)).cloned()
        };
        let mut status = self.status();
        find(&status.wait_for(|files| find(files).is_some()).await.unwrap()).unwrap()
    }

    async fn written(&self, job: &str, times: u64) {
        self.until(job, |file| file.writes == times).await;
    }

    async fn error(&self, job: &str) -> String {
        let failed = self.until(job, |file| file.error.is_some()).await;
        failed.error.unwrap().to_string()
    }

    async fn end(self) {
        assert!(self.shutdown(Duration::from_mins(1)).await);
    }
}

/// Long enough for everything that waits only for time.
async fn long() {
    sleep(Duration::from_mins(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_with_the_first_complete_refresh() {
    for (format, name, expected) in [
        (
            Format::Json,
            "web.json",
            expect![[r#"
                [
                {"targets":["h:1","h:2"],"labels":{}},
                {"targets":["h:3"],"labels":{"x":"\"ü"}}
                ]
            "#]],
        ),
        (
            Format::Yaml,
            "web.yml",
            expect![[r#"
                - targets:
                  - "h:1"
                  - "h:2"
                  labels: {}
                - targets:
                  - "h:3"
                  labels:
                    "x": "\"ü"
            "#]],
        ),
    ] {
        let folder = Scratch::new();
        let jobs = Jobs::new(&["web"]);
        let options = Options { format, mode: Mode(0o640), ..options(&folder.0) };
        let files = jobs.write_with(options);
        long().await;
        assert_eq!(folder.names(), [".swarmscout"]);

        jobs.find("web", &["h:1", "h:2", "h:3 x=\"ü"]);
        let status = files.until("web", |file| file.confirmed.is_some()).await;
        assert_eq!(status.path, folder.path(name).display().to_string());
        assert_eq!((status.error, status.writes, status.failures), (None, 1, 0));
        expected.assert_eq(&folder.read(name));
        assert_eq!(fs::metadata(folder.path(name)).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(folder.names(), [".swarmscout", name]);

        sleep(SHORTEST_GAP).await;
        jobs.find("web", &[]);
        files.written("web", 2).await;
        assert_eq!(folder.read(name), "[]\n");
    }
}

#[test]
fn a_job_is_one_name_in_one_folder() {
    for (job, name) in [
        ("node", "node.json"),
        ("a/../b", "a%2F..%2Fb.json"),
        ("..", "%2E..json"),
        (".swarmscout", "%2Eswarmscout.json"),
        ("50% ü\n", "50%25%20%C3%BC%0A.json"),
        ("-a_b.c~", "-a_b.c~.json"),
    ] {
        assert_eq!(&*file_name(job, Format::Json), name, "{job}");
    }
}

#[test]
fn a_mode_is_octal() {
    for (text, mode) in [("0644", Some(0o644)), ("600", Some(0o600)), ("0777", Some(0o777))] {
        assert_eq!(text.parse().ok(), mode.map(Mode), "{text}");
    }
    for text in ["", "1000", "0o644", "rw", "8", "-1"] {
        text.parse::<Mode>().expect_err(text);
    }
    assert_eq!(Mode(0o44).to_string(), "0044");
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_without_the_sources_that_never_answer() {
    let folder = Scratch::new();
    let jobs = Jobs::new(&["web"]);
    let files = jobs.write_into(&folder.0);
    let missing = Arc::from([missing("static/1")]);
    let found = set(&PoolSpec::new("web"), &[group("a", "", &["h:1"])]);
    let pending = Completeness::Pending { missing: Arc::clone(&missing), sources: 2 };
    let sender = &jobs.sets["web"];
    sender.send_replace(Arc::new(TargetSet { completeness: pending, ..found.clone() }));
    long().await;
    assert_eq!(folder.names(), [".swarmscout"]);
    let partial = Completeness::Partial { missing };
    sender.send_replace(Arc::new(TargetSet { completeness: partial, ..found }));
    files.written("web", 1).await;
    assert!(folder.read("web.json").contains("h:1"));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_file_is_left_alone() {
    let folder = Scratch::new();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let files = jobs.write_into(&folder.0);
    files.written("a", 1).await;
    let written = folder.identity("a.json");

    // Other groups of the same content, and time.
    jobs.find("a", &["h:1"]);
    long().await;
    files.end().await;
    // A process that starts.
    let files = jobs.write_into(&folder.0);
    let status = files.until("a", |file| file.confirmed.is_some()).await;
    assert_eq!(status.writes, 0);
    assert_eq!(folder.identity("a.json"), written);
    files.end().await;
    // Others may read it now.
    let files = jobs.write_with(Options { mode: Mode(0o664), ..options(&folder.0) });
    let status = files.until("a", |file| file.confirmed.is_some()).await;
    assert_eq!(status.writes, 0);
    assert_eq!(fs::metadata(folder.path("a.json")).unwrap().mode() & 0o7777, 0o664);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_one_write_of_the_newest() {
    let folder = Scratch::new();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:0"]);
    let files = jobs.write_into(&folder.0);
    files.written("a", 1).await;
    let began = Instant::now();
    let old = fs::File::open(folder.path("a.json")).unwrap();
    for i in 1..=20 {
        jobs.find("a", &[&format!("h:{i}")]);
        tokio::task::yield_now().await;
    }
    files.written("a", 2).await;
    assert!(began.elapsed() >= SHORTEST_GAP, "{:?}", began.elapsed());
    assert!(folder.read("a.json").contains("h:20"));
    // A reader of the old file reads it to its end.
    assert!(std::io::read_to_string(old).unwrap().contains("h:0"));
    long().await;
    files.until("a", |file| file.writes == 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_job_that_is_gone_is_emptied_or_kept() {
    for (removed, left) in [(Removed::Empty, "[]\n"), (Removed::Keep, "h:1")] {
        let folder = Scratch::new();
        let options = Options { removed, ..options(&folder.0) };
        let mut jobs = Jobs::new(&["a", "b", "c"]);
        for job in ["a", "b", "c"] {
            jobs.find(job, &["h:1"]);
        }
        let files = jobs.write_with(options.clone());
        for job in ["a", "b", "c"] {
            files.written(job, 1).await;
        }
        // Gone with a reload.
        jobs.become_(&["b", "c"]);
        long().await;
        assert!(folder.read("a.json").contains(left), "{removed:?}");
        assert!(folder.read("b.json").contains("h:1"));
        files.end().await;
        // Gone while no Swarmscout ran; and another format is another file.
        let mut jobs = Jobs::new(&["c"]);
        jobs.find("c", &["h:2"]);
        let files = jobs.write_with(Options { format: Format::Yaml, ..options });
        files.written("c", 1).await;
        for name in ["a.json", "b.json", "c.json"] {
            assert!(folder.read(name).contains(left), "{removed:?} {name}");
        }
        // A removed file does not come back, and a job that comes back has its targets.
        fs::remove_file(folder.path("b.json")).unwrap();
        jobs.become_(&["a", "c"]);
        jobs.find("a", &["h:3"]);
        files.written("a", 1).await;
        long().await;
        assert!(folder.read("a.yml").contains("h:3"));
        assert_eq!(folder.names(), [".swarmscout", "a.json", "a.yml", "c.json", "c.yml"]);
    }
}

#[tokio::test(start_paused = true)]
async fn files_of_others_are_left_alone() {
    let folder = Scratch::new();
    let outside = Scratch::new();
    outside.write("x.json", "outside");
    folder.write("a.json", "by hand");
    folder.write("other.json", "by hand");
    folder.write(".swarmscout-7.txt", "by hand");
    folder.write(".swarmscout-x.tmp", "by hand");
    folder.write(".swarmscout-123.tmp", "left behind by a crash");
    symlink(outside.path("x.json"), folder.path("link.json")).unwrap();
    // A list that was edited by hand.
    let name = outside.0.file_name().unwrap().to_str().unwrap();
    folder.write(
        ".swarmscout",
        &format!("../{name}/x.json\n.hidden.json\nother\nlink.json\nhalf.js"),
    );
    let jobs = Jobs::new(&["a", "link", "b"]);
    let files = jobs.write_into(&folder.0);
    for job in ["a", "b", "link"] {
        jobs.find(job, &["h:1"]);
    }
    let error = files.error("a").await;
    let shown = folder.path("a.json").display().to_string();
    let expected = "there is one already that Swarmscout has not written: move it away, or choose \
        another folder";
    assert_eq!(error, format!("cannot write {shown}: {expected}"));
    files.written("b", 1).await;
    // A link in the place of a file of ours is replaced, not followed.
    files.written("link", 1).await;
    assert!(folder.read("link.json").contains("h:1"));
    assert_eq!(outside.read("x.json"), "outside");
    for name in ["a.json", "other.json", ".swarmscout-7.txt", ".swarmscout-x.tmp"] {
        assert_eq!(folder.read(name), "by hand", "{name}");
    }
    assert!(!folder.path(".swarmscout-123.tmp").exists());

    // Moved away.
    fs::remove_file(folder.path("a.json")).unwrap();
    files.until("a", |file| file.error.is_none() && file.writes == 1).await;
    assert!(folder.read("a.json").contains("h:1"));
}

#[tokio::test(start_paused = true)]
async fn the_list_and_the_temporary_file_follow_no_link() {
    let (folder, outside) = (Scratch::new(), Scratch::new());
    outside.write("x", "outside");
    let temporary = format!(".swarmscout-{}.tmp", std::process::id());
    symlink(outside.path("x"), folder.path(&temporary)).unwrap();
    symlink(outside.path("x"), folder.path(".swarmscout")).unwrap();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let files = jobs.write_into(&folder.0);
    let error = files.error("a").await;
    assert!(error.contains(".swarmscout: Too many levels of symbolic links"), "{error}");
    fs::remove_file(folder.path(".swarmscout")).unwrap();
    files.written("a", 1).await;
    assert_eq!(outside.read("x"), "outside");
    assert_eq!(folder.names(), [".swarmscout", "a.json"]);
}

#[tokio::test(start_paused = true)]
async fn the_folder_may_be_a_link_that_comes_to_lead_elsewhere() {
    let (first, second, links) = (Scratch::new(), Scratch::new(), Scratch::new());
    let link = links.path("targets");
    symlink(&first.0, &link).unwrap();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let files = jobs.write_into(&link);
    files.written("a", 1).await;
    let new = links.path("new");
    symlink(&second.0, &new).unwrap();
    fs::rename(new, &link).unwrap();
    files.written("a", 2).await;
    assert_eq!(second.read("a.json"), first.read("a.json"));
    assert_eq!(second.names(), [".swarmscout", "a.json"]);
}

#[tokio::test(start_paused = true)]
async fn two_writers_do_not_take_each_others_files() {
    let folder = Scratch::new();
    let (first, second) = (Jobs::new(&["a"]), Jobs::new(&["b"]));
    first.find("a", &["h:1"]);
    second.find("b", &["h:2"]);
    let files = first.write_into(&folder.0);
    files.written("a", 1).await;
    let others = second.write_into(&folder.0);
    let error = others.error("b").await;
    let expected = "another Swarmscout writes into this folder: give each its own";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(folder.names(), [".swarmscout", "a.json"]);
    // The first one ends, as in an update.
    files.end().await;
    others.written("b", 1).await;
    assert_eq!(folder.read("a.json"), "[]\n");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_missing_is_reported_and_filled_when_it_comes() {
    let scratch = Scratch::new();
    let folder = scratch.path("targets");
    let jobs = Jobs::new(&["a", "later"]);
    jobs.find("a", &["h:1"]);
    let files = jobs.write_into(&folder);
    for job in ["a", "later"] {
        let error = files.error(job).await;
        let expected = format!(
            "cannot open the folder {}: No such file or directory (os error 2): create or mount it",
            folder.display()
        );
        assert_eq!(error, expected);
    }
    fs::create_dir(&folder).unwrap();
    files.until("a", |file| file.error.is_none() && file.writes == 1).await;
    // It goes, with all that is in it, and another one comes.
    fs::remove_dir_all(&folder).unwrap();
    files.error("a").await;
    fs::create_dir(&folder).unwrap();
    files.until("a", |file| file.error.is_none() && file.writes == 2).await;
    assert!(scratch.read("targets/a.json").contains("h:1"));
    // A file in its place.
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    assert!(files.error("a").await.ends_with("targets is not a folder"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_another_program_changed_is_written_again() {
    let folder = Scratch::new();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let files = jobs.write_into(&folder.0);
    files.written("a", 1).await;
    let content = folder.read("a.json");
    fs::remove_file(folder.path("a.json")).unwrap();
    files.written("a", 2).await;
    folder.write("a.json", "by hand");
    files.written("a", 3).await;
    assert_eq!(folder.read("a.json"), content);
    // Its list too: whose the files are is not forgotten while it runs.
    fs::remove_file(folder.path(".swarmscout")).unwrap();
    long().await;
    sleep(CHECK).await;
    expect![[r#"
        # The files in this folder that Swarmscout writes. Others are left alone.
        a.json
    "#]]
    .assert_eq(&folder.read(".swarmscout"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_is_tried_again_and_holds_up_no_other() {
    let folder = Scratch::new();
    folder.write(".swarmscout", "a.json\n");
    fs::create_dir(folder.path("a.json")).unwrap();
    let jobs = Jobs::new(&["a", "b"]);
    jobs.find("a", &["h:1"]);
    jobs.find("b", &["h:1"]);
    let files = jobs.write_into(&folder.0);
    files.written("b", 1).await;
    let error = files.error("a").await;
    assert!(error.ends_with("a.json: Is a directory (os error 21)"), "{error}");
    long().await;
    // One after the other, with growing pauses.
    let failed = files.until("a", |file| file.failures > 1).await;
    assert!((8..=12).contains(&failed.failures), "{failed:?}");
    fs::remove_dir(folder.path("a.json")).unwrap();
    files.until("a", |file| file.error.is_none() && file.writes == 1).await;
    assert_eq!(folder.names(), [".swarmscout", "a.json", "b.json"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_system_that_hangs_is_reported_and_waited_for() {
    let folder = Scratch::new();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let (publish, status) = watch::channel(Arc::from([]));
    let writer = Writer::new(options(&folder.0), jobs.all.subscribe(), Arc::default(), publish);
    let hang = Arc::clone(&writer.folder.as_ref().unwrap().hang);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let hanging = hang.lock().await;
    tasks.spawn(writer.run(stop.clone()));
    let files = FileSd { stop, tasks, status };
    // The clock does not advance while a thread works.
    tokio::task::yield_now().await;
    tokio::time::advance(PATIENCE).await;
    let error = files.error("a").await;
    let expected = format!(
        "not finished within 30s: the file system of {} is slow, or hangs",
        folder.0.display()
    );
    assert_eq!(error, expected);
    jobs.find("a", &["h:2"]);
    drop(hanging);
    files.until("a", |file| file.error.is_none() && file.writes > 0).await;
    long().await;
    assert!(folder.read("a.json").contains("h:2"));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_panicked_is_replaced() {
    let folder = Scratch::new();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let (publish, status) = watch::channel(Arc::from([]));
    let panics = Arc::new(AtomicU32::new(0));
    let (started, options) = (AtomicU32::new(0), options(&folder.0));
    let receiver = jobs.all.subscribe();
    let new = move || {
        let options = options.clone();
        let mut writer = Writer::new(options, receiver.clone(), Arc::default(), publish.clone());
        if started.fetch_add(1, Ordering::Relaxed) == 0 {
            // It relies on having one.
            writer.folder = None;
        }
        writer
    };
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let counted = Arc::clone(&panics);
    let on_panic = move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    tasks.spawn(supervise(stop.clone(), on_panic, new));
    let files = FileSd { stop, tasks, status };
    files.written("a", 1).await;
    assert_eq!(panics.load(Ordering::Relaxed), 1);
    files.end().await;
}

/// A user may write to the folder, but not to a file elsewhere: the list is a link to that file.
#[tokio::test(start_paused = true)]
async fn a_list_with_another_name_is_not_used() {
    let (folder, outside) = (Scratch::new(), Scratch::new());
    outside.write("victim", "line one\nhalf");
    fs::hard_link(outside.path("victim"), folder.path(".swarmscout")).unwrap();
    let jobs = Jobs::new(&["a"]);
    jobs.find("a", &["h:1"]);
    let files = jobs.write_into(&folder.0);
    let error = files.error("a").await;
    let expected = ".swarmscout: it has 2 names (hard links), so it may be a file of somebody else: \
        remove it";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(outside.read("victim"), "line one\nhalf");
    fs::remove_file(folder.path(".swarmscout")).unwrap();
    files.written("a", 1).await;
}

/// Jobs come and go, as those of branches do, and another program removes their files.
#[tokio::test(start_paused = true)]
async fn the_list_does_not_grow_with_jobs_that_came_and_went() {
    let folder = Scratch::new();
    let mut jobs = Jobs::new(&["stays"]);
    jobs.find("stays", &["h:1"]);
    // 6,000 names of files that are gone: more than the largest list could hold before.
    let stem = "x".repeat(200);
    let gone: Vec<_> = (0..6000).map(|number| format!("{stem}-{number}.json\n")).collect();
    let gone = gone.concat();
    folder.write(".swarmscout", &format!("{gone}left.json\n"));
    folder.write("left.json", "of a job that is gone");
    let files = jobs.write_into(&folder.0);
    files.written("stays", 1).await;
    let list = "# The files in this folder that Swarmscout writes. Others are left alone.\n";
    assert_eq!(folder.read(".swarmscout"), format!("{list}left.json\nstays.json\n"));
    // The new list is as locked as the one before.
    let others = Jobs::new(&["b"]);
    others.find("b", &["h:2"]);
    let error = others.write_into(&folder.0).error("b").await;
    assert!(error.ends_with("another Swarmscout writes into this folder: give each its own"));
    // While it runs, too.
    for round in 0..3 {
        jobs.become_(&["stays", "comes"]);
        jobs.find("comes", &["h:1"]);
        files.written("comes", 1).await;
        jobs.become_(&["stays"]);
        long().await;
        assert_eq!(folder.read("comes.json"), "[]\n", "{round}");
        fs::remove_file(folder.path("comes.json")).unwrap();
    }
    files.end().await;
    let files = jobs.write_into(&folder.0);
    files.until("stays", |file| file.confirmed.is_some()).await;
    assert_eq!(folder.read(".swarmscout"), format!("{list}left.json\nstays.json\n"));
    assert_eq!(folder.read("left.json"), "[]\n");
}
