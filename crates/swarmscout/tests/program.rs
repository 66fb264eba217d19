//! The program as its users run it: the real binary, in a folder of its own, over real sockets.
//!
//! A test waits for lines of the log and for answers, never for time; every wait has a deadline
//! that only a fault reaches.

#[path = "program/harness.rs"]
mod harness;

#[path = "program/check.rs"]
mod check;
#[path = "program/config_files.rs"]
mod config_files;
#[path = "program/demo.rs"]
mod demo;
#[path = "program/detect.rs"]
mod detect;
#[path = "program/docs.rs"]
mod docs;
#[path = "program/file_sd.rs"]
mod file_sd;
#[path = "program/http_config.rs"]
mod http_config;
#[path = "program/lifecycle.rs"]
mod lifecycle;
#[path = "program/reload.rs"]
mod reload;
#[path = "program/restart.rs"]
mod restart;
#[path = "program/secrets.rs"]
mod secrets;
#[path = "program/stacks.rs"]
mod stacks;
#[cfg(target_os = "linux")]
#[path = "program/systemd.rs"]
mod systemd;
