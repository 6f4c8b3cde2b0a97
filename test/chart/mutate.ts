// npm run chart:mutate: deletes one thing of the chart at a time and asks every promise; `-- --only TEXT` for those
// whose name holds it. Fails when fewer than 97 % are noticed, or when one goes unnoticed that survivors.ts does not
// excuse.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { eachOf } from "../alerts/rule-files.ts";
import { Chart, CHART } from "./helm.ts";
import { mutants, type Mutant } from "./mutants.ts";
import { PROMISES } from "./promises.ts";
import { Renderer } from "./renderer.ts";
import { reasonFor } from "./survivors.ts";

const NOTICED_RATIO_MIN = 0.97;

/** The promise that was broken, "Helm" when nothing could be rendered, or undefined when nobody noticed. */
async function noticedBy(
  { file, text }: Mutant,
  order: string[],
  renderer: Renderer,
): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "switchgear-mutant-"));
  const own = join(folder, "switchgear");
  cpSync(CHART, own, { recursive: true });
  writeFileSync(join(own, file), text);
  const chart = new Chart(own, renderer);
  try {
    try {
      await chart.render();
    } catch {
      return "Helm";
    }
    // The other renderer's mutants may change the order meanwhile.
    for (const name of order.slice()) {
      const promise = PROMISES.find((one) => one.name === name);
      try {
        await promise?.check(chart);
      } catch {
        // Who noticed one thing in a file notices the next.
        order.splice(order.indexOf(name), 1);
        order.unshift(name);
        return name;
      }
    }
    return undefined;
  } finally {
    chart.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
const chosen = mutants().filter(({ id }) => id.includes(values.only));
const orders = new Map<string, string[]>();
const survived: string[] = [];
const excused: string[] = [];
let done = 0;
const startedMs = performance.now();
const renderers = Array.from({ length: availableParallelism() }, () => new Renderer());
await eachOf(chosen, renderers.length, async (mutant) => {
  const renderer = renderers.pop();
  if (renderer === undefined) throw new Error("more at once than there are renderers");
  const order = orders.get(mutant.file) ?? PROMISES.map(({ name }) => name);
  orders.set(mutant.file, order);
  if ((await noticedBy(mutant, order, renderer)) === undefined) {
    const reason = reasonFor(mutant.id);
    (reason === undefined ? survived : excused).push(mutant.id);
    console.log(
      reason === undefined ? `survived  ${mutant.id}` : `excused   ${mutant.id}  (${reason})`,
    );
  }
  renderers.push(renderer);
  done += 1;
  if (done % 20 === 0) process.stderr.write(`${done} of ${chosen.length} asked\n`);
});
for (const renderer of renderers) renderer.close();
const unnoticed = survived.length + excused.length;
const ratio = (chosen.length - unnoticed) / chosen.length;
console.log(
  `${chosen.length} deletions, ${unnoticed} unnoticed: ${(ratio * 100).toFixed(1)} % noticed, ` +
    `in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`,
);
process.exitCode = ratio >= NOTICED_RATIO_MIN && survived.length === 0 ? 0 : 1;
