//! What all connections share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use tokio::sync::{broadcast, watch};
use websocket_proto::{OriginPolicy, PreparedMessage};

use crate::page::Page;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) origins: OriginPolicy,
    /// What was said in the room. A member whose task is late by more than 64 messages misses the oldest.
    pub(crate) said: broadcast::Sender<PreparedMessage>,
    /// Whether all connections shall close. Each has a receiver.
    pub(crate) closes: watch::Sender<bool>,
    /// The pages that watch, by the name that each has chosen for itself.
    pub(crate) pages: RefCell<HashMap<String, Weak<Page>>>,
    /// What is told about each member of the room.
    pub(crate) members: RefCell<BTreeMap<u32, String>>,
    /// The number of the latest connection.
    pub(crate) last_number: Cell<u32>,
}

impl Server {
    pub(crate) fn new(address: SocketAddr) -> Result<Rc<Server>> {
        let (own, port) = (address.to_string(), address.port());
        let hosts = [own, format!("localhost:{port}"), format!("127.0.0.1:{port}")];
        let origins = OriginPolicy::new(hosts.map(|host| format!("http://{host}")));
        Ok(Rc::new(Server {
            address,
            // Programs send no Origin. Only browsers can be abused by a foreign page, and they send it.
            origins: origins.map_err(Error::other)?.allow_missing(true),
            said: broadcast::Sender::new(64),
            closes: watch::Sender::new(false),
            pages: RefCell::default(),
            members: RefCell::default(),
            last_number: Cell::default(),
        }))
    }

    /// The number of connections, the memory in KiB, and a line for each member of the room.
    pub(crate) fn news(self: &Rc<Self>) -> String {
        let connections = Rc::strong_count(self) - 1; // the loop that accepts holds the server too
        // Only Linux has this file.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let mut news = format!("{connections}\t{}", memory.unwrap_or_default().trim());
        for (number, member) in self.members.borrow().iter() {
            news += &format!("\n{number}\t{member}");
        }
        news
    }
}
