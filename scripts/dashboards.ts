// Plays an outage on the real gateway and Prometheus, asks every query of every dashboard, and draws what they gave
// into docs/dashboards/. A minute; needs Go the first time. Grafana itself does not run.

import { Resvg } from "@resvg/resvg-js";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { svgOf, type DrawnPanel, type Frame } from "../grafana/draw/draw.ts";
import { endOnSignals } from "../loadtest/run/children.ts";
import {
  dashboards,
  filled,
  legendOf,
  JOB,
  type Dashboard,
  type Target,
} from "../test/dashboards/read.ts";
import { playOutage, RATE_INTERVAL, type Series, type Story } from "../test/dashboards/story.ts";

const FOLDER = join(resolve(import.meta.dirname, ".."), "docs/dashboards");
const CALM_MS = 12_000;

endOnSignals();

/** `+Inf` is no number to JavaScript. */
const bound = ({ name }: Frame): number => Number(name.replace("+Inf", "Infinity"));

function framesOf(results: readonly Series[], { legendFormat }: Target): Frame[] {
  const frames = results.map(({ metric, values, value }) => ({
    name: legendOf(legendFormat, metric),
    labels: metric,
    points: (values ?? (value === undefined ? [] : [value])).map(
      ([seconds, text]): [number, number] => [1000 * seconds, Number(text)],
    ),
  }));
  const isBuckets = legendFormat === "{{le}}";
  return isBuckets ? frames.toSorted((a, b) => bound(a) - bound(b)) : frames;
}

async function draw(dashboard: Dashboard, story: Story): Promise<void> {
  const frames = new Map<DrawnPanel, Frame[][]>();
  const panels = dashboard.panels as unknown as readonly DrawnPanel[];
  for (const [index, panel] of dashboard.panels.entries()) {
    const of = await Promise.all(
      (panel.targets ?? []).map(async (target) => {
        const query = filled(target.expr, dashboard, { rateInterval: RATE_INTERVAL, chosen: JOB });
        // While it pages: at the end there is nothing to see.
        const { data } = await (target.instant === true
          ? story.instant(query, story.at.reset - 0.3)
          : story.range(query));
        return framesOf(data.result, target);
      }),
    );
    const drawn = panels[index];
    if (drawn !== undefined) frames.set(drawn, of);
  }
  const svg = svgOf({
    title: dashboard.title,
    panels,
    frames,
    fromMs: 1000 * story.at.begin,
    toMs: 1000 * story.at.end,
  });
  const png = new Resvg(svg, { font: { loadSystemFonts: true } }).render().asPng();
  writeFileSync(join(FOLDER, `${dashboard.uid}.png`), png);
}

mkdirSync(FOLDER, { recursive: true });
const story = await playOutage({ calmMs: CALM_MS });
try {
  for (const dashboard of dashboards()) await draw(dashboard, story);
} finally {
  await story.stop();
}
