//! What the documentation tells people to write is what the program takes.

use std::path::{Path, PathBuf};

use swarmscout_discovery::engine::Resource;

use crate::harness::{Folder, transcript};

/// Every `yaml` block of these files is a configuration that is good, and without a warning unless it
/// is Prometheus' own (`# prometheus.yml`). A `yml` block is one of another program, and is not taken
/// as it is.
const FILES: [&str; 3] = ["README.md", "docs/first-steps.md", "docs/migration.md"];

fn read(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(path).expect("the documentation is there")
}

#[test]
fn every_configuration_in_the_documentation_is_good() {
    let folder = Folder::new();
    for file in FILES {
        let text = read(file);
        let mut blocks = 0;
        for (language, block) in
            text.split("```").skip(1).step_by(2).filter_map(|b| b.split_once('\n'))
        {
            if !["yaml", "yml"].contains(&language) {
                continue;
            }
            folder.write("block.yml", block);
            let output = folder.run(&["check", "config", "--syntax-only", "block.yml"]);
            let stdout = String::from_utf8_lossy(&output.stdout);
            let taken = output.status.success()
                && (!stdout.contains("WARNING") || block.starts_with("# prometheus.yml"));
            let said = transcript(&folder, &output);
            assert_eq!(taken, language == "yaml", "{file}:\n{block}\n{said}");
            blocks += 1;
        }
        assert!(blocks > 0, "{file} shows no configuration");
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
