// A client of the streams that comes back by itself and misses nothing it need not miss.
//
// In a page: <script src="stream-client.js"></script>, also from a file. In Node 22 or newer:
//   node -e 'require("./stream-client.js").streamClient("ws://127.0.0.1:8002/ws", ["chain:NIFTY"], console.log)'
//
// streamClient(url, rooms, onEvent, {token}) calls onEvent(event, data) for updates, `resync`, heartbeats and
// errors; its result has close().

(function (global) {
  "use strict";

  // Heartbeats come every 5 s.
  const MUTE_MS = 12000;
  const FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 15000;

  function streamClient(url, rooms, onEvent, options = {}) {
    let socket = null, stream = null, pause = FIRST_PAUSE_MS, closed = false;
    let mute = null, again = null;
    // The number of the last update of each room.
    let seq = {};

    function connect() {
      socket = new WebSocket(url);
      const mine = socket;
      socket.onopen = () => {
        // A page cannot send headers with a WebSocket.
        if (options.token) send("authenticate", { token: options.token });
        for (const room of ["general", ...rooms]) send("subscribe", subscription(room));
        listen();
      };
      socket.onmessage = (message) => {
        const { event, data } = JSON.parse(message.data);
        listen();
        if (lost(event, data)) {
          mine.close();
          return;
        }
        note(event, data);
        pause = FIRST_PAUSE_MS;
        onEvent(event, data);
      };
      socket.onclose = () => {
        clearTimeout(mute);
        if (closed || mine !== socket) return;
        again = setTimeout(connect, pause);
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      };
    }

    function send(event, data) {
      socket.send(JSON.stringify({ event, data }));
    }

    function subscription(room) {
      const [type, symbol] = room.split(":");
      const data = { type, symbol };
      if (stream !== null && room in seq) Object.assign(data, { since: seq[room], stream });
      return data;
    }

    function note(event, data) {
      if ("stream" in data && data.stream !== stream) {
        // Numbers of another server say nothing about this one.
        stream = data.stream;
        seq = {};
      }
      if (event === "resync") delete seq[data.room];
      else if (event !== "subscribed" && "seq" in data) seq[data.room] = data.seq;
    }

    // Whether the server has sent something that did not arrive.
    function lost(event, data) {
      return event === "heartbeat" &&
        Object.entries(data.last_seq).some(([room, last]) => room in seq && last > seq[room]);
    }

    // Without heartbeats a connection is mute, even if it is open.
    function listen() {
      const mine = socket;
      clearTimeout(mute);
      mute = setTimeout(() => mine.close(), MUTE_MS);
    }

    connect();
    return {
      close() {
        closed = true;
        clearTimeout(again);
        socket.close();
      },
    };
  }

  if (typeof module !== "undefined" && module.exports) module.exports = { streamClient };
  else global.streamClient = streamClient;
})(typeof globalThis !== "undefined" ? globalThis : this);
