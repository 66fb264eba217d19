//! Real files in a folder of each test's own.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use expect_test::{Expect, expect};
use swarmscout_model::{PromDuration, TargetGroup, TargetSet};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::manager::JobState;
use crate::{JobConfig, Manager, RefreshScope, SdConfig};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("swarmscout-files-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Puts the whole file in place at once, as most tools do.
    fn replace(&self, name: &str, text: &str) {
        let new = self.0.join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.0.join(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    fn source(&self, patterns: &[&str]) -> File {
        let files = patterns.iter().map(|pattern| self.0.join(pattern)).collect();
        let config = FileConfig { files, refresh_interval: PromDuration::from_secs(300) };
        File::new(config, &BuildContext::new("test"))
    }

    /// The result of a refresh, with `DIR` in place of this folder.
    async fn check(&self, source: &mut File, expected: Expect) {
        let mut shown = String::new();
        match source.fetch(RefreshScope::Full).await {
            Err(error) => writeln!(shown, "error: {error}").unwrap(),
            Ok(Refreshed { value: what, problems, .. }) => {
                for group in what {
                    let TargetGroup { source, targets, labels } = &*group;
                    writeln!(shown, "{source} {targets:?} {labels:?}").unwrap();
                }
                for Problem { object, reason, detail, .. } in problems {
                    writeln!(shown, "problem: {object} {reason}: {detail}").unwrap();
                }
            }
        }
        expected.assert_eq(&shown.replace(self.0.to_str().unwrap(), "DIR"));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn reads_all_files_of_all_patterns() {
    let dir = Folder::new();
    dir.write("a.json", r#"[{"targets":["a:1"],"labels":{"x":"1"}},{"targets":["a:2"]}]"#);
    dir.write("b.YML", "- targets: [b:1]\n  labels: {__meta_filepath: mine}\n");
    dir.write("c.yaml", "");
    dir.write("d.json.bak", "no");
    let mut source = dir.source(&["*.json", "*.YML", "c.yaml", "absent.yml", "absent/*.yml"]);
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:1"}] {__meta_filepath="DIR/a.json", x="1"}
        DIR/a.json:1 [{__address__="a:2"}] {__meta_filepath="DIR/a.json"}
        DIR/b.YML:0 [{__address__="b:1"}] {__meta_filepath="DIR/b.YML"}
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_bad_file_keeps_its_groups_and_a_removed_one_loses_them() {
    let dir = Folder::new();
    dir.write("a.json", r#"[{"targets":["a:1"]}]"#);
    dir.write("b.json", r#"[{"targets":["b:1"]}]"#);
    let mut source = dir.source(&["*.json"]);
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:1"}] {__meta_filepath="DIR/a.json"}
        DIR/b.json:0 [{__address__="b:1"}] {__meta_filepath="DIR/b.json"}
    "#]],
    )
    .await;

    dir.write("a.json", "[{");
    dir.write("b.json", r#"[{"targets":["b:2"]}]"#);
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:1"}] {__meta_filepath="DIR/a.json"}
        DIR/b.json:0 [{__address__="b:2"}] {__meta_filepath="DIR/b.json"}
        problem: DIR/a.json cannot be understood: EOF while parsing an object at line 1 column 2
    "#]],
    )
    .await;

    dir.remove("b.json");
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:1"}] {__meta_filepath="DIR/a.json"}
        problem: DIR/a.json cannot be understood: EOF while parsing an object at line 1 column 2
    "#]],
    )
    .await;

    dir.write("a.json", r#"[{"targets":["a:3"]}]"#);
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:3"}] {__meta_filepath="DIR/a.json"}
    "#]],
    )
    .await;

    dir.remove("a.json");
    dir.check(&mut source, expect![[""]]).await;
}

#[tokio::test]
async fn a_file_that_is_wrong_at_first_is_not_an_empty_list() {
    let dir = Folder::new();
    dir.write("a.json", "");
    let mut source = dir.source(&["*.json"]);
    dir.check(
        &mut source,
        expect![[r#"
            error: DIR/a.json: cannot be understood: EOF while parsing a value at line 1 column 0
        "#]],
    )
    .await;
    dir.write("b.json", "[]");
    dir.check(
        &mut source,
        expect![[r#"
        problem: DIR/a.json cannot be understood: EOF while parsing a value at line 1 column 0
    "#]],
    )
    .await;
}

#[tokio::test]
async fn other_kinds_of_files_and_large_ones_are_not_read() {
    let dir = Folder::new();
    fs::create_dir(dir.0.join("folder.json")).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.0.join("link.json")).unwrap();
    dir.write("large.json", " ".repeat(101));
    dir.write("bytes.yml", b"- targets: [\xff]");
    let mut source = dir.source(&["*.json", "*.yml"]);
    source.reader.reader().max_file = 100;
    dir.write("fine.json", "[]");
    dir.check(
        &mut source,
        expect![[r#"
            problem: DIR/bytes.yml cannot be understood: line 1, column 13: the file is not valid UTF-8: byte 0xff
            problem: DIR/folder.json cannot be read: not a regular file
            problem: DIR/large.json cannot be read: larger than 100 bytes
            problem: DIR/link.json cannot be read: No such file or directory (os error 2)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn every_way_to_change_a_file_is_seen() {
    let dir = Folder::new();
    let mut source = dir.source(&["*.json", "later/*.json"]);
    dir.check(&mut source, expect![[""]]).await;

    dir.write("a.json", r#"[{"targets":["a:1"]}]"#);
    source.changed().await;
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:1"}] {__meta_filepath="DIR/a.json"}
    "#]],
    )
    .await;

    dir.replace("a.json", r#"[{"targets":["a:2"]}]"#);
    source.changed().await;
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:2"}] {__meta_filepath="DIR/a.json"}
    "#]],
    )
    .await;

    // The very size and, within the clock's grain, the very time.
    dir.write("a.json", r#"[{"targets":["a:3"]}]"#);
    source.changed().await;
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:3"}] {__meta_filepath="DIR/a.json"}
    "#]],
    )
    .await;

    dir.remove("a.json");
    source.changed().await;
    dir.check(&mut source, expect![[""]]).await;

    fs::create_dir(dir.0.join("later")).unwrap();
    source.changed().await;
    dir.check(&mut source, expect![[""]]).await;
    dir.write("later/b.json", r#"[{"targets":["b:1"]}]"#);
    source.changed().await;
    dir.check(
        &mut source,
        expect![[r#"
        DIR/later/b.json:0 [{__address__="b:1"}] {__meta_filepath="DIR/later/b.json"}
    "#]],
    )
    .await;
}

/// Kubernetes and Docker swap a link to a folder beside the files.
#[tokio::test]
async fn a_swapped_link_is_seen() {
    let dir = Folder::new();
    for (version, target) in [("v1", "a:1"), ("v2", "a:2")] {
        fs::create_dir(dir.0.join(version)).unwrap();
        let text = format!(r#"[{{"targets":["{target}"]}}]"#);
        dir.write(&format!("{version}/a.json"), text);
    }
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.0.join(name)).unwrap();
    link("v1", "data");
    link("data/a.json", "a.json");
    let mut source = dir.source(&["a.json"]);
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:1"}] {__meta_filepath="DIR/a.json"}
    "#]],
    )
    .await;

    link("v2", "data.new");
    fs::rename(dir.0.join("data.new"), dir.0.join("data")).unwrap();
    source.changed().await;
    dir.check(
        &mut source,
        expect![[r#"
        DIR/a.json:0 [{__address__="a:2"}] {__meta_filepath="DIR/a.json"}
    "#]],
    )
    .await;
}

#[tokio::test]
async fn the_times_of_files_go_with_their_source() {
    let dir = Folder::new();
    dir.write("a.json", "[]");
    let context = BuildContext::new("test");
    let config = FileConfig {
        files: vec![dir.0.join("*.json")],
        refresh_interval: PromDuration::from_secs(300),
    };
    let mut source = File::new(config, &context);
    source.fetch(RefreshScope::Full).await.unwrap();
    let times = context.stats.file_times();
    assert_eq!(times.len(), 1);
    assert_eq!(*times[0].0, *dir.0.join("a.json").to_str().unwrap());
    drop(source);
    assert_eq!(context.stats.file_times(), []);
}

/// Forty sources on a mount that hangs, more than there are threads for blocking work anywhere:
/// another one is refreshed, its large file parsed and its large set relabelled.
#[tokio::test]
async fn files_that_hang_are_named_and_stop_no_other_job() {
    let dir = Folder::new();
    let (answer, answers) = mpsc::channel::<()>();
    let answers = Arc::new(Mutex::new(answers));
    let mut reads = JoinSet::new();
    let job = |name: &str| {
        let files = vec![dir.0.join(format!("{name}.json"))];
        let config = FileConfig { files, refresh_interval: PromDuration::from_secs(1) };
        JobConfig::new(name, vec![SdConfig::File(config)])
    };
    let mut jobs = vec![job("healthy")];
    for number in 0..40 {
        let name = format!("hung-{number}");
        let path = dir.0.join(format!("{name}.json"));
        let (answers, (started, starts)) = (answers.clone(), oneshot::channel());
        reads.spawn(async move {
            let hang = move || {
                started.send(()).unwrap();
                // Ends with the test, for one thread after the other.
                let _ = answers.lock().unwrap().recv();
            };
            lane::read(&path, Duration::from_hours(1), hang).await.unwrap();
        });
        starts.await.unwrap();
        jobs.push(job(&name));
    }
    let targets = |port: u32| {
        let targets: Vec<_> =
            (0..3000).map(|host| format!("a-longer-name-{host}:{port}")).collect();
        serde_json::json!([{ "targets": targets }]).to_string()
    };
    dir.replace("healthy.json", &targets(1));
    let mut manager = Manager::new(BuildContext::new("test"));
    manager.apply(jobs);
    let jobs = manager.jobs().borrow().clone();
    for job in &jobs[1..] {
        let failed = |job: &JobState| job.status.sources[0].error.is_some();
        let failed = job.clone().wait_for(failed).await.unwrap();
        let name = job.config.name();
        let expected = format!(
            "{}/{name}.json: not read within 1s: its file system hangs, or is slow",
            dir.0.display()
        );
        assert_eq!(failed.status.sources[0].error.as_deref(), Some(&*expected));
    }
    let mut healthy = jobs[0].set.clone();
    for port in [1, 2] {
        dir.replace("healthy.json", &targets(port));
        let address = format!("a-longer-name-2999:{port}");
        let is_there = |set: &Arc<TargetSet>| {
            set.active().last().is_some_and(|(_, t)| t.labels.get("__address__") == Some(&address))
        };
        let set = healthy.wait_for(is_there).await.unwrap();
        assert_eq!(set.counts.active, 3000);
    }
    // The mount answers.
    drop(answer);
    while let Some(read) = reads.join_next().await {
        read.unwrap();
    }
    let well = |job: &JobState| job.status.sources[0].error.is_none();
    jobs[1].clone().wait_for(well).await.unwrap();
}
