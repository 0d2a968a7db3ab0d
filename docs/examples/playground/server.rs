//! What all connections share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use websocket_proto::{Config, ConfigBuilder, OriginPolicy, PreparedMessage};

use crate::page::Page;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) origins: OriginPolicy,
    /// The settings of all connections. A request can change some for its own.
    pub(crate) config: ConfigBuilder,
    /// What was said in the room. A member that does not read misses all but the last messages.
    pub(crate) said: broadcast::Sender<PreparedMessage>,
    /// Whether all connections shall close. Each has a receiver.
    pub(crate) closes: watch::Sender<bool>,
    /// The pages that watch, by the name that each has chosen for itself.
    pub(crate) pages: RefCell<HashMap<String, Weak<Page>>>,
    /// What is told about each member of the room.
    pub(crate) members: RefCell<BTreeMap<u32, String>>,
    pub(crate) bots: Cell<usize>,
    pub(crate) last_number: Cell<u32>,
}

impl Server {
    pub(crate) fn new(address: SocketAddr) -> Result<Rc<Server>> {
        let hosts = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{}", address.port()));
        let hosts = hosts.into_iter().chain([address.to_string()]);
        let own = OriginPolicy::new(hosts.map(|host| format!("http://{host}")));
        Ok(Rc::new(Server {
            address,
            // Programs send no Origin. Only browsers can be abused by a foreign page, and they send it.
            origins: own.map_err(Error::other)?.allow_missing(true),
            config: Config::builder()
                .keepalive_interval(Duration::from_secs(20))
                .idle_timeout(Duration::from_secs(60)), // also for a peer that does not read
            said: broadcast::Sender::new(64),
            closes: watch::Sender::new(false),
            pages: RefCell::default(),
            members: RefCell::default(),
            bots: Cell::default(),
            last_number: Cell::default(),
        }))
    }

    /// The number of connections, the memory in KiB, and a line for each member of the room.
    pub(crate) fn news(self: &Rc<Self>) -> String {
        // Each connection and each bot holds the server, and so does the loop that accepts.
        let connections = Rc::strong_count(self) - self.bots.get() - 1;
        // Only Linux has this file.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.map_or("", |text| text.trim().trim_end_matches(" kB"));
        let members: String = self.members.borrow().values().cloned().collect();
        format!("{connections}\t{memory}\n{members}")
    }
}
