//! What the query of a list asks for: `?class=<name>`, `?probes=1`, `?meta=0`, `?raw=1`, `?wait=60s`.

use swarmscout_model::{PromDuration, TargetList};

use super::Form;

/// What a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Which targets.
    pub list: TargetList,
    /// Which of their labels.
    pub form: Form,
    /// How long a reader is ready to wait for another list than the one that it has; `Some(None)` if
    /// that is not a duration.
    pub wait: Option<Option<PromDuration>>,
}

impl ListQuery {
    /// Reads the part of a URL behind the question mark. Unknown parameters mean nothing. The error is
    /// for the reader, with a line break at its end.
    pub fn parse(query: &str) -> Result<Self, &'static str> {
        let (mut raw, mut meta, mut probes) = (false, true, false);
        let (mut class, mut wait) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let flag = match &*name {
                "class" if value.is_empty() => return Err("class is empty: write class=<name>\n"),
                "class" => {
                    class = Some(Box::from(&*value));
                    continue;
                }
                "wait" => {
                    wait = Some(value.parse().ok());
                    continue;
                }
                "raw" => &mut raw,
                "meta" => &mut meta,
                "probes" => &mut probes,
                _ => continue,
            };
            *flag = match &*value {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return Err("raw, meta and probes are 0 or 1\n"),
            };
        }
        let list = match (class, probes) {
            (None, false) => TargetList::Normal,
            (Some(class), false) => TargetList::Class(class),
            (None, true) => TargetList::Probes,
            (Some(_), true) => {
                return Err("class and probes are two lists: ask for one of them\n");
            }
        };
        let form = match (raw, meta) {
            (false, true) => Form::Full,
            (false, false) => Form::WithoutMeta,
            (true, true) => Form::Raw,
            (true, false) => {
                return Err(
                    "raw=1 has the labels of the sources, __meta_ ones too: leave out meta=0\n",
                );
            }
        };
        Ok(Self { list, form, wait })
    }
}
