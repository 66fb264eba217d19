//! Go's `filepath.Glob`: a pattern's elements may hold `*`, `?`, `[a-z]`, `[^a]` and `\` before one
//! of these. Prometheus lets `*` stand in the last element only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The existing paths that match the pattern, sorted. A pattern without special characters matches
/// itself if that path exists. A directory that cannot be read is an error, a missing one is not.
pub fn glob(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let Some((directory, name)) = split(pattern) else {
        return Ok(if exists(pattern)? { vec![pattern.to_owned()] } else { Vec::new() });
    };
    let mut found = Vec::new();
    for directory in directories(directory)? {
        let entries = match fs::read_dir(or_here(&directory)) {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?.file_name();
            if entry.to_str().is_some_and(|entry| matches(name, entry)) {
                found.push(directory.join(entry));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The directories in which files of the pattern may turn up.
pub(super) fn directories(of: &Path) -> io::Result<Vec<PathBuf>> {
    match of.to_str() {
        Some(text) if text.contains(SPECIAL) => glob(of),
        _ => Ok(vec![of.to_owned()]),
    }
}

/// The directory of a pattern: the working directory is `.`.
pub(super) fn or_here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

const SPECIAL: [char; 4] = ['*', '?', '[', '\\'];

/// Directory and last element, if the pattern has special characters at all.
fn split(pattern: &Path) -> Option<(&Path, &str)> {
    pattern.to_str().filter(|text| text.contains(SPECIAL))?;
    Some((pattern.parent()?, pattern.file_name()?.to_str()?))
}

fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absence(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Go's `filepath.Match` for one element. A pattern that Go calls malformed matches nothing.
pub(crate) fn matches(mut pattern: &str, mut name: &str) -> bool {
    // What follows the last `*`, and where in the name it was tried last. No earlier `*` is ever
    // tried again: whatever it could take, the last one can take as well.
    let mut retry = None;
    loop {
        if let Some(rest) = pattern.strip_prefix('*') {
            pattern = rest;
            retry = Some((pattern, name));
        } else if let Some(rest) = match_one(pattern, name) {
            (pattern, name) = rest;
        } else if pattern.is_empty() && name.is_empty() {
            return true;
        } else {
            let Some((after, from)) = retry else { return false };
            let mut from = from.chars();
            if from.next().is_none() {
                return false;
            }
            (pattern, name) = (after, from.as_str());
            retry = Some((pattern, name));
        }
    }
}

/// What is left of both where the pattern's first part, which is no `*`, matches the first
/// character of the name.
fn match_one<'a, 'b>(pattern: &'a str, name: &'b str) -> Option<(&'a str, &'b str)> {
    let (mut parts, mut left) = (pattern.chars(), name.chars());
    let c = left.next()?;
    let rest = match parts.next()? {
        '?' => Some(parts.as_str()),
        '[' => class(parts.as_str(), c).and_then(|(within, rest)| within.then_some(rest)),
        '\\' => parts.as_str().strip_prefix(c),
        first => (first == c).then_some(parts.as_str()),
    };
    Some((rest?, left.as_str()))
}

/// Whether `c` is in the class that `pattern` begins with, after its `[`; and what follows the
/// class. `None` where it is malformed.
fn class(pattern: &str, c: char) -> Option<(bool, &str)> {
    let (negated, mut rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut within = false;
    let mut first = true;
    loop {
        if !first && let Some(rest) = rest.strip_prefix(']') {
            return Some((within != negated, rest));
        }
        first = false;
        let (low, after) = class_char(rest)?;
        let (high, after) = match after.strip_prefix('-') {
            Some(after) => class_char(after)?,
            None => (low, after),
        };
        within |= (low..=high).contains(&c);
        rest = after;
    }
}

fn class_char(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next().map(|c| (c, chars.as_str())),
        c => Some((c, chars.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trying every length of every wildcard would take longer than the universe has.
    #[test]
    fn many_wildcards_are_no_burden() {
        let (pattern, name) = ("a*".repeat(30), "a".repeat(200));
        assert!(matches(&pattern, &name));
        assert!(!matches(&format!("{pattern}b"), &name));
    }

    /// Cases of Go's own test of `filepath.Match`, and the patterns that people write.
    #[test]
    fn matches_as_go_does() {
        for (pattern, name, expected) in [
            ("*.json", "a.json", true),
            ("*.json", ".json", true),
            ("*.json", "a.jsonx", false),
            ("node-*.yml", "node-7.yml", true),
            ("node-?.yml", "node-7.yml", true),
            ("node-?.yml", "node-77.yml", false),
            ("n[0-9].yml", "n7.yml", true),
            ("n[^0-9].yml", "n7.yml", false),
            ("a*c", "abc", true),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^e-g]", "abc", true),
            (r"a\*b", "a*b", true),
            (r"a\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("[a-ζ]*", "α", true),
            (r"[\]a]", "]", true),
            (r"[\-x]", "-", true),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[x-]", "x", false),
            ("[", "a", false),
            ("[^", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
