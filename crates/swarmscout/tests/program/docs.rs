//! What the documentation tells people to write is what the program takes.

use std::path::{Path, PathBuf};

use swarmscout_discovery::engine::Resource;

use crate::harness::{Folder, transcript};

/// Every YAML block of these files is a configuration.
const FILES: [&str; 2] = ["README.md", "docs/first-steps.md"];

fn read(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(path).expect("the documentation is there")
}

#[test]
fn every_configuration_in_the_documentation_is_good() {
    let folder = Folder::new();
    for file in FILES {
        let text = read(file);
        let blocks: Vec<_> = text.split("```yaml\n").skip(1).collect();
        assert!(!blocks.is_empty(), "{file} shows no configuration");
        for block in blocks {
            let (yaml, _) = block.split_once("```").expect("a block has an end");
            folder.write("block.yml", yaml);
            let output = folder.run(&["check", "config", "--syntax-only", "block.yml"]);
            let stdout = String::from_utf8_lossy(&output.stdout);
            let good = output.status.success() && !stdout.contains("WARNING");
            assert!(good, "{file}:\n{yaml}\n{}", transcript(&folder, &output));
        }
    }
}

/// The end-to-end tests hold the same table against what a real Engine is asked.
#[test]
fn the_paths_of_the_engine_are_those_that_the_code_knows() {
    let text = read("SECURITY.md");
    let (_, table) = text.split_once("<!-- engine paths").expect("the table has a beginning");
    let (table, _) = table.split_once("<!-- end of engine paths").expect("and an end");
    let listed: Vec<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | `")?.0.into())
        .collect();
    let known: Vec<_> = Resource::ALL.iter().map(|resource| resource.path()).collect();
    assert_eq!(listed, known);
}
