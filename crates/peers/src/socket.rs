//! The UDP socket: no fragments, and the MTU of a path.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as Bound};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover,
    set_ipv6_mtu_discover, set_ipv6_v6only,
};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, socket_with,
};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::net::UdpSocket;

use crate::rounds::Link;

/// A socket for probes and answers.
#[derive(Debug)]
pub(crate) struct ProbeSocket {
    udp: UdpSocket,
    is_v6: bool,
}

impl ProbeSocket {
    /// Listens. `[::]` means IPv4, too, and IPv4 alone where the kernel has no IPv6.
    pub(crate) fn listen(address: SocketAddr) -> io::Result<Self> {
        let opened = match open(address) {
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                if address.is_ipv6() && address.ip().is_unspecified() =>
            {
                let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
                open(address).map(|fd| (fd, false))
            }
            opened => opened.map(|fd| (fd, address.is_ipv6())),
        };
        let (fd, is_v6) = opened?;
        Ok(Self { udp: UdpSocket::from_std(Bound::from(fd))?, is_v6 })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Waits for a packet.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.udp.recv_from(buffer).await
    }
}

fn socket(is_v6: bool) -> rustix::io::Result<OwnedFd> {
    let family = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::DGRAM, flags, None)
}

fn open(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let fd = socket(address.is_ipv6())?;
    // The kernel never sends more than the path is known to take, and refuses it instead of cutting it.
    if address.is_ipv6() {
        set_ipv6_v6only(&fd, false)?;
        set_ipv6_mtu_discover(&fd, Ipv6PathMtuDiscovery::DO)?;
    }
    set_ip_mtu_discover(&fd, Ipv4PathMtuDiscovery::DO)?;
    bind(&fd, &address)?;
    Ok(fd)
}

/// A socket that sends nothing: what the kernel knows of the way to `to`.
fn toward(to: IpAddr) -> rustix::io::Result<OwnedFd> {
    let fd = socket(to.is_ipv6())?;
    // Any port: nothing is sent.
    connect(&fd, &SocketAddr::new(to, 9))?;
    Ok(fd)
}

/// The address from which this machine sends to `to`.
pub(crate) fn source(to: IpAddr) -> Option<IpAddr> {
    let fd = toward(to.to_canonical()).ok()?;
    let source = SocketAddr::try_from(getsockname(fd).ok()?).ok()?;
    Some(source.ip())
}

impl Link for ProbeSocket {
    fn mtu(&self, to: IpAddr) -> Option<usize> {
        let to = to.to_canonical();
        let fd = toward(to).ok()?;
        let mtu = if to.is_ipv4() { ip_mtu(fd) } else { ipv6_mtu(fd) };
        usize::try_from(mtu.ok()?).ok()
    }

    fn send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        let ip = match to.ip().to_canonical() {
            IpAddr::V4(ip) if self.is_v6 => IpAddr::V6(ip.to_ipv6_mapped()),
            ip => ip,
        };
        self.udp.try_send_to(packet, SocketAddr::new(ip, to.port())).map(|_| ())
    }

    fn random(&self, bytes: &mut [u8]) {
        // It fills up to 256 bytes at once, whatever interrupts.
        for piece in bytes.chunks_mut(256) {
            getrandom(piece, GetRandomFlags::empty()).expect("Linux has getrandom since 3.17");
        }
    }
}
