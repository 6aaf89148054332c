//! An end before the end: this rank was told to stop by a signal, or the whole job was.
//!
//! Either way it asks for nothing more, and keeps what is verified. A rank that leaves alone goes
//! on serving until the others have stopped too, or until it is killed.

use super::session::Session;
use super::{Peer, PeerAction, Phase};
use crate::message::ToTracker;

impl Peer {
    /// A signal came to this rank.
    pub(super) fn on_interrupt(&mut self, why: String, actions: &mut Vec<PeerAction>) {
        if self.interrupted.is_some() || !matches!(self.phase, Phase::Opening(_) | Phase::Active(_))
        {
            return;
        }
        self.to_tracker(ToTracker::Interrupted(why.clone()), actions);
        if let Phase::Active(session) = &mut self.phase {
            session.leave(&why, actions);
        }
        self.interrupted = Some(why);
    }
}

impl Session {
    /// Receives nothing more; STOP follows when what is under way has ended.
    pub(super) fn leave(&mut self, why: &str, actions: &mut Vec<PeerAction>) {
        if !self.stopped {
            self.halt(why, actions);
        }
    }

    /// FINISH came although this rank has not stopped: says what it has right now, for the tracker
    /// does not wait for long.
    pub(super) fn finish_early(&mut self, actions: &mut Vec<PeerAction>) {
        if self.stopped {
            return;
        }
        let cannot_receive = self.entries.why_not();
        self.halt("the job was interrupted", actions);
        self.say_stop(cannot_receive, actions);
    }
}
