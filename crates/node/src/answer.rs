//! What a client is told about a peer that a plane has made.

use std::net::{IpAddr, SocketAddr};

use media::Credentials;
use media::dtls::Certificate;
use protocol::session::{Candidate, CandidateProtocol, Fingerprint};
use protocol::{Answer, Offer, VoiceId};
use transport::ShardHandle;

use crate::Config;

/// How clients reach a node.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Of the node's certificate.
    pub fingerprint: Fingerprint,
    /// Addresses, best first.
    pub ips: Vec<IpAddr>,
    /// Where each shard is bound.
    pub shards: Vec<SocketAddr>,
}

impl Reach {
    /// Of a node with such shards.
    pub fn new<C>(config: &Config, certificate: &Certificate, shards: &[ShardHandle<C>]) -> Self {
        Self {
            fingerprint: certificate.fingerprint(),
            ips: config.media_ips.clone(),
            shards: shards.iter().map(ShardHandle::local_addr).collect(),
        }
    }

    /// Where clients reach its first shard.
    pub(crate) fn first(&self) -> impl Iterator<Item = SocketAddr> {
        let port = self.shards.first().map(SocketAddr::port);
        self.ips.iter().filter_map(move |&ip| Some(SocketAddr::new(ip, port?)))
    }

    /// The answer to `offer` for a peer on `shard`. RED is taken where it is offered by somebody who
    /// `speaks`.
    pub(crate) fn answer(
        &self,
        shard: usize,
        credentials: Credentials,
        offer: &Offer,
        speaks: bool,
    ) -> Answer {
        let port = self.shards[shard].port();
        let candidate = |&ip: &IpAddr| Candidate { protocol: CandidateProtocol::Udp, ip, port };
        Answer {
            ufrag: credentials.ufrag,
            pwd: credentials.pwd,
            fingerprint: self.fingerprint,
            candidates: self.ips.iter().map(candidate).collect(),
            ssrcs: VoiceId::all().take(offer.lines.value().into()).map(VoiceId::ssrc).collect(),
            red: speaks && offer.red.is_some(),
        }
    }
}
