// One client's connection: WebSocket messages in and out below, nodes above.
//
// Bytes are one stream, whatever the messages' borders: the header once, then frames of a 3-byte length and a payload.
// Two frames shake hands; every one after them is a node.

import { inflateSync } from "node:zlib";
import { setTimeout as pause } from "node:timers/promises";
import { encodeBinaryNode } from "baileys/lib/WABinary/encode.js";
import { decodeDecompressedBinaryNode } from "baileys/lib/WABinary/decode.js";
import * as dictionary from "baileys/lib/WABinary/constants.js";
import { Handshake } from "./noise.mjs";

export const SERVER = "@s.whatsapp.net";
const HEADER = Buffer.from([0x57, 0x41, 6, 3]);
// Closed at once, a client sees only a lost connection and never what was said.
const LINGER_MS = 200;

export const child = (node, tag) => (Array.isArray(node.content) ? node.content : []).find((each) => each.tag === tag);

export function bytes(node, tag) {
  const content = child(node, tag)?.content;
  if (!(content instanceof Uint8Array)) throw new Error(`no bytes in <${tag}>`);
  return Buffer.from(content);
}

export class Line {
  // `talk` has opened(line), heard(line, node) and closed(line).
  constructor(socket, authority, talk) {
    this.socket = socket;
    this.authority = authority;
    this.talk = talk;
    this.pending = Buffer.alloc(0);
    this.questions = new Map();
    this.asked = 0;
    this.ending = false;
    socket.on("message", (data) => this.receive(data));
    socket.on("error", () => socket.terminate());
    socket.on("close", () => this.gone());
  }

  receive(data) {
    if (this.ending) return;
    this.pending = Buffer.concat([this.pending, data]);
    try {
      this.consume();
    } catch (error) {
      process.stderr.write(`a line is dropped: ${error.message}\n`);
      this.socket.terminate();
    }
  }

  consume() {
    if (!this.handshake) {
      if (this.pending.length < HEADER.length) return;
      if (!this.pending.subarray(0, HEADER.length).equals(HEADER)) throw new Error("not the header of this protocol");
      this.pending = this.pending.subarray(HEADER.length);
      this.handshake = new Handshake(HEADER, this.authority);
    }
    while (!this.ending && this.pending.length >= 3) {
      const end = 3 + this.pending.readUIntBE(0, 3);
      if (this.pending.length < end) return;
      const frame = this.pending.subarray(3, end);
      this.pending = this.pending.subarray(end);
      this.frame(frame);
    }
  }

  frame(frame) {
    if (this.reader) this.node(this.reader.decrypt(frame));
    else if (!this.greeted) {
      this.greeted = true;
      this.write(this.handshake.hello(frame));
    } else {
      Object.assign(this, this.handshake.finish(frame));
      this.talk.opened(this);
    }
  }

  node(plain) {
    const body = plain[0] & 2 ? inflateSync(plain.subarray(1)) : plain.subarray(1);
    const node = decodeDecompressedBinaryNode(body, dictionary);
    const question = node.tag === "iq" && ["result", "error"].includes(node.attrs.type) && this.questions.get(node.attrs.id);
    if (!question) return this.talk.heard(this, node);
    this.questions.delete(node.attrs.id);
    if (node.attrs.type === "result") question.resolve(node);
    else question.reject(new Error("the client answered with an error"));
  }

  // One message a frame: whatsmeow does not put a frame together that comes in several.
  write(payload) {
    const length = Buffer.alloc(3);
    length.writeUIntBE(payload.length, 0, 3);
    this.socket.send(Buffer.concat([length, payload]));
  }

  send(tag, attrs, content) {
    if (!this.ending) this.write(this.writer.encrypt(encodeBinaryNode({ tag, attrs, content })));
  }

  answer(iq, content) {
    this.send("iq", { from: SERVER, type: "result", id: iq.attrs.id }, content);
  }

  // A question of the server's; the client's answer, if the line lives that long.
  ask(xmlns, content) {
    const id = `foreign-${++this.asked}`;
    const answered = new Promise((resolve, reject) => this.questions.set(id, { resolve, reject }));
    this.send("iq", { from: SERVER, type: "set", id, ...(xmlns && { xmlns }) }, content);
    return answered;
  }

  async lastWord(tag, attrs, content) {
    this.send(tag, attrs, content);
    this.ending = true;
    await pause(LINGER_MS);
    this.socket.close();
  }

  gone() {
    this.ending = true;
    for (const { reject } of this.questions.values()) reject(new Error("the client has gone"));
    this.talk.closed(this);
  }
}
