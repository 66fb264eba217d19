//! Label and metric names.

/// Which names are valid (`metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// Any non-empty UTF-8 string.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    Legacy,
}

impl NameScheme {
    /// Whether `name` is a valid label name under this scheme.
    pub fn is_valid_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_legacy_label_name(name),
        }
    }
}

fn is_legacy_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// Appends `text` to `name` with every character outside `[a-zA-Z0-9_]` replaced by one `_`, as
/// Prometheus' `strutil.SanitizeLabelName` does.
pub fn push_sanitized(name: &mut String, text: &str) {
    name.extend(text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitizes_by_character() {
        let mut name = String::from("__meta_swarm_node_label_");
        push_sanitized(&mut name, "com.example/ü-1");
        assert_eq!(name, "__meta_swarm_node_label_com_example___1");
    }

    #[test]
    fn legacy_names_are_ascii_and_do_not_start_with_a_digit() {
        for (name, valid) in
            [("a", true), ("_1", true), ("1a", false), ("", false), ("ü", false), ("a.b", false)]
        {
            assert_eq!(NameScheme::Legacy.is_valid_label_name(name), valid, "{name}");
            assert_eq!(NameScheme::Utf8.is_valid_label_name(name), !name.is_empty(), "{name}");
        }
    }
}
