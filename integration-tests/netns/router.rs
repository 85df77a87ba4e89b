//! What joins all hosts: takes packets from the device of one and gives them to that of another, later or not at all.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Instant,
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::mpsc;
use tun_rs::AsyncDevice;

use super::link::{Lane, Link};

/// Packets that are on their way to one host; what is more is lost, as in any router.
const QUEUE: usize = 8_192;
/// Bytes of one packet: more than the devices take.
const PACKET_BYTES: usize = 2_048;

/// Hands packets on, until it is dropped.
pub(crate) struct Router {
    hosts: Arc<Mutex<BTreeMap<Ipv4Addr, Port>>>,
    seed: u64,
}

/// A host as the router sees it.
struct Port {
    link: Link,
    to_router: Lane,
    to_host: Lane,
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
}

impl Router {
    pub(crate) fn new(seed: u64) -> Self {
        Self { hosts: Arc::default(), seed }
    }

    /// Adds a host; within a runtime.
    pub(crate) fn connect(&self, address: Ipv4Addr, device: AsyncDevice, link: Link) {
        let (queue, queued) = mpsc::channel(QUEUE);
        let port = Port { link, to_router: Lane::default(), to_host: Lane::default(), queue };
        self.hosts.lock().unwrap().insert(address, port);
        let device = Arc::new(device);
        tokio::spawn(deliver(device.clone(), queued));
        let rng = StdRng::seed_from_u64(self.seed ^ u64::from(u32::from(address)));
        tokio::spawn(forward(device, address, self.hosts.clone(), rng));
    }

    /// Changes a link.
    pub(crate) fn set(&self, address: Ipv4Addr, change: impl FnOnce(&mut Link)) {
        let mut hosts = self.hosts.lock().unwrap();
        change(&mut hosts.get_mut(&address).expect("a host that was connected").link);
    }
}

/// Takes what a host sends.
async fn forward(
    device: Arc<AsyncDevice>,
    from: Ipv4Addr,
    hosts: Arc<Mutex<BTreeMap<Ipv4Addr, Port>>>,
    mut rng: StdRng,
) {
    let mut buffer = [0; PACKET_BYTES];
    // A device that is gone ends it.
    while let Ok(length) = device.recv(&mut buffer).await {
        let packet = &buffer[..length];
        let Some(to) = destination(packet) else { continue };
        let now = Instant::now();
        let mut hosts = hosts.lock().unwrap();
        let sender = hosts.get_mut(&from).expect("a host that was connected");
        let (link, lane) = (sender.link.clone(), &mut sender.to_router);
        let Some(arrives) = lane.pass(&link, length, now, &mut rng) else { continue };
        let receivers =
            hosts.iter_mut().filter(|(address, _)| **address != from && (to == **address || to.is_multicast()));
        for (_, port) in receivers.filter(|(_, port)| port.link.side == link.side) {
            if let Some(arrives) = port.to_host.pass(&port.link, length, arrives, &mut rng) {
                // A full queue loses it.
                let _ = port.queue.try_send((arrives, packet.to_vec()));
            }
        }
    }
}

/// Where an IPv4 packet goes; nothing else is carried.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (packet[0] >> 4 == 4).then(|| octets.into())
}

/// Gives a host what has arrived, in the order in which it does.
async fn deliver(device: Arc<AsyncDevice>, mut queued: mpsc::Receiver<(Instant, Vec<u8>)>) {
    let mut under_way = BinaryHeap::new();
    let mut number = 0_u64;
    loop {
        let next: Option<Instant> = under_way.peek().map(|Reverse((arrives, _, _))| *arrives);
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            packet = queued.recv() => {
                let Some((arrives, packet)) = packet else { return };
                number += 1;
                under_way.push(Reverse((arrives, number, packet)));
            }
            () = due => {
                let Some(Reverse((_, _, packet))) = under_way.pop() else { continue };
                // A device that is down loses it.
                let _ = device.send(&packet).await;
            }
        }
    }
}
