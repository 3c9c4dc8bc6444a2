//! What every answer tells the browser about what the page may do.

use actix_web::middleware::DefaultHeaders;

use crate::config::Embedder;

/// Scripts and styles come from here alone; WebAssembly may be compiled; relays may be anywhere, on
/// another port or host; media is handed around as blobs. Who may embed the page is added.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self' blob:; \
    connect-src 'self' https: wss: ws:; \
    img-src 'self' data: blob:; \
    media-src 'self' blob:; \
    style-src 'self' 'unsafe-inline'; \
    object-src 'none'; \
    base-uri 'self'; \
    form-action 'self'; \
    frame-ancestors ";

/// The page uses the camera, the microphone, the screen and wake locks; nothing it embeds does.
const PERMISSIONS_POLICY: &str = "camera=(self), microphone=(self), display-capture=(self), \
    screen-wake-lock=(self), fullscreen=(self), autoplay=(self), speaker-selection=(self), geolocation=(), usb=(), \
    payment=()";

/// For all answers. A page that nobody embeds is isolated from other origins, which is what browsers ask
/// of pages that share memory between threads.
pub(crate) fn security(embedders: &[Embedder]) -> DefaultHeaders {
    let isolated = embedders.is_empty();
    let ancestors = if isolated {
        "'none'".to_owned()
    } else {
        let origins: Vec<&str> = embedders.iter().map(Embedder::as_str).collect();
        origins.join(" ")
    };
    let policy = format!("{CONTENT_SECURITY_POLICY}{ancestors}");
    let headers = DefaultHeaders::new()
        .add(("Cross-Origin-Resource-Policy", "same-origin"))
        .add(("Content-Security-Policy", policy))
        .add(("Permissions-Policy", PERMISSIONS_POLICY))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "no-referrer"));
    if isolated {
        headers
            .add(("Cross-Origin-Opener-Policy", "same-origin"))
            .add(("Cross-Origin-Embedder-Policy", "require-corp"))
    } else {
        headers
    }
}

/// For answers that hold for the one who asked and the moment alone: tokens, the state of a meeting.
pub(crate) fn never_stored() -> DefaultHeaders {
    DefaultHeaders::new().add(("Cache-Control", "no-store"))
}
