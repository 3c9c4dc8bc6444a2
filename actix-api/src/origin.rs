//! Which pages may use this server from a browser.
//!
//! The page that the server itself serves always may; others are named in the settings. Programs that
//! are not browsers send no `Origin` and are not concerned (RFC 6455 §10.2).

use actix_cors::Cors;
use actix_web::HttpRequest;
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, Uri};

use crate::error::HttpError;

/// Stands for every origin in the settings.
const ANY: &str = "*";

/// How long a browser may remember the answer to a preflight request, seconds: Chromium's maximum.
const PREFLIGHT_MAX_AGE: usize = 7200;

/// The origins from the settings.
#[derive(Clone, Debug)]
pub(crate) struct OriginPolicy {
    allowed: Vec<String>,
}

impl OriginPolicy {
    pub(crate) fn new(allowed: &[String]) -> Self {
        let normalise = |origin: &String| origin.trim_end_matches('/').to_ascii_lowercase();
        Self {
            allowed: allowed.iter().map(normalise).collect(),
        }
    }

    /// Refuses requests of foreign pages. Browsers send WebSocket upgrades without asking first.
    pub(crate) fn check(&self, request: &HttpRequest) -> Result<(), HttpError> {
        let Some(origin) = request.headers().get(header::ORIGIN) else {
            return Ok(());
        };
        if self.allows(origin, request.headers()) {
            return Ok(());
        }
        Err(HttpError::ForeignOrigin(
            String::from_utf8_lossy(origin.as_bytes()).into_owned(),
        ))
    }

    /// The CORS rules for the REST interface.
    pub(crate) fn cors(&self) -> Cors {
        let policy = self.clone();
        Cors::default()
            .allowed_origin_fn(move |origin, head: &RequestHead| policy.allows(origin, &head.headers))
            .allowed_methods([Method::GET, Method::POST])
            .allowed_headers([header::CONTENT_TYPE, header::ACCEPT])
            .max_age(PREFLIGHT_MAX_AGE)
    }

    fn allows(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let origin = origin.to_ascii_lowercase();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        is_same(&origin, host)
            || self
                .allowed
                .iter()
                .any(|allowed| allowed == ANY || *allowed == origin)
    }
}

/// Whether an origin is the server itself. The scheme is not compared: a proxy in front may have taken
/// off the TLS.
fn is_same(origin: &str, host: Option<&str>) -> bool {
    let authority = origin
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.authority().cloned());
    matches!((authority, host), (Some(authority), Some(host)) if authority.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn allows(allowed: &[&str], host: &str, origin: Option<&str>) -> bool {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let mut request = TestRequest::default().insert_header((header::HOST, host));
        if let Some(origin) = origin {
            request = request.insert_header((header::ORIGIN, origin));
        }
        OriginPolicy::new(&allowed)
            .check(&request.to_http_request())
            .is_ok()
    }

    #[test]
    fn the_page_itself_and_programs_are_allowed() {
        assert!(allows(&[], "localhost:8081", Some("http://localhost:8081")));
        assert!(allows(&[], "meet.example", Some("https://meet.example")));
        assert!(allows(&[], "localhost:8081", None));
    }

    #[test]
    fn foreign_pages_have_to_be_named() {
        assert!(!allows(&[], "localhost:8080", Some("http://localhost:8081")));
        assert!(!allows(&[], "localhost:8080", Some("null")));
        assert!(!allows(
            &["http://localhost:8081"],
            "localhost:8080",
            Some("http://evil.example")
        ));
        assert!(!allows(
            &[],
            "meet.example",
            Some("https://meet.example.evil.example")
        ));
        assert!(allows(
            &["http://LOCALHOST:8081/"],
            "localhost:8080",
            Some("http://localhost:8081")
        ));
        assert!(allows(&["*"], "localhost:8080", Some("https://anywhere.example")));
    }
}
