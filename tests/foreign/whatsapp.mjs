// What is said on the lines: registering, pairing by QR or code, logging in, being replaced, being unlinked.
//
// Everything is in memory and lives as long as the process, so a client may die and come back.

import { randomBytes, randomInt } from "node:crypto";
import { bytes, child, SERVER } from "./line.mjs";
import { Phone, readQr, TypedCode } from "./phone.mjs";

const REFS = 6;
const PREKEYS = "800";

const text = (value) => Buffer.from(value);

export class WhatsApp {
  constructor() {
    this.phones = new Map();
    this.registering = new Set();
    this.online = new Map();
    this.totals = { registrations: 0, logins: 0, replaced: 0, refused: 0, unlinked: 0 };
  }

  // --- what a line tells

  opened(line) {
    if (line.payload.devicePairingData) this.register(line);
    else this.login(line);
  }

  closed(line) {
    this.registering.delete(line);
    if (line.device && this.online.get(line.device) === line) this.online.delete(line.device);
    line.finished?.reject(new Error("the client has gone"));
  }

  heard(line, node) {
    if (node.tag !== "iq") return;
    const linking = child(node, "link_code_companion_reg");
    if (linking?.attrs.stage === "companion_hello") this.hello(line, node, linking);
    else if (linking?.attrs.stage === "companion_finish") {
      line.answer(node);
      line.finished?.resolve(linking);
    } else if (node.attrs.xmlns === "encrypt" && child(node, "count")) {
      line.answer(node, [{ tag: "count", attrs: { value: PREKEYS } }]);
    } else if (["get", "set"].includes(node.attrs.type)) line.answer(node);
    if (line.device && child(node, "remove-companion-device")) this.remove(line.device);
  }

  register(line) {
    this.totals.registrations += 1;
    this.registering.add(line);
    line.identity = Buffer.from(line.payload.devicePairingData.eIdent);
    line.refs = Array.from({ length: REFS }, () => `2@${randomBytes(48).toString("base64")}`);
    const refs = line.refs.map((ref) => ({ tag: "ref", attrs: {}, content: text(ref) }));
    line.ask("md", [{ tag: "pair-device", attrs: {}, content: refs }]).catch(() => {});
  }

  hello(line, iq, linking) {
    line.number = linking.attrs.jid.split("@")[0];
    line.wrapped = bytes(linking, "link_code_pairing_wrapped_companion_ephemeral_pub");
    line.linkRef = text(`3@${randomBytes(24).toString("base64")}`);
    line.answer(iq, [
      {
        tag: "link_code_companion_reg",
        attrs: { stage: "companion_hello" },
        content: [{ tag: "link_code_pairing_ref", attrs: {}, content: line.linkRef }],
      },
    ]);
  }

  login(line) {
    const number = String(line.payload.username);
    const device = this.phones.get(number)?.devices.get(line.payload.device);
    if (!device?.noiseKey.equals(line.noiseKey)) {
      this.totals.refused += 1;
      line.lastWord("failure", { reason: "401" });
      return;
    }
    const before = this.online.get(device);
    if (before) {
      this.totals.replaced += 1;
      before.lastWord("stream:error", {}, [{ tag: "conflict", attrs: { type: "replaced" } }]);
    }
    line.device = device;
    this.online.set(device, line);
    this.totals.logins += 1;
    device.logins += 1;
    line.send("success", { t: String(Math.floor(Date.now() / 1000)), lid: device.lid });
  }

  // --- what people do

  phone(number) {
    const digits = number.replace(/^\+/, "");
    if (!this.phones.has(digits)) this.phones.set(digits, new Phone(digits, String(randomInt(1e14, 2e14))));
    return this.phones.get(digits);
  }

  async scan(number, payload) {
    const qr = readQr(payload);
    const line = [...this.registering].find((each) => each.refs.includes(qr.ref));
    if (!line) throw new Error("nobody shows this QR code any more");
    if (!qr.noise.equals(line.noiseKey)) throw new Error("the QR code names another Noise key");
    if (!qr.identity.equals(line.identity)) throw new Error("the QR code names another identity");
    return this.link(line, this.phone(number), qr.advSecret);
  }

  async typeCode(number, code) {
    const phone = this.phone(number);
    const line = [...this.registering].findLast((each) => each.number === phone.number);
    if (!line) throw new Error("nobody asked this phone for a code");
    const typed = await TypedCode.of(phone, code, line.wrapped);
    const finished = new Promise((resolve, reject) => (line.finished = { resolve, reject }));
    line.send("notification", { from: SERVER, type: "link_code_companion_reg", id: randomBytes(8).toString("hex") }, [
      {
        tag: "link_code_companion_reg",
        attrs: { stage: "primary_hello" },
        content: [
          { tag: "link_code_pairing_ref", attrs: {}, content: line.linkRef },
          { tag: "link_code_pairing_wrapped_primary_ephemeral_pub", attrs: {}, content: typed.wrapped },
          { tag: "primary_identity_pub", attrs: {}, content: phone.identity.public },
        ],
      },
    ]);
    const reply = await finished;
    if (!bytes(reply, "link_code_pairing_ref").equals(line.linkRef)) throw new Error("the client answers another ref");
    const secret = typed.secret(bytes(reply, "link_code_pairing_wrapped_key_bundle"), line.identity);
    return this.link(line, phone, secret);
  }

  async link(line, phone, advSecret) {
    this.registering.delete(line);
    const { device, statement, confirms } = phone.vouch(line.identity, advSecret);
    const lid = `${phone.lid}:${device}@lid`;
    const reply = await line.ask(undefined, [
      {
        tag: "pair-success",
        attrs: {},
        content: [
          { tag: "device-identity", attrs: {}, content: statement },
          { tag: "biz", attrs: { name: "Foreign" } },
          { tag: "device", attrs: { jid: `${phone.number}:${device}@s.whatsapp.net`, lid } },
          { tag: "platform", attrs: { name: "android" } },
        ],
      },
    ]);
    const signing = child(reply, "pair-device-sign");
    if (!signing || !confirms(bytes(signing, "device-identity"))) throw new Error("the client's signature is wrong");
    phone.devices.set(device, { phone, number: device, lid, noiseKey: line.noiseKey, logins: 0 });
    line.lastWord("stream:error", { code: "515" });
    return { device };
  }

  unlink(number) {
    const devices = [...this.phone(number).devices.values()];
    for (const device of devices) this.remove(device);
    return { unlinked: devices.length };
  }

  // Also what a client that logs itself out asks for.
  remove(device) {
    device.phone.devices.delete(device.number);
    this.totals.unlinked += 1;
    const why = [{ tag: "conflict", attrs: { type: "device_removed" } }];
    this.online.get(device)?.lastWord("stream:error", { code: "401" }, why);
  }

  // A network that breaks without a word.
  drop(number) {
    const lines = [...this.phone(number).devices.values()].map((device) => this.online.get(device)).filter(Boolean);
    for (const line of lines) line.socket.terminate();
    return { dropped: lines.length };
  }

  status() {
    const known = [...this.phones.values()].flatMap((phone) => [...phone.devices.values()]);
    const devices = known.map(({ phone, number, logins }) => ({ number: phone.number, device: number, logins }));
    return { ...this.totals, online: this.online.size, registering: this.registering.size, devices };
  }
}
