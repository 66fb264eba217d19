//! Parts of messages.

use std::fmt::Display;

/// `1 node`, `2 nodes`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let s = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_no_s() {
        assert_eq!(
            [0_u64, 1, 2].map(|count| counted(count, "node")),
            ["0 nodes", "1 node", "2 nodes"]
        );
    }
}
