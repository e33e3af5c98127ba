// Noise XX, the answering side, and the two ciphers that come out of it.

import { proto } from "baileys/WAProto/index.js";
import { aesDecryptGCM, aesEncryptGCM, hkdf, sha256 } from "baileys/lib/Utils/crypto.js";
import { agree, keyPair } from "./curve.mjs";

const NAME = Buffer.from("Noise_XX_25519_AESGCM_SHA256\0\0\0\0");
const NOTHING = Buffer.alloc(0);

class Cipher {
  constructor(key) {
    this.key = key;
    this.counter = 0;
  }

  nonce() {
    const iv = Buffer.alloc(12);
    iv.writeUInt32BE(this.counter++, 8);
    return iv;
  }

  encrypt(plain, aad = NOTHING) {
    return aesEncryptGCM(plain, this.key, this.nonce(), aad);
  }

  decrypt(sealed, aad = NOTHING) {
    return aesDecryptGCM(Buffer.from(sealed), this.key, this.nonce(), aad);
  }
}

export class Handshake {
  constructor(header, authority) {
    this.authority = authority;
    this.hash = NAME;
    this.salt = NAME;
    this.cipher = new Cipher(NAME);
    this.authenticate(header);
  }

  authenticate(data) {
    this.hash = sha256(Buffer.concat([this.hash, data]));
  }

  expand(secret) {
    const both = Buffer.from(hkdf(secret, 64, { salt: this.salt, info: "" }));
    return [both.subarray(0, 32), both.subarray(32)];
  }

  mix(secret) {
    const [salt, key] = this.expand(secret);
    this.salt = salt;
    this.cipher = new Cipher(key);
  }

  seal(plain) {
    const sealed = this.cipher.encrypt(plain, this.hash);
    this.authenticate(sealed);
    return sealed;
  }

  open(sealed) {
    const plain = this.cipher.decrypt(sealed, this.hash);
    this.authenticate(sealed);
    return plain;
  }

  // The client's first message in, the answer to it out.
  hello(frame) {
    const { clientHello } = proto.HandshakeMessage.decode(frame);
    const { server, chain } = this.authority;
    this.ephemeral = keyPair();
    this.authenticate(clientHello.ephemeral);
    this.authenticate(this.ephemeral.public);
    this.mix(agree(this.ephemeral, clientHello.ephemeral));
    const sealedKey = this.seal(server.public);
    this.mix(agree(server, clientHello.ephemeral));
    const serverHello = { ephemeral: this.ephemeral.public, static: sealedKey, payload: this.seal(chain) };
    return proto.HandshakeMessage.encode({ serverHello }).finish();
  }

  // The client's second message in; who it is, what it wants and the ciphers of both directions out.
  finish(frame) {
    const { clientFinish } = proto.HandshakeMessage.decode(frame);
    const noiseKey = this.open(clientFinish.static);
    this.mix(agree(this.ephemeral, noiseKey));
    const payload = proto.ClientPayload.decode(this.open(clientFinish.payload));
    const [fromClient, toClient] = this.expand(NOTHING);
    return { noiseKey, payload, reader: new Cipher(fromClient), writer: new Cipher(toClient) };
  }
}
