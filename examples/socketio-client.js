// The documented calls of the Socket.IO streams, from Node. Needs: npm install socket.io-client@^4.5.4
//
//   SOCKET_URL=http://localhost:8002 SYMBOL=NIFTY node socketio-client.js

const { io } = require("socket.io-client");

const SOCKET_URL = process.env.SOCKET_URL || "http://localhost:8002";
const SYMBOL = process.env.SYMBOL || "NIFTY";
const auth = process.env.DATA_FETCH_TOKEN ? { token: process.env.DATA_FETCH_TOKEN } : {};
const socket = io(SOCKET_URL, { auth });

socket.on("connect", () => {
  socket.emit("subscribe", { type: "product", symbol: SYMBOL });
  socket.emit("subscribe", { type: "chain", symbol: SYMBOL });
  socket.emit("get_products");
});
socket.on("connected", (data) => console.log(`connected as ${data.client_id}, in ${data.rooms.join(", ")}`));
socket.on("subscribed", (data) => console.log(`subscribed to ${data.room}`));
socket.on("products", (data) => console.log(`products: ${data.products.join(", ")}`));
socket.on("underlying_update", (data) => console.log(`price: ${data.product} ${data.price}`));
socket.on("chain_summary", (data) => {
  console.log(
    `summary: ${data.product} ${data.expiry} spot ${data.spot_price}` +
    ` PCR ${data.pcr_oi.toFixed(4)} (volume ${data.pcr_volume.toFixed(4)})` +
    ` straddle ${data.atm_straddle_price.toFixed(2)} at ${new Date(data.timestamp).toISOString()}`);
});
socket.on("chain_status", (data) =>
  console.log(`status: ${data.product} ${data.expiry}: ${data.reasons.map((each) => each.code).join(", ")}`));
socket.on("chain_update", (data) =>
  console.log(
    `chain: ${data.product} ${data.expiry} ${data.strikes.length} strikes, max pain ${data.max_pain_strike},` +
    ` OI ${data.total_call_oi} / ${data.total_put_oi}`));
socket.on("heartbeat", (data) => console.log(`heartbeat: market ${data.market}`));
socket.on("error", (data) => console.log(`error: ${data.message}`));
socket.on("connect_error", (problem) => console.log(`not connected: ${problem.message}`));
