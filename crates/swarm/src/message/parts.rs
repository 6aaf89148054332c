//! Cutting long lists into parts that fit a message.

use crate::MAX_MESSAGE_LEN;
use serde::Serialize;

/// Bytes of list items in one part: well below the limit, so that the rest of the message fits
/// beside them.
pub const PART_BYTES: usize = MAX_MESSAGE_LEN / 2;

/// Cuts a list into parts of at most [`PART_BYTES`] encoded bytes each, in order; one part at
/// least, perhaps empty.
///
/// # Panics
///
/// Panics where a single item exceeds a part: items have limits of their own.
pub fn parts<T: Serialize>(items: impl IntoIterator<Item = T>) -> Vec<Vec<T>> {
    parts_within(items, PART_BYTES)
}

/// As [`parts`], but of no more bytes than told; an item that is longer is a part of its own.
pub(crate) fn parts_within<T: Serialize>(
    items: impl IntoIterator<Item = T>,
    most_bytes: usize,
) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    let mut used = 0;
    for item in items {
        let len = postcard::experimental::serialized_size(&item).expect("every item encodes");
        assert!(len <= PART_BYTES, "an item of {len} bytes does not fit a message");
        if used > 0 && used + len > most_bytes.min(PART_BYTES) {
            parts.push(Vec::new());
            used = 0;
        }
        used += len;
        parts.last_mut().expect("there is one").push(item);
    }
    parts
}

/// Cuts a text to so many bytes.
pub(crate) fn cut(mut text: String, max_len: usize) -> String {
    let mut end = text.len().min(max_len);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
