//! What an origin's plane counts.

/// Counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpeakersStats {
    /// RTP packets of speakers, opened.
    pub ingress_packets: u64,
    /// Packets that are not RTP or of a payload type that was not agreed.
    pub bad_rtp: u64,
    /// Packets that are not RTCP.
    pub bad_rtcp: u64,
    /// Packets that say they are RED and are not.
    pub bad_red: u64,
    /// Packets that say they are Opus and are not.
    pub bad_opus: u64,
    /// Packets of a second stream beside the first.
    pub bad_stream: u64,
    /// Frames of somebody who is muted or not on stage.
    pub dropped_muted: u64,
    /// Frames of somebody who has no voice: others are louder.
    pub dropped_unheard: u64,
    /// Frames of silence, in place of which less is sent.
    pub dropped_silence: u64,
    /// Frames whose time is over.
    pub dropped_late: u64,
    /// Frames that came faster than time.
    pub dropped_early: u64,
    /// Frames without a level that were decoded to know it.
    pub levels_heard: u64,
    /// Frames without a level that were not decoded: they came faster than time, or are nothing that can be
    /// played.
    pub levels_assumed: u64,
    /// Compound RTCP packets sent to speakers.
    pub feedback: u64,
    /// Frames sent down the trees.
    pub frames: u64,
    /// Packets sent to speakers.
    pub egress_packets: u64,
    /// Bytes of them, as UDP payload.
    pub egress_bytes: u64,
    /// Speakers refused because a limit was reached.
    pub refused: u64,
}
