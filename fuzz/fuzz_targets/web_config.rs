#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swarmscout_fuzz::web_config::file(data));
