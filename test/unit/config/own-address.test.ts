import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { leadsTo, type Listener } from "../../../src/config/own-address.ts";

const OWN = new Set(["here", "10.0.0.5"]);

function ledTo(url: string, host: string): string | undefined {
  const listeners: readonly Listener[] = [
    { name: "gateway", host, port: 8080 },
    { name: "admin", host: "127.0.0.1", port: 9464 },
  ];
  return leadsTo(new URL(url), listeners, OWN)?.name;
}

describe("leads to ourselves", () => {
  for (const [url, host, name] of [
    ["http://127.0.0.1:8080", "127.0.0.1", "gateway"],
    ["http://localhost:9464/x", "0.0.0.0", "admin"],
    ["http://LOCALHOST.:9464", "0.0.0.0", "admin"],
    ["http://[::1]:8080", "localhost", "gateway"],
    ["http://[::ffff:127.0.0.1]:9464", "0.0.0.0", "admin"],
    ["http://[::ffff:7f00:1]:8080", "127.0.0.1", "gateway"],
    ["http://[::ffff:10.0.0.5]:8080", "0.0.0.0", "gateway"],
    ["http://10.0.0.5:8080", "::ffff:10.0.0.5", "gateway"],
    ["http://here:8080", "::", "gateway"],
    ["http://2130706433:8080", "0.0.0.0", "gateway"],
  ] as const) {
    test(`${url}, where the gateway listens on ${host}`, () => {
      assert.equal(ledTo(url, host), name);
    });
  }
});

describe("leads elsewhere", () => {
  for (const [url, host] of [
    ["http://127.0.0.1:8081", "127.0.0.1"],
    ["http://[::ffff:10.0.0.6]:8080", "0.0.0.0"],
    ["http://10.0.0.5:9464", "0.0.0.0"],
    ["http://127.0.0.2:8080", "127.0.0.1"],
    ["https://127.0.0.1:8080", "127.0.0.1"],
    ["http://odds.example:8080", "0.0.0.0"],
  ] as const) {
    test(`${url}, where the gateway listens on ${host}`, () => {
      assert.equal(ledTo(url, host), undefined);
    });
  }
});
