//! The types of keys that a `prometheus.yml` adds: durations, sizes, secrets, URLs, paths, labels.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use swarmscout_model::secret::HIDDEN;
use swarmscout_model::size::Bytes;
use swarmscout_model::yaml::{Data, Key, Node};
use swarmscout_model::{PromDuration, Secret};
use swarmscout_net::Url;

use crate::{Cx, Out, Value};

/// The name of a label. As in Prometheus it may be null, but not an empty text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelName(pub String);

impl Value for LabelName {
    fn name() -> String {
        String::name()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "model.LabelName")?;
        if text.is_empty() {
            cx.error(node.at, NO_LABEL_NAME);
            return None;
        }
        Some(Self(text.to_owned()))
    }

    fn encode(&self) -> Out {
        if self.0.is_empty() { Out::Null } else { self.0.encode() }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Labels and their values. As in Prometheus a name may be null, but not an empty text; a label
/// without a name is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSet(pub BTreeMap<String, String>);

impl Value for LabelSet {
    fn name() -> String {
        BTreeMap::<String, String>::name()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mut labels = Self::default();
        labels.join(node, cx).then_some(labels)
    }

    fn join(&mut self, node: &Node, cx: &mut Cx<'_>) -> bool {
        let good = self.0.join(node, cx);
        let Data::Mapping(entries) = node.data() else { return good };
        let is_nameless = |key: &Key| key.text.is_empty() && !key.null;
        self.0.remove("");
        let Some((key, _)) = entries.iter().find(|(key, _)| is_nameless(key)) else { return good };
        cx.within("", |cx| cx.error(key.at, NO_LABEL_NAME));
        false
    }

    fn encode(&self) -> Out {
        self.0.encode()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const NO_LABEL_NAME: &str = "\"\" is not a valid label name";

impl Value for PromDuration {
    fn name() -> String {
        "duration".into()
    }

    fn zero() -> Self {
        Self::ZERO
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "model.Duration")?;
        text.parse().map_err(|error| cx.error(node.at, error)).ok()
    }

    fn encode(&self) -> Out {
        Out::String(self.to_string())
    }

    fn is_empty(&self) -> bool {
        self.is_zero()
    }
}

impl Value for Bytes {
    fn name() -> String {
        "size".into()
    }

    fn zero() -> Self {
        Self(0)
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "units.Base2Bytes")?;
        let hint = "write it with its unit, as 10MB";
        text.parse().map_err(|error| cx.error(node.at, format!("{error}: {hint}"))).ok()
    }

    fn encode(&self) -> Out {
        Out::String(self.to_string())
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl Value for Secret {
    fn name() -> String {
        "secret".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.text(node, "config.Secret").map(Self::new)
    }

    fn encode(&self) -> Out {
        Out::String(if self.is_empty() { String::new() } else { HIDDEN.to_owned() })
    }

    fn is_empty(&self) -> bool {
        Secret::is_empty(self)
    }
}

/// A URL that is checked when it is read. Its password shows as `xxxxx`.
impl Value for Option<Url> {
    fn name() -> String {
        "URL".into()
    }

    fn zero() -> Self {
        None
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "config.URL")?;
        Url::parse(text).map_err(|error| cx.error(node.at, error)).ok().map(Some)
    }

    fn encode(&self) -> Out {
        self.as_ref().map_or(Out::Null, |url| Out::String(url.to_string()))
    }

    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

/// A path, joined to the configuration's folder where it is relative.
pub fn in_folder(folder: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let mut joined = folder.to_owned();
    joined.extend(path.components().filter(|part| *part != Component::CurDir));
    joined
}

/// Whether a path of `rule_files` and the like is one: `*` in its last part only.
pub fn is_glob(path: &str) -> bool {
    path.find('*').is_none_or(|star| !path[star..].contains('/'))
}

/// A path of the local file system. A relative one is joined to the configuration's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePath(pub String);

impl Value for FilePath {
    fn name() -> String {
        "path".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = cx.text(node, "string")?;
        if text.is_empty() {
            return Some(Self::default());
        }
        Some(Self(in_folder(cx.folder, Path::new(text)).to_string_lossy().into_owned()))
    }

    fn encode(&self) -> Out {
        Out::String(self.0.clone())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A URL or Docker host that is kept as it was written. Its password shows as `xxxxx`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Address(pub String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", swarmscout_net::redact_url(&self.0))
    }
}

impl Value for Address {
    fn name() -> String {
        "URL".into()
    }

    fn zero() -> Self {
        Self::default()
    }

    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        cx.text(node, "string").map(|text| Self(text.to_owned()))
    }

    fn encode(&self) -> Out {
        Out::String(swarmscout_net::redact_url(&self.0))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
