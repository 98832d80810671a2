//! What a request says about its body.

use axum::extract::Query;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use panoptes_stdx::decompress::Encoding;
use serde::Deserialize;

use super::HttpConfig;
use super::answer::Refusal;
use crate::source::check_source;

const SOURCE_HEADER: HeaderName = HeaderName::from_static("x-panoptes-source");

/// What the headers and the query say.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) source: String,
    pub(super) encoding: Option<Encoding>,
    pub(super) content: Content,
}

/// What the body is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing useful is said: look.
    Unknown,
    /// JSON in whatever layout.
    Json,
    /// One record a line.
    Lines,
    Csv,
}

#[derive(Deserialize)]
struct Parameters {
    source: Option<String>,
}

impl Meta {
    pub(super) fn read(parts: &Parts, config: &HttpConfig) -> Result<Self, Refusal> {
        Ok(Self {
            source: source(parts, config)?,
            encoding: encoding(&parts.headers)?,
            content: content(&parts.headers)?,
        })
    }
}

fn source(parts: &Parts, config: &HttpConfig) -> Result<String, Refusal> {
    Ok(named_source(parts)?.unwrap_or_else(|| config.source.clone()))
}

/// The source that the request names, if it names one.
pub(in crate::inputs) fn named_source(parts: &Parts) -> Result<Option<String>, Refusal> {
    let query = Query::<Parameters>::try_from_uri(&parts.uri);
    let Query(parameters) =
        query.map_err(|_| Refusal::malformed("the query could not be read: write `?source=NAME`"))?;
    let named = match (&parameters.source, parts.headers.get(SOURCE_HEADER)) {
        (Some(name), _) => name.as_str(),
        (None, Some(name)) => name.to_str().unwrap_or(""),
        (None, None) => return Ok(None),
    };
    match check_source(named) {
        Ok(name) => Ok(Some(name.to_owned())),
        Err(error) => Err(Refusal::malformed(error.to_string())),
    }
}

pub(in crate::inputs) fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refusal> {
    let refused = |name: &str| {
        let name: String = name.chars().take(40).collect();
        Refusal::unsupported(format!("content encoding `{name}` is not known: use gzip, zstd, deflate or none"))
    };
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("more than one"));
    }
    let name = value.to_str().unwrap_or("").trim().to_ascii_lowercase();
    match name.as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
        "zstd" => Ok(Some(Encoding::Zstd)),
        "deflate" => Ok(Some(Encoding::Deflate)),
        other => Err(refused(other)),
    }
}

fn content(headers: &HeaderMap) -> Result<Content, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Content::Unknown) };
    let value = value.to_str().unwrap_or("").to_ascii_lowercase();
    if value.contains("charset=utf-16") || value.contains("charset=\"utf-16") {
        return Err(Refusal::unsupported("UTF-16 is not read: send UTF-8"));
    }
    let name = value.split(';').next().unwrap_or("").trim();
    let (family, kind) = name.split_once('/').unwrap_or((name, ""));
    match (family, kind) {
        ("application" | "text", "json") => Ok(Content::Json),
        (
            "application" | "text",
            "x-ndjson" | "ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines" | "json-lines",
        ) => Ok(Content::Lines),
        ("text", "plain") => Ok(Content::Lines),
        ("text" | "application", "csv" | "tab-separated-values") => Ok(Content::Csv),
        ("multipart" | "image" | "audio" | "video" | "font" | "model", _)
        | ("application", "pdf" | "zip" | "x-tar" | "wasm" | "x-7z-compressed" | "x-rar-compressed" | "vnd.rar") => {
            let name: String = name.chars().take(60).collect();
            Err(Refusal::unsupported(format!("`{name}` holds no logs: send JSON, lines or CSV as the body itself")))
        }
        ("application", "gzip" | "x-gzip" | "zstd") => {
            Err(Refusal::unsupported(format!("`{name}` is an encoding: send it as `Content-Encoding`")))
        }
        ("application", kind) if kind.ends_with("+json") => Ok(Content::Json),
        _ => Ok(Content::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, StatusCode};
    use axum::response::IntoResponse;

    use super::*;

    fn read(uri: &str, headers: &[(&str, &str)]) -> Result<Meta, StatusCode> {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Meta::read(&parts, &HttpConfig::default()).map_err(|it| it.into_response().status())
    }

    #[test]
    fn the_source_comes_from_the_query_then_the_header_then_the_configuration() {
        let named = ("x-panoptes-source", "web2");
        assert_eq!(read("/logs?source=web1", &[named]).unwrap().source, "web1");
        assert_eq!(read("/logs", &[named]).unwrap().source, "web2");
        assert_eq!(read("/logs?other=1", &[]).unwrap().source, "http");
        assert_eq!(read("/logs?source=a%20b", &[]).unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(read("/logs?source=", &[]).unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(read("/logs?source=a&source=b", &[]).unwrap_err(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn types_are_honoured_or_looked_at_or_refused() {
        let content = |name: &str| read("/logs", &[("content-type", name)]).map(|it| it.content);
        assert_eq!(content("Application/JSON; charset=utf-8"), Ok(Content::Json));
        assert_eq!(content("application/vnd.elastic+json"), Ok(Content::Json));
        assert_eq!(content("application/x-ndjson"), Ok(Content::Lines));
        assert_eq!(content("text/plain"), Ok(Content::Lines));
        assert_eq!(content("text/csv;header=present"), Ok(Content::Csv));
        assert_eq!(content("application/x-www-form-urlencoded"), Ok(Content::Unknown), "what curl -d says");
        assert_eq!(content("nonsense"), Ok(Content::Unknown));
        for refused in
            ["multipart/form-data; boundary=x", "image/png", "application/zip", "text/plain; charset=utf-16le"]
        {
            assert_eq!(content(refused), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{refused}");
        }
    }

    #[test]
    fn encodings_are_known_or_refused() {
        let encoding = |name: &str| read("/logs", &[("content-encoding", name)]).map(|it| it.encoding);
        assert_eq!(encoding("GZIP"), Ok(Some(Encoding::Gzip)));
        assert_eq!(encoding("identity"), Ok(None));
        for refused in ["br", "gzip, gzip", "compress"] {
            assert_eq!(encoding(refused), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{refused}");
        }
        let twice = [("content-encoding", "gzip"), ("content-encoding", "zstd")];
        assert_eq!(read("/logs", &twice).unwrap_err(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
