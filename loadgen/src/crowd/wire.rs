//! The sockets of a crowd: one for all who have addresses of their own, one each for the others.
//!
//! Those whose server is on loopback have one, or all where a network is this machine's. Otherwise everybody has the
//! same address towards another machine, so only a port of their own tells them apart.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::Place;
use super::socket::{BUFFER, CALL, CrowdSocket, Inbound, OWN_BUFFER};

/// Most messages of one call to a socket that only one listener has: rarely more than one has come.
const OWN_CALL: usize = 4;

/// Most sockets that are told of in one look.
const EVENTS: usize = 1_024;

/// All sockets of a crowd.
pub(super) struct Wire {
    shared: CrowdSocket,
    /// It is for everybody.
    is_routed: bool,
    /// Made with the first one that is needed.
    own: Option<Own>,
}

/// The sockets that only one listener has.
struct Own {
    poll: Poll,
    events: Events,
    sockets: HashMap<Place, CrowdSocket>,
    /// Those that may have something to read.
    ready: VecDeque<Place>,
    /// What those that are closed have dropped.
    dropped: u64,
}

/// For whom something has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing has come.
    Nothing,
    /// The addresses tell.
    ForMany,
    /// Only for this one.
    For(Place),
}

impl Wire {
    /// With the shared socket alone.
    pub(super) fn bind(is_routed: bool) -> io::Result<Self> {
        Ok(Self { shared: CrowdSocket::bind(BUFFER)?, is_routed, own: None })
    }

    /// How many bytes may wait in the shared socket.
    pub(super) fn granted(&self) -> usize {
        self.shared.granted()
    }

    /// Lets somebody reach `remote`.
    pub(super) fn open(&mut self, place: Place, remote: SocketAddrV4) -> io::Result<()> {
        if self.is_routed || remote.ip().is_loopback() {
            return Ok(());
        }
        let own = match &mut self.own {
            Some(own) => own,
            none => none.insert(Own::new()?),
        };
        own.open(place)
    }

    /// Somebody is gone.
    pub(super) fn close(&mut self, place: Place) {
        if let Some(own) = &mut self.own
            && let Some(socket) = own.sockets.remove(&place)
        {
            own.dropped += u64::from(socket.dropped());
        }
    }

    /// Sends one datagram; what the kernel does not take is lost, as on any network.
    pub(super) fn send(&self, place: Place, local: Ipv4Addr, remote: SocketAddrV4, datagram: &[u8]) {
        let own = self.own.as_ref().and_then(|own| own.sockets.get(&place));
        match own {
            Some(socket) => socket.send(Ipv4Addr::UNSPECIFIED, remote, datagram),
            None => self.shared.send(local, remote, datagram),
        };
    }

    /// Takes some of what has arrived.
    pub(super) fn receive(&mut self, inbound: &mut Inbound) -> io::Result<Came> {
        if self.shared.receive(inbound, CALL)? > 0 {
            return Ok(Came::ForMany);
        }
        self.own.as_mut().map_or(Ok(Came::Nothing), |own| own.receive(inbound))
    }

    /// Packets that the kernel dropped because they were not read in time.
    pub(super) fn dropped(&self) -> u64 {
        let own = self.own.iter().map(|own| {
            own.dropped + own.sockets.values().map(|socket| u64::from(socket.dropped())).sum::<u64>()
        });
        u64::from(self.shared.dropped()) + own.sum::<u64>()
    }
}

impl Own {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            sockets: HashMap::new(),
            ready: VecDeque::new(),
            dropped: 0,
        })
    }

    fn open(&mut self, place: Place) -> io::Result<()> {
        let socket = CrowdSocket::bind(OWN_BUFFER)?;
        let descriptor = socket.as_raw_fd();
        let (token, interest) = (Token(place.0 as usize), Interest::READABLE);
        self.poll.registry().register(&mut SourceFd(&descriptor), token, interest)?;
        self.sockets.insert(place, socket);
        Ok(())
    }

    fn receive(&mut self, inbound: &mut Inbound) -> io::Result<Came> {
        if self.ready.is_empty() {
            self.ask()?;
        }
        while let Some(&place) = self.ready.front() {
            let Some(socket) = self.sockets.get_mut(&place) else {
                self.ready.pop_front();
                continue;
            };
            // It is told of once, so it is read until there is nothing.
            if socket.receive(inbound, OWN_CALL)? > 0 {
                return Ok(Came::For(place));
            }
            self.ready.pop_front();
        }
        Ok(Came::Nothing)
    }

    fn ask(&mut self) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        self.ready.extend(self.events.iter().map(|event| Place(event.token().0 as u32)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Instant;

    use super::*;

    fn received(wire: &mut Wire, inbound: &mut Inbound) -> Came {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            match wire.receive(inbound).unwrap() {
                Came::Nothing => std::thread::yield_now(),
                came => return came,
            }
        }
        panic!("nothing came");
    }

    #[test]
    fn towards_another_machine_everybody_has_a_port_of_their_own() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(there) = server.local_addr().unwrap() else { panic!("IPv4 was asked for") };
        let mut wire = Wire::bind(false).unwrap();
        let far = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 7100);
        let (anna, ben) = (Place(1), Place(2));
        for place in [anna, ben] {
            wire.open(place, far).unwrap();
        }

        let mut inbound = Inbound::default();
        for place in [ben, anna] {
            wire.send(place, Ipv4Addr::new(127, 9, 9, 9), there, b"hello");
            let mut bytes = [0; 16];
            let (_, from) = server.recv_from(&mut bytes).unwrap();
            server.send_to(b"and back", from).unwrap();
            assert_eq!(received(&mut wire, &mut inbound), Came::For(place));
            assert_eq!(
                inbound.messages().map(|(_, bytes)| bytes.to_vec()).collect::<Vec<_>>(),
                [b"and back"]
            );
        }
        wire.close(anna);
        assert_eq!(wire.receive(&mut inbound).unwrap(), Came::Nothing);
        assert_eq!(wire.dropped(), 0);
    }
}
