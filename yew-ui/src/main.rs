//! Starts the application; everything else is in the library.

fn main() {
    #[cfg(target_arch = "wasm32")]
    yew_ui::run();
}
