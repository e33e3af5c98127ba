// Who the clients trust: a certificate authority for TLS and a root key for Noise, both made on the spot.

import forge from "node-forge";
import { proto } from "baileys/WAProto/index.js";
import { keyPair, sign } from "./curve.mjs";

const DAY = 24 * 60 * 60;

function certificate(subject, issuer, publicKey, signingKey, serial, extensions) {
  const made = forge.pki.createCertificate();
  made.publicKey = publicKey;
  made.serialNumber = serial;
  made.validity.notBefore = new Date(Date.now() - DAY * 1000);
  made.validity.notAfter = new Date(Date.now() + 30 * DAY * 1000);
  made.setSubject([{ name: "commonName", value: subject }]);
  made.setIssuer([{ name: "commonName", value: issuer }]);
  made.setExtensions(extensions);
  made.sign(signingKey, forge.md.sha256.create());
  return forge.pki.certificateToPem(made);
}

// A certificate authority that nobody has seen before, and a leaf for one host.
export function tlsAuthority(host) {
  const name = "Foreign loopback CA";
  const ca = forge.pki.rsa.generateKeyPair(2048);
  const leaf = forge.pki.rsa.generateKeyPair(2048);
  const caCertificate = certificate(name, name, ca.publicKey, ca.privateKey, "01", [
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, critical: true },
  ]);
  const leafCertificate = certificate(host, name, leaf.publicKey, ca.privateKey, "02", [
    { name: "basicConstraints", cA: false },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", serverAuth: true },
    { name: "subjectAltName", altNames: [{ type: 2, value: host }] },
  ]);
  return { ca: caCertificate, cert: leafCertificate, key: forge.pki.privateKeyToPem(leaf.privateKey) };
}

// The server's Noise key and the chain that leads from it to the root: root signs intermediate, intermediate signs leaf.
export function noiseAuthority() {
  const [root, intermediate, server] = [keyPair(), keyPair(), keyPair()];
  const now = Math.floor(Date.now() / 1000);
  const signed = (serial, issuerSerial, key, issuer) => {
    const details = proto.CertChain.NoiseCertificate.Details.encode({
      serial, issuerSerial, key, notBefore: now - DAY, notAfter: now + 30 * DAY,
    }).finish();
    return { details, signature: sign(issuer.private, Buffer.from(details)) };
  };
  const chain = proto.CertChain.encode({
    intermediate: signed(1, 0, intermediate.public, root),
    leaf: signed(2, 1, server.public, intermediate),
  }).finish();
  return { rootKey: root.public.toString("hex"), server, chain: Buffer.from(chain) };
}
