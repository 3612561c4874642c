//! Writes to one client: what the lanes have, in their order, and a ping now and then.

use axum::extract::ws::{Message, WebSocket, close_code};
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use protocol::message::{RemoveReason, ServerMessage};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::close;
use crate::app::Shared;
use crate::encode;
use crate::lanes::{End, Lanes, Next};
use crate::presence;

pub(super) struct Writer<'a> {
    pub(super) app: &'a Shared,
    pub(super) sink: &'a mut SplitSink<WebSocket, Message>,
    pub(super) lanes: &'a Lanes,
    pub(super) presence: presence::Reader,
}

impl Writer<'_> {
    /// Returns once the client has been told the end, or does not read any more.
    pub(super) async fn run(&mut self) {
        let mut pings = interval(self.app.config.times.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        loop {
            let written = tokio::select! {
                next = self.lanes.next(&mut self.presence) => match next {
                    Next::Text(text) => self.send(Message::Text(text)).await,
                    Next::Presence(news) => {
                        self.app.counters.presence_sent(&news);
                        self.send(Message::Text(news.text)).await
                    }
                    Next::End(end) => return Box::pin(self.goodbye(end)).await,
                },
                _ = pings.tick() => self.send(Message::Ping(Default::default())).await,
            };
            if !written {
                return;
            }
        }
    }

    async fn goodbye(&mut self, end: End) {
        let frame = match end {
            End::Closed => close(close_code::SIZE, "too large"),
            End::Removed(reason) => {
                let body = ServerMessage::Removed { reason };
                self.app.counters.sent(&body);
                if !self.send(Message::Text(encode::message(&body))).await {
                    return;
                }
                let is_shutdown = reason == RemoveReason::Shutdown;
                close(if is_shutdown { close_code::RESTART } else { close_code::NORMAL }, "removed")
            }
        };
        self.send(frame).await;
    }

    /// Says whether it was written in time.
    async fn send(&mut self, message: Message) -> bool {
        matches!(timeout(self.app.config.times.write, self.sink.send(message)).await, Ok(Ok(())))
    }
}
