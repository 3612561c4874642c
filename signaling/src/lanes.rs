//! What waits to be written to one client: the control lane, the presence lane, and the end.
//!
//! ```text
//!   room ── control ──▶ bounded queue ─────────────┐ first, in order
//!   room ── end ──────▶ one reason ────────────────┼──▶ writer of the connection
//!   room ── edition ──▶ the newest version wins ───┘ last, merged since what was written
//! ```
//!
//! Texts are shared: one encoding serves everybody. Whoever does not read fast enough for the control
//! lane is put out, and no one else waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use protocol::message::RemoveReason;
use tokio::sync::Notify;

use crate::presence::{News, Reader};

/// The room's side. Clones write to the same client.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something is there for the writer.
    wake: Notify,
}

struct State {
    control: VecDeque<Utf8Bytes>,
    /// Most messages that may wait.
    most: usize,
    end: Option<End>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The participant is out: they are told why.
    Removed(RemoveReason),
    /// What had to be said stands on the control lane.
    Closed,
}

/// What comes next on the wire.
#[derive(Debug)]
pub(crate) enum Next {
    /// A message.
    Text(Utf8Bytes),
    /// What has changed around the stage.
    Presence(News),
    /// Say why, and close.
    End(End),
}

impl Lanes {
    /// Empty lanes of which the control lane holds at most `most` messages.
    pub(crate) fn new(most: usize) -> Self {
        let state = State { control: VecDeque::new(), most, end: None };
        Self(Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() }))
    }

    /// Puts a message on the control lane. Says whether the client was found too slow by it.
    pub(crate) fn control(&self, text: Utf8Bytes) -> bool {
        let mut state = self.state();
        if state.end.is_some() {
            return false;
        }
        let is_full = state.control.len() >= state.most;
        if is_full {
            // What has piled up is of no use to somebody who is about to join anew.
            state.control.clear();
            state.end = Some(End::Removed(RemoveReason::TooSlow));
        } else {
            state.control.push_back(text);
        }
        drop(state);
        self.0.wake.notify_one();
        is_full
    }

    /// Ends the connection after what waits on the control lane. The first reason stays.
    pub(crate) fn end(&self, reason: RemoveReason) {
        self.close(End::Removed(reason));
    }

    /// The same, without a reason that would concern the participant.
    pub(crate) fn close(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.0.wake.notify_one();
    }

    /// What is to be written next. Cancelling loses nothing.
    pub(crate) async fn next(&self, presence: &mut Reader) -> Next {
        loop {
            if let Some(next) = self.ready() {
                return next;
            }
            if let Some(news) = presence.take() {
                return Next::Presence(news);
            }
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = presence.changed() => {}
            }
        }
    }

    fn ready(&self) -> Option<Next> {
        let mut state = self.state();
        match state.control.pop_front() {
            Some(text) => Some(Next::Text(text)),
            None => state.end.map(Next::End),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use protocol::NodeId;
    use room::presence::Board;
    use service::metrics::Gauge;

    use super::*;
    use crate::presence::Presence;

    fn presence() -> Arc<Presence> {
        let people = Gauge::default();
        Presence::new(Board::new(NodeId::new("s").unwrap(), 1, 0), people)
    }

    async fn written(lanes: &Lanes, reader: &mut Reader) -> String {
        match lanes.next(reader).await {
            Next::Text(text) => text.to_string(),
            Next::Presence(_) => "presence".into(),
            Next::End(End::Removed(reason)) => format!("{reason:?}"),
            Next::End(End::Closed) => "closed".into(),
        }
    }

    #[tokio::test]
    async fn control_goes_first_then_presence_and_the_end_waits_for_control() {
        let (lanes, presence) = (Lanes::new(8), presence());
        let mut reader = presence.reader(0);
        presence.board(|board| {
            let identity = protocol::Identity::new("anna").unwrap();
            board.join(0, protocol::message::Person { identity, name: "Anna".into() });
        });
        presence.poll(0);
        lanes.control("stage".into());
        assert_eq!(written(&lanes, &mut reader).await, "stage");
        assert_eq!(written(&lanes, &mut reader).await, "presence");
        lanes.control("demoted".into());
        lanes.end(RemoveReason::Kicked);
        lanes.control("too late".into());
        lanes.end(RemoveReason::Shutdown);
        assert_eq!(written(&lanes, &mut reader).await, "demoted");
        assert_eq!(written(&lanes, &mut reader).await, "Kicked");
    }

    #[tokio::test]
    async fn whoever_does_not_read_is_put_out_and_nobody_waits() {
        let (lanes, presence) = (Lanes::new(2), presence());
        assert_eq!([1, 2, 3, 4].map(|n| lanes.control(n.to_string().into())), [false, false, true, false]);
        assert_eq!(written(&lanes, &mut presence.reader(0)).await, "TooSlow");
    }
}
