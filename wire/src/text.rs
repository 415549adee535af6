//! Names on the wire: short, borrowed from the frame's bytes where they can be.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// The most bytes that a name may have. Kubernetes names have at most 253.
pub const MAX_TEXT_BYTES: usize = 256;

/// A name of at most [`MAX_TEXT_BYTES`] bytes of UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// Takes a name, cut at the last whole character within [`MAX_TEXT_BYTES`].
    pub fn truncated(name: impl Into<Cow<'a, str>>) -> Self {
        let mut name = name.into();
        if name.len() > MAX_TEXT_BYTES {
            let mut end = MAX_TEXT_BYTES;
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            name.to_mut().truncate(end);
        }
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name with memory of its own.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BorrowedName).map(|name| Self(Cow::Borrowed(name)))
    }
}

struct BorrowedName;

impl<'de> Visitor<'de> for BorrowedName {
    type Value = &'de str;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a name of at most {MAX_TEXT_BYTES} bytes")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        if name.len() > MAX_TEXT_BYTES {
            return Err(E::invalid_length(name.len(), &self));
        }
        Ok(name)
    }
}
