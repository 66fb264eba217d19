//! Keeps what a source yields fresh.
//!
//! ```text
//!  Discoverer ─fetch→ supervisor ─watch→ LastGood: the last good result, its age, the last error
//!             ─changed→
//! ```
//!
//! A [`Discoverer`] lists what it sees and knows nothing of time. Its [supervisor] owns the clock: the
//! deadline of a refresh, the retry with backoff, the last good result and its age.
//!
//! **Invariant: only the supervisor waits.** No discoverer has a timer for retries, a last good result
//! or a failure count of its own.
//!
//! It may use `model` and `net`, and nothing that knows of Docker, of jobs or of the configuration file.

mod backoff;
mod context;
mod discoverer;
mod error;
pub mod problems;
pub mod rotation;
pub mod stats;
pub mod supervisor;
#[doc(hidden)]
pub mod testing;

pub use backoff::Backoff;
pub use context::{Deadlines, RefreshContext, attempt_deadline};
pub use discoverer::{BoxFuture, Discoverer, Groups, RefreshScope, Refreshed};
pub use error::{Error, caught};
pub use problems::Problem;
