//! Lists in files of each test's own.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use expect_test::Expect;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir()
            .join(format!("swarmscout-nodelist-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn store(&self, name: &str) -> Box<dyn Store> {
        let mut context = BuildContext::new("test");
        context.refresh.max_answer = 100;
        open(&config(&format!("file://{}", self.path(name).display())), &context).unwrap()
    }

    /// One listing, with `DIR` in place of the folder.
    async fn list(&self, store: &mut Box<dyn Store>) -> String {
        let text = match store.list().await {
            Ok(Listing { nodes, .. }) => format!("{nodes:?}"),
            Err(error) => error.to_string(),
        };
        text.replace(self.0.to_str().unwrap(), "DIR")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn files_are_read_as_by_swarm() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let files = recorded["file"].as_object().unwrap();
    assert_eq!(files.len(), 10);
    for (name, file) in files {
        let expected = &file["1.2.9"];
        match super::super::file::lines(file["content"].as_str().unwrap().as_bytes()) {
            Ok(nodes) => assert_eq!(Value::from(nodes), expected["stdout"], "{name}"),
            Err(error) => {
                assert_eq!(expected["exit"], 1, "{name}: {error}");
                let stderr = expected["stderr"][0].as_str().unwrap();
                let reason = stderr.rsplit_once(": ").unwrap().1;
                assert!(error.contains(reason), "{name}: {error}, not {reason}");
            }
        }
    }
}

#[tokio::test]
async fn every_way_to_change_the_file_is_seen() {
    let dir = Folder::new();
    let path = dir.path("nodes");
    let mut store = dir.store("nodes");
    expect!["DIR/nodes: cannot be read: No such file or directory (os error 2)"]
        .assert_eq(&dir.list(&mut store).await);
    fs::write(&path, "10.0.0.[1:2]:2375\n").unwrap();
    store.changed().await.unwrap();
    expect![[r#"["10.0.0.1:2375", "10.0.0.2:2375"]"#]].assert_eq(&dir.list(&mut store).await);
    // Another file of the same name.
    fs::write(dir.path("new"), "10.0.0.3:2375\n").unwrap();
    fs::rename(dir.path("new"), &path).unwrap();
    store.changed().await.unwrap();
    expect![[r#"["10.0.0.3:2375"]"#]].assert_eq(&dir.list(&mut store).await);
    fs::write(&path, "# empty\n").unwrap();
    store.changed().await.unwrap();
    expect!["[]"].assert_eq(&dir.list(&mut store).await);
    fs::remove_file(&path).unwrap();
    store.changed().await.unwrap();
    expect!["DIR/nodes: cannot be read: No such file or directory (os error 2)"]
        .assert_eq(&dir.list(&mut store).await);
}

#[tokio::test]
async fn a_file_with_a_bad_line_is_a_failure_with_the_line() {
    let dir = Folder::new();
    let mut store = dir.store("nodes");
    let mut check = async |content: &[u8], expected: Expect| {
        fs::write(dir.path("nodes"), content).unwrap();
        expected.assert_eq(&dir.list(&mut store).await);
    };
    check(b"10.0.0.1:2375\n\nnode-2 # no port\n", expect![[r#"DIR/nodes: line 3: "node-2": missing port in address: write host:port, or a range as in 10.0.0.[1:200]:2375"#]]).await;
    check(b"10.0.0.1:2375\n\xff:2375\n", expect![[r#"["10.0.0.1:2375", "�:2375"]"#]]).await;
    check(
        b"10.[0:100000].0.1:2375\n",
        expect![[r#"DIR/nodes: line 1: "10.[0:100000].0.1:2375": more than 100000 nodes"#]],
    )
    .await;
    check(&[b'#'; 101], expect!["DIR/nodes: cannot be read: larger than 100 bytes"]).await;
    fs::remove_file(dir.path("nodes")).unwrap();
    fs::create_dir(dir.path("nodes")).unwrap();
    expect!["DIR/nodes: cannot be read: not a regular file"].assert_eq(&dir.list(&mut store).await);
}
