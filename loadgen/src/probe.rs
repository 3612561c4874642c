//! A probe: a listener that is a full peer connection of the `webrtc` crate, over WHEP. It shares no
//! code with the light ones, so what both say is worth more than what either does.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use media::opus;
use protocol::token::Role;
use protocol::{Identity, VOICES};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio::time::timeout;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use crate::clock::now_ns;
use crate::ledger::{LATE_NS, hash};
use crate::reckoning::OnVoice;
use crate::run::Run;
use crate::target::sign;

const PATIENCE: Duration = Duration::from_secs(20);

const OPUS: u8 = 111;

/// A probe that listens.
pub(crate) struct Probe {
    /// Its room, by its number in this run.
    pub(crate) room: u32,
    connection: Box<dyn PeerConnection>,
    heard: Arc<Mutex<Heard>>,
}

/// When each frame arrived, by speaker and hash.
#[derive(Default)]
pub(crate) struct Heard(HashMap<(u32, u64), Vec<u64>>);

struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
    heard: Arc<Mutex<Heard>>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let heard = Arc::clone(&self.heard);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let csrc = packet.header.csrc.first().copied().unwrap_or_default();
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.hear(csrc, &packet.payload, now_ns());
                }
            }
        });
    }
}

impl Heard {
    fn hear(&mut self, csrc: u32, payload: &[u8], at_ns: u64) {
        let Ok(packet) = opus::Packet::parse(payload) else { return };
        if opus::is_dtx(payload) {
            return;
        }
        for frame in packet.frames().iter().filter(|frame| frame.len() > 1) {
            self.0.entry((csrc, hash(frame))).or_default().push(at_ns);
        }
    }

    /// Of what was on a voice until `until_ns`, from the first frame heard: how many frames were
    /// expected, and how many came in time.
    pub(crate) fn against(&self, room: &OnVoice, until_ns: u64) -> (u64, u64) {
        let came = |&&(speaker, hash, at_ns): &&(u32, u64, u64)| {
            let arrivals = self.0.get(&(speaker, hash));
            arrivals.is_some_and(|all| all.iter().any(|&at| at >= at_ns && at - at_ns <= LATE_NS))
        };
        let Some(&(_, _, first)) = room.frames.iter().find(came) else { return (0, 0) };
        let expected = || {
            let until = until_ns.saturating_sub(LATE_NS);
            room.frames.iter().filter(move |&&(_, _, at_ns)| at_ns >= first && at_ns < until)
        };
        (expected().count() as u64, expected().filter(came).count() as u64)
    }
}

impl Probe {
    /// Offers, and connects to what is answered.
    pub(crate) async fn enter(run: &Run, room: usize, number: u64) -> anyhow::Result<Self> {
        let (connection, handler) = build(run.target.local_addresses()).await?;
        for _ in 0..VOICES {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: vec![],
                send_encodings: vec![],
            };
            let added = connection.add_transceiver_from_kind(RtpCodecKind::Audio, Some(init)).await;
            added.context("no transceiver")?;
        }
        let offer = connection.create_offer(None).await.context("no offer")?;
        connection.set_local_description(offer).await.context("no local description")?;
        let mut gathered = handler.gathered.subscribe();
        timeout(PATIENCE, gathered.wait_for(|gathered| *gathered)).await.context("ICE gathers nothing")??;
        let offer = connection.local_description().await.context("no local description")?.sdp;
        let identity = Identity::new(&format!("probe-{number}"))?;
        let token = sign(&run.options, Some(&run.rooms[room]), Some(&identity), Role::Listener)?;
        let answer = run.target.whep(number as usize, &run.rooms[room], &token, offer).await?;
        let answer = RTCSessionDescription::answer(answer).context("not an answer")?;
        connection.set_remote_description(answer).await.context("the answer does not fit")?;
        let mut state = handler.state.subscribe();
        let settled = state.wait_for(|state| {
            matches!(state, RTCPeerConnectionState::Connected | RTCPeerConnectionState::Failed)
        });
        let state = *timeout(PATIENCE, settled).await.context("it does not connect")??;
        if state == RTCPeerConnectionState::Failed {
            bail!("ICE or DTLS failed");
        }
        Ok(Self { room: room as u32, connection, heard: Arc::clone(&handler.heard) })
    }

    /// Ends it; what it heard.
    pub(crate) async fn end(self) -> (u32, Heard) {
        let _ = self.connection.close().await;
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        (self.room, heard)
    }
}

async fn build(local: Vec<IpAddr>) -> anyhow::Result<(Box<dyn PeerConnection>, Arc<Handler>)> {
    let handler = Arc::new(Handler {
        gathered: watch::channel(false).0,
        state: watch::channel(RTCPeerConnectionState::New).0,
        heard: Arc::default(),
    });
    let mut engine = MediaEngine::default();
    let codec = RTCRtpCodec {
        mime_type: "audio/opus".into(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
        rtcp_feedback: vec![],
    };
    let codec = RTCRtpCodecParameters { rtp_codec: codec, payload_type: OPUS };
    engine.register_codec(codec, RtpCodecKind::Audio).context("no codec")?;
    let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).build();
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_handler(Arc::clone(&handler) as Arc<dyn PeerConnectionEventHandler>)
        .with_udp_addrs(local.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
        .build()
        .await
        .context("no peer connection")?;
    Ok((Box::new(connection), handler))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_held_against_what_was_on_a_voice_since_its_first_frame() {
        let frames: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n, 1, 2, 3]).collect();
        let room =
            OnVoice { frames: (0..100).map(|n| (7, hash(&frames[n]), n as u64 * 20_000_000)).collect() };
        let mut heard = Heard::default();
        for n in (10..100).filter(|n| *n != 50) {
            let payload: Vec<u8> = [0x78].into_iter().chain(frames[n].iter().copied()).collect();
            heard.hear(7, &payload, n as u64 * 20_000_000 + 30_000_000);
        }
        assert_eq!(heard.against(&room, 100 * 20_000_000 + 500_000_000), (90, 89));
        assert_eq!(Heard::default().against(&room, u64::MAX), (0, 0));
    }
}
