//! Puts one picture on one canvas.
//!
//! Mostly the browser takes the decoder's picture as it is. But Chromium without a graphics processor asks the
//! page's thread, for every picture, whether there is one by now, and waits for the answer: a busy page would stop
//! the engine, its sound included. Where drawing is seen to wait, the samples are fetched and made into pixels here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use js_sys::{Object, Uint8Array};
use wasm_bindgen::{Clamped, JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{ImageData, OffscreenCanvas, OffscreenCanvasRenderingContext2d, PlaneLayout, VideoFrame};

use super::guard::Guard;
use super::js;
use crate::media::rgb::{Chroma, Matrix, Plane, write_rgba};
use crate::transport::web::WebClock;

/// Larger pictures are drawn smaller: beyond this, browsers refuse canvases or run out of memory.
const MAX_SIDE: u32 = 4096;

/// A picture that takes so long to be drawn has waited for another thread.
const LONG: Duration = Duration::from_millis(25);

/// So many of these, among so many pictures, and it is the rule: a computer is late with everything at times.
const LONG_ONES: u32 = 2;
const AMONG: u32 = 300;

/// How pictures are drawn, on all canvases of a call.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    /// Of the pictures that the browser has drawn since it was counted anew, the first one excepted, for which it
    /// prepares itself.
    drawn: Cell<u32>,
    long: Cell<u32>,
    waits: Cell<bool>,
}

impl Drawing {
    /// The browser has drawn a picture.
    fn note(&self, took: Duration) {
        let is_first = self.drawn.get() == 0;
        self.drawn.set(self.drawn.get() + 1);
        if took >= LONG && !is_first {
            self.long.set(self.long.get() + 1);
        }
        if self.long.get() >= LONG_ONES {
            tracing::info!("pictures are drawn without the browser's help, which comes late");
            self.waits.set(true);
        }
        if self.drawn.get() > AMONG {
            self.drawn.set(1);
            self.long.set(0);
        }
    }
}

/// A canvas to draw on.
pub(super) struct Target {
    canvas: OffscreenCanvas,
    context: OffscreenCanvasRenderingContext2d,
    drawing: Rc<Drawing>,
    fetching: Rc<Fetching>,
}

/// Samples and pixels of the last picture, whose memory serves the next one.
#[derive(Default)]
struct Fetching {
    /// The newest picture that was not fetched.
    next: RefCell<Option<Guard<VideoFrame>>>,
    busy: Cell<bool>,
    samples: RefCell<Uint8Array>,
    bytes: RefCell<Vec<u8>>,
    pixels: RefCell<Vec<u8>>,
}

impl Target {
    /// `None` when the canvas cannot be drawn on.
    pub(super) fn new(canvas: OffscreenCanvas, drawing: &Rc<Drawing>) -> Option<Self> {
        let options = Object::new();
        js::set(&options, "alpha", &false.into());
        let context = canvas
            .get_context_with_context_options("2d", &options)
            .ok()
            .flatten()?;
        Some(Self {
            canvas,
            context: context.dyn_into().ok()?,
            drawing: drawing.clone(),
            fetching: Rc::default(),
        })
    }

    pub(super) fn is(&self, canvas: &OffscreenCanvas) -> bool {
        self.canvas == *canvas
    }

    /// Draws a picture, at once or in a moment; what fails is not drawn (a picture may be lost with the graphics
    /// process, and the next one is on its way).
    pub(super) fn draw(&self, frame: Guard<VideoFrame>) {
        if self.drawing.waits.get() && Layout::of(&frame).is_some() {
            self.fetch(frame);
        } else {
            self.draw_frame(&frame);
        }
    }

    fn draw_frame(&self, frame: &VideoFrame) {
        let (width, height) = bounded(frame.display_width(), frame.display_height());
        self.resize(width, height);
        let (width, height) = (f64::from(width), f64::from(height));
        let started = WebClock::now();
        self.context
            .draw_image_with_video_frame_and_dw_and_dh(frame, 0.0, 0.0, width, height)
            .ok();
        self.drawing.note(WebClock::now().since(started));
    }

    /// Draws the picture as soon as its samples are there, unless a newer one has come by then.
    fn fetch(&self, frame: Guard<VideoFrame>) {
        self.fetching.next.replace(Some(frame));
        if self.fetching.busy.replace(true) {
            return;
        }
        let (canvas, context) = (self.canvas.clone(), self.context.clone());
        let fetching = self.fetching.clone();
        spawn_local(async move {
            loop {
                let next = fetching.next.take();
                let Some(frame) = next else { break };
                if let Ok(Some(image)) = fetching.image(&frame).await {
                    resize(&canvas, image.width(), image.height());
                    context.put_image_data(&image, 0, 0).ok();
                }
            }
            fetching.busy.set(false);
        });
    }

    fn resize(&self, width: u32, height: u32) {
        resize(&self.canvas, width, height);
    }
}

impl Fetching {
    async fn image(&self, frame: &VideoFrame) -> Result<Option<ImageData>, JsValue> {
        let Some(layout) = Layout::of(frame) else {
            return Ok(None);
        };
        let size = frame.allocation_size()?;
        if self.samples.borrow().length() != size {
            self.samples.replace(Uint8Array::new_with_length(size));
        }
        let samples = self.samples.borrow().clone();
        let planes = JsFuture::from(frame.copy_to_with_buffer_source(&samples)).await?;
        let mut bytes = self.bytes.borrow_mut();
        bytes.resize(size as usize, 0);
        samples.copy_to(&mut bytes);
        let planes: Vec<Plane<'_>> = planes
            .iter()
            .filter_map(|plane| plane_of(&plane, &bytes))
            .collect();
        let chroma = match (layout.kind, planes.as_slice()) {
            (Kind::I420, &[_, u, v]) => Chroma::Apart(u, v),
            (Kind::Nv12, &[_, uv]) => Chroma::Together(uv),
            _ => return Ok(None),
        };
        let size = (layout.width as usize, layout.height as usize);
        let mut pixels = self.pixels.borrow_mut();
        if write_rgba(planes[0], chroma, size, &layout.matrix, &mut pixels).is_none() {
            return Ok(None);
        }
        ImageData::new_with_u8_clamped_array_and_sh(Clamped(pixels.as_slice()), layout.width, layout.height)
            .map(Some)
    }
}

/// How the samples of a picture lie, where they can be made into pixels here.
struct Layout {
    kind: Kind,
    width: u32,
    height: u32,
    matrix: Matrix,
}

#[derive(Clone, Copy)]
enum Kind {
    I420,
    Nv12,
}

impl Layout {
    fn of(frame: &VideoFrame) -> Option<Self> {
        let kind = match js::get(frame, "format").as_string().as_deref() {
            Some("I420") => Kind::I420,
            Some("NV12") => Kind::Nv12,
            _ => return None,
        };
        let visible = frame.visible_rect()?;
        let (width, height) = (visible.width() as u32, visible.height() as u32);
        // What has to be scaled or turned is for the browser.
        let upright = js::get(frame, "rotation").as_f64().unwrap_or_default() == 0.0;
        let as_it_is = (frame.display_width(), frame.display_height()) == (width, height);
        if !upright || !as_it_is || width.max(height) > MAX_SIDE {
            return None;
        }
        let space = js::get(frame, "colorSpace");
        let matrix = js::get(&space, "matrix").as_string();
        let full_range = js::get(&space, "fullRange").is_truthy();
        Some(Self {
            kind,
            width,
            height,
            matrix: Matrix::new(matrix.as_deref(), full_range),
        })
    }
}

fn plane_of<'a>(layout: &PlaneLayout, bytes: &'a [u8]) -> Option<Plane<'a>> {
    Some(Plane {
        bytes: bytes.get(layout.get_offset() as usize..)?,
        stride: layout.get_stride() as usize,
    })
}

/// Also makes the canvas blank, so not without need.
fn resize(canvas: &OffscreenCanvas, width: u32, height: u32) {
    if canvas.width() != width {
        canvas.set_width(width);
    }
    if canvas.height() != height {
        canvas.set_height(height);
    }
}

fn bounded(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= MAX_SIDE {
        return (width, height);
    }
    let scale = |side: u32| (u64::from(side) * u64::from(MAX_SIDE) / u64::from(longest)).max(1) as u32;
    (scale(width), scale(height))
}
