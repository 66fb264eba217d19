//! ARCHITECTURE.md against the tree: the paths and modules that it names, and the arrows between
//! crates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates that one crate must never reach, not even through others.
const NEVER: &[(&str, &[&str])] = &[
    ("go-regexp", &["model", "net", "refresh", "docker", "swarm", "discovery"]),
    ("model", &["net", "refresh", "docker", "swarm", "discovery"]),
    ("exposition", &["model", "net", "discovery"]),
    ("config-decoder", &["refresh", "docker", "swarm", "discovery"]),
    ("refresh", &["docker", "swarm", "discovery", "config"]),
    ("docker", &["swarm", "discovery", "config"]),
    ("swarm", &["discovery", "config"]),
    ("discovery", &["config", "publish", "web"]),
    ("web-config", &["refresh", "docker", "swarm", "discovery", "config", "web"]),
    ("publish", &["docker", "swarm", "discovery", "config", "web"]),
    ("server", &["refresh", "docker", "swarm", "discovery", "publish", "web"]),
    ("agent", &["discovery"]),
    ("state", &["discovery"]),
    ("simulator", &["docker", "swarm", "discovery"]),
    ("swarmscout", &["sim-stores"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The folders of all crates.
fn crates() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("crates")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let crates = folders.filter(|folder| folder.join("Cargo.toml").exists());
    crates.map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The crates of this workspace that one of them depends on, tests apart.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = read(&format!("crates/{name}/Cargo.toml"));
    let (_, section) = manifest.split_once("\n[dependencies]\n").unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    let ours = names.filter_map(|name| match name {
        "swarmscout" => Some(name),
        _ => name.strip_prefix("swarmscout-"),
    });
    ours.map(str::to_owned).collect()
}

/// The texts between backticks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The code map: each crate with the crates that it may use.
fn code_map(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let entries = text.split("\n- **`crates/").skip(1);
    let entries = entries.map(|entry| {
        let (name, rest) = entry.split_once("`** → ").expect("an arrow follows the crate");
        let (uses, rest) = rest.split_once(". ").expect("a sentence follows the arrow");
        let entry = rest.split("\n- ").next().unwrap_or_default();
        assert!(entry.contains("**Invariant:** "), "crates/{name} has no invariant");
        let uses = uses.split(", ").filter(|name| *name != "nothing").map(str::to_owned);
        (name.to_owned(), uses.collect())
    });
    entries.collect()
}

#[test]
fn the_code_map_has_every_crate_and_its_arrows() {
    let map = code_map(&read("ARCHITECTURE.md"));
    let built: BTreeMap<_, _> =
        crates().into_iter().map(|name| (name.clone(), dependencies(&name))).collect();
    assert_eq!(map, built, "left: ARCHITECTURE.md, right: the Cargo.toml files");
}

#[test]
fn no_crate_reaches_what_it_must_not_know() {
    let crates = crates();
    for (name, never) in NEVER.iter().filter(|(name, _)| crates.contains(*name)) {
        let mut reached = BTreeSet::new();
        let mut next = vec![(*name).to_owned()];
        while let Some(name) = next.pop() {
            for dependency in dependencies(&name) {
                if reached.insert(dependency.clone()) {
                    next.push(dependency);
                }
            }
        }
        let wrong: Vec<_> = never.iter().filter(|name| reached.contains(**name)).collect();
        assert!(wrong.is_empty(), "crates/{name} reaches {wrong:?}");
    }
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let mut missing = Vec::new();
    for file in ["ARCHITECTURE.md", "CONTRIBUTING.md", "STYLE.md"] {
        let text = read(file);
        let is_path = |span: &&str| {
            let folders = ["crates/", "e2e/", "bench/", "fuzz/", "docs/", "deploy/", ".ci/"];
            // Not a command with arguments, and not a pattern.
            folders.iter().any(|folder| span.starts_with(folder))
                && !span.contains([' ', '<', '*', '$'])
                && !span.contains("TARGET")
        };
        let spans = code_spans(&text).filter(is_path);
        missing.extend(spans.filter(|path| !root().join(path).exists()).map(str::to_owned));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_module_that_the_architecture_names_exists() {
    let crates = crates();
    let text = read("ARCHITECTURE.md");
    let mut missing = Vec::new();
    for span in code_spans(&text) {
        let parts: Vec<_> = span.split("::").collect();
        let [name, rest @ ..] = parts.as_slice() else { continue };
        let name = name.replace('_', "-");
        if rest.is_empty() || !crates.contains(&name) {
            continue;
        }
        if !is_there(&root().join("crates").join(name).join("src"), rest) {
            missing.push(span);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn pages_and_api_read_discovery_through_views_only() {
    let replica = ["swarmscout_refresh", "swarmscout_swarm::"];
    let discovery = ["swarmscout_discovery"];
    let mut wrong = Vec::new();
    for (path, text) in sources(&root().join("crates/web/src")) {
        let below = |folder: &str| path.starts_with(folder);
        if below("view/") || below("tests/") {
            continue;
        }
        let hidden = below("api/") || below("pages/");
        let names = replica.iter().chain(discovery.iter().filter(|_| hidden));
        wrong.extend(
            names.filter(|name| text.contains(**name)).map(|name| format!("{path}: {name}")),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The sources below a folder, by their paths in it.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(path) = next.pop() {
        if path.is_dir() {
            next.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Whether `path` leads to a module, or to something that a file there defines.
fn is_there(folder: &Path, path: &[&str]) -> bool {
    let [first, rest @ ..] = path else { return true };
    let (file, below) = (folder.join(format!("{first}.rs")), folder.join(first));
    if below.is_dir() || file.is_file() {
        return rest.is_empty() || is_there(&below, rest) || defines(&file, rest);
    }
    let own = ["lib.rs", "mod.rs"].map(|name| folder.join(name));
    own.iter().any(|file| defines(file, path)) || defines(&folder.with_extension("rs"), path)
}

/// Whether a file defines or re-exports the item that a path of one name leads to.
fn defines(file: &Path, path: &[&str]) -> bool {
    let ([name], Ok(text)) = (path, std::fs::read_to_string(file)) else { return false };
    let kinds = ["struct", "enum", "trait", "fn", "mod", "type"];
    let re_exports = text.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    kinds.iter().any(|kind| has_word(&text, &format!("{kind} {name}")))
        || re_exports.into_iter().any(|names| has_word(names, name))
}

/// Whether `text` has `word`, and not only as the start of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let next = text[at + word.len()..].chars().next();
        next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}
