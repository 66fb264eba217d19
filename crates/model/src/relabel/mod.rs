//! Relabeling, as Prometheus' `model/relabel` does it.

/// One relabeling rule, checked and compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelRule {
    /// What the rule does.
    pub action: Action,
}

/// What a relabeling rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sets the target label to the expanded replacement where the regex matches.
    #[default]
    Replace,
    /// Drops the target unless the regex matches.
    Keep,
    /// Drops the target if the regex matches.
    Drop,
    /// Drops the target unless the joined source labels equal the target label.
    KeepEqual,
    /// Drops the target if the joined source labels equal the target label.
    DropEqual,
    /// Sets the target label to a hash of the joined source labels modulo the modulus.
    HashMod,
    /// Copies every label whose name matches to the name that the replacement makes of it.
    LabelMap,
    /// Removes the labels whose name matches.
    LabelDrop,
    /// Removes the labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the joined source labels in lower case.
    Lowercase,
    /// Sets the target label to the joined source labels in upper case.
    Uppercase,
}
