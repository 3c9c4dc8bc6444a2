//! The page's clock, which only goes forward.

use gloo::utils::window;

/// Milliseconds since the page was opened (W3C High Resolution Time §5).
pub(super) fn page_clock_ms() -> f64 {
    // Every browser has it; without it all moments were one.
    window().performance().map_or(0.0, |clock| clock.now())
}
