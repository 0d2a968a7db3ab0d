// Echo server on Bun, as its documentation shows. Usage: bun bun.js PORT
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response(null, { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    // The default, 1 MiB, is reached by 16 messages of 64 KiB with their headers. Beyond it messages are dropped.
    backpressureLimit: 64 << 20,
    message(ws, message) {
      ws.send(message);
    },
  },
});
