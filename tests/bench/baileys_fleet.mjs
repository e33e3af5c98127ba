// Baileys with many sessions in one Node process, for the benchmarks: pairs them, or restores them all at once.
// `node baileys_fleet.mjs CONFIG`: a JSON file with proxy, noise_root_key and folders, one a session.
// Prints one JSON line an event; it reconnects when the server asks for it (515), as its manual says a program must.
import { readFileSync } from "node:fs";
import { HttpsProxyAgent } from "https-proxy-agent";
import makeWASocket, { DisconnectReason, useMultiFileAuthState } from "baileys";
import { WA_CERT_DETAILS } from "baileys/lib/Defaults/index.js";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(config.noise_root_key, "hex");

const say = (event, detail) => process.stdout.write(JSON.stringify({ event, ...detail }) + "\n");
const silent = () => {};
const logger = { level: "silent", trace: silent, debug: silent, info: silent, warn: silent, error: silent, fatal: silent };
logger.child = () => logger;

const start = async (folder) => {
  const { state, saveCreds } = await useMultiFileAuthState(folder);
  const socket = makeWASocket({
    auth: state, logger, version: [2, 3000, 1045649367],
    agent: new HttpsProxyAgent(config.proxy), syncFullHistory: false, markOnlineOnConnect: false,
  });
  let saved = Promise.resolve(); // one save after the other: the process is killed, and needs them whole
  const save = () => (saved = saved.then(saveCreds));
  socket.ev.on("creds.update", save);
  socket.ev.on("connection.update", async ({ connection, lastDisconnect, qr }) => {
    if (qr) say("qr", { folder, payload: qr });
    if (connection === "open") save().then(() => say("connected", { folder }));
    if (connection === "close") {
      const code = lastDisconnect?.error?.output?.statusCode;
      say("closed", { folder, code });
      if (code === DisconnectReason.restartRequired) saved.then(() => start(folder));
    }
  });
};

await Promise.all(config.folders.map(start));
