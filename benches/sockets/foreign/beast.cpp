// Echo server on Boost.Beast, as its example "websocket/server/async": callbacks, here on one thread. Beast checks UTF-8.
//
// Usage: beast PORT

// The context runs on one thread, so Asio needs no locks.
#define BOOST_ASIO_DISABLE_THREADS

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdlib>
#include <memory>
#include <utility>

namespace beast = boost::beast;
namespace net = boost::asio;
using tcp = net::ip::tcp;
using Error = beast::error_code;

// A context of one thread, with sockets that know its type: calls are not made through a polymorphic executor.
using Executor = net::io_context::executor_type;
using Socket = net::basic_stream_socket<tcp, Executor>;
using Acceptor = net::basic_socket_acceptor<tcp, Executor>;

class Session : public std::enable_shared_from_this<Session> {
    beast::websocket::stream<Socket> ws_;
    beast::flat_buffer buffer_;

public:
    explicit Session(Socket &&socket) : ws_(std::move(socket)) {}

    void run() {
        ws_.next_layer().set_option(tcp::no_delay(true));
        // A message is one frame.
        ws_.auto_fragment(false);
        ws_.async_accept([self = shared_from_this()](Error error) {
            if (!error) self->read();
        });
    }

private:
    void read() {
        ws_.async_read(buffer_, [self = shared_from_this()](Error error, std::size_t) {
            if (!error) self->write();
        });
    }

    void write() {
        ws_.text(ws_.got_text());
        ws_.async_write(buffer_.data(), [self = shared_from_this()](Error error, std::size_t) {
            if (error) return;
            self->buffer_.clear();
            self->read();
        });
    }
};

static void accept(Acceptor &acceptor) {
    acceptor.async_accept([&acceptor](Error error, Socket socket) {
        if (!error) std::make_shared<Session>(std::move(socket))->run();
        accept(acceptor);
    });
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    net::io_context context(1);
    auto address = net::ip::make_address_v4("127.0.0.1");
    auto port = static_cast<unsigned short>(std::atoi(argv[1]));
    Acceptor acceptor(context, tcp::endpoint(address, port));
    accept(acceptor);
    context.run();
}
