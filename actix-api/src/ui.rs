//! Serves the browser application: the files that `make ui` built, and the one page for every address
//! that the application itself understands.

use std::path::{Path, PathBuf};

use actix_files::{NamedFile, file_extension_to_mime};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, ContentEncoding, HeaderMap, HeaderValue, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};

/// The one page.
const INDEX: &str = "index.html";

/// For files whose name carries a hash of what they hold: they never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// For files that do change: a browser asks each time, and is mostly told "not modified".
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// Hexadecimal digits after which a part of a name counts as a hash. Trunk writes sixteen.
const MIN_HASH_DIGITS: usize = 12;

/// Siblings with the same content, smaller; the best first.
const COMPRESSED: [(&str, &str, ContentEncoding); 2] = [
    ("br", "br", ContentEncoding::Brotli),
    ("gzip", "gz", ContentEncoding::Gzip),
];

/// Where the application is, if this server has one.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    folder: Option<PathBuf>,
}

impl Ui {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }
}

/// Answers every address that nothing else answers.
pub(crate) async fn serve(request: HttpRequest, ui: web::Data<Ui>) -> HttpResponse {
    let Some(folder) = &ui.folder else {
        return page(StatusCode::NOT_FOUND, NO_UI);
    };
    let path = request.match_info().query("path");
    if is_page(path) {
        return match file(&request, &folder.join(INDEX), REVALIDATE).await {
            Some(response) => response,
            None => page(StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT),
        };
    }
    let cache = if is_hashed(path) { FOREVER } else { REVALIDATE };
    let found = match safe_path(folder, path) {
        Some(path) => file(&request, &path, cache).await,
        None => None,
    };
    found.unwrap_or_else(|| page(StatusCode::NOT_FOUND, NOTHING_HERE))
}

/// Whether the application knows this address: its start page and its meetings. Whether the names in
/// the address are good, it says itself.
fn is_page(path: &str) -> bool {
    path.is_empty() || path == INDEX || path == "meeting" || path.starts_with("meeting/")
}

/// The file's path, if it stays within the folder and is not hidden.
fn safe_path(folder: &Path, path: &str) -> Option<PathBuf> {
    let plain =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\\', ':', '\0']);
    path.split('/').all(plain).then(|| folder.join(path))
}

/// Whether a part of the path carries a hash of the content: `app-0123456789abcdef_bg.wasm`.
fn is_hashed(path: &str) -> bool {
    path.split(['/', '.', '_'])
        .filter_map(|part| part.rsplit_once('-'))
        .any(|(_, hash)| hash.len() >= MIN_HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The file as an answer, compressed if that was done beforehand and the client takes it.
async fn file(request: &HttpRequest, path: &Path, cache: HeaderValue) -> Option<HttpResponse> {
    let mut found = open(path).await?;
    for (name, extension, encoding) in COMPRESSED {
        if accepts(request.headers(), name)
            && let Some(smaller) = open(&with_suffix(path, extension)).await
        {
            found = smaller.set_content_encoding(encoding);
            break;
        }
    }
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let mut response = found
        .set_content_type(file_extension_to_mime(extension))
        .disable_content_disposition()
        .prefer_utf8(true)
        .into_response(request);
    response.headers_mut().insert(CACHE_CONTROL, cache);
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("accept-encoding"));
    Some(response)
}

async fn open(path: &Path) -> Option<NamedFile> {
    let file = NamedFile::open_async(path).await.ok()?;
    file.metadata().is_file().then_some(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// RFC 9110 §12.5.3, as far as browsers use it: named, and not with quality zero.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers
        .get_all(ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|entry| {
        let (name, quality) = entry.split_once(';').unwrap_or((entry, ""));
        let refused = quality
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.parse::<f32>() == Ok(0.0));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

/// What a page says in place of the application.
struct Notice {
    title: &'static str,
    text: &'static str,
}

const NO_UI: Notice = Notice {
    title: "This server has no page",
    text: "It serves the programming interface alone (<a href=\"/api/v1/openapi.json\">its description</a>). \
           Start it with <code>--ui-dir yew-ui/dist</code> to serve the page as well.",
};

const NOT_BUILT: Notice = Notice {
    title: "The page has not been built",
    text: "Run <code>make run</code>, or <code>scripts/build-ui.sh</code> and then start the server with \
           <code>--ui-dir yew-ui/dist</code>.",
};

const NOTHING_HERE: Notice = Notice {
    title: "There is nothing here",
    text: "A meeting's address looks like <code>/meeting/your-name/the-meeting</code>. \
           <a href=\"/\">Start a meeting</a>.",
};

fn page(status: StatusCode, notice: Notice) -> HttpResponse {
    let Notice { title, text } = notice;
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
             <body style=\"font:1.1rem/1.5 system-ui;max-width:36rem;margin:15vh auto;padding:0 1rem\">\
             <h1>{title}</h1><p>{text}</p></body></html>\n"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_folder() {
        let folder = Path::new("/ui");
        assert_eq!(
            safe_path(folder, "snippets/a.js"),
            Some("/ui/snippets/a.js".into())
        );
        for path in [
            "../secret",
            "a/../../secret",
            ".fingerprint",
            "a//b",
            "/etc/passwd",
            "a\\b",
            "c:x",
            "a/",
        ] {
            assert_eq!(safe_path(folder, path), None, "{path}");
        }
    }

    #[test]
    fn hashes_are_told_from_names() {
        assert!(is_hashed("yew-ui-0123456789abcdef.js"));
        assert!(is_hashed("yew-ui-0123456789abcdef_bg.wasm"));
        assert!(is_hashed("snippets/audio-0123456789abcdef/inline0.js"));
        assert!(!is_hashed("tailwind.css"));
        assert!(!is_hashed("two-words.js"));
        assert!(!is_hashed("facade-cafe.js"));
    }

    #[test]
    fn encodings_are_negotiated() {
        let mut headers = HeaderMap::new();
        assert!(!accepts(&headers, "br"));
        headers.insert(
            ACCEPT_ENCODING,
            HeaderValue::from_static("gzip, deflate, br;q=0.5, zstd"),
        );
        assert!(accepts(&headers, "br") && accepts(&headers, "gzip"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0, brotli"));
        assert!(!accepts(&headers, "br") && !accepts(&headers, "gzip"));
    }
}
