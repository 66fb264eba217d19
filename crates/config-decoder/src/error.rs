//! What is wrong with a configuration file, and what is doubtful in it: data, never printed here.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

pub use swarmscout_model::yaml::Position;
use swarmscout_model::yaml::YamlError;

/// One thing that is wrong with a configuration file. Its text holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Where in the file; `None` where the file as a whole is meant.
    pub position: Option<Position>,
    /// The key's way from the top: `scrape_configs[0].swarm_sd_configs[0].masters`. Empty for the
    /// whole file.
    pub path: String,
    /// What is wrong, and what to write instead where that is known.
    pub message: String,
}

impl ConfigError {
    /// An error that is about a file as a whole, or about what no key leads to.
    pub fn whole_file(file: &Path, position: Option<Position>, message: &str) -> Self {
        let (path, message) = (String::new(), message.to_owned());
        Self { file: file.to_owned(), position, path, message }
    }

    /// A file that is not YAML.
    pub fn not_yaml(file: &Path, error: &YamlError) -> Self {
        Self::whole_file(file, error.at, &format!("cannot read YAML: {}", error.message))
    }
}

/// `prometheus.yml:12:7: scrape_configs[0].scheme: …`.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.position, &self.path)?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// All that is wrong with the files of a configuration, in their order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<ConfigError>);

impl Errors {
    /// The errors in the order of the files.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// `None` where there are no `errors`.
    pub fn new(errors: Vec<ConfigError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }
}

impl From<ConfigError> for Errors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One line for each error.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Something in a configuration file that is accepted but does not do what it seems to. Its text
/// holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Where in the file.
    pub position: Option<Position>,
    /// The key's way from the top.
    pub path: String,
    /// What happens instead, and what to do about it.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.position, &self.path)?;
        f.write_str(&self.message)
    }
}

fn write_place(
    f: &mut fmt::Formatter<'_>,
    file: &Path,
    position: Option<Position>,
    path: &str,
) -> fmt::Result {
    write!(f, "{}", file.display())?;
    if let Some(Position { line, column }) = position {
        write!(f, ":{line}:{column}")?;
    }
    f.write_str(": ")?;
    if path.is_empty() {
        return Ok(());
    }
    // A key of the file may hold anything, and this is for one line of a terminal.
    for c in path.chars() {
        if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
    }
    f.write_str(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_control_characters_stays_on_its_line() {
        let error = ConfigError {
            file: PathBuf::from("web.yml"),
            position: Some(Position { line: 2, column: 3 }),
            path: String::from("basic_auth_users.c\n\u{1b}[2Jé"),
            message: String::from("not a bcrypt hash"),
        };
        assert_eq!(
            error.to_string(),
            r"web.yml:2:3: basic_auth_users.c\n\u{1b}[2Jé: not a bcrypt hash"
        );
    }
}
