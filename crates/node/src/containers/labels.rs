//! The labels of a container's series, escaped once.

use std::collections::BTreeSet;
use std::sync::Arc;

use swarmscout_exposition::pieces::{SeriesLabels, label_name};

use crate::facts::Facts;

/// Values of labels are cut behind this many bytes: anybody may give a container any label.
const LONGEST_VALUE: usize = 1024;

/// The labels of one container.
#[derive(Clone, Debug)]
pub(super) struct ContainerLabels {
    /// Of cAdvisor's families: `id` is the path of the cgroup.
    pub(super) cgroup: Arc<SeriesLabels>,
    /// Of our families: `container_id` instead, so that they stay the same when it has ended.
    pub(super) container: Arc<SeriesLabels>,
}

impl ContainerLabels {
    /// The labels of the container `id` with its cgroup at `path`, which has no slash in front.
    pub(super) fn new(path: &str, id: &str, facts: Option<&Facts>) -> Self {
        let mut cgroup = SeriesLabels::default();
        cgroup.push("id", &format!("/{path}"));
        add_facts(&mut cgroup, facts);
        Self { cgroup: Arc::new(cgroup), container: Arc::new(Self::ended(id, facts)) }
    }

    /// The labels of our families alone: a container without a cgroup has only these.
    pub(super) fn ended(id: &str, facts: Option<&Facts>) -> SeriesLabels {
        let mut labels = SeriesLabels::default();
        labels.push("container_id", id);
        add_facts(&mut labels, facts);
        labels
    }
}

fn add_facts(labels: &mut SeriesLabels, facts: Option<&Facts>) {
    let Some(facts) = facts else { return };
    labels.push("name", cut(facts.name.as_deref().unwrap_or_default()));
    labels.push("image", cut(facts.image.as_deref().unwrap_or_default()));
    // Of two labels with the same name in Prometheus, that of the smaller key counts.
    let mut sorted: Vec<_> = facts.labels.iter().collect();
    sorted.sort();
    let mut names = BTreeSet::new();
    for (key, value) in sorted {
        let name = label_name(&format!("container_label_{key}"));
        if names.insert(name.clone()) {
            labels.push(&name, cut(value));
        }
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_VALUE)]
}

#[cfg(test)]
mod tests {
    use swarmscout_exposition::Format;
    use swarmscout_exposition::families::Families;
    use swarmscout_exposition::pieces::Kind;

    use super::*;

    fn written(labels: &SeriesLabels) -> String {
        let mut out = Families::new(Format::Text);
        out.family("m", Kind::Gauge, "").series(labels, 1_u64);
        out.finish().lines().next_back().unwrap().to_owned()
    }

    #[test]
    fn labels_are_those_that_have_a_value() {
        let facts = Facts {
            name: Some("web.1".to_owned()),
            image: Some(String::new()),
            labels: [("b.c", "2"), ("b-c", "1\n"), ("empty", ""), ("1st", "x")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            ..Facts::default()
        };
        let labels = ContainerLabels::new("docker/1f", "1f", Some(&facts));
        let rest = r#"name="web.1",container_label_1st="x",container_label_b_c="1\n"} 1"#;
        assert_eq!(written(&labels.cgroup), format!(r#"m{{id="/docker/1f",{rest}"#));
        assert_eq!(written(&labels.container), format!(r#"m{{container_id="1f",{rest}"#));
        let labels = ContainerLabels::new("docker/1f", "1f", None);
        assert_eq!(written(&labels.cgroup), r#"m{id="/docker/1f"} 1"#);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let facts = Facts { name: Some("ü".repeat(1000)), ..Facts::default() };
        let labels = ContainerLabels::new("x", "x", Some(&facts));
        assert_eq!(written(&labels.cgroup).matches('ü').count(), 512);
    }
}
