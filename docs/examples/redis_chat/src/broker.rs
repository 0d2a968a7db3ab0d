//! The rooms of this process, and its one connection to Redis, over which it publishes and subscribes.
//!
//! The connection is made again whenever it is lost. Clients do not notice, except that nothing is published meanwhile.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisResult, Value,
};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::sleep;
use websocket_proto::PreparedMessage;

/// The time that Redis has to accept a connection, and to answer a command.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a silent Redis is asked whether it still answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before the next attempt to connect doubles from the first of these to the second.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];
/// Messages of a room that may wait for its slowest client. A client that is further behind is disconnected. Redis
/// delivers what several processes have said in one batch, before any client is served. With the longest messages they
/// take 16 MiB.
const MAX_LAG: usize = 1024;

pub struct Broker {
    client: Client,
    /// The rooms that have clients in this process. A new room, or an empty one, wakes the task that subscribes.
    rooms: watch::Sender<HashMap<String, broadcast::Sender<PreparedMessage>>>,
    /// `None` while Redis is away. It is set when all rooms are subscribed.
    connection: watch::Sender<Option<MultiplexedConnection>>,
}

impl Broker {
    /// `url` is that of Redis, such as `redis://127.0.0.1:6379`.
    pub fn new(url: &str) -> RedisResult<Broker> {
        // With RESP3 a connection that has subscribed can publish, too.
        let info = url.into_connection_info()?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(Broker {
            client: Client::open(info.set_redis_settings(settings))?,
            rooms: watch::Sender::default(),
            connection: watch::Sender::default(),
        })
    }

    /// Enters a room, and returns its messages from now on. Call [`leave`](Broker::leave) when the receiver is dropped.
    pub fn join(&self, room: &str) -> broadcast::Receiver<PreparedMessage> {
        let mut messages = None;
        self.rooms.send_if_modified(|rooms| {
            let known = rooms.get(room).map(broadcast::Sender::subscribe);
            let is_new = known.is_none();
            messages = Some(known.unwrap_or_else(|| {
                let (sender, receiver) = broadcast::channel(MAX_LAG);
                rooms.insert(room.to_owned(), sender);
                receiver
            }));
            is_new
        });
        messages.expect("the closure was called")
    }

    /// Forgets the room if no client of this process is left in it.
    pub fn leave(&self, room: &str) {
        self.rooms.send_if_modified(|rooms| {
            let is_empty = rooms.get(room).is_some_and(|room| room.receiver_count() == 0);
            is_empty && rooms.remove(room).is_some()
        });
    }

    /// Says `text` in a room, in all processes. It returns when Redis has sent it on.
    ///
    /// An error means that Redis is away, or did not answer in time. It may have sent the text on nevertheless, so
    /// this does not try again: no client gets a text twice.
    pub async fn publish(&self, room: &str, text: &str) -> Result<(), &'static str> {
        let connection = self.connection.borrow().clone();
        let mut connection = connection.ok_or("not sent: the broker is away")?;
        let mut publish = redis::cmd("PUBLISH");
        let published = publish.arg(room).arg(text).query_async::<usize>(&mut connection);
        published.await.map(|_| ()).map_err(|_| "perhaps not sent: the broker did not answer")
    }

    /// Keeps the connection to Redis, for as long as the process runs.
    pub async fn run(self: Arc<Broker>) -> Infallible {
        let [first, longest] = BACKOFF;
        let mut pause = first;
        loop {
            let is_current = Arc::new(AtomicBool::new(true));
            let error = self.clone().session(is_current.clone()).await.unwrap_err();
            // A connection that is slow, not lost, may still receive. The next one receives the same messages.
            is_current.store(false, Ordering::Relaxed);
            if self.connection.send_replace(None).is_some() {
                pause = first;
            }
            eprintln!("no connection to Redis: {error}");
            // Processes that have lost the same Redis do not come back all at once.
            sleep(pause.mul_f64(0.5 + random_fraction() / 2.0)).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Connects once, subscribes to the rooms as they change, and returns how the connection was lost.
    async fn session(self: Arc<Broker>, is_current: Arc<AtomicBool>) -> RedisResult<Infallible> {
        let lost = Arc::new(Notify::new());
        let (broker, loses) = (self.clone(), lost.clone());
        let receive = move |push: PushInfo| {
            match push.kind {
                PushKind::Message if is_current.load(Ordering::Relaxed) => {
                    broker.deliver(&push.data)
                }
                PushKind::Disconnection => loses.notify_one(),
                _ => {}
            }
            Ok::<(), Infallible>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(receive);
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut rooms = self.rooms.subscribe();
        let mut subscribed = HashSet::new();
        loop {
            // Changes that come while Redis answers are taken together in the next turn.
            let wanted: HashSet<String> = rooms.borrow_and_update().keys().cloned().collect();
            let new: Vec<&String> = wanted.difference(&subscribed).collect();
            if !new.is_empty() {
                connection.subscribe(new).await?;
            }
            let empty: Vec<&String> = subscribed.difference(&wanted).collect();
            if !empty.is_empty() {
                connection.unsubscribe(empty).await?;
            }
            subscribed = wanted;
            if self.connection.borrow().is_none() {
                println!("connected to Redis, {} rooms", subscribed.len());
                self.connection.send_replace(Some(connection.clone()));
            }
            tokio::select! {
                _ = rooms.changed() => {}
                () = lost.notified() => {
                    return Err((redis::ErrorKind::Io, "Redis has ended the connection").into());
                }
                () = sleep(CHECK_INTERVAL) => {
                    redis::cmd("PING").query_async::<String>(&mut connection).await?;
                }
            }
        }
    }

    /// Passes a message of Redis on to the clients of this process. It is encoded once for all of them.
    fn deliver(&self, data: &[Value]) {
        let [Value::BulkString(room), Value::BulkString(text)] = data else { return };
        let (Ok(room), Ok(text)) = (str::from_utf8(room), str::from_utf8(text)) else { return };
        if let Some(room) = self.rooms.borrow().get(room) {
            // It fails if the last client has just left.
            let _ = room.send(PreparedMessage::new(text));
        }
    }
}

/// From 0 to below 1. The standard library draws random keys for its hash maps.
fn random_fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1u64 << 53) as f64
}
