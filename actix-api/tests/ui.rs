//! The web page and the headers it needs.

use actix_api::{Embedder, HttpSettings};
use reqwest::{Client, Response, StatusCode};
use tempfile::TempDir;

use crate::common::{Options, TestServer};

async fn with_files(files: &[(&str, &str)]) -> (TestServer, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("within")).expect("made");
        std::fs::write(path, content).expect("written");
    }
    let http = HttpSettings {
        ui_dir: Some(folder.path().to_owned()),
        ..HttpSettings::default()
    };
    (
        TestServer::start(Options {
            http,
            ..Options::default()
        })
        .await,
        folder,
    )
}

async fn get(server: &TestServer, path: &str, encodings: &str) -> Response {
    let request = Client::new()
        .get(server.url(path))
        .header("accept-encoding", encodings);
    request.send().await.expect("answered")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn the_application_is_isolated_and_cached_well() {
    let hashed = "app-0123456789abcdef_bg.wasm";
    let (server, _folder) = with_files(&[
        ("index.html", "<html>plain</html>"),
        ("index.html.br", "brotli"),
        ("index.html.gz", "gzip"),
        (hashed, "wasm"),
        ("audio.js", "worklet"),
        (".fingerprint", "hidden"),
    ])
    .await;
    for path in [
        "/",
        "/meeting/alice/demo",
        "/meeting/a%20b/c*d",
        "/meeting/only-one",
    ] {
        let page = get(&server, path, "").await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&page, "cache-control"), "no-cache");
        assert_eq!(header(&page, "cross-origin-opener-policy"), "same-origin");
        assert_eq!(header(&page, "cross-origin-embedder-policy"), "require-corp");
        assert_eq!(header(&page, "x-content-type-options"), "nosniff");
        assert!(header(&page, "content-security-policy").contains("'wasm-unsafe-eval'"));
        assert!(header(&page, "content-security-policy").ends_with("frame-ancestors 'none'"));
        assert!(header(&page, "permissions-policy").contains("camera=(self)"));
        assert_eq!(page.text().await.expect("text"), "<html>plain</html>");
    }
    for (accepted, encoding, content) in [
        ("gzip, br", "br", "brotli"),
        ("gzip", "gzip", "gzip"),
        ("br;q=0, gzip", "gzip", "gzip"),
    ] {
        let page = get(&server, "/", accepted).await;
        assert_eq!(header(&page, "content-encoding"), encoding);
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
        assert!(header(&page, "vary").contains("accept-encoding"));
        assert_eq!(page.text().await.expect("text"), content);
    }
    let wasm = get(&server, &format!("/{hashed}"), "br").await;
    assert_eq!(header(&wasm, "content-type"), "application/wasm");
    assert_eq!(
        header(&wasm, "cache-control"),
        "public, max-age=31536000, immutable"
    );
    let script = get(&server, "/audio.js", "br").await;
    assert!(header(&script, "content-type").starts_with("text/javascript"));
    assert_eq!(header(&script, "cache-control"), "no-cache");
    for path in ["/nothing.js", "/.fingerprint", "/%2e%2e/secret", "/..%2fsecret"] {
        assert_eq!(
            get(&server, path, "").await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_that_may_be_embedded_is_not_isolated() {
    let http = HttpSettings {
        embedder: ["https://intranet.example", "https://*.school.example:8443"]
            .map(|origin| origin.parse().expect("an origin"))
            .into(),
        ..HttpSettings::default()
    };
    let server = TestServer::start(Options {
        http,
        ..Options::default()
    })
    .await;
    let page = get(&server, "/", "").await;
    let policy = header(&page, "content-security-policy");
    let allowed = "frame-ancestors https://intranet.example https://*.school.example:8443";
    assert!(policy.ends_with(allowed), "{policy}");
    assert_eq!(header(&page, "cross-origin-opener-policy"), "");
    assert_eq!(header(&page, "cross-origin-embedder-policy"), "");
    for nonsense in [
        "intranet.example",
        "https://",
        "https://a.example; script-src *",
        "https://a.example/path",
    ] {
        assert!(nonsense.parse::<Embedder>().is_err(), "{nonsense}");
    }
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let (server, _folder) = with_files(&[("index.html", "<html></html>")]).await;
    let first = get(&server, "/", "").await;
    let again = Client::new()
        .get(server.url("/"))
        .header("if-none-match", header(&first, "etag"));
    assert_eq!(
        again.send().await.expect("answered").status(),
        StatusCode::NOT_MODIFIED
    );
}

#[tokio::test]
async fn a_missing_page_says_what_to_do() {
    let (server, _folder) = with_files(&[]).await;
    let page = get(&server, "/meeting/alice/demo", "").await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text().await.expect("text").contains("make run"));
    let server = TestServer::start(Options::default()).await;
    let page = get(&server, "/", "").await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(page.text().await.expect("text").contains("--ui-dir"));
}
