//! What is acknowledged to one asker and has not been sent: pieces and bundles in the order of the
//! acknowledgements.

use super::TransferId;
use crate::message::RequestNumber;
use content::Span;
use std::collections::VecDeque;

/// What is acknowledged to one asker and has not been sent.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) slots: VecDeque<Slot>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) request: RequestNumber,
    /// What travels as one.
    pub(super) pieces: Span,
    pub(super) transfer: TransferId,
    pub(super) state: SlotState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotState {
    /// Not read yet.
    Idle,
    Loading,
    Loaded,
    /// Is to be answered with nothing.
    Withdrawn,
}

impl Lane {
    /// How many acknowledged requests have pieces left.
    pub(super) fn requests(&self) -> usize {
        let mut count = 0;
        let mut last = None;
        for slot in &self.slots {
            count += usize::from(last.replace(slot.request) != Some(slot.request));
        }
        count
    }

    /// What is not read yet.
    pub(super) fn idle(&self) -> impl Iterator<Item = Span> {
        let idle = self.slots.iter().filter(|slot| slot.state == SlotState::Idle);
        idle.map(|slot| slot.pieces)
    }
}
