//! The targets of a job as the list that Prometheus reads. HTTP SD and file SD
//! ([`crate::file_sd`]) have the same content.
//!
//! Prometheus takes a list as complete. So there is no list before each source has answered or had
//! its time to. A rendered list is kept in parts while readers request it. A change then costs only
//! the parts that changed.

mod cache;
mod index;
mod query;
mod rendered;

use std::sync::Arc;
use std::time::Instant;

pub use swarmscout_gzip_parts::LEVEL;
use swarmscout_model::quote::Quoted;
use swarmscout_model::{Budget, Completeness, MissingSource, TargetList, TargetSet};

pub use self::cache::{Cache, IDLE, Key, NoList};
pub use self::index::{JobLists, OtherLists, lists};
pub use self::query::ListQuery;
pub use self::rendered::Rendered;

/// Which labels of each target a reader requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Kept targets after our rules, `__meta_*` included.
    Full,
    /// `?meta=0`: the same without `__meta_*`.
    WithoutMeta,
    /// `?raw=1`: all targets as the sources returned them.
    Raw,
}

/// What a list holds of the targets of its job, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Which targets.
    pub list: TargetList,
    /// Which of their labels.
    pub form: Form,
    /// How they are written.
    pub encoding: Encoding,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON.
    Json,
    /// JSON, compressed.
    Gzip,
    /// YAML with every string in double quotes, which all parsers read alike.
    Yaml,
}

/// The text around and between the elements of a list. An empty list is `[]` in all encodings.
impl Encoding {
    /// Before the first element.
    const fn open(self) -> &'static [u8] {
        match self {
            Self::Json | Self::Gzip => b"[\n",
            Self::Yaml => b"",
        }
    }

    /// Between two elements.
    const fn separator(self) -> &'static [u8] {
        match self {
            Self::Json | Self::Gzip => b",\n",
            Self::Yaml => b"",
        }
    }

    /// After the last element.
    const fn close(self) -> &'static [u8] {
        match self {
            Self::Json | Self::Gzip => b"\n]\n",
            Self::Yaml => b"",
        }
    }
}

/// A list without elements, in every encoding but the compressed one.
pub const EMPTY: &[u8] = b"[]\n";

/// Why there can be no list of these targets yet.
pub fn withheld(set: &TargetSet, form: Form) -> Option<String> {
    let name = Quoted(set.pool.name());
    if let Completeness::Pending { missing, sources } = &set.completeness {
        let count = missing.len();
        let mut message =
            format!("job {name}: {count} of {sources} sources have not answered yet\n");
        message.extend(missing.iter().map(|MissingSource { name, display_name, error }| {
            let error = error.as_deref().unwrap_or("the first refresh is not finished");
            format!("{name} ({display_name}): {error}\n")
        }));
        if count < *sources {
            message.push_str("the others are served without them after --sd.startup-timeout\n");
        }
        return Some(message);
    }
    // Above the limit no target is scraped; an empty list would make readers drop all targets.
    let limit = set.limit_error.as_ref().filter(|_| form != Form::Raw)?;
    Some(format!("job {name}: {limit}\n"))
}

/// The normal list of `set`, in one piece.
#[expect(clippy::missing_panics_doc, reason = "without a limit everything fits")]
pub fn whole(set: &Arc<TargetSet>, form: Form, encoding: Encoding) -> Vec<u8> {
    let budget = Budget::unlimited();
    let selection = Selection { list: TargetList::Normal, form, encoding };
    let rendered = Rendered::new(set, Instant::now(), &selection, None, &budget);
    rendered.expect("without a limit everything fits").pieces.concat()
}

#[cfg(test)]
mod tests;
