//! A relabeling rule.

use swarmscout_config_decoder::{LabelName, section};

section! {
    /// A relabeling rule. Which keys go with which action is Prometheus' rule.
    pub(crate) RelabelConfig: "relabel.Config", "relabel_config" {
        /// Labels whose values are joined and matched.
        key source_labels: Option<Vec<LabelName>> = None, flow;
        /// Separator of the values.
        key separator: String = ";".into(), always;
        /// What the joined values, or the names of labels, must match as a whole; Go's syntax.
        key regex: Option<String> = None, shown("(.*)");
        /// For `hashmod`.
        key modulus: u64 = 0;
        /// The label that is set.
        key target_label: String = String::new();
        /// What it is set to; `$1` is the first group of the regex.
        key replacement: String = "$1".into(), always;
        /// `replace`, `keep`, `drop`, `keepequal`, `dropequal`, `hashmod`, `labelmap`, `labeldrop`, `labelkeep`, `lowercase`, `uppercase`; in any case.
        key action: String = "replace".into();
    }
}
