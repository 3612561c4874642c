//! The SDP adapter for WHIP and WHEP.
