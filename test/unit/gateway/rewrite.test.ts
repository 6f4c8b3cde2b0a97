import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerRewrite } from "../../../src/gateway/rewrite.ts";
import type { Destination } from "../../../src/gateway/route.ts";

function rewritten(
  flags: { readonly rewriteRedirects?: boolean; readonly rewriteCookies?: boolean },
  name: string,
  value: string,
): string | undefined {
  const upstream = { name: "dk", ...flags };
  const destination = { origin: "https://odds.example", prefix: "/v1", upstream };
  return answerRewrite(destination as unknown as Destination)?.(name, value);
}

const REDIRECTS = { rewriteRedirects: true };
const COOKIES = { rewriteCookies: true };

describe("a redirect to the upstream's own place", () => {
  for (const [value, expected] of [
    ["https://odds.example/v1/nfl?week=1", "/dk/nfl?week=1"],
    ["https://odds.example/v1", "/dk"],
    ["/v1/nfl", "/dk/nfl"],
    ["/v1#top", "/dk#top"],
    ["/v2/nfl", undefined],
    ["/v10/nfl", undefined],
    ["https://odds.example", undefined],
    ["https://odds.example.evil/v1/nfl", undefined],
    ["//odds.example/v1/nfl", undefined],
    ["nfl", undefined],
  ] as const) {
    test(`${value} becomes ${expected ?? "nothing else"}`, () => {
      assert.equal(rewritten(REDIRECTS, "location", value), expected);
      assert.equal(rewritten(REDIRECTS, "content-location", value), expected);
    });
  }

  test("to its root, where its root is what callers see", () => {
    const upstream = { name: "dk", ...REDIRECTS };
    const destination = { origin: "https://odds.example", prefix: "", upstream };
    const rewrite = answerRewrite(destination as unknown as Destination);

    assert.equal(rewrite?.("location", "https://odds.example"), "/dk/");
  });
});

describe("a cookie", () => {
  for (const [value, expected] of [
    ["id=1; Path=/v1; HttpOnly", "id=1; Path=/dk; HttpOnly"],
    ["id=1; path=/v1/bets", "id=1; Path=/dk/bets"],
    ["id=1; Path=/", "id=1; Path=/dk"],
    ["id=1; Domain=odds.example; Secure", "id=1; Secure"],
    ["id=1", "id=1"],
  ] as const) {
    test(`${value} becomes ${expected}`, () => {
      assert.equal(rewritten(COOKIES, "set-cookie", value), expected);
    });
  }
});

test("each is rewritten where it is asked for, and nothing else ever", () => {
  assert.equal(rewritten(REDIRECTS, "set-cookie", "id=1; Path=/v1"), undefined);
  assert.equal(rewritten(COOKIES, "location", "/v1/nfl"), undefined);
  assert.equal(rewritten({ ...REDIRECTS, ...COOKIES }, "link", "/v1/nfl"), undefined);
  assert.equal(rewritten({}, "location", "/v1/nfl"), undefined);
});
