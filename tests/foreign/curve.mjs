// Curve25519 as libsignal has it: 32-byte public keys here, 33 bytes (a type byte in front) there.
// Baileys' own `Curve.verify` is not used: it waits for an exception, and libsignal 6 answers with false.

import libsignal from "libsignal/src/curve.js";
import { Curve } from "baileys/lib/Utils/crypto.js";

export const keyPair = Curve.generateKeyPair;
export const agree = (own, theirs) => Curve.sharedKey(own.private, Buffer.from(theirs));
export const sign = Curve.sign;

export function verify(publicKey, message, signature) {
  const typed = Buffer.concat([Buffer.from([5]), publicKey]);
  return signature?.length === 64 && libsignal.verifySignature(typed, message, Buffer.from(signature)) === true;
}
