//! What was heard, in the form of `report.json`.

use serde::{Deserialize, Serialize};

use super::Percentiles;

/// Audio as it was heard. Frames are 20 ms of one voice at one listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// Frames that should have been heard.
    pub frames_expected: u64,
    /// Of these, what was heard in time.
    pub frames_received: u64,
    /// And what was not, or more than 500 ms after it was sent.
    pub frames_lost: u64,
    /// Lost of expected; none where none was expected.
    pub loss_ratio: Option<f64>,
    /// Frames heard once more.
    pub duplicates: u64,
    /// Packets that did not authenticate.
    pub undecryptable: u64,
    /// Of the lost, what came, but more than 500 ms after it was sent.
    pub frames_late: u64,
    /// Frames that no speaker sent.
    pub frames_unknown: u64,
    /// From the speaker's send to the arrival, for each frame.
    pub latency_ms: Percentiles,
    /// The longest time without a frame that was expected, for each listener.
    pub longest_gap_ms: Percentiles,
    /// Packets that arrived; at 60 ms framing a third of the frames.
    pub packets_received: u64,
    /// The same, per second of the measured time.
    pub packets_per_s: f64,
    /// UDP payload, per second of the measured time.
    pub bits_per_s: f64,
    /// Packets by how many audible frames were in them, from none (silence) on.
    pub packets_by_frames: Vec<u64>,
    /// Which framing they came in.
    pub framing_share: FramingShare,
    /// Whose sequence numbers have begun anew, after 65,536 packets at most.
    pub sequence_wraps: SequenceWraps,
}

/// Of the packets with something to hear, the share that came in each framing; none where there was none.
/// What ends a sentence may be shorter than the framing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FramingShare {
    /// Packets of one frame.
    pub ms_20: Option<f64>,
    /// Of two or three.
    pub ms_60: Option<f64>,
    /// Of more.
    pub ms_120: Option<f64>,
}

/// Streams that are past a wrap of their 16-bit sequence number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceWraps {
    /// Listeners with at least one such stream.
    pub listeners: u64,
    /// Such streams of all listeners.
    pub streams: u64,
}

/// What those listeners heard who were at one node, while they were. Somebody who changed nodes is with both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ByNode {
    /// Its name: of a media node its own, of a signaling node `url-1` and so on, in the order of `--url`.
    pub node: String,
    /// What it does: edge or signaling.
    pub role: String,
    /// Where it is; none where no metrics say so.
    pub region: Option<String>,
    /// What they heard.
    #[serde(flatten)]
    pub heard: Group,
}

/// What a part of the listeners heard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// How many were there, some of them maybe for a part of the time.
    pub listeners: u64,
    /// Frames that they should have heard meanwhile.
    pub frames_expected: u64,
    /// Of these, what was heard in time, wherever they were by then.
    pub frames_received: u64,
    /// And what was not.
    pub frames_lost: u64,
    /// Lost of expected; none where none was expected.
    pub loss_ratio: Option<f64>,
    /// The longest time without a frame that was expected, for each listener; of the gaps that began there.
    pub longest_gap_ms: Percentiles,
}
