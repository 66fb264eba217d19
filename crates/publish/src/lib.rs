//! Publishes the targets of jobs: the lists of HTTP SD and the files of file SD.
//!
//! [`list`] renders a job's targets and keeps what it rendered, in parts, so that a change costs only
//! the groups that changed. [`file_sd`] writes these lists into files. A web server serves the same
//! lists at the paths of [`links`].
//!
//! **Invariant: a list is complete or there is none.** A Prometheus drops every target that a list
//! leaves out, so no list exists before the job's sources have answered or had their time to.
//!
//! May depend on `model`, and on `net` for its worker threads and its access to files; never on a
//! source, a configuration or the web server.

pub mod file_sd;
pub mod json;
pub mod links;
pub mod list;
#[doc(hidden)]
pub mod testing;
