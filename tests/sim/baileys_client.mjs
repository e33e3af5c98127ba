// Baileys, a client written by others in another language, as a process for the tests of the sim.
// `node baileys_client.mjs CONFIG`: JSON with proxy, noise_root_key, folder and optionally phone (pair by code).
// Prints one JSON line an event. It reconnects when the server asks for it (515), as its manual says a program must.
import { HttpsProxyAgent } from "https-proxy-agent";
import makeWASocket, { DisconnectReason, useMultiFileAuthState } from "baileys";
import { WA_CERT_DETAILS } from "baileys/lib/Defaults/index.js";

const config = JSON.parse(process.argv[2]);
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(config.noise_root_key, "hex");

const say = (event, detail = {}) => process.stdout.write(JSON.stringify({ event, ...detail }) + "\n");

const complaints = (level) => (...parts) =>
  say(level, { text: parts.map((part) => (part?.err ?? part?.error)?.message ?? (typeof part === "string" ? part : "")).join(" ").trim() });
const silent = () => {};
const logger = {
  level: "warn", child: () => logger,
  trace: silent, debug: silent, info: silent, warn: complaints("warning"), error: complaints("error"), fatal: complaints("error"),
};

const start = async () => {
  const { state, saveCreds } = await useMultiFileAuthState(config.folder);
  const socket = makeWASocket({
    auth: state, logger, version: [2, 3000, 1045649367],
    agent: new HttpsProxyAgent(config.proxy), syncFullHistory: false, markOnlineOnConnect: false,
  });
  let asked = false;
  let saved = Promise.resolve(); // one save after the other: the process is killed after "connected", and needs them whole
  const save = () => (saved = saved.then(saveCreds));
  socket.ev.on("creds.update", save);
  socket.ev.on("connection.update", async ({ connection, lastDisconnect, qr }) => {
    if (qr && config.phone && !asked) {
      asked = true;
      say("code", { code: await socket.requestPairingCode(config.phone) });
    } else if (qr) {
      say("qr", { payload: qr });
    }
    if (connection === "open") save().then(() => say("connected"));
    if (connection === "close") {
      const code = lastDisconnect?.error?.output?.statusCode;
      say("closed", { code });
      if (code === DisconnectReason.restartRequired) saved.then(start);
    }
  });
};

await start();
say("starting");
