//! The program as its users run it: the real binary, in a folder of its own, over real sockets.
//!
//! A test waits for lines of the log and for answers, never for time; every wait has a deadline
//! that only a fault reaches.

mod harness;

mod check;
mod config_files;
mod dashboards;
mod demo;
mod deploy;
mod detect;
mod docs;
mod doctor;
mod file_sd;
mod following;
mod http_config;
mod labels;
mod lifecycle;
mod limits;
mod listen;
mod nodes;
mod output;
mod reload;
mod restart;
mod rules;
mod secrets;
mod stacks;
mod state;
mod status;
#[cfg(target_os = "linux")]
mod systemd;
mod web_config;
