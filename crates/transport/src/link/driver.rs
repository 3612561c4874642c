//! What runs for as long as a link lives: reads datagrams and the control stream, beats, and notices
//! when the other side has gone silent, or is no longer believed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, Bytes, BytesMut};
use protocol::frame::FrameError;
use protocol::link::{self as wire, Datagram};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::endpoint::Known;
use super::{Event, HEARTBEAT, LinkError, LinkHandle, MAX_CONTROL, SILENCE, Shared};
use crate::identity::Credentials;

/// How long a link goes on whose other side is no longer believed: meanwhile a child makes another one, and its
/// rooms go over without a hole. Nodes get the same files within so long of each other, where they are brought
/// to them all at once.
const GRACE: Duration = Duration::from_secs(3);

/// Between two looks at whether the other side's certificate still holds. A link may live for months, and
/// a certificate that has ended is no use to whoever has stolen its key.
const LOOK: Duration = Duration::from_secs(60);

/// A link that is up. `Out` is what this side says on the control stream, `In` what the other says.
pub struct Link<Out, In> {
    handle: LinkHandle<Out>,
    outgoing: mpsc::Receiver<Out>,
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    trust: Trust,
    marker: std::marker::PhantomData<fn() -> In>,
}

impl<Out: Serialize, In: DeserializeOwned> Link<Out, In> {
    pub(super) fn new(
        known: Known,
        version: u16,
        connection: quinn::Connection,
        (send, receive): (quinn::SendStream, quinn::RecvStream),
        credentials: Credentials,
    ) -> Self {
        let (control, outgoing) = mpsc::channel(MAX_CONTROL);
        let trust = Trust { credentials, other: known.chain, looked: Instant::now(), doubted: None };
        let remote = known.remote;
        let handle = LinkHandle { remote, version, connection, control, shared: Arc::new(Shared::default()) };
        Self { handle, outgoing, send, receive, trust, marker: std::marker::PhantomData }
    }

    /// What the node keeps.
    pub fn handle(&self) -> LinkHandle<Out> {
        self.handle.clone()
    }

    /// Passes on what arrives, until the link ends; says why it did. `tell` must not block.
    pub async fn run(self, mut tell: impl FnMut(Event<In>)) -> LinkError {
        let Self { handle, outgoing, send, receive, trust, .. } = self;
        let why = tokio::select! {
            why = write(outgoing, send) => why,
            why = read(&handle, receive, trust, &mut tell) => why,
        };
        handle.close(why.reason());
        why
    }
}

async fn write<Out: Serialize>(mut outgoing: mpsc::Receiver<Out>, mut send: quinn::SendStream) -> LinkError {
    while let Some(message) = outgoing.recv().await {
        let Ok(json) = serde_json::to_vec(&message) else { return LinkError::Message };
        let Ok(length) = u16::try_from(json.len()) else { return LinkError::Message };
        let framed = [&length.to_be_bytes()[..], &json].concat();
        if send.write_all(&framed).await.is_err() {
            return LinkError::Control;
        }
    }
    LinkError::Control
}

async fn read<Out, In: DeserializeOwned>(
    handle: &LinkHandle<Out>,
    mut receive: quinn::RecvStream,
    mut trust: Trust,
    tell: &mut impl FnMut(Event<In>),
) -> LinkError {
    let mut messages = BytesMut::new();
    let mut beat = tokio::time::interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut pulse = Pulse::new(Instant::now());
    loop {
        // Every branch may be dropped half-way without losing anything.
        tokio::select! {
            datagram = handle.connection.read_datagram() => match datagram {
                Ok(datagram) => {
                    pulse.heard = Instant::now();
                    if let Some(datagram) = checked(handle, datagram) {
                        tell(Event::Datagram(datagram));
                    }
                }
                Err(error) => return error.into(),
            },
            chunk = receive.read_chunk(wire::MAX_MESSAGE, true) => {
                let Ok(Some(chunk)) = chunk else { return ended(handle) };
                pulse.heard = Instant::now();
                messages.extend_from_slice(&chunk.bytes);
                loop {
                    match next_message(&mut messages) {
                        Ok(Some(message)) => tell(Event::Message(message)),
                        Ok(None) => break,
                        Err(error) => return error,
                    }
                }
            }
            _ = beat.tick() => {
                let now = Instant::now();
                if !pulse.beat(now) {
                    return LinkError::Silent;
                }
                if let Err(why) = trust.holds(now) {
                    return why;
                }
                handle.send_datagram(heartbeat(pulse.sequence, handle.shared.loss_permille.load(Relaxed)));
            }
        }
    }
}

/// The end of the stream tells less than the end of the connection.
fn ended<Out>(handle: &LinkHandle<Out>) -> LinkError {
    handle.connection.close_reason().map_or(LinkError::Control, LinkError::Connection)
}

/// Whether the other side lives.
struct Pulse {
    /// When anything came.
    heard: Instant,
    /// When we last looked.
    looked: Instant,
    /// Of our heartbeats.
    sequence: u32,
}

impl Pulse {
    fn new(now: Instant) -> Self {
        Self { heard: now, looked: now, sequence: 0 }
    }

    /// Counts a beat of ours; false when the other side is silent. When this machine has been asleep,
    /// the silence was ours.
    fn beat(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.looked) > SILENCE / 2 {
            self.heard = now;
        }
        self.looked = now;
        self.sequence = self.sequence.wrapping_add(1);
        now.saturating_duration_since(self.heard) <= SILENCE
    }
}

/// Whether the other side is still believed.
struct Trust {
    credentials: Credentials,
    /// What it showed when the link was made.
    other: Vec<CertificateDer<'static>>,
    looked: Instant,
    /// Since when it is not.
    doubted: Option<Instant>,
}

impl Trust {
    /// Looks when we believe others than before, and now and then.
    fn holds(&mut self, now: Instant) -> Result<(), LinkError> {
        let ours = match self.credentials.changed() {
            Some(ours) => ours,
            None if self.doubted.is_some() => self.credentials.now(),
            None if now.saturating_duration_since(self.looked) < LOOK => return Ok(()),
            None => self.credentials.now(),
        };
        self.looked = now;
        match ours.believe(&self.other, SystemTime::now()) {
            Ok(()) => self.doubted = None,
            Err(_) if now.saturating_duration_since(*self.doubted.get_or_insert(now)) < GRACE => {}
            Err(error) => return Err(LinkError::Certificate(error)),
        }
        Ok(())
    }
}

fn heartbeat(sequence: u32, loss_permille: u16) -> Bytes {
    let mut datagram = BytesMut::with_capacity(7);
    wire::Heartbeat { sequence, loss_permille }.write(&mut datagram);
    datagram.freeze()
}

/// A datagram of a future version is dropped: during a rolling upgrade that is nobody's fault.
fn checked<Out>(handle: &LinkHandle<Out>, datagram: Bytes) -> Option<Datagram> {
    let stats = handle.stats();
    match Datagram::read(datagram) {
        Ok(datagram) => return Some(datagram),
        Err(FrameError::Version) => stats.unknown_version.fetch_add(1, Relaxed),
        Err(_) => stats.malformed.fetch_add(1, Relaxed),
    };
    None
}

/// Takes one message off the front, if a whole one is there.
fn next_message<In: DeserializeOwned>(messages: &mut BytesMut) -> Result<Option<In>, LinkError> {
    let Some(length) = messages.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) else {
        return Ok(None);
    };
    if length > wire::MAX_MESSAGE {
        return Err(LinkError::Message);
    }
    if messages.len() < 2 + length {
        return Ok(None);
    }
    messages.advance(2);
    let message = messages.split_to(length);
    serde_json::from_slice(&message).map(Some).map_err(|_| LinkError::Message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn messages_are_cut_from_the_stream_wherever_the_chunks_end() {
        let mut stream = BytesMut::new();
        for text in ["\"one\"", "\"two\""] {
            let framed = [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
            let (early, late) = framed.split_at(3);
            stream.extend_from_slice(early);
            assert!(next_message::<String>(&mut stream).unwrap().is_none());
            stream.extend_from_slice(late);
            assert_eq!(next_message::<String>(&mut stream).unwrap().unwrap().len(), 3);
        }
        stream.extend_from_slice(&[0xff, 0xff]);
        assert!(matches!(next_message::<String>(&mut stream), Err(LinkError::Message)));
    }

    #[test]
    fn silence_is_only_believed_by_those_who_were_awake() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert!(pulse.beat(start + 20 * SILENCE), "slept");
        let woke = start + 20 * SILENCE;
        let beats = |ms: u64| woke + Duration::from_millis(ms);
        let silence = SILENCE.as_millis() as u64;
        assert!((50..=silence).step_by(50).all(|ms| pulse.beat(beats(ms))));
        assert!(!pulse.beat(beats(silence + 50)));
    }
}
