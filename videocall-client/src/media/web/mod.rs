//! The browser's devices, codecs and outputs. Nothing here panics on what peers send: a decoder's
//! error concerns its track alone.

mod audio_encoder;
pub(crate) mod audio_sender;
pub mod devices;
pub(crate) mod js;
pub(crate) mod painter;
pub(crate) mod remote_audio;
pub(crate) mod remote_video;
mod samples;
mod sound_decoder;
pub(crate) mod speaker;
mod track_reader;
mod video_decoder;
mod video_encoder;
pub(crate) mod video_sender;
pub(crate) mod viewport;
