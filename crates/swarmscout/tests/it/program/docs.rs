//! The program takes what the documentation says to write.

use std::path::{Path, PathBuf};

use swarmscout_docker::engine::Resource;
use swarmscout_docker::swarmkit::Method;

use super::harness::{Folder, transcript};

/// Every `yaml` block of these files is a configuration that is good, and without a warning unless it
/// is Prometheus' own (`# prometheus.yml`). A `yml` block is one of another program, and is not taken
/// as it is.
const FILES: [&str; 8] = [
    "README.md",
    "docs/complete.md",
    "docs/compose.md",
    "docs/first-steps.md",
    "docs/from-swarmprom.md",
    "docs/labels.md",
    "docs/migration.md",
    "docs/with-prometheus.md",
];

fn read(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
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
    let paths = |known: &[Resource]| known.iter().map(|known| known.path()).collect::<Vec<_>>();
    assert_eq!(listed("engine paths:"), paths(&Resource::ALL));
    assert_eq!(listed("engine paths of a node:"), paths(&Resource::OF_A_NODE));
}

#[test]
fn the_methods_of_swarmkit_are_those_that_the_code_knows() {
    let known: Vec<_> = Method::ALL.iter().map(|method| method.path()).collect();
    assert_eq!(listed("swarmkit methods:"), known);
}

/// The first column of a table of SECURITY.md between comments of this name.
fn listed(name: &str) -> Vec<String> {
    let text = read("SECURITY.md");
    let (_, table) = text.split_once(&format!("<!-- {name}")).expect("the table has a beginning");
    let (table, _) = table.split_once("<!-- end of ").expect("and an end");
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    cells.map(|(first, _)| first.to_owned()).collect()
}

/// Texts in docs/errors.md, each cut at its `…`.
fn documented_messages() -> Vec<Vec<String>> {
    let text = read("docs/errors.md");
    let cells = text.lines().filter(|line| line.starts_with("| `")).filter_map(|line| {
        let (cell, _) = line.strip_prefix("| ")?.split_once(" | ")?;
        Some(cell.to_owned())
    });
    cells
        .flat_map(|cell| {
            let messages = cell.split('`').skip(1).step_by(2);
            messages.map(|m| m.split('…').map(str::to_owned).collect()).collect::<Vec<_>>()
        })
        .collect()
}

fn is_documented(messages: &[Vec<String>], text: &str) -> bool {
    messages.iter().any(|parts| {
        let mut rest = text;
        parts.iter().all(|part| match rest.split_once(part.as_str()) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

/// Every message about a configuration file is in the listings that `crates/config/tests` and the
/// folders of sources keep.
#[test]
fn every_message_about_the_file_is_documented() {
    let messages = documented_messages();
    assert!(messages.len() > 150, "the page has another form than this reads");
    let mut listings = vec![
        include_str!("../../../../config/tests/files/errors.txt").to_owned(),
        include_str!("../../../../config/tests/files/warnings.txt").to_owned(),
    ];
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../discovery/src/source");
    for folder in std::fs::read_dir(sources).unwrap() {
        let path = folder.unwrap().path().join("keys.errors.txt");
        listings.extend(std::fs::read_to_string(path));
    }
    let missing: Vec<_> = listings
        .iter()
        .flat_map(|listing| listing.lines())
        .filter(|line| !line.starts_with("===") && !is_documented(&messages, line))
        .collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:#?}");
}

/// Files whose texts are messages.
const MESSAGES: [&str; 26] = [
    "crates/net/src/error.rs",
    "crates/net/src/connect/unix.rs",
    "crates/net/src/connect/socks.rs",
    "crates/net/src/tls/words.rs",
    "crates/refresh/src/error.rs",
    "crates/docker/src/error.rs",
    "crates/swarm/src/error.rs",
    "crates/discovery/src/error.rs",
    "crates/docker/src/engine/refusal.rs",
    "crates/discovery/src/source/nodelist/etcd2.rs",
    "crates/discovery/src/source/nodelist/etcd3.rs",
    "crates/discovery/src/source/nodelist/consul.rs",
    "crates/discovery/src/source/nodelist/server.rs",
    "crates/discovery/src/source/nodelist/layout.rs",
    "crates/discovery/src/source/nodelist/zookeeper/jute.rs",
    "crates/discovery/src/source/nodelist/zookeeper/session.rs",
    "crates/discovery/src/source/dns/exchange.rs",
    "crates/discovery/src/source/dns/lookup.rs",
    "crates/swarm/src/follower.rs",
    "crates/swarm/src/watch_feed.rs",
    "crates/docker/src/swarmkit/refusal.rs",
    "crates/docker/src/swarmkit/socket.rs",
    "crates/model/src/target.rs",
    "crates/swarmscout/src/listen/address.rs",
    "crates/swarmscout/src/listen/mod.rs",
    "crates/swarmscout/src/listen/unix.rs",
];

/// Strings in them that are not messages, but parts of one, or what a server says, or an invariant.
const PARTS: [&str; 21] = [
    "no message",
    "there is no reader",
    " (os error",
    "the group with gid {gid}",
    "group {name} (gid {gid})",
    "expired {} ago",
    "this Engine is not a manager",
    "page not found",
    "code = DeadlineExceeded",
    "code = Canceled",
    "code = Unavailable",
    "convert classic histograms to nhcb",
    "always scrape classic histograms",
    "scrape native histograms",
    "what we ask for is shorter than 2 GiB",
    "a vector has room",
    "no elected cluster leader",
    "does not have a leader",
    "context canceled",
    "broker is not running",
    "the provider has suites of TLS 1.2 and 1.3",
];

/// The messages of every fault are in the listing that `tests/it/faults` keeps.
#[test]
fn every_message_about_a_fault_is_documented() {
    let messages = documented_messages();
    let listing = include_str!("../../faults/seen.txt");
    let errors = listing.lines().filter_map(|line| line.trim_start().strip_prefix("error: "));
    let missing: Vec<_> = errors.filter(|error| !is_documented(&messages, error)).collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:#?}");
}

#[test]
fn every_message_about_servers_is_documented() {
    let messages = documented_messages();
    let mut found = 0;
    let mut missing = Vec::new();
    for file in MESSAGES {
        for text in literals(&read(file)) {
            let is_word = |word: &&str| word.len() > 1 && !word.starts_with('{');
            let words = text.split_whitespace().filter(is_word).count();
            let is_message = words > 1 && !text.starts_with(char::is_uppercase);
            if !is_message || PARTS.contains(&text.as_str()) {
                continue;
            }
            found += 1;
            if !is_documented(&messages, &text) {
                missing.push(format!("{file}: {text}"));
            }
        }
    }
    assert!(found > 60, "the sources have another form than this reads: {found}");
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:#?}");
}

/// The string literals of a source file, but for those of its comments and tests.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut literals = Vec::new();
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        if c == '\'' {
            // A quote may be a character of its own.
            chars = chars.as_str().trim_start_matches("\"'").chars();
        }
        if c != '"' {
            continue;
        }
        let mut literal = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    // A line that goes on: its indentation does not belong to the text.
                    Some('\n') => {
                        let rest = chars.as_str().trim_start();
                        chars = rest.chars();
                    }
                    Some(c) => literal.push(c),
                    None => break,
                },
                c => literal.push(c),
            }
        }
        literals.push(literal);
    }
    literals
}
