// A WhatsApp on loopback, made of other people's libraries: `node server.mjs FOLDER`.
//
// One port of 127.0.0.1 is a CONNECT proxy with one host behind it. A client's dial stays one TCP connection all the
// way: the request, 200, TLS, WebSocket, Noise, nodes. Whoever sits at stdin holds the phones:
//
//   {"do": "scan", "number": "+34…", "payload": "https://…"}      {"do": "type_code", "number": "+34…", "code": "ABCD-2345"}
//   {"do": "unlink", "number": "+34…"}      {"do": "drop", "number": "+34…"}      {"do": "status"}
//
// Each gets one line back, in order: {"ok": true, …} or {"ok": false, "error": why}. The end of stdin ends the server.

import { writeFileSync } from "node:fs";
import { createServer as createProxy } from "node:http";
import { createServer as createHost } from "node:https";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocketServer } from "ws";
import { noiseAuthority, tlsAuthority } from "./authority.mjs";
import { Line } from "./line.mjs";
import { WhatsApp } from "./whatsapp.mjs";

const HOST = "web.whatsapp.com";

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function carryOut(whatsapp, command) {
  switch (command.do) {
    case "scan": return whatsapp.scan(command.number, command.payload);
    case "type_code": return whatsapp.typeCode(command.number, command.code);
    case "unlink": return whatsapp.unlink(command.number);
    case "drop": return whatsapp.drop(command.number);
    case "status": return whatsapp.status();
    default: throw new Error("unknown command");
  }
}

const tls = tlsAuthority(HOST);
const noise = noiseAuthority();
const whatsapp = new WhatsApp();

const host = createHost({ key: tls.key, cert: tls.cert });
new WebSocketServer({ server: host, path: "/ws/chat", perMessageDeflate: false }).on(
  "connection", (socket) => new Line(socket, noise, whatsapp),
);

const proxy = createProxy((_, response) => response.writeHead(405).end());
proxy.on("connect", (request, socket, head) => {
  socket.on("error", () => socket.destroy());
  if (request.url !== `${HOST}:443`) return socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
  socket.unshift(head);
  host.emit("connection", socket);
});

proxy.listen(0, "127.0.0.1", () => {
  const caFile = join(process.argv[2], "ca.pem");
  writeFileSync(caFile, tls.ca, { mode: 0o600 });
  say({ proxy: `http://127.0.0.1:${proxy.address().port}`, ca_file: caFile, noise_root_key: noise.rootKey });
});

for await (const line of createInterface({ input: process.stdin })) {
  try {
    say({ ok: true, ...(await carryOut(whatsapp, JSON.parse(line))) });
  } catch (error) {
    say({ ok: false, error: error.message });
  }
}
process.exit(0);
