//! Congestion control with a floor: CUBIC decides, but never below what the audio of a link needs.
//!
//! Audio does not get smaller when the network asks; it only gets late. At 5 % loss and 200 ms a
//! controller that goes by loss would allow 27 packets a second, which is half of one voice.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, Cubic, CubicConfig};

/// Bytes in flight that are always allowed. Over 200 ms of round trip that is 10 Mbit/s, some 200
/// rooms with all voices sounding. Lower starves a busy link where the network is bad; higher and a link
/// that is really too thin fills its queue instead of losing.
const FLOOR: u64 = 256 << 10;

/// Makes floored controllers.
#[derive(Debug, Default)]
pub(crate) struct Floored {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Floored {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Floor(Box::new(Cubic::new(self.cubic.clone(), now, current_mtu))))
    }
}

struct Floor(Box<dyn Controller>);

impl Controller for Floor {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.0.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &quinn_proto::RttEstimator,
    ) {
        self.0.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest_acked: Option<u64>) {
        self.0.on_end_acks(now, in_flight, app_limited, largest_acked);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        self.0.on_congestion_event(now, sent, persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.0.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.0.window().max(FLOOR)
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.0.metrics();
        metrics.congestion_window = self.window();
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self(self.0.clone_box()))
    }

    fn initial_window(&self) -> u64 {
        self.0.initial_window().max(FLOOR)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_loss_presses_the_window_below_the_floor() {
        let now = Instant::now();
        let mut controller = Arc::new(Floored::default()).build(now, 1_200);
        for _ in 0..50 {
            controller.on_congestion_event(now, now, true, 1_200);
        }
        assert_eq!(controller.window(), FLOOR);
    }
}
