//! Why a refresh came to nothing for a reason that is not the discoverer's.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

/// Why a refresh came to nothing. The error of a [`Discoverer`](crate::Discoverer) can hold it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Each host failed. Holds one line for each, in the order in which they were tried.
    #[error("no host answered: {}", .0.join("; "))]
    AllHosts(Vec<String>),
    /// The deadline of the whole refresh passed.
    #[error("refresh timed out after {0:?}")]
    Deadline(Duration),
    /// The discoverer panicked. It is built again, and the refresh repeated.
    #[error("internal error, please report it: {0}")]
    Panic(String),
}

impl Error {
    /// The error for the payload of a panic.
    pub fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panic(text.unwrap_or("no message").to_owned())
    }
}

/// What a future yields; an error where it panics.
pub async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let outcome = AssertUnwindSafe(future).catch_unwind().await;
    outcome.map_err(|payload| Error::panicked(&*payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_future_is_an_error() {
        assert_eq!(caught(async { 7 }).await.unwrap(), 7);
        let failing = async { assert!(std::env::args().count() == 0, "a reader failed") };
        let error = caught(failing).await.unwrap_err().to_string();
        assert_eq!(error, "internal error, please report it: a reader failed");
    }
}
