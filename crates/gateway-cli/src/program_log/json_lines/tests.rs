//! What a line holds.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(work: impl FnOnce()) -> Value {
    let kept = Kept::default();
    let writer = kept.clone();
    let log = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(log, work);
    let bytes = kept.0.lock().unwrap().clone();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn an_error_keeps_its_causes() {
    let error =
        gateway_store::StoreError::File { path: "/x".into(), source: io::Error::other("the disk\nis full") };
    let line = logged(|| {
        tracing::error!(error = &error as &dyn Error, tries = 3, "it failed");
    });
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["message"], "it failed");
    assert_eq!(line["error"], "cannot prepare /x");
    assert_eq!(line["error.causes"], serde_json::json!(["the disk\nis full"]));
    assert_eq!(line["tries"], 3);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}
