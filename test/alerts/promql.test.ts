// The readers are judged, too: expressions by Prometheus' grammar, and commands by the shell.

import assert from "node:assert/strict";
import { test } from "node:test";
import { alternatives, callsOf, patternsOf, queryOf } from "./commands.ts";
import { parseQuery, resultOf } from "./promql.ts";

test("commands are read as the shell reads them, on both courses", () => {
  const block = {
    section: "",
    tag: "",
    shows: new Map(),
    commands: String.raw`
      promtool query instant "$PROMETHEUS_URL" "a{b=\"$B\"}" || promtool query instant "$PROMETHEUS_URL" 'c'
      for one in $(kubectl get pods); do promtool query range --step 1m "$PROMETHEUS_URL" "d{e='$one'}"; done
      curl -sS "$SWITCHGEAR_URL/metrics" | grep -E "^f_(g|h)\{b=\"$B\"" | grep -c i
      if switchgear status | grep -q j; then promtool query instant "$PROMETHEUS_URL" k; fi`,
  };
  const calls = callsOf(block, ["B"]);
  assert.deepEqual(
    [...new Set(calls.map(queryOf).filter((query) => query !== undefined))],
    ['a{b="ANYTHING"}', "d{e='ANYTHING'}", "k", "c"],
  );
  assert.deepEqual(
    [...new Set(calls.flatMap(patternsOf))],
    [String.raw`^f_g\{b="[^"]*"`, String.raw`^f_h\{b="[^"]*"`, "i"],
  );
  assert.deepEqual(alternatives(String.raw`^(a|b(c|d)?)_x\{[|]|\(z`), [
    String.raw`^a_x\{[|]`,
    String.raw`^bc_x\{[|]`,
    String.raw`^bd_x\{[|]`,
    String.raw`^b_x\{[|]`,
    String.raw`\(z`,
  ]);
});

test("programs of a pipe, which start at the same time, are each read whole", () => {
  const commands = "for n in {1..200}; do a $n | b $n; done\n";
  const block = { section: "", tag: "", commands, shows: new Map() };
  const calls = callsOf(block, []).map(({ args }) => args.join(" "));
  const once = Array.from({ length: 200 }, (_, n) => [`a ${n + 1}`, `b ${n + 1}`]).flat();
  assert.deepEqual(calls.toSorted(), [...once, ...once].toSorted());
});

test("an expression is read whole: names, matchers, and what its result carries", () => {
  const labelsOf = ({ metric = "" }): Set<string> =>
    new Set(metric === "other" ? ["n"] : ["n", "b"]);
  const carried: readonly (readonly [expression: string, labels: string, faults: number])[] = [
    ["a", "__name__,b,n", 0],
    ["rate(a[5m] offset 1h)", "b,n", 0],
    ["sum by (n) (a) > 1", "n", 0],
    ["sum(a) by (n)", "n", 0],
    ["max without (b) (a)", "n", 0],
    ["sum(a)", "", 0],
    ["topk(3, a)", "__name__,b,n", 0],
    ["count by (__name__) (a)", "__name__", 0],
    ["sum by (x) (a)", "x", 1],
    ["max without (x) (a)", "b,n", 1],
    ["a / on (n) b", "n", 0],
    ["a * on (n) group_left (b) other", "b,n", 0],
    ["other * on (n) group_right (z) a", "b,n,z", 0],
    ["a / ignoring (b) other", "n", 0],
    ["a / other", "b,n", 1],
    ["a and on (x) b", "__name__,b,n", 2],
    ["a and ignoring (x, b) other", "__name__,b,n", 1],
    ["a unless b", "__name__,b,n", 0],
    ["a or other", "__name__,b,n", 0],
    ["1 - a", "b,n", 0],
    ["1 < a", "__name__,b,n", 0],
    ["(a[1h:5m]) @ end()", "__name__,b,n", 0],
    ["-a", "__name__,b,n", 0],
    ['absent(a{j="k",l=~"m"})', "j", 0],
    ["histogram_quantile(0.9, sum by (b, n) (rate(a[5m])))", "b,n", 0],
    ["vector(1)", "", 0],
  ];
  for (const [expression, labels, count] of carried) {
    const result = resultOf(parseQuery(expression), labelsOf);
    assert.equal([...(result.labels ?? [])].toSorted().join(), labels, expression);
    assert.equal(result.faults.length, count, `${expression}: ${result.faults.join("\n")}`);
  }
  assert.equal(resultOf(parseQuery("1 + scalar(a)"), labelsOf).labels, undefined);

  const { selectors } = parseQuery(
    String.raw`f{g="h\"i{j}\\", k!~'l'} or {__name__="m", n=~"o"} or {"p.q"} # {r="s"}`,
  );
  assert.deepEqual(
    selectors.map(({ metric, matchers }) => [metric, matchers.map((one) => Object.values(one))]),
    [
      [
        "f",
        [
          ["g", "=", String.raw`h"i{j}` + "\\"],
          ["k", "!~", "l"],
        ],
      ],
      ["m", [["n", "=~", "o"]]],
      ["p.q", []],
    ],
  );
  for (const bad of ["", "sum by (a", "a{b}", 'a{b="c}', "a b", "a[5x]", String.raw`a{b="\x41"}`]) {
    assert.throws(() => parseQuery(bad), SyntaxError, bad);
  }
  assert.throws(() => resultOf(parseQuery('label_join(a, "x", "-", "n")'), labelsOf), /label_join/);
});
