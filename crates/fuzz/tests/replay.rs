//! Replays what is known of every fuzz target: the seeds, the corpus that fuzzing left (`corpus/`),
//! and what it found (`findings/`, each file named after what was wrong).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use swarmscout_fuzz::TARGETS;

/// The inputs in a folder of a target, with their names; none where it has no such folder.
fn inputs(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

#[test]
fn no_known_input_finds_anything() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let seeds = (target.seeds)().into_iter().enumerate();
        let mut known: Vec<_> =
            seeds.map(|(i, seed)| (format!("seed {i} of {}", target.name), seed)).collect();
        known.extend(inputs("corpus", target.name));
        known.extend(inputs("findings", target.name));
        for (name, input) in known {
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{} inputs fail:\n{}", failed.len(), failed.join("\n"));
}

/// A target that is in one place only is never run, or never replayed.
#[test]
fn every_target_has_its_file_and_every_folder_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&root.join("../../fuzz/fuzz_targets")), targets);
    for folder in ["corpus", "findings"] {
        let unknown = &names(&root.join(folder)) - &targets;
        assert!(unknown.is_empty(), "{folder}: {unknown:?}");
    }
    let manifest = fs::read_to_string(root.join("../../fuzz/Cargo.toml")).unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} in fuzz/Cargo.toml");
    }
}
