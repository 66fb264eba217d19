#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| swarmscout_fuzz::nodes::peer_packet(data));
