//! The files of a configuration: the main one, and those that its `scrape_config_files` name
//! (Prometheus `config.GetScrapeConfigs`).
//!
//! - The patterns are expanded each time that a configuration is loaded. One that matches no file
//!   is fine, as in Prometheus, and warned of; what is named and cannot be read is an error.
//! - Files are read in the order of the patterns, those of one pattern sorted by name. A file holds
//!   `scrape_configs` and nothing else. Its jobs take the main file's `global` section, its relative
//!   paths begin in its own folder, and a job's name stands once in all files.
//! - All errors of all files come together.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use swarmscout_config_decoder::{Cx, FilePath, Findings, Value, is_glob};
use swarmscout_discovery::source::file::glob;
use swarmscout_model::yaml::{self, Data, FirstDocument, Node, Position};
use swarmscout_net::{io_words, lane};
use xxhash_rust::xxh3::Xxh3;

use crate::prometheus::check::{self, JobPlaces};
use crate::prometheus::{foreign_keys, raw};
use crate::{ConfigError, Errors, MAX_NODES, Options, ScrapeConfig, Warning};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The most that is read of all files of `scrape_config_files` together, in bytes.
const MAX_MORE: u64 = 64 << 20;

/// The key that names more files.
const KEY: &str = "scrape_config_files";

/// Reads the main file.
pub(crate) fn read_main(path: &Path) -> Result<Vec<u8>, Errors> {
    read(path).map_err(|message| ConfigError::whole_file(path, None, &message).into())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let text = open(path).and_then(|file| {
        let mut text = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut text)?;
        Ok(text)
    });
    match text {
        Ok(text) if text.len() as u64 > MAX_FILE => {
            Err(format!("the file is larger than {} MiB", MAX_FILE >> 20))
        }
        Ok(text) => Ok(text),
        Err(error) => Err(format!("cannot read the configuration file: {}", io_words(&error))),
    }
}

/// Opens a file, or a pipe that somebody writes into (`/dev/stdin`, `<(...)`). A pipe without a
/// writer is not waited for: it reads as empty.
fn open(path: &Path) -> io::Result<File> {
    lane::at(path);
    if !fs::metadata(path)?.file_type().is_fifo() {
        return File::open(path);
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// What stands in the main file, and where more than one document does. One that says nothing is an
/// error: it was cut, or is being written, and would take all targets away. `instead`: what to write.
pub(crate) fn main_document(
    text: &[u8],
    path: &Path,
    instead: &str,
) -> Result<(Node, Option<Position>), ConfigError> {
    let first = parse(text, path)?;
    let root = first.root.filter(|root| !root.is_null()).ok_or_else(|| {
        ConfigError::whole_file(path, None, &format!("the file is empty: {instead}"))
    })?;
    Ok((root, first.more))
}

fn parse(text: &[u8], path: &Path) -> Result<FirstDocument, ConfigError> {
    yaml::parse_first(text, MAX_NODES).map_err(|error| ConfigError::not_yaml(path, &error))
}

/// Warns of what stands behind the first document. Prometheus takes such a file and does not say so.
pub(crate) fn warn_of_more(more: Option<Position>, cx: &mut Cx<'_>) {
    if let Some(at) = more {
        cx.warn(at, "this stands behind the first document and is ignored, also by Prometheus");
    }
}

/// The files that `scrape_config_files` names now.
pub(crate) fn find(file: &raw::File, cx: &mut Cx<'_>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut known = HashSet::new();
    cx.within(KEY, |cx| {
        for (i, FilePath(pattern)) in file.scrape_config_files.iter().enumerate() {
            cx.item(i, |cx| match names(pattern) {
                Ok(names) if names.is_empty() => cx.warn_here("no file has this name"),
                Ok(names) => {
                    for name in names {
                        if name == cx.file {
                            cx.error_here("the main file itself has this name");
                        } else if known.insert(name.clone()) {
                            found.push(name);
                        } else {
                            let name = name.display();
                            cx.error_here(format!("{name} is named a second time: name it once"));
                        }
                    }
                }
                Err(error) => cx.error_here(format!("cannot list files:  {error}")),
            });
        }
    });
    found
}

/// The files of one pattern, sorted; none where it was refused already.
fn names(pattern: &str) -> io::Result<Vec<PathBuf>> {
    lane::at(Path::new(pattern));
    if is_glob(pattern) { glob(Path::new(pattern)) } else { Ok(Vec::new()) }
}

/// Reads and checks the files that were found for a main file: what was written, and the jobs.
pub(crate) fn read_found(
    found: &[PathBuf],
    main: &raw::File,
    options: Options,
    places: &mut JobPlaces,
    findings: &mut Findings,
) -> (Vec<raw::ScrapeConfigFile>, Vec<ScrapeConfig>) {
    let (mut files, mut jobs) = (Vec::new(), Vec::new());
    let mut left = MAX_MORE;
    for path in found {
        let read = read(path).and_then(|text| {
            let over = || format!("the files of {KEY} are larger than {} MiB", MAX_MORE >> 20);
            left = left.checked_sub(text.len() as u64).ok_or_else(over)?;
            Ok(text)
        });
        let first = read
            .map_err(|message| ConfigError::whole_file(path, None, &message))
            .and_then(|text| parse(&text, path));
        match first {
            Ok(FirstDocument { root: Some(root), more }) => {
                let mut cx =
                    Cx::after(findings, path, root.clone(), options, &foreign_keys::ADVICE);
                warn_of_more(more, &mut cx);
                let mut file = raw::ScrapeConfigFile::default();
                if let Data::Sequence(_) = root.data() {
                    // As vmagent has it.
                    cx.mismatch(&root, "`scrape_configs:` above the list", "config.ScrapeConfigs");
                } else {
                    cx.read(&root, &mut file);
                }
                jobs.extend(check::jobs(&mut file.scrape_configs, &main.global, places, &mut cx));
                files.push(file);
                findings.add(cx);
            }
            Ok(FirstDocument { root: None, .. }) => findings.warnings.push(Warning {
                file: path.clone(),
                position: None,
                path: String::new(),
                message: String::from("the file is empty: it brings no jobs"),
            }),
            Err(error) => findings.errors.push(error),
        }
    }
    (files, jobs)
}

/// What the files of a configuration hold: another one means that something was changed. It depends
/// on names and contents alone, so a file that was replaced by one of the same content is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u128);

/// Reads the main file at `path`, and the files that its `scrape_config_files` name, for their
/// fingerprint. A file that cannot be read has one too, another than any content. May take as long
/// as the file systems take.
///
/// One that is taken before [`load`](crate::load) and differs from the next one may be about a change
/// that `load` has seen already, but no change is missed.
pub fn fingerprint(path: &Path) -> Fingerprint {
    let mut hash = Xxh3::new();
    let mut add = |path: &Path| {
        let name = path.as_os_str().as_encoded_bytes();
        let text = read(path);
        let (good, content) = match &text {
            Ok(text) => (1, text.as_slice()),
            Err(message) => (0, message.as_bytes()),
        };
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(&[good]);
        hash.update(&(content.len() as u64).to_le_bytes());
        hash.update(content);
        text.ok()
    };
    for pattern in add(path).map(|text| patterns(&text, path)).unwrap_or_default() {
        for path in names(&pattern.0).unwrap_or_default() {
            add(&path);
        }
    }
    Fingerprint(hash.digest128())
}

/// The patterns of `scrape_config_files` in the text of a main file, as far as it can be read.
fn patterns(text: &[u8], path: &Path) -> Vec<FilePath> {
    // Most files have none, and need not be understood.
    if !std::str::from_utf8(text).is_ok_and(|text| text.contains(KEY)) {
        return Vec::new();
    }
    let Ok(Some(root)) = yaml::parse(text, MAX_NODES) else { return Vec::new() };
    let mut cx =
        Cx::new(path, None, Options { agent: false, env: |_| None }, &foreign_keys::ADVICE);
    let values = root.values(KEY);
    values.last().and_then(|(_, value)| Value::decode(value, &mut cx)).unwrap_or_default()
}
