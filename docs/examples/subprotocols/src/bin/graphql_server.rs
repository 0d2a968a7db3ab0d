//! A server for GraphQL over WebSocket: the subprotocol `graphql-transport-ws`, which the npm package `graphql-ws`
//! speaks: <https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md>.
//!
//! It executes two documents that it knows by heart, a query and a subscription; a real server would have a library
//! such as async-graphql or juniper execute any document. The rest is whole: all messages, many operations at a time,
//! cancellation, the close codes, and backpressure from the socket to the operations.
//!
//! `cargo run --release --bin graphql_server [ADDR]`; the default is 127.0.0.1:9001.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{Accept, Config, Shared};

const SUBPROTOCOL: &str = "graphql-transport-ws";
/// The time that a client has to send `connection_init`.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);
/// The operations of one client that may run at a time.
const MAX_OPERATIONS: usize = 100;
/// Results of one client's operations that may wait to be sent. If there are more, the operations wait.
const MAX_OUTCOMES: usize = 16;

/// What a client sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientMessage {
    ConnectionInit,
    Ping { payload: Option<Value> },
    Pong,
    Subscribe { id: String, payload: Document },
    Complete { id: String },
}

#[derive(Deserialize)]
struct Document {
    query: String,
    #[serde(default)]
    variables: Option<Value>,
}

/// Why the server closes the connection: a code of the subprotocol, and a text.
type Fault = (u16, &'static str);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".to_owned());
    let config = Config::builder()
        .max_message_bytes(64 * 1024)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        // The client has gone, or no descriptor is free.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let config = config.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(stream, config).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(stream: TcpStream, config: Shared<Config>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut is_offered = false;
    // A page cannot see the status of a refused handshake. So a client without the subprotocol is accepted, and gets a
    // close code.
    let mut ws = WebSocket::accept_with(stream, config, |request| {
        is_offered = request.subprotocols().any(|name| name == SUBPROTOCOL);
        Ok(if is_offered { Accept::new().subprotocol(SUBPROTOCOL) } else { Accept::new() })
    })
    .await?;
    let ended = match is_offered {
        true => Session::default().run(&mut ws).await?,
        false => Err((4406, "Subprotocol not acceptable")),
    };
    if let Err((code, reason)) = ended {
        ws.close(code, reason).await?;
    }
    Ok(())
}

/// One client's connection.
#[derive(Default)]
struct Session {
    is_acknowledged: bool,
    /// The operations that are not complete, by the client's identifier. At most `MAX_OPERATIONS`.
    operations: HashMap<String, Operation>,
    /// The tasks of the operations. They end with the session.
    tasks: JoinSet<()>,
    /// How many operations were begun.
    begun: u64,
}

struct Operation {
    number: u64,
    task: AbortHandle,
}

/// What an operation has to say to the client.
struct Outcome {
    id: String,
    /// Tells an operation from an earlier one with the same identifier.
    number: u64,
    /// The next result, or `None` if the operation is complete.
    data: Option<Value>,
}

impl Session {
    /// Runs until the client closes, or returns why the server is to close.
    async fn run(mut self, ws: &mut WebSocket<TcpStream>) -> Result<Result<(), Fault>, Error> {
        let deadline = Instant::now() + INIT_TIMEOUT;
        let (sender, mut outcomes) = mpsc::channel(MAX_OUTCOMES);
        loop {
            let answer = tokio::select! {
                message = ws.recv() => match message? {
                    Some(message) => self.receive(message.as_text(), &sender),
                    None => return Ok(Ok(())),
                },
                Some(outcome) = outcomes.recv() => Ok(self.pass_on(outcome)),
                () = sleep_until(deadline), if !self.is_acknowledged => {
                    Err((4408, "Connection initialisation timeout"))
                }
            };
            match answer {
                // While the client does not read, this waits, and so do the operations.
                Ok(Some(answer)) => ws.feed(answer.to_string()).await?,
                Ok(None) => {}
                Err(fault) => return Ok(Err(fault)),
            }
        }
    }

    /// Does what a message of the client asks for, and returns what is to be answered at once.
    fn receive(
        &mut self,
        text: Option<&str>,
        sender: &mpsc::Sender<Outcome>,
    ) -> Result<Option<Value>, Fault> {
        let message = text.and_then(|text| serde_json::from_str(text).ok());
        match message.ok_or((4400, "Invalid message received"))? {
            ClientMessage::ConnectionInit if self.is_acknowledged => {
                Err((4429, "Too many initialisation requests"))
            }
            ClientMessage::ConnectionInit => {
                self.is_acknowledged = true;
                Ok(Some(json!({ "type": "connection_ack" })))
            }
            ClientMessage::Ping { payload: None } => Ok(Some(json!({ "type": "pong" }))),
            ClientMessage::Ping { payload } => {
                Ok(Some(json!({ "type": "pong", "payload": payload })))
            }
            ClientMessage::Pong => Ok(None),
            ClientMessage::Subscribe { .. } if !self.is_acknowledged => Err((4401, "Unauthorized")),
            ClientMessage::Subscribe { id, .. } if self.operations.contains_key(&id) => {
                Err((4409, "Subscriber already exists"))
            }
            ClientMessage::Subscribe { id, payload } => {
                let begun = self.begin(&id, &payload, sender).err();
                Ok(begun.map(
                    |error| json!({ "type": "error", "id": id, "payload": [{ "message": error }] }),
                ))
            }
            ClientMessage::Complete { id } => {
                // It may be complete already: both messages can cross.
                if let Some(operation) = self.operations.remove(&id) {
                    operation.task.abort();
                }
                Ok(None)
            }
        }
    }

    /// Begins an operation, or returns the error that the client gets.
    fn begin(
        &mut self,
        id: &str,
        document: &Document,
        sender: &mpsc::Sender<Outcome>,
    ) -> Result<(), &'static str> {
        // Forget the tasks that have ended.
        while self.tasks.try_join_next().is_some() {}
        if self.operations.len() == MAX_OPERATIONS {
            return Err("too many operations");
        }
        let results = execute(document)?;
        self.begun += 1;
        let (id, number, sender) = (id.to_owned(), self.begun, sender.clone());
        let task = self.tasks.spawn({
            let id = id.clone();
            async move {
                for data in results.map(Some).chain([None]) {
                    // A real subscription would wait for something to happen.
                    sleep(Duration::from_millis(5)).await;
                    if sender.send(Outcome { id: id.clone(), number, data }).await.is_err() {
                        return;
                    }
                }
            }
        });
        self.operations.insert(id, Operation { number, task });
        Ok(())
    }

    /// The message for the client, unless it has cancelled the operation.
    fn pass_on(&mut self, Outcome { id, number, data }: Outcome) -> Option<Value> {
        if self.operations.get(&id).is_none_or(|operation| operation.number != number) {
            return None;
        }
        Some(match data {
            Some(data) => json!({ "type": "next", "id": id, "payload": { "data": data } }),
            None => {
                self.operations.remove(&id);
                json!({ "type": "complete", "id": id })
            }
        })
    }
}

/// The results of a document, in their order.
fn execute(document: &Document) -> Result<Box<dyn Iterator<Item = Value> + Send>, &'static str> {
    match document.query.as_str() {
        "query { greeting }" => Ok(Box::new([json!({ "greeting": "Hello" })].into_iter())),
        "subscription ($from: Int!) { countdown(from: $from) }" => {
            let from = document.variables.as_ref().and_then(|variables| variables["from"].as_u64());
            let from = from.ok_or("$from must be a positive Int")?;
            Ok(Box::new((0..=from).rev().map(|number| json!({ "countdown": number }))))
        }
        _ => Err("unknown document"),
    }
}
