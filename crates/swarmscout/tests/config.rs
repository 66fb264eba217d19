//! The configuration file, through the interface that the program uses.
//!
//! `tests/config` holds files that are read (`*.good.yml`) and files that are refused
//! (`*.bad.yml`). What is said of them stands in `warnings.txt` and `errors.txt`, which is every
//! message that a user can get: `UPDATE_EXPECT=1 cargo test` writes both anew. A file whose first
//! line is `# agent` is read as with `--agent`.

#![expect(clippy::unwrap_used, reason = "what cannot go on fails the test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::{expect, expect_file};
use swarmscout::config::{Errors, Loaded, Options, load, parse, reference};

/// Reads `text` as `/etc/prometheus.yml`, in an environment where only `HOST` and `EMPTY` are set.
fn read(text: &[u8]) -> Result<Loaded, Errors> {
    let env = |name: &str| match name {
        "HOST" => Some("swarm-1".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let options = Options { agent: text.starts_with(b"# agent\n"), env };
    parse(text, Path::new("/etc/prometheus.yml"), &options)
}

fn files(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            name.ends_with(ending).then(|| (name, std::fs::read(&path).unwrap()))
        })
        .collect()
}

#[test]
fn every_bad_file_is_refused_with_its_errors() {
    let mut listing = String::new();
    for (name, text) in files(".bad.yml") {
        let Err(errors) = read(&text) else { panic!("{name} was not refused") };
        writeln!(listing, "=== {name}\n{errors}").unwrap();
    }
    expect_file!["config/errors.txt"].assert_eq(&listing);
}

#[test]
fn every_good_file_is_read_with_its_warnings_and_written_back_the_same() {
    let mut listing = String::new();
    for (name, text) in files(".good.yml") {
        let loaded = read(&text).unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
        writeln!(listing, "=== {name}").unwrap();
        for warning in &loaded.warnings {
            writeln!(listing, "{warning}").unwrap();
        }
        let written = loaded.config.to_yaml();
        let again = read(written.as_bytes())
            .unwrap_or_else(|errors| panic!("{name}, written back:\n{errors}\n{written}"));
        assert_eq!(again.config.to_yaml(), written, "{name}");
        assert!(again.config == loaded.config, "{name}: another when written back:\n{written}");
    }
    expect_file!["config/warnings.txt"].assert_eq(&listing);
}
