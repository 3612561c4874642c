//! The full `webrtc` crate as a speaker and as a listener: an implementation of the standards that shares
//! no code of ours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use protocol::token::Role;
use reqwest::StatusCode;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
};

use crate::ear::{Ear, Heard};
use crate::tone::{FRAME, Tone};
use crate::town::{Town, eventually};

const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const OPUS: u8 = 111;

/// −20 dBov: somebody who speaks up.
const LOUD: u8 = 20;

/// A peer connection that has offered.
pub(crate) struct Peer {
    connection: Box<dyn PeerConnection>,
    handler: Arc<Handler>,
    /// Where it can be deleted.
    location: String,
    token: String,
}

/// What the connection says, and hears.
struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
    ear: Arc<Mutex<Ear>>,
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
        let ear = Arc::clone(&self.ear);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    ear.lock().expect("no test panics with it").hear(&packet);
                }
            }
        });
    }
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "audio/opus".into(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
        rtcp_feedback: vec![],
    }
}

fn media_engine() -> MediaEngine {
    let mut engine = MediaEngine::default();
    let codec = RTCRtpCodecParameters { rtp_codec: opus(), payload_type: OPUS };
    engine.register_codec(codec, RtpCodecKind::Audio).expect("a valid codec");
    for uri in [LEVEL, "urn:ietf:params:rtp-hdrext:sdes:mid"] {
        let extension = RTCRtpHeaderExtensionCapability { uri: uri.into() };
        engine.register_header_extension(extension, RtpCodecKind::Audio, None).expect("a valid extension");
    }
    engine
}

impl Peer {
    async fn prepare() -> (Box<dyn PeerConnection>, Arc<Handler>) {
        let handler = Arc::new(Handler {
            gathered: watch::channel(false).0,
            state: watch::channel(RTCPeerConnectionState::New).0,
            ear: Arc::default(),
        });
        let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).build();
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(media_engine())
            .with_setting_engine(settings)
            .with_handler(Arc::clone(&handler) as Arc<dyn PeerConnectionEventHandler>)
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build()
            .await
            .expect("a peer connection");
        (Box::new(connection), handler)
    }

    /// Offers, and brings the answer home through `between`, which may change it.
    async fn connect(
        town: &Town,
        endpoint: &str,
        token: String,
        (connection, handler): (Box<dyn PeerConnection>, Arc<Handler>),
        between: impl FnOnce(String) -> String,
    ) -> Self {
        let offer = connection.create_offer(None).await.expect("an offer");
        connection.set_local_description(offer).await.expect("it is ours");
        handler.gathered.subscribe().wait_for(|gathered| *gathered).await.expect("it gathers");
        let offer = connection.local_description().await.expect("just set").sdp;
        let response = town.offer(endpoint, &token, offer).await;
        let status = response.status();
        let location = response.headers().get("location").map(|it| it.to_str().expect("ASCII").to_owned());
        let answer = response.text().await.expect("a body");
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let answer = RTCSessionDescription::answer(between(answer)).expect("an answer");
        connection.set_remote_description(answer).await.expect("the answer fits the offer");
        Self { connection, handler, location: location.expect("201 has a Location"), token }
    }

    /// Waits until keys are agreed.
    pub(crate) async fn connected(&self) {
        let mut state = self.handler.state.subscribe();
        let connected = state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
        let _state = tokio::time::timeout(Duration::from_secs(20), connected).await.expect("it connects");
    }

    /// Leaves as WHIP and WHEP say: `DELETE`.
    pub(crate) async fn leave(&self, town: &Town) {
        let answer = town.request(reqwest::Method::DELETE, &self.location, &self.token).send().await;
        assert!(answer.expect("an answer").status().is_success());
        self.connection.close().await.expect("it closes");
    }

    /// Waits until the node has closed it.
    pub(crate) async fn closed(&self) {
        use RTCPeerConnectionState::{Closed, Disconnected, Failed};
        let mut state = self.handler.state.subscribe();
        let gone = state.wait_for(|state| matches!(state, Closed | Disconnected | Failed));
        let _state = tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it is closed");
    }

    /// What it hears so far.
    pub(crate) fn heard(&self) -> Heard {
        self.handler.ear.lock().expect("no test panics with it").heard()
    }

    /// Waits until another second of this tone has been heard.
    pub(crate) async fn hears(&self, tone: Tone) {
        let before = self.heard().of(tone);
        eventually(&format!("a listener hears {} Hz", tone.hz()), async || {
            self.heard().of(tone) >= before + 50
        })
        .await;
    }
}

/// A WHIP client that whistles.
pub(crate) struct Speaker {
    /// Its peer connection.
    pub(crate) peer: Peer,
    whistling: JoinHandle<()>,
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.whistling.abort();
    }
}

/// Takes a seat over WHIP, and whistles from then on.
pub(crate) async fn speak(town: &Town, identity: &str, tone: Tone) -> Speaker {
    speak_through(town, identity, tone, |answer| answer).await
}

/// The same, with an answer that was changed on its way.
pub(crate) async fn speak_through(
    town: &Town,
    identity: &str,
    tone: Tone,
    between: impl FnOnce(String) -> String,
) -> Speaker {
    let ssrc = rand::random();
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
    let coding =
        RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec: opus(), ..Default::default() };
    let track =
        MediaStreamTrack::new("mic".into(), "mic".into(), "mic".into(), RtpCodecKind::Audio, vec![coding]);
    let track = Arc::new(TrackLocalStaticRTP::new(track));

    let peer = Peer::prepare().await;
    let init = RTCRtpTransceiverInit {
        direction: RTCRtpTransceiverDirection::Sendonly,
        streams: vec![],
        send_encodings: vec![],
    };
    let local = Arc::clone(&track) as Arc<dyn TrackLocal>;
    peer.0.add_transceiver_from_track(local, Some(init)).await.expect("a transceiver");
    let token = town.token(Role::Speaker, Some(identity));
    let peer = Peer::connect(town, "whip", token, peer, between).await;
    peer.connected().await;
    Speaker { peer, whistling: tokio::spawn(whistle(track, ssrc, tone)) }
}

async fn whistle(track: Arc<TrackLocalStaticRTP>, ssrc: u32, tone: Tone) {
    let mut clock = interval(Duration::from_millis(20));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let extension = rtp::extension::audio_level_extension::AudioLevelExtension { level: LOUD, voice: true };
    let extension = rtp::extension::HeaderExtension::AudioLevel(extension);
    for (number, payload) in (0u32..).zip(tone.packets().into_iter().cycle()) {
        clock.tick().await;
        let header = rtp::Header {
            version: 2,
            payload_type: OPUS,
            sequence_number: number as u16,
            timestamp: number.wrapping_mul(FRAME as u32),
            ssrc,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload };
        if track.write_rtp_with_extensions(packet, std::slice::from_ref(&extension)).await.is_err() {
            return;
        }
    }
}

/// Listens over WHEP with this many lines.
pub(crate) async fn listen(town: &Town, lines: usize) -> Peer {
    let peer = Peer::prepare().await;
    for _ in 0..lines {
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: vec![],
            send_encodings: vec![],
        };
        peer.0.add_transceiver_from_kind(RtpCodecKind::Audio, Some(init)).await.expect("a transceiver");
    }
    let peer = Peer::connect(town, "whep", town.token(Role::Listener, None), peer, |answer| answer).await;
    peer.connected().await;
    peer
}
