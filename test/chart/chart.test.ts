// The chart, held to what it promises, on the real Helm.
//
// Building Helm for the first time takes some minutes; it says so on standard error.

import { after, describe, test } from "node:test";
import { whyNoTools } from "../tools/available.ts";
import { Chart } from "./helm.ts";
import { PROMISES } from "./promises.ts";

// Helm does the work, whichever runtime asks it.
const skip = "Bun" in globalThis ? "once is enough" : whyNoTools(["helm"]);

const chart = new Chart();
after(() => chart.close());

describe("the chart", { skip, concurrency: 4 }, () => {
  for (const { name, check } of PROMISES) test(name, () => check(chart));
});
