//! The output of `check config` for the files of stacks for Swarm.

use std::path::Path;

use expect_test::expect_file;

use super::harness::{Folder, transcript};

#[test]
fn files_of_well_known_stacks() {
    let stacks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stacks");
    let mut files: Vec<_> = std::fs::read_dir(&stacks)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".yml"))
        .collect();
    files.sort();
    let folder = Folder::new();
    let mut listing = String::new();
    for file in files {
        let mut command = folder.command();
        // `--syntax-only` would not read scrape_config_files.
        command.current_dir(&stacks).args(["check", "config"]).arg(&file);
        let output = command.output().expect("the binary is there");
        listing += &transcript(&folder, &output);
    }
    expect_file![stacks.join("checked.txt")].assert_eq(&listing);
}
