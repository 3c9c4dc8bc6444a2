//! The browser's devices, codecs and outputs. Nothing here panics on what peers send: a decoder's
//! error concerns its track alone.

pub mod devices;
pub(crate) mod js;
