//! What the documentation tells people to write is what the program takes.

use std::path::Path;

use crate::harness::{Folder, transcript};

/// Every YAML block of these files is a configuration.
const FILES: [&str; 2] = ["README.md", "docs/first-steps.md"];

#[test]
fn every_configuration_in_the_documentation_is_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = Folder::new();
    for file in FILES {
        let text = std::fs::read_to_string(root.join(file)).expect("the documentation is there");
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
