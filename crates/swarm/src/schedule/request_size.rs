//! The number of pieces in a request: few, so that many holders have a part of the window and the
//! pieces spread. Counts pieces, and knows none.

/// A request has at most this part of the window.
const PART_OF_WINDOW: usize = 16;
/// The requests at all holders of use have at most this part of the window, less what the holder
/// has to send to others.
const PART_FOR_ALL: usize = 4;

/// The number of pieces and bundles to ask of a holder, one at least and `batch` at most, where
/// `sharing` holders share a window of so many pieces and this one has `backlog` to send.
pub(crate) fn request_size(window: usize, sharing: usize, backlog: u32, batch: usize) -> usize {
    let spare = (window / PART_FOR_ALL).saturating_sub(backlog as usize) / sharing.max(1);
    spare.min(window / PART_OF_WINDOW).clamp(1, batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_sixteenth_of_the_window_and_a_batch_at_most() {
        assert_eq!(request_size(96, 1, 0, 10), 6);
        assert_eq!(request_size(1600, 1, 0, 10), 10);
    }

    #[test]
    fn holders_share_a_quarter_of_the_window_less_what_one_has_to_send() {
        assert_eq!(request_size(96, 8, 0, 10), 3);
        assert_eq!(request_size(96, 8, 16, 10), 1);
    }

    #[test]
    fn a_request_has_a_piece_however_small_the_window() {
        assert_eq!(request_size(0, 0, 0, 1), 1);
        assert_eq!(request_size(20, 64, u32::MAX, 10), 1);
    }
}
