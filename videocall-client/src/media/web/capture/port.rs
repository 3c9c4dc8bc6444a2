//! Reads the pictures or samples of a captured track one by one from a `MessagePort`.
//!
//! To the engine come `VideoFrame`s ([`super::pump`]) or pieces of sound (`capture-worklet.js`), a text when the
//! capture has failed, and `null` when it has ended. Back goes how many were taken so far, so that whoever
//! captures sends no more than a few ahead: a browser queues messages without bound.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, MessagePort, VideoFrame};

use super::super::guard::Closable;
use super::super::js::{self, Listener};

/// Reads from a port. Dropping it closes the port.
#[derive(Debug)]
pub(crate) struct PortReader {
    port: MessagePort,
    state: Rc<State>,
    /// How many are taken between two words about it.
    report_every: u64,
    _messages: Listener,
}

#[derive(Debug, Default)]
struct State {
    /// What has come and was not taken; bounded by what the other end sends ahead.
    waiting: RefCell<VecDeque<JsValue>>,
    taken: Cell<u64>,
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl PortReader {
    pub(super) fn new(port: MessagePort, report_every: u64) -> Self {
        let state = Rc::<State>::default();
        let messages = Listener::new(&port, "message", {
            let state = state.clone();
            move |event| {
                if let Some(event) = event.dyn_ref::<MessageEvent>() {
                    state.put(event.data());
                }
            }
        });
        port.start();
        Self {
            port,
            state,
            report_every,
            _messages: messages,
        }
    }

    /// What comes next; `None` when the capture has ended.
    ///
    /// # Errors
    /// When it has failed.
    pub(super) async fn next(&self) -> Result<Option<JsValue>, JsValue> {
        let message = poll_fn(|cx| {
            if self.state.stopped.get() {
                return Poll::Ready(JsValue::NULL);
            }
            if let Some(message) = self.state.waiting.borrow_mut().pop_front() {
                return Poll::Ready(message);
            }
            self.state.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        if message.is_null() {
            self.stop();
            return Ok(None);
        }
        if message.is_string() {
            self.stop();
            return Err(message);
        }
        let taken = self.state.taken.get() + 1;
        self.state.taken.set(taken);
        if taken.is_multiple_of(self.report_every) {
            // Fails only for what cannot be cloned.
            self.port.post_message(&JsValue::from_f64(taken as f64)).ok();
        }
        Ok(Some(message))
    }

    /// From now on [`PortReader::next`] yields `None`.
    pub(super) fn stop(&self) {
        self.port.close();
        self.state.stopped.set(true);
        for message in self.state.waiting.take() {
            release(&message);
        }
        self.state.wake();
    }
}

impl Drop for PortReader {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn put(&self, message: JsValue) {
        if self.stopped.get() {
            release(&message);
        } else {
            self.waiting.borrow_mut().push_back(message);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn release(message: &JsValue) {
    if let Some(picture) = message.dyn_ref::<VideoFrame>() {
        picture.release();
    }
}

/// The other end of such a port: counts what was sent and what was taken.
#[derive(Debug)]
pub(super) struct PortWriter {
    port: MessagePort,
    sent: Cell<u64>,
    taken: Rc<Cell<u64>>,
    _reports: Listener,
}

impl PortWriter {
    pub(super) fn new(port: MessagePort) -> Self {
        let taken = Rc::<Cell<u64>>::default();
        let reports = Listener::new(&port, "message", {
            let taken = taken.clone();
            move |event| {
                let number = event
                    .dyn_ref::<MessageEvent>()
                    .and_then(|event| event.data().as_f64());
                taken.set(number.map_or(taken.get(), |number| number as u64));
            }
        });
        port.start();
        Self {
            port,
            sent: Cell::new(0),
            taken,
            _reports: reports,
        }
    }

    /// How many were sent and not taken.
    pub(super) fn ahead(&self) -> u64 {
        self.sent.get().saturating_sub(self.taken.get())
    }

    /// Sends a picture, which is of no more use here.
    pub(super) fn send(&self, picture: &VideoFrame) {
        let handed_over = js_sys::Array::of1(picture);
        let posted = self.port.post_message_with_transferable(picture, &handed_over);
        match posted {
            Ok(()) => self.sent.set(self.sent.get() + 1),
            Err(error) => {
                picture.close();
                self.fail(&js::describe(&error));
            }
        }
    }

    /// The capture has ended by itself.
    pub(super) fn end(&self) {
        self.port.post_message(&JsValue::NULL).ok();
    }

    /// It has failed, in the browser's words.
    pub(super) fn fail(&self, reason: &str) {
        self.port.post_message(&reason.into()).ok();
    }
}
