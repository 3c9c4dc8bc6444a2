//! The browser's devices, codecs and outputs. Nothing here panics on what peers send: a decoder's
//! error concerns its track alone.

mod audio_encoder;
pub(crate) mod audio_sender;
mod canvas;
pub(crate) mod capture;
pub(crate) mod codecs;
pub mod devices;
mod guard;
pub(crate) mod js;
pub(crate) mod loudspeaker;
pub(crate) mod painter;
pub(crate) mod remote_audio;
pub(crate) mod remote_video;
mod samples;
mod shared_memory;
mod sound_decoder;
pub(crate) mod speaker;
pub(crate) mod surface;
pub(crate) mod timing;
mod video_decoder;
mod video_encoder;
pub(crate) mod video_sender;
pub(crate) mod viewport;
