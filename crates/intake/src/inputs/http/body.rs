//! From a body to records.

use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use panoptes_model::{Origin, Timestamp};
use panoptes_stdx::ErrorChain;
use panoptes_stdx::decompress::{DecompressError, Decompressor, Encoding, Limits};

use super::HttpConfig;
use super::answer::Refusal;
use super::request::{Content, Meta};
use crate::budget::Lease;
use crate::cut::{
    Collected, Collector, CollectorLimits, CsvError, Shape, Stop, cut_array, cut_carrier, cut_csv, cut_lines,
    cut_sequence, sniff,
};
use crate::cutter::Positions;
use crate::limits::{BODY_RATIO_FREE_BYTES, BODY_RATIO_MAX, BODY_WINDOW_LOG_MAX};
use crate::text::is_utf16;

/// Receives the body as it was sent.
pub(in crate::inputs) async fn read(
    config: &HttpConfig,
    lease: &mut Lease,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Refusal> {
    let bytes_max = config.body_bytes_max;
    let too_large = || Refusal::too_large(format!("the body has more than {bytes_max} bytes: send it in parts"));
    let stated: Option<u64> = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    if stated.is_some_and(|it| it > bytes_max as u64) {
        return Err(too_large());
    }
    let receiving = async {
        let mut body = body;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                tracing::debug!(error = %ErrorChain(&error), "body broke off");
                Refusal::unreadable(StatusCode::BAD_REQUEST, "the body broke off before its end")
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Err(too_large());
            }
            if !lease.grow(data.len()) {
                return Err(Refusal::busy());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(config.body_timeout, receiving).await {
        Ok(received) => received,
        Err(_) => {
            let seconds = config.body_timeout.as_secs();
            let error = format!("the body did not arrive within {seconds} seconds");
            Err(Refusal::unreadable(StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

/// Decompresses and cuts. Takes time: not for a thread of the runtime.
pub(super) fn cut(
    config: &HttpConfig,
    meta: Meta,
    origin: Origin,
    now: Timestamp,
    body: Vec<u8>,
    mut lease: Lease,
) -> Result<(Collected, Lease), Refusal> {
    let text = match meta.encoding {
        Some(encoding) => decode(config, &mut lease, encoding, &body)?,
        None => body,
    };
    if is_utf16(&text) {
        return Err(Refusal::malformed("the body is UTF-16: send UTF-8"));
    }
    let shape = match meta.content {
        Content::Csv => Shape::Csv,
        Content::Lines => Shape::Lines,
        Content::Json => sniff(&text, true),
        Content::Unknown => sniff(&text, false),
    };
    let limits = CollectorLimits { records_max: config.body_records_max, bytes_max: config.body_decoded_bytes_max };
    let mut out = Collector::new(origin, now, Positions::Numbers, limits, Some(&mut lease));
    let cut = match shape {
        Shape::Lines => cut_lines(&mut out, &text).map_err(CsvError::from),
        Shape::Array => cut_array(&mut out, &text).map_err(CsvError::from),
        Shape::Sequence => cut_sequence(&mut out, &text).map_err(CsvError::from),
        Shape::Carrier => cut_carrier(&mut out, &text).map_err(CsvError::from),
        Shape::Csv => cut_csv(&mut out, &text),
    };
    let collected = out.finish();
    match cut {
        Ok(()) if collected.records == 0 && text.trim_ascii().is_empty() => {
            Err(Refusal::malformed("the body is empty: send JSON, lines or CSV"))
        }
        Ok(()) => Ok((collected, lease)),
        Err(CsvError::Stopped(Stop::Busy)) => Err(Refusal::busy()),
        Err(CsvError::Stopped(Stop::RecordsTooMany)) => {
            let records_max = config.body_records_max;
            Err(Refusal::too_large(format!("the body has more than {records_max} records: send it in parts")))
        }
        Err(CsvError::Stopped(Stop::TextTooLarge)) => {
            let bytes_max = config.body_decoded_bytes_max;
            Err(Refusal::too_large(format!("its records have more than {bytes_max} bytes: send it in parts")))
        }
        Err(error @ (CsvError::ColumnsTooMany | CsvError::HeaderTooLong | CsvError::Read(_))) => {
            Err(Refusal::malformed(ErrorChain(&error).to_string()))
        }
    }
}

/// Decompresses. Takes time: not for a thread of the runtime.
pub(in crate::inputs) fn decode(
    config: &HttpConfig,
    lease: &mut Lease,
    encoding: Encoding,
    body: &[u8],
) -> Result<Vec<u8>, Refusal> {
    const CHUNK_BYTES: usize = 64 << 10;
    let limits = Limits {
        output_bytes_max: config.body_decoded_bytes_max as u64,
        ratio_max: BODY_RATIO_MAX,
        ratio_free_bytes: BODY_RATIO_FREE_BYTES,
        window_log_max: BODY_WINDOW_LOG_MAX,
    };
    let mut decompressor = Decompressor::new(encoding, body, limits).map_err(|it| refused(&it))?;
    let mut text = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = decompressor.read_checked(&mut chunk).map_err(|it| refused(&it))?;
        if length == 0 {
            return Ok(text);
        }
        if !lease.grow(length) {
            return Err(Refusal::busy());
        }
        text.extend_from_slice(chunk.get(..length).unwrap_or_default());
    }
}

fn refused(error: &DecompressError) -> Refusal {
    let text = format!("the body could not be decompressed: {error}");
    if error.is_limit() { Refusal::too_large(text) } else { Refusal::unreadable(StatusCode::BAD_REQUEST, text) }
}
