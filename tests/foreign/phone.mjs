// What a phone does: it knows its account's identity key and vouches for companions with it.

import { randomBytes } from "node:crypto";
import { proto } from "baileys/WAProto/index.js";
import {
  aesDecryptCTR, aesDecryptGCM, aesEncryptCTR, derivePairingCodeKey, hkdf, hmacSign,
} from "baileys/lib/Utils/crypto.js";
import { agree, keyPair, sign, verify } from "./curve.mjs";

const QR = "https://wa.me/settings/linked_devices#";
const ACCOUNT_SIGNS = Buffer.from([6, 0]);
const DEVICE_SIGNS = Buffer.from([6, 1]);

// What stands in a QR code.
export function readQr(payload) {
  if (!payload.startsWith(QR)) throw new Error("not a QR code for linking a device");
  const [ref, ...parts] = payload.slice(QR.length).split(",");
  const [noise, identity, advSecret] = parts.map((part) => Buffer.from(part, "base64"));
  return { ref, noise, identity, advSecret };
}

export class Phone {
  constructor(number, lid) {
    this.number = number;
    this.lid = lid;
    this.identity = keyPair();
    this.rawId = randomBytes(4).readUInt32BE();
    this.linked = 0;
    this.devices = new Map();
  }

  // A statement that the companion belongs to the account, and a check of the companion's signature under it.
  vouch(companionIdentity, advSecret) {
    const device = ++this.linked;
    const timestamp = Math.floor(Date.now() / 1000);
    const details = Buffer.from(
      proto.ADVDeviceIdentity.encode({ rawId: this.rawId, timestamp, keyIndex: device }).finish(),
    );
    const signed = Buffer.from(
      proto.ADVSignedDeviceIdentity.encode({
        details,
        accountSignatureKey: this.identity.public,
        accountSignature: sign(this.identity.private, Buffer.concat([ACCOUNT_SIGNS, details, companionIdentity])),
      }).finish(),
    );
    const statement = proto.ADVSignedDeviceIdentityHMAC.encode({
      details: signed,
      hmac: hmacSign(signed, advSecret),
    }).finish();
    const agreed = Buffer.concat([DEVICE_SIGNS, details, companionIdentity, this.identity.public]);
    const confirms = (reply) => {
      const back = proto.ADVSignedDeviceIdentity.decode(reply);
      return details.equals(back.details) && verify(companionIdentity, agreed, back.deviceSignature);
    };
    return { device, statement: Buffer.from(statement), confirms };
  }
}

// A public key wrapped with a pairing code: 32 bytes of salt, 16 of IV, and the key under AES-CTR.
async function wrapping(code, salt) {
  return derivePairingCodeKey(code.replaceAll("-", "").toUpperCase(), salt);
}

async function unwrap(code, wrapped) {
  return aesDecryptCTR(wrapped.subarray(48), await wrapping(code, wrapped.subarray(0, 32)), wrapped.subarray(32, 48));
}

async function wrap(code, publicKey) {
  const [salt, iv] = [randomBytes(32), randomBytes(16)];
  return Buffer.concat([salt, iv, aesEncryptCTR(publicKey, await wrapping(code, salt), iv)]);
}

// A code that somebody types on a phone. What is wrapped opens with any code; only the key bundle tells a wrong one.
export class TypedCode {
  static async of(phone, code, wrappedCompanion) {
    const typed = new TypedCode();
    typed.phone = phone;
    typed.ephemeral = keyPair();
    typed.shared = agree(typed.ephemeral, await unwrap(code, wrappedCompanion));
    typed.wrapped = await wrap(code, typed.ephemeral.public);
    return typed;
  }

  // The secret that only companion and phone know, out of the bundle the companion sent.
  secret(bundle, companionIdentity) {
    const key = hkdf(this.shared, 32, {
      salt: bundle.subarray(0, 32), info: "link_code_pairing_key_bundle_encryption_key",
    });
    let opened;
    try {
      opened = aesDecryptGCM(bundle.subarray(44), key, bundle.subarray(32, 44), Buffer.alloc(0));
    } catch {
      throw new Error("the code is wrong");
    }
    const expected = Buffer.concat([companionIdentity, this.phone.identity.public]);
    if (!opened.subarray(0, 64).equals(expected)) throw new Error("the key bundle names other identities");
    const parts = [this.shared, agree(this.phone.identity, companionIdentity), opened.subarray(64, 96)];
    return Buffer.from(hkdf(Buffer.concat(parts), 32, { info: "adv_secret" }));
  }
}
