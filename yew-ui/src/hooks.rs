//! Between the browser and the state: each hook does one thing and leaves decisions to the reducers.

mod call;
mod clipboard;
mod clock;
mod devices;
mod focus;
mod preview;
mod router;
mod shortcuts;
mod size;
mod statistics;
mod storage;
mod support;
mod text;
mod title;
mod wake_lock;
mod watch;

pub(crate) use call::{CallHandle, CallStart, fault, use_call, use_engine};
pub(crate) use clipboard::use_copy;
pub(crate) use devices::use_devices;
pub(crate) use focus::use_focus;
pub(crate) use preview::{Preview, Wish, use_preview};
pub(crate) use router::{Navigator, use_navigator, use_router};
pub(crate) use shortcuts::use_shortcuts;
pub(crate) use size::use_size;
pub(crate) use statistics::as_json;
pub(crate) use storage::{Stored, is_wanted, load, set_wanted, store};
pub(crate) use support::use_support;
pub(crate) use text::{browser_text, use_text};
pub(crate) use title::use_title;
pub(crate) use wake_lock::use_wake_lock;
pub(crate) use watch::{Record, use_watch};
