//! A set of subscriptions that follows a set of subjects, as one stream.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{AbortHandle, Abortable, BoxStream, SelectAll, Stream, StreamExt as _, abortable};

use super::Bus;

/// The subscriptions of one meeting: one per subject, whoever wants it and however many.
pub(crate) struct Subscriptions {
    streams: SelectAll<Abortable<BoxStream<'static, Bytes>>>,
    handles: HashMap<String, AbortHandle>,
    subjects: Arc<BTreeSet<String>>,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            streams: SelectAll::new(),
            handles: HashMap::new(),
            subjects: Arc::default(),
        }
    }

    /// Subscribes to what is new and ends what is no longer among the subjects.
    pub(crate) fn follow(&mut self, subjects: Arc<BTreeSet<String>>, bus: &dyn Bus) {
        if Arc::ptr_eq(&subjects, &self.subjects) {
            return;
        }
        // What is new comes first: a subject may be part of one that ends, and nothing is to be missed
        // in between.
        for subject in &*subjects {
            if self.handles.contains_key(subject) {
                continue;
            }
            let (stream, handle) = abortable(bus.subscribe(subject.clone()));
            self.streams.push(stream);
            self.handles.insert(subject.clone(), handle);
        }
        self.handles.retain(|subject, handle| {
            let wanted = subjects.contains(subject);
            if !wanted {
                handle.abort();
            }
            wanted
        });
        self.subjects = subjects;
    }
}

impl Stream for Subscriptions {
    type Item = Bytes;

    /// The next packet of any subject; `None` when there is no subscription.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.streams.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{MemoryHub, Published};
    use futures::FutureExt as _;
    use relay_core::BusMessage;
    use videocall_types::MediaClass;

    fn set(subjects: &[&str]) -> Arc<BTreeSet<String>> {
        Arc::new(subjects.iter().map(|subject| (*subject).to_owned()).collect())
    }

    #[tokio::test]
    async fn only_what_is_among_the_subjects_comes_and_it_comes_once() {
        let hub = MemoryHub::new();
        let (here, there) = (hub.connect(), hub.connect());
        let say = |subject: &str| {
            there.publish(BusMessage {
                subject: subject.to_owned(),
                packet: Bytes::copy_from_slice(subject.as_bytes()),
                class: MediaClass::Audio,
            })
        };
        let mut subscriptions = Subscriptions::new();
        assert!(subscriptions.next().now_or_never().expect("empty").is_none());
        let mut heard = |subjects: &[&str]| {
            subscriptions.follow(set(subjects), &*here);
            for subject in ["a", "b", "c"] {
                assert_eq!(say(subject), Published::Taken);
            }
            let mut heard = Vec::new();
            while let Some(Some(packet)) = subscriptions.next().now_or_never() {
                heard.push(String::from_utf8_lossy(&packet).into_owned());
            }
            heard.sort();
            heard
        };
        assert_eq!(heard(&["a", "b"]), ["a", "b"]);
        assert_eq!(heard(&["b", "c"]), ["b", "c"]);
        assert_eq!(heard(&[]), [""; 0]);
        assert_eq!(heard(&["a"]), ["a"]);
    }
}
