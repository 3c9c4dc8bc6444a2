//! What a page hands over to show pictures, and the one that needs no drawing.
//!
//! A `<video>` takes a decoder's pictures as they are, and the browser's compositor fetches the newest with each refresh
//! of the display: nothing is converted, copied or waited for. Where no stream of pictures can be made
//! into a `<video>`'s source, they are drawn on canvases ([`super::canvas`]).

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{OffscreenCanvas, VideoFrame, WritableStream, WritableStreamDefaultWriter};

use super::guard::Guard;
use super::js;

/// Pictures that a `<video>` was given and has not taken. It takes them within a turn of its thread; what is more
/// than these is not shown, because holding many would stop the decoder.
const MAX_UNTAKEN: u32 = 3;

/// An element of the page, as it can be used here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Surface {
    /// What is drawn here is seen on a `<canvas>`.
    Canvas(OffscreenCanvas),
    /// What is written here is seen in a `<video>`.
    Video(WritableStreamDefaultWriter),
}

impl Surface {
    /// Of what the page has handed over.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn new(object: JsValue) -> Result<Self, String> {
        let object = match object.dyn_into::<OffscreenCanvas>() {
            Ok(canvas) => return Ok(Self::Canvas(canvas)),
            Err(object) => object,
        };
        let stream: WritableStream = object
            .dyn_into()
            .map_err(|other| format!("nothing to show pictures on: {}", js::describe(&other)))?;
        let writer = stream.get_writer().map_err(|error| js::describe(&error))?;
        Ok(Self::Video(writer))
    }
}

/// A `<video>` that shows what it is given.
pub(super) struct VideoTarget {
    writer: WritableStreamDefaultWriter,
    untaken: Rc<Cell<u32>>,
}

impl VideoTarget {
    pub(super) fn new(writer: WritableStreamDefaultWriter) -> Self {
        Self {
            writer,
            untaken: Rc::default(),
        }
    }

    pub(super) fn is(&self, writer: &WritableStreamDefaultWriter) -> bool {
        self.writer == *writer
    }

    /// Shows a picture with the next refresh of the display.
    pub(super) fn show(&self, frame: Guard<VideoFrame>) {
        let untaken = self.untaken.clone();
        if untaken.get() >= MAX_UNTAKEN {
            return;
        }
        untaken.set(untaken.get() + 1);
        let taken = self.writer.write_with_chunk(&frame);
        spawn_local(async move {
            // Fails when the element is gone from the page, which says so.
            JsFuture::from(taken).await.ok();
            // The browser has closed what it took.
            drop(frame);
            untaken.set(untaken.get() - 1);
        });
    }
}
