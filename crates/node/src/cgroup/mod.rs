//! Cgroups: where they are, which are containers, and what their files say.

mod files;
mod hierarchy;
pub(crate) mod parse;
#[cfg(test)]
mod parse_tests;

pub(crate) use files::{FileSpec, NO_PRESSURE, Raw, When};
pub(crate) use hierarchy::{Controller, Hierarchy, LIMIT, Version};
