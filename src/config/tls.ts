// The certificates that a configuration names: read at the start and at each reload, with everything that
// is wrong said before a call meets it. A private key is held as a secret.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFailure, readFileBounded } from "./read-file.ts";
import { Secret } from "./secret.ts";
import type { UpstreamConfig } from "./schema.ts";

export interface UpstreamCertificates {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: Secret | undefined;
}

/** A system's whole list of authorities takes about a quarter of this. */
const PEM_BYTES_MAX = 1024 ** 2;

type Report = (path: readonly string[], message: string) => void;

/** Undefined for what cannot be used, after it was reported. */
export function readCertificates(
  { caFile, certFile, keyFile }: UpstreamConfig["tls"],
  report: Report,
): UpstreamCertificates {
  const cert = readPem("certFile", certFile, report, (pem) => void new X509Certificate(pem));
  const key = readPem("keyFile", keyFile, report, (pem) => void createPrivateKey(pem));
  if (cert !== undefined && key !== undefined && !belongTogether(cert, key)) {
    report(["tls", "keyFile"], "it is not the key of certFile");
  }
  return {
    ca: readPem("caFile", caFile, report, (pem) => void new X509Certificate(pem)),
    cert,
    key: key === undefined ? undefined : new Secret(key),
  };
}

function belongTogether(cert: string, key: string): boolean {
  return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
}

function readPem(
  option: string,
  path: string | undefined,
  report: Report,
  check: (pem: string) => void,
): string | undefined {
  if (path === undefined) return undefined;
  let bytes: Buffer | undefined;
  try {
    bytes = readFileBounded(path, PEM_BYTES_MAX);
  } catch (error) {
    report(["tls", option], `${JSON.stringify(path)} cannot be read: ${readFailure(error)}`);
    return undefined;
  }
  if (bytes === undefined) {
    report(["tls", option], `${JSON.stringify(path)} is too long to be a PEM file`);
    return undefined;
  }
  const pem = bytes.toString("latin1");
  try {
    check(pem);
    return pem;
  } catch {
    // What the parser says may repeat what it read.
    const what = option === "keyFile" ? "private key without a passphrase" : "certificate";
    report(["tls", option], `${JSON.stringify(path)} holds no PEM ${what}`);
    return undefined;
  }
}
