//! `swarmscout_sd_configs`: services say in their labels how they are scraped.

#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the source that uses it is about to be added")
)]
pub(crate) mod settings;
