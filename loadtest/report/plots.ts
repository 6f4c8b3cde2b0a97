// The plots of a report, as SVG. ECharts draws them; each is given what runs left, and no more.

import * as echarts from "echarts";
import type { EChartsOption, SeriesOption } from "echarts";
import type { RunRecord } from "../run/data.ts";
import type { Run } from "./runs.ts";
import {
  latencyOf,
  overloads,
  ratesOf,
  seriesOf,
  zeroMs,
  type Point,
  type Rates,
} from "./timeline.ts";
import { SUBJECT_NAMES } from "./verdict.ts";

/** Okabe and Ito's colours, which people tell apart who do not see red and green. */
const OUTCOMES: readonly (readonly [keyof Rates, string, string])[] = [
  ["ok", "answered well", "#009e73"],
  ["refused", "refused at once", "#e69f00"],
  ["timeouts", "timed out", "#d55e00"],
  ["errors", "failed", "#cc79a7"],
];
const SUBJECT_COLOURS: Readonly<Record<RunRecord["subject"], string>> = {
  gateway: "#0072b2",
  against: "#0072b2",
  none: "#d55e00",
  opossum: "#cc79a7",
};
const INK = "#24292f";
const FAINT = "#8c959f";
const SHADE = "rgba(140, 149, 159, 0.12)";

export interface Plot {
  readonly title: string;
  readonly svg: string;
}

const WIDTH = 980;
const MARGIN = { left: 64, right: 24 };

const LEGEND = { top: 4, icon: "roundRect", itemHeight: 8, itemGap: 36, textStyle: { color: INK } };

function draw(height: number, option: EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: "DejaVu Sans, Helvetica, Arial, sans-serif", color: INK },
    ...option,
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

interface AxisText {
  readonly name: string;
  readonly type?: "value" | "log";
  readonly max?: number;
  readonly min?: number;
}

function yAxis(gridIndex: number, { name, type = "value", max, min }: AxisText) {
  return {
    gridIndex,
    type,
    name,
    nameLocation: "middle" as const,
    nameGap: 46,
    nameTextStyle: { color: FAINT, fontSize: 11 },
    axisLabel: { color: INK, fontSize: 11 },
    splitLine: { lineStyle: { color: "#eaeef2" } },
    axisLine: { onZero: false },
    ...(max === undefined ? {} : { max }),
    ...(min === undefined ? {} : { min }),
  };
}

function xAxis(gridIndex: number, [min, max]: readonly [number, number], isLast: boolean) {
  return {
    gridIndex,
    type: "value" as const,
    min,
    max,
    name: isLast ? "seconds since the load rose" : "",
    nameLocation: "middle" as const,
    nameGap: 26,
    nameTextStyle: { color: FAINT, fontSize: 11 },
    axisLabel: { show: isLast, color: INK, fontSize: 11 },
    splitLine: { show: false },
  };
}

function extentOf(runs: readonly Run[]): [number, number] {
  let least = 0;
  let most = 1;
  for (const run of runs) {
    const points = ratesOf(run).offered;
    least = Math.min(least, points[0]?.[0] ?? 0);
    most = Math.max(most, points.at(-1)?.[0] ?? 0);
  }
  // The setup's measurements come before; what is shown begins with the calm.
  return [Math.max(least, -15), most];
}

function shaded(run: Run): SeriesOption["markArea" & keyof SeriesOption] {
  return {
    silent: true,
    itemStyle: { color: SHADE },
    data: overloads(run.record, zeroMs(run)).map(([from, to]) => [{ xAxis: from }, { xAxis: to }]),
  } as never;
}

function line(name: string, data: readonly Point[], color: string, more: object = {}) {
  return {
    type: "line" as const,
    name,
    data: data.map(([at, value]) => [at, value]),
    showSymbol: false,
    lineStyle: { color, width: 2 },
    itemStyle: { color },
    ...more,
  };
}

/** What became of each call, with and without protection, on one scale. */
export function outcomesPlot(runs: readonly Run[]): Plot {
  const extent = extentOf(runs);
  const height = 190;
  const most = Math.max(
    ...runs.flatMap((run) => ratesOf(run).offered.map(([, value]) => value ?? 0)),
  );
  const max = niceMax(most * 1.05);
  const series: SeriesOption[] = [];
  for (const [index, run] of runs.entries()) {
    const rates = ratesOf(run);
    const place = { xAxisIndex: index, yAxisIndex: index };
    for (const [key, name, color] of OUTCOMES) {
      series.push(
        line(name, rates[key], color, {
          ...place,
          stack: `outcomes ${index}`,
          areaStyle: { color, opacity: 0.85 },
          lineStyle: { width: 0 },
          step: "end",
          ...(key === "ok" ? { markArea: shaded(run) } : {}),
        }),
      );
    }
    series.push(
      line("offered", rates.offered, INK, {
        ...place,
        lineStyle: { color: INK, width: 1.5, type: "dashed" },
        step: "end",
        z: 5,
      }),
    );
    const capacity = run.record.baseline?.capacity;
    if (capacity !== undefined) {
      series.push({
        ...line("capacity", [], "#0072b2", place),
        markLine: {
          silent: true,
          symbol: "none",
          lineStyle: { color: "#0072b2", type: "solid", width: 1.5 },
          label: {
            position: "insideEndTop",
            formatter: `capacity ${Math.round(capacity)}/s`,
            color: "#0072b2",
          },
          data: [{ yAxis: capacity }],
        },
      });
    }
  }
  const svg = draw(60 + runs.length * (height + 34) + 24, {
    legend: { ...LEGEND, data: [...OUTCOMES.map(([, name]) => name), "offered"] },
    title: runs.map(({ record }, index) => ({
      text: SUBJECT_NAMES[record.subject],
      left: MARGIN.left,
      top: 34 + index * (height + 34),
      textStyle: { fontSize: 13, color: INK },
    })),
    grid: runs.map((_, index) => ({
      ...MARGIN,
      top: 60 + index * (height + 34),
      height: height - 10,
    })),
    xAxis: runs.map((_, index) => xAxis(index, extent, index === runs.length - 1)),
    yAxis: runs.map((_, index) => yAxis(index, { name: "calls a second", max, min: 0 })),
    series,
  });
  return { title: "What became of each call", svg };
}

/** Latencies below a millisecond are none, and a logarithm has no place for 0. */
const LATENCY_MS_MIN = 1;

/** How long good answers took. */
export function latencyPlot(runs: readonly Run[]): Plot {
  const deadlineMs = runs[0]?.record.deadlineMs ?? 0;
  const series = runs.flatMap((run, index): SeriesOption[] => {
    const color = SUBJECT_COLOURS[run.record.subject];
    const name = SUBJECT_NAMES[run.record.subject];
    const positive = (points: Point[]): Point[] =>
      points.map(([at, ms]) => [at, ms === null ? null : Math.max(LATENCY_MS_MIN, ms)]);
    return [
      line(`${name}, p99`, positive(latencyOf(run, "p99")), color, {
        ...(index === 0 ? { markArea: shaded(run) } : {}),
        ...(index === 0
          ? {
              markLine: {
                silent: true,
                symbol: "none",
                lineStyle: { color: INK, type: "dashed" },
                label: { position: "insideEndTop", formatter: "deadline", color: INK },
                data: [{ yAxis: deadlineMs }],
              },
            }
          : {}),
      }),
      line(`${name}, p50`, positive(latencyOf(run, "p50")), color, {
        lineStyle: { color, width: 1.5, type: "dotted" },
      }),
    ];
  });
  const svg = draw(330, {
    legend: LEGEND,
    grid: { ...MARGIN, top: 64, bottom: 44 },
    xAxis: xAxis(0, extentOf(runs), true),
    yAxis: yAxis(0, { name: "milliseconds", type: "log", min: LATENCY_MS_MIN, max: 10_000 }),
    series,
  });
  return { title: "How long good answers took", svg };
}

/** What the limiter and the breaker did meanwhile; undefined where the gateway's series are not known. */
export function insidePlot(run: Run): Plot | undefined {
  const limit = seriesOf(run, "switchgear_limit_concurrency");
  const inFlight = seriesOf(run, "switchgear_limit_in_flight");
  const abandoned = seriesOf(run, "switchgear_limit_abandoned");
  const tripped = seriesOf(run, "circuit_breaker_tripped");
  if (limit.length + tripped.length === 0) return undefined;
  const extent = extentOf([run]);
  const svg = draw(400, {
    legend: LEGEND,
    grid: [
      { ...MARGIN, top: 40, height: 200 },
      { ...MARGIN, top: 272, height: 70 },
    ],
    xAxis: [xAxis(0, extent, false), xAxis(1, extent, true)],
    yAxis: [
      yAxis(0, { name: "calls in flight", min: 0 }),
      {
        ...yAxis(1, { name: "breaker", min: 0, max: 1 }),
        interval: 1,
        axisLabel: { formatter: (value: number) => (value === 1 ? "open" : "closed"), color: INK },
      },
    ],
    series: [
      line("limit", limit, "#0072b2", { step: "end", markArea: shaded(run) }),
      line("in flight", inFlight, "#009e73", { lineStyle: { color: "#009e73", width: 1.5 } }),
      line("of those abandoned", abandoned, "#d55e00", {
        lineStyle: { color: "#d55e00", width: 1.5 },
      }),
      line("breaker", tripped, INK, {
        xAxisIndex: 1,
        yAxisIndex: 1,
        step: "end",
        areaStyle: { color: "#d55e00", opacity: 0.3 },
        markArea: shaded(run),
      }),
    ],
  });
  return { title: "Limit, calls in flight, and the breaker", svg };
}

/** The bookmaker beside it, which nothing is wrong with. */
export function besidePlot(runs: readonly Run[]): Plot {
  const series = runs.map((run, index) => {
    const color = SUBJECT_COLOURS[run.record.subject];
    const points = latencyOf(run, "p99", run.record.healthy);
    return line(SUBJECT_NAMES[run.record.subject], points, color, {
      markArea: index === 0 ? shaded(run) : undefined,
    });
  });
  const svg = draw(260, {
    legend: LEGEND,
    grid: { ...MARGIN, top: 40, bottom: 44 },
    xAxis: xAxis(0, extentOf(runs), true),
    yAxis: yAxis(0, { name: "p99, milliseconds", min: 0 }),
    series,
  });
  return { title: "The healthy bookmaker beside it", svg };
}

/** The next round number that axes divide well. */
function niceMax(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return (
    [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10]
      .map((step) => step * power)
      .find((top) => top >= value) ?? value
  );
}
