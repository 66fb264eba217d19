//! What real masters answered to `/info`, byte for byte.

use super::Version;

macro_rules! recorded {
    ($version:literal, $case:literal) => {
        (
            $version,
            $case,
            include_bytes!(concat!("../../fixtures/classic/", $version, "/info-", $case, ".json")),
        )
    };
}

/// Version, case and body of every recorded `/info`.
pub const RECORDED: &[(&str, &str, &[u8])] = &[
    recorded!("0.1.0", "pending-one"),
    recorded!("0.2.0", "duplicate-engine-id"),
    recorded!("0.2.0", "empty"),
    recorded!("0.2.0", "healthy"),
    recorded!("0.2.0", "pending-two"),
    recorded!("0.2.0", "tls-engine-and-duplicate-hostname"),
    recorded!("0.3.0", "pending-one"),
    recorded!("0.4.0", "duplicate-engine-id"),
    recorded!("0.4.0", "empty"),
    recorded!("0.4.0", "healthy"),
    recorded!("0.4.0", "pending-two"),
    recorded!("0.4.0", "tls-engine-and-duplicate-hostname"),
    recorded!("1.0.1", "duplicate-engine-id"),
    recorded!("1.0.1", "empty"),
    recorded!("1.0.1", "healthy"),
    recorded!("1.0.1", "pending-two"),
    recorded!("1.0.1", "tls-engine-and-duplicate-hostname"),
    recorded!("1.0.1", "unhealthy"),
    recorded!("1.1.0", "all-pending"),
    recorded!("1.1.0", "duplicate-engine-id"),
    recorded!("1.1.0", "empty"),
    recorded!("1.1.0", "ha-no-primary"),
    recorded!("1.1.0", "ha-primary"),
    recorded!("1.1.0", "ha-replica"),
    recorded!("1.1.0", "healthy"),
    recorded!("1.1.0", "node-down-1s"),
    recorded!("1.1.0", "pending-early"),
    recorded!("1.1.0", "pending-two"),
    recorded!("1.1.0", "tls-engine-and-duplicate-hostname"),
    recorded!("1.1.0", "tls-master"),
    recorded!("1.1.0", "tls-wrong-ca"),
    recorded!("1.1.0", "unhealthy"),
    recorded!("1.1.3", "pending-one"),
    recorded!("1.2.0", "pending-one"),
    recorded!("1.2.3", "pending-one"),
    recorded!("1.2.6", "pending-one"),
    recorded!("1.2.9", "all-pending"),
    recorded!("1.2.9", "duplicate-engine-id"),
    recorded!("1.2.9", "empty"),
    recorded!("1.2.9", "ha-no-primary"),
    recorded!("1.2.9", "ha-primary"),
    recorded!("1.2.9", "ha-replica"),
    recorded!("1.2.9", "healthy"),
    recorded!("1.2.9", "node-down-1s"),
    recorded!("1.2.9", "pending-early"),
    recorded!("1.2.9", "pending-two"),
    recorded!("1.2.9", "tls-engine-and-duplicate-hostname"),
    recorded!("1.2.9", "tls-master"),
    recorded!("1.2.9", "tls-wrong-ca"),
    recorded!("1.2.9", "unhealthy"),
];

/// What a master of this version (as text) answered in this case.
pub(super) fn body(version: &str, case: &str) -> Option<&'static [u8]> {
    RECORDED.iter().find(|(v, c, _)| (*v, *c) == (version, case)).map(|(.., body)| *body)
}

/// An answer of the nearest recorded version before, to take everything from that is not about
/// nodes.
pub(super) fn template(version: Version) -> &'static str {
    let recorded = if version < (0, 3, 0) {
        "0.2.0"
    } else if version < (1, 0, 0) {
        "0.4.0"
    } else if version < (1, 1, 0) {
        "1.0.1"
    } else if version < (1, 2, 0) {
        "1.1.0"
    } else {
        "1.2.9"
    };
    let body = body(recorded, "empty").expect("each of these was recorded without nodes");
    std::str::from_utf8(body).expect("what masters send is UTF-8")
}

/// `1.2.9`
pub(super) fn parse(version: &str) -> Option<Version> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}
