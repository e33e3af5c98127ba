// Baileys with somebody at the keyboard, as a process for the tests of migration.
// `node baileys_talker.mjs CONFIG`: JSON with proxy, noise_root_key, folder and group (the id of the only group there is).
// Prints one JSON line an event. Reads one JSON line a command: {"to": "jid", "text": "…"}.
import { createInterface } from "node:readline";
import { HttpsProxyAgent } from "https-proxy-agent";
import makeWASocket, { DisconnectReason, useMultiFileAuthState } from "baileys";
import { WA_CERT_DETAILS } from "baileys/lib/Defaults/index.js";

const config = JSON.parse(process.argv[2]);
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(config.noise_root_key, "hex");

const say = (event, detail = {}) => process.stdout.write(JSON.stringify({ event, ...detail }) + "\n");
const silent = () => {};
const words = (parts) => parts.map((part) => (part?.err ?? part?.error)?.stack ?? (typeof part === "string" ? part : "")).join(" ").trim();
const logger = {
  level: "warn", child: () => logger, trace: silent, debug: silent, info: silent,
  warn: (...parts) => say("warning", { text: words(parts) }), error: (...parts) => say("error", { text: words(parts) }),
  fatal: (...parts) => say("error", { text: words(parts) }),
};
console.info = console.warn = console.error = silent; // libsignal prints whole sessions

let socket;
const start = async () => {
  const { state, saveCreds } = await useMultiFileAuthState(config.folder);
  socket = makeWASocket({
    auth: state, logger, version: [2, 3000, 1045649367],
    agent: new HttpsProxyAgent(config.proxy), syncFullHistory: false, markOnlineOnConnect: false,
    cachedGroupMetadata: async (id) => ({ id, subject: "all", addressingMode: "lid", participants: config.members.map((each) => ({ id: each })) }),
  });
  let saved = Promise.resolve();
  const save = () => (saved = saved.then(saveCreds));
  socket.ev.on("creds.update", save);
  socket.ev.on("messages.upsert", ({ messages }) => {
    for (const { key, message } of messages) {
      const text = message?.conversation ?? message?.extendedTextMessage?.text;
      if (text && !key.fromMe) say("message", { text, from: key.remoteJid });
    }
  });
  socket.ev.on("connection.update", async ({ connection, lastDisconnect, qr }) => {
    if (qr) say("qr", { payload: qr });
    if (connection === "open") save().then(() => say("connected", { lid: state.creds.me.lid }));
    if (connection === "close") {
      const code = lastDisconnect?.error?.output?.statusCode;
      say("closed", { code });
      if (code === DisconnectReason.restartRequired) saved.then(start);
    }
  });
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { to, text, members } = JSON.parse(line);
  if (members) config.members = members;
  try {
    await socket.sendMessage(to, { text });
    say("sent", { text });
  } catch (error) {
    say("error", { text: error.stack });
  }
});

await start();
say("starting");
