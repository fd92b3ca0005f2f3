//! Processor time: what does not depend on who else runs on the machine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How often something was done, and what that took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) count: f64,
    /// By the clock.
    pub(crate) took: Duration,
    /// Of the processor, all threads and programs of it together.
    pub(crate) processor: Duration,
}

impl Done {
    pub(crate) fn per_second(&self) -> f64 {
        self.count / self.took.as_secs_f64()
    }

    pub(crate) fn per_processor_second(&self) -> f64 {
        self.count / self.processor.as_secs_f64()
    }
}

/// The time that the calling thread has had so far. Source: the kernel's documentation, scheduler/sched-stats.
fn of_this_thread() -> Result<Duration> {
    of("/proc/thread-self/schedstat")
}

/// The time that a program of one thread has had so far.
pub(crate) fn of_process(id: u32) -> Result<Duration> {
    of(&format!("/proc/{id}/schedstat"))
}

fn of(path: &str) -> Result<Duration> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Ok(Duration::from_nanos(nanos.with_context(|| format!("{path} says {text}"))?))
}

/// Does `work` once; how often it did something, and what that took of this thread.
pub(crate) fn spent(work: impl FnOnce() -> Result<u32>) -> Result<Done> {
    let (began, before) = (Instant::now(), of_this_thread()?);
    let count = f64::from(work()?);
    let processor = of_this_thread()?.saturating_sub(before);
    Ok(Done { count, took: began.elapsed(), processor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_has_had_time() {
        let done = spent(|| {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(30) {}
            Ok(3)
        });
        let done = done.unwrap();
        assert!(done.processor > Duration::ZERO && done.processor <= done.took + Duration::from_millis(10));
        assert!(done.per_processor_second() > 0.0);
    }
}
