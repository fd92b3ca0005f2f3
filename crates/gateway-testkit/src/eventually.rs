//! Waiting for a state, never for a time.

use std::future::Future;
use std::time::Duration;

use tokio::time::{interval, timeout};

/// How long a state may take to come before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        let mut turns = interval(Duration::from_millis(5));
        loop {
            turns.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what} did not come"))
}
