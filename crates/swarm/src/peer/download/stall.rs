//! What does not come: requests without progress are taken elsewhere, and what a lost rank owes is
//! forgotten.

use super::holders::Standing;
use super::{Download, Request, TransferState};
use crate::message::{Between, Message, RequestNumber};
use crate::peer::pieces::Pieces;
use crate::peer::{PeerAction, TransferId};
use crate::{Instant, Rank};
use content::PieceId;
use std::time::Duration;

/// A request without any progress for this part of the patience is taken elsewhere, ...
const STALL_FRACTION: u32 = 6;
/// ... but not sooner than this, ...
const MIN_STALL: Duration = Duration::from_millis(500);
/// ... and not later.
const MAX_STALL: Duration = Duration::from_secs(5);

impl Download {
    /// Takes requests without progress elsewhere, where another holder has what they are for.
    pub(in crate::peer) fn expire(
        &mut self,
        now: Instant,
        patience: Duration,
        pieces: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let stall = (patience / STALL_FRACTION).clamp(MIN_STALL, MAX_STALL);
        let stalled: Vec<RequestNumber> = self
            .requests
            .iter()
            .filter(|(_, request)| !request.cancelled && now.since(self.moved(request)) > stall)
            .filter(|(number, request)| self.has_alternative(**number, request, pieces))
            .map(|(&number, _)| number)
            .collect();
        for number in stalled {
            let holder = self.requests[&number].holder;
            self.holders.stall(holder);
            self.cancel(number, pieces, actions);
        }
    }

    /// When a request last moved. One that was acknowledged waits its turn while its holder sends
    /// anything at all; one that was not costs nothing to take back.
    fn moved(&self, request: &Request) -> Instant {
        match self.holders.progress(request.holder) {
            Some(progress) if request.acknowledged => request.progress.max(progress),
            _ => request.progress,
        }
    }

    fn has_alternative(&self, number: RequestNumber, request: &Request, ledger: &Pieces) -> bool {
        let coming = self.transfers.values();
        let coming = coming.filter(|t| t.request == number && t.state == TransferState::Coming);
        let coming = coming.flat_map(|transfer| transfer.claimed.iter().copied());
        let mut pieces = request.asked.iter().copied().chain(coming);
        pieces.any(|piece| {
            self.holders.iter().any(|(rank, holder)| {
                rank != request.holder
                    && holder.standing() == Standing::Good
                    && holder.has(piece.0, ledger.picker())
            })
        })
    }

    /// Gives up what did not come of a request; its pieces may be fetched elsewhere.
    fn cancel(
        &mut self,
        number: RequestNumber,
        pieces: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let request = self.requests.get_mut(&number).expect("only open requests are cancelled");
        request.cancelled = true;
        let to = request.holder;
        let asked = request.asked.clone();
        self.waits_no_more(number);
        actions.push(PeerAction::Send { to, message: Message::Between(Between::Cancel(number)) });
        self.used_bytes -= self.bytes_of(&asked);
        let mut freed = asked;
        for transfer in self.transfers.values_mut() {
            if transfer.request == number && transfer.state == TransferState::Coming {
                freed.append(&mut transfer.claimed);
            }
        }
        freed.into_iter().for_each(|piece| pieces.release(piece));
    }

    /// Nothing more is to be received.
    pub(in crate::peer) fn cancel_all(
        &mut self,
        pieces: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let open = self.requests.iter().filter(|(_, request)| !request.cancelled);
        let open: Vec<RequestNumber> = open.map(|(&number, _)| number).collect();
        for number in open {
            self.cancel(number, pieces, actions);
        }
    }

    /// A holder is gone: nothing that it owes will come.
    pub(in crate::peer) fn drop_holder(&mut self, rank: Rank, pieces: &mut Pieces) {
        self.holders.lose(rank, pieces.picker_mut());
        let transfers = self.transfers.iter_mut();
        let owed = transfers.filter(|(_, t)| t.holder == rank && t.state == TransferState::Coming);
        let owed: Vec<(TransferId, Vec<PieceId>)> =
            owed.map(|(&id, t)| (id, std::mem::take(&mut t.claimed))).collect();
        for (transfer, claimed) in owed {
            claimed.into_iter().for_each(|piece| pieces.release(piece));
            self.end_transfer(transfer, pieces);
        }
        let unanswered = self.requests.iter();
        let unanswered =
            unanswered.filter(|(_, request)| request.holder == rank && !request.acknowledged);
        let unanswered: Vec<RequestNumber> = unanswered.map(|(&number, _)| number).collect();
        for number in unanswered {
            let request = self.requests.remove(&number).expect("listed above");
            self.waits_no_more(number);
            if !request.cancelled {
                self.used_bytes -= self.bytes_of(&request.asked);
                request.asked.into_iter().for_each(|piece| pieces.release(piece));
            }
        }
    }
}
