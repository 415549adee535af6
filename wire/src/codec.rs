//! The only place where a frame becomes bytes or bytes a frame, and the only user of `bincode`.

use bincode::config::Configuration;
use thiserror::Error;

use crate::{Frame, Identity, MAX_SERIES};

/// First bytes of a frame: the format and its version.
pub const MAGIC: [u8; 4] = *b"FSL1";
/// `content-type` of a frame in an HTTP request.
pub const CONTENT_TYPE: &str = "application/vnd.foresail.frame";
/// The longest frame that is read or written.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Without bincode's own limit: it counts every integer at its full width, so it would refuse dense
/// frames that are well below [`MAX_FRAME_BYTES`]. The length is checked before bincode sees a byte,
/// and no sequence is read without a limit of its own.
const CONFIG: Configuration = bincode::config::standard();

/// Why bytes are not a frame.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Longer than any frame may be. Check the sender's series limit.
    #[error("{len} bytes are more than a frame may have ({MAX_FRAME_BYTES})")]
    TooLarge {
        /// Bytes received.
        len: usize,
    },
    /// Does not begin with `FSL`. Check what is posting to this address.
    #[error("not a Foresail frame: it does not begin with `FSL`")]
    BadMagic,
    /// A version that this build does not know. Upgrade the aggregator before the filters.
    #[error("frame version {version:?} is not known here, only '1'")]
    UnknownVersion {
        /// Fourth byte of the frame.
        version: char,
    },
    /// Cut short, a length beyond its limit, or a value out of range.
    #[error("malformed frame")]
    Malformed(#[source] bincode::error::DecodeError),
    /// More bytes than the frame needs.
    #[error("{extra} bytes follow the frame's end")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// Well-formed, but it contradicts itself.
    #[error("frame field `{field}` is inconsistent: {problem}")]
    Inconsistent {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl DecodeError {
    /// Stable name of the cause, for a metric's label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::BadMagic => "bad_magic",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::Malformed(_) => "malformed",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::Inconsistent { .. } => "inconsistent",
        }
    }
}

/// Why a frame cannot be written.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The frame would exceed [`MAX_FRAME_BYTES`]. Send fewer series or fewer digits.
    #[error("the frame has {len} bytes, more than {MAX_FRAME_BYTES}")]
    TooLarge {
        /// Bytes that it would have.
        len: usize,
    },
    /// No receiver would take it. Sort the series by key, and count every request once.
    #[error("frame field `{field}` is inconsistent: {problem}")]
    Inconsistent {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The codec refused it.
    #[error("the frame cannot be encoded")]
    Codec(#[source] bincode::error::EncodeError),
}

/// Writes a frame. What is written can be read: [`decode`] gives the same frame.
///
/// # Errors
/// [`EncodeError::TooLarge`] when it would be longer than [`MAX_FRAME_BYTES`], and
/// [`EncodeError::Inconsistent`] when [`decode`] would refuse it for its content.
pub fn encode(frame: &Frame<'_>) -> Result<Vec<u8>, EncodeError> {
    if let Some((field, problem)) = contradiction(frame) {
        return Err(EncodeError::Inconsistent { field, problem });
    }
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(&MAGIC);
    bincode::serde::encode_into_std_write(frame, &mut bytes, CONFIG).map_err(EncodeError::Codec)?;
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(EncodeError::TooLarge { len: bytes.len() });
    }
    Ok(bytes)
}

/// Reads a frame; names are borrowed from `bytes`.
///
/// Memory asked for is at most 64 bytes for each byte of input and 64 KiB beside.
///
/// # Errors
/// [`DecodeError`], one variant for each cause.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let body = body(bytes)?;
    let (frame, read) = bincode::serde::borrow_decode_from_slice::<Frame<'_>, _>(body, CONFIG)
        .map_err(DecodeError::Malformed)?;
    if read < body.len() {
        return Err(DecodeError::TrailingBytes { extra: body.len() - read });
    }
    if let Some((field, problem)) = contradiction(&frame) {
        return Err(DecodeError::Inconsistent { field, problem });
    }
    Ok(frame)
}

/// Reads whose a frame says it is, which stands first in it, and nothing behind that: what
/// [`decode`] reads of the same bytes, if it reads them at all, is the same.
///
/// # Errors
/// [`DecodeError`] when there is no such beginning.
pub fn decode_identity(bytes: &[u8]) -> Result<Identity<'_>, DecodeError> {
    bincode::serde::borrow_decode_from_slice::<Identity<'_>, _>(body(bytes)?, CONFIG)
        .map(|(identity, _)| identity)
        .map_err(DecodeError::Malformed)
}

/// What follows the first four bytes, when those are ours.
fn body(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::TooLarge { len: bytes.len() });
    }
    match bytes.split_first_chunk::<4>() {
        Some((magic, body)) if *magic == MAGIC => Ok(body),
        Some(([b'F', b'S', b'L', version], _)) => {
            Err(DecodeError::UnknownVersion { version: char::from(*version) })
        }
        _ => Err(DecodeError::BadMagic),
    }
}

/// What the types alone do not rule out: the field and its problem.
fn contradiction(frame: &Frame<'_>) -> Option<(&'static str, &'static str)> {
    if frame.identity.namespace.as_str().is_empty() {
        return Some(("identity.namespace", "empty"));
    }
    if frame.identity.workload.as_str().is_empty() {
        return Some(("identity.workload", "empty"));
    }
    if frame.sequence == 0 {
        return Some(("sequence", "numbers begin with 1"));
    }
    if frame.window.end_micros <= frame.window.start_micros {
        return Some(("window", "its end is not after its start"));
    }
    if frame.series.len() > MAX_SERIES {
        return Some(("series", "more than a frame may have"));
    }
    let mut before = None;
    for series in &frame.series {
        if before.is_some_and(|before| before >= &series.key) {
            return Some(("series", "keys do not ascend"));
        }
        before = Some(&series.key);
        if !(series.codes.is_canonical()
            && series.grpc.is_canonical()
            && series.flags.is_canonical())
        {
            return Some(("series", "counts out of order or empty"));
        }
        if !series.adds_up() {
            return Some(("series", "status codes and latencies count different requests"));
        }
    }
    None
}
