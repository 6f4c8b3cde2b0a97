// The stand-in is judged too: a proof that rests on it is worth what it refuses.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startPagerDuty, type PagerDuty } from "./pagerduty.ts";

const KEY = "0123456789abcdef0123456789abcdef";

const payload = { summary: "draftkings is tripped", source: "betting", severity: "critical" };
const trigger = { routing_key: KEY, event_action: "trigger", dedup_key: "a", payload };

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function send(pager: PagerDuty, event: unknown): Promise<Answer> {
  const body = typeof event === "string" ? event : JSON.stringify(event);
  const answer = await fetch(pager.url, { method: "POST", body });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function withPager(
  body: (pager: PagerDuty, clock: { ms: number }) => Promise<void>,
): Promise<void> {
  const clock = { ms: 1000 };
  const pager = await startPagerDuty(KEY, { nowMs: () => clock.ms });
  try {
    await body(pager, clock);
  } finally {
    await pager.close();
  }
}

test("a trigger opens an incident, another adds to it, a resolve closes it", () =>
  withPager(async (pager, clock) => {
    assert.deepEqual(await send(pager, trigger), {
      status: 202,
      body: { status: "success", message: "Event processed", dedup_key: "a" },
    });
    clock.ms = 2000;
    await send(pager, trigger);
    await send(pager, { ...trigger, dedup_key: "b" });
    clock.ms = 3000;
    await send(pager, { routing_key: KEY, event_action: "resolve", dedup_key: "a" });

    const shown = pager
      .incidents()
      .map(({ key, openedAtMs, resolvedAtMs, triggers }) => [
        key,
        openedAtMs,
        resolvedAtMs,
        triggers.length,
      ]);
    assert.deepEqual(shown, [
      ["a", 1000, 3000, 2],
      ["b", 2000, undefined, 1],
    ]);
  }));

test("a trigger after the resolve is a new incident, and a resolve of nothing is none", () =>
  withPager(async (pager) => {
    const resolve = { ...trigger, event_action: "resolve" };
    assert.equal((await send(pager, resolve)).status, 202);
    assert.equal(pager.incidents().length, 0);

    await send(pager, trigger);
    await send(pager, resolve);
    await send(pager, trigger);

    assert.deepEqual(
      pager.incidents().map(({ resolvedAtMs }) => resolvedAtMs !== undefined),
      [true, false],
    );
  }));

test("an acknowledge neither opens nor closes", () =>
  withPager(async (pager) => {
    await send(pager, trigger);
    const acknowledge = { routing_key: KEY, event_action: "acknowledge", dedup_key: "a" };
    assert.equal((await send(pager, acknowledge)).status, 202);
    assert.equal((await send(pager, { ...acknowledge, dedup_key: "other" })).status, 202);

    const [incident, ...others] = pager.incidents();
    assert.equal(incident?.resolvedAtMs, undefined);
    assert.equal(incident?.triggers.length, 1);
    assert.equal(others.length, 0);
  }));

test("an event that PagerDuty would not understand is refused with its faults, and opens nothing", () =>
  withPager(async (pager) => {
    const long = (length: number): object => ({ ...payload, summary: "é".repeat(length) });
    const bad: readonly (readonly [unknown, RegExp])[] = [
      ["{", /not JSON/],
      [{ ...trigger, routing_key: "short" }, /'routing_key' is incorrect/],
      [{ ...trigger, routing_key: `${KEY.slice(1)}-` }, /non-alphanumeric/],
      [{ ...trigger, event_action: "shout" }, /event_action/],
      [{ ...trigger, payload: undefined }, /'payload' is missing/],
      [{ routing_key: KEY, event_action: "resolve" }, /'dedup_key' is missing/],
      [{ ...trigger, dedup_key: "k".repeat(256) }, /dedup_key/],
      [{ ...trigger, payload: { ...payload, severity: "none" } }, /payload\.severity/],
      [{ ...trigger, payload: { ...payload, source: "" } }, /payload\.source/],
      [{ ...trigger, payload: { ...payload, summary: "" } }, /payload\.summary/],
      [{ ...trigger, payload: long(1025) }, /payload\.summary: is too long/],
      [{ ...trigger, payload: { ...payload, colour: "red" } }, /colour/],
      [{ ...trigger, runbook: "x" }, /runbook/],
      [{ ...trigger, links: [{ text: "without a href" }] }, /links\.0\.href/],
    ];
    for (const [event, fault] of bad) {
      const { status, body } = await send(pager, event);
      assert.equal(status, 400, JSON.stringify(event));
      assert.equal(body["status"], "invalid event");
      assert.match(String(body["errors"]), fault);
    }
    assert.equal(pager.incidents().length, 0);
    assert.equal(pager.deliveries().length, bad.length);
    assert.equal((await send(pager, { ...trigger, payload: long(1024) })).status, 202);
  }));

test("a key of no service is refused as PagerDuty refuses it", () =>
  withPager(async (pager) => {
    const { status, body } = await send(pager, { ...trigger, routing_key: "f".repeat(32) });

    assert.equal(status, 400);
    assert.deepEqual(body["errors"], ["Invalid routing key"]);
    assert.equal(pager.incidents().length, 0);
  }));

test("on order it refuses, once each, and keeps nothing of what it refused", () =>
  withPager(async (pager) => {
    pager.answerNext(429, 503);

    const answers = [];
    for (let n = 0; n < 3; n += 1) answers.push((await send(pager, trigger)).status);

    assert.deepEqual(answers, [429, 503, 202]);
    assert.equal(pager.incidents()[0]?.triggers.length, 1);
    assert.deepEqual(
      pager.deliveries().map(({ status }) => status),
      [429, 503, 202],
    );
  }));

test("it is nothing else: other paths, other methods, and bodies beyond the bound", () =>
  withPager(async (pager) => {
    assert.equal((await fetch(pager.url)).status, 405);
    assert.equal((await fetch(`${pager.url}/x`, { method: "POST" })).status, 404);
    assert.equal((await send(pager, "x".repeat(512_001))).status, 413);
    assert.equal(pager.deliveries().length, 0);
  }));
