//! Camera and microphone before a call: opened with one question, and handed over when the call starts.

use std::cell::Cell;
use std::rc::Rc;

use videocall_client::devices::{self, DeviceChoice, DeviceError};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MediaStream, MediaStreamTrack};
use yew::prelude::*;

/// What the devices give.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Preview {
    /// The browser is still asking, or the devices are starting.
    pub(crate) pending: bool,
    /// What was opened.
    pub(crate) stream: Option<MediaStream>,
    /// Why there is no picture although it is wanted.
    pub(crate) camera_error: Option<DeviceError>,
    /// Why there is no sound although it is wanted.
    pub(crate) microphone_error: Option<DeviceError>,
}

/// What is wanted; the devices are opened anew when it changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    pub(crate) camera: bool,
    pub(crate) microphone: bool,
    pub(crate) choice: DeviceChoice,
    /// Grows when the person asks again for what failed.
    pub(crate) attempt: u32,
}

/// Opens the devices that are wanted. The callback hands the stream over: from then on it is not closed here.
#[hook]
pub(crate) fn use_preview(wish: Wish) -> (Preview, Callback<(), Option<MediaStream>>) {
    let preview = use_state_eq(|| Preview {
        pending: true,
        ..Preview::default()
    });
    let handed_over = use_memo((), |()| Cell::new(false));
    {
        let (preview, handed_over) = (preview.setter(), handed_over.clone());
        use_effect_with(wish, move |wish| {
            let current = Rc::new(Opened {
                stream: Cell::new(None),
                over: Cell::new(false),
                handed_over,
            });
            preview.set(Preview {
                pending: true,
                ..Preview::default()
            });
            spawn_local(open_into(wish.clone(), current.clone(), preview));
            move || current.end()
        });
    }
    let take = {
        let stream = preview.stream.clone();
        use_callback(stream, move |(), stream| {
            handed_over.set(true);
            stream.clone()
        })
    };
    ((*preview).clone(), take)
}

/// One opening of the devices, which may be over before the browser answers.
struct Opened {
    stream: Cell<Option<MediaStream>>,
    over: Cell<bool>,
    handed_over: Rc<Cell<bool>>,
}

impl Opened {
    fn end(&self) {
        self.over.set(true);
        if let Some(stream) = self.stream.take()
            && !self.handed_over.get()
        {
            devices::close(&stream);
        }
    }
}

async fn open_into(wish: Wish, current: Rc<Opened>, preview: UseStateSetter<Preview>) {
    let found = open(&wish).await;
    current.stream.set(found.stream.clone());
    if current.over.get() {
        current.end();
    } else {
        preview.set(found);
    }
}

async fn open(wish: &Wish) -> Preview {
    if !wish.camera && !wish.microphone {
        return Preview::default();
    }
    if let Ok(stream) = open_any(wish.camera, wish.microphone, &wish.choice).await {
        return Preview {
            stream: Some(stream),
            ..Preview::default()
        };
    }
    // One of the two fails; each by itself tells which, and leaves the other.
    let mut found = Preview::default();
    let mut tracks = js_sys::Array::new();
    if wish.camera {
        found.camera_error = collect(open_any(true, false, &wish.choice).await, &mut tracks);
    }
    if wish.microphone {
        found.microphone_error = collect(open_any(false, true, &wish.choice).await, &mut tracks);
    }
    if tracks.length() > 0 {
        found.stream = MediaStream::new_with_tracks(&tracks.unchecked_into()).ok();
    }
    found
}

/// Opens the chosen devices, or others where those are not connected any more.
async fn open_any(camera: bool, microphone: bool, choice: &DeviceChoice) -> Result<MediaStream, DeviceError> {
    match devices::open(camera, microphone, choice).await {
        Err(DeviceError::NoDevice) if choice.camera.is_some() || choice.microphone.is_some() => {
            let any = DeviceChoice {
                camera: None,
                microphone: None,
                ..choice.clone()
            };
            devices::open(camera, microphone, &any).await
        }
        result => result,
    }
}

fn collect(opened: Result<MediaStream, DeviceError>, tracks: &mut js_sys::Array) -> Option<DeviceError> {
    match opened {
        Ok(stream) => {
            for track in stream.get_tracks().iter() {
                if let Ok(track) = track.dyn_into::<MediaStreamTrack>() {
                    tracks.push(&track);
                }
            }
            None
        }
        Err(error) => Some(error),
    }
}
