//! The drivers use nothing but the public interface of the library: here they are compiled outside of it. Whoever needs
//! another driver can copy one in the same way.
#![cfg(feature = "tokio")]
#![allow(
    dead_code,
    unreachable_pub,
    rustdoc::broken_intra_doc_links,
    reason = "it is a module of the library"
)]

// What the drivers call `crate` is this crate, which has the public interface of the library.
pub use websocket_proto::*;

#[path = "../src/drive/mod.rs"]
pub mod drive;

use ::tokio::io::duplex;
use drive::tokio::WebSocket;

#[::tokio::test]
async fn a_driver_works_outside_of_the_library() {
    let (client, server) = duplex(1000);
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let config = Config::builder().entropy(Entropy::Seed(1)).build().unwrap();
    let (client, server) = ::tokio::join!(
        WebSocket::connect(client, &request, config.clone()),
        WebSocket::accept(server, config),
    );
    let ((mut client, _), mut server) = (client.unwrap(), server.unwrap());
    client.send("Hello").await.unwrap();
    assert_eq!(server.recv().await.unwrap(), Some(Message::from("Hello")));
    let (closed, end) = ::tokio::join!(client.close(1000, ""), async {
        let end = server.recv().await;
        drop(server);
        end
    });
    assert!(closed.unwrap().is_clean() && end.unwrap().is_none());
}
