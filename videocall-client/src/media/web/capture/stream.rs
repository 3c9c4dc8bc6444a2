//! Reads the pictures or samples of a captured track one by one from a stream (W3C MediaStreamTrack Insertable
//! Media Processing using Streams).

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};

use super::super::guard::{Closable, Guard};
use crate::media::web::js;

/// Reads a stream. Dropping it lets go of the stream.
#[derive(Debug)]
pub(crate) struct StreamReader(ReadableStreamDefaultReader);

impl StreamReader {
    pub(super) fn new(stream: &ReadableStream) -> Result<Self, JsValue> {
        ReadableStreamDefaultReader::new(stream).map(Self)
    }

    /// The next picture or samples; `None` when the track has ended. Dropping the future before it is done
    /// leaves one item to the garbage collector.
    pub(super) async fn next<T: Closable>(&self) -> Option<Guard<T>> {
        let result = JsFuture::from(self.0.read()).await.ok()?;
        if js::get(&result, "done").is_truthy() {
            return None;
        }
        js::get(&result, "value").dyn_into().ok().map(Guard::new)
    }

    /// From now on [`StreamReader::next`] yields `None`.
    pub(super) fn stop(&self) {
        js::ignore(self.0.cancel());
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.stop();
    }
}
