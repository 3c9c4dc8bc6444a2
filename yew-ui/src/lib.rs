//! The browser application: pages, components, and the pure state behind them.
//!
//! It leaves the protocol, transports, codecs and every HTTP request to `videocall-client`. What is
//! pure (state, layout, text) compiles natively and is tested there.

pub mod state;
pub mod text;

#[cfg(target_arch = "wasm32")]
mod components;
#[cfg(target_arch = "wasm32")]
mod hooks;
#[cfg(target_arch = "wasm32")]
mod pages;

/// Renders the application into the page's body. In the worker of a call's engine, which loads the same module,
/// there is nothing to render.
#[cfg(target_arch = "wasm32")]
pub fn run() {
    console_error_panic_hook::set_once();
    let level = if cfg!(debug_assertions) {
        log::Level::Debug
    } else {
        log::Level::Warn
    };
    // Fails where there is a logger already, which is as good.
    let _ = console_log::init_with_level(level);
    if videocall_client::engine::is_here() {
        return;
    }
    yew::Renderer::<pages::App>::new().render();
}
