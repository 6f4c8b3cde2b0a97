// A dashboard as a picture, from the JSON that Grafana gets and from what its queries gave. Grafana would draw it
// otherwise; what it shows is the same. ECharts draws what is a chart.

import * as echarts from "echarts";
import type { EChartsOption } from "echarts";
import { inUnit } from "./units.ts";

export interface Frame {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds and value, in order; of a momentary query one. */
  readonly points: readonly (readonly [number, number])[];
}

interface Mapping {
  readonly options: Readonly<Record<string, { readonly text: string; readonly color: string }>>;
}

interface Override {
  readonly matcher: { readonly id: string; readonly options: string };
  readonly properties: readonly { readonly id: string; readonly value: unknown }[];
}

export interface DrawnPanel {
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly fieldConfig: {
    readonly defaults: {
      readonly unit?: string;
      readonly noValue?: string;
      readonly min?: number;
      readonly max?: number;
      readonly mappings?: readonly Mapping[];
      readonly thresholds?: {
        readonly steps: readonly { readonly value: number | null; readonly color: string }[];
      };
      readonly custom?: { readonly stacking?: { readonly mode?: string } };
    };
    readonly overrides: readonly Override[];
  };
  readonly transformations?: readonly { readonly id: string; readonly options: unknown }[];
}

export interface Picture {
  readonly title: string;
  readonly panels: readonly DrawnPanel[];
  /** Of each panel, of each of its queries. */
  readonly frames: ReadonlyMap<DrawnPanel, readonly (readonly Frame[])[]>;
  readonly fromMs: number;
  readonly toMs: number;
}

const WIDTH = 1680;
const COLUMN = WIDTH / 24;
const ROW = 34;
const GAP = 8;
const HEAD = 56;
const INK = "#24292f";
const FAINT = "#6e7781";
const FONT = "DejaVu Sans, Helvetica, Arial, sans-serif";
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999"];

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function words(
  x: number,
  y: number,
  text: string,
  style: { size?: number; fill?: string; bold?: boolean } = {},
): string {
  const { size = 13, fill = INK, bold = false } = style;
  return `<text x="${x}" y="${y}" font-family="${FONT}" font-size="${size}" fill="${fill}"${bold ? ' font-weight="bold"' : ""}>${escape(text)}</text>`;
}

export function svgOf(picture: Picture): string {
  const { title, panels } = picture;
  const rows = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const height = HEAD + rows * ROW + GAP;
  const parts = panels.map((panel) => {
    const { x, y, w, h } = panel.gridPos;
    const inner = { width: w * COLUMN - GAP, height: h * ROW - GAP };
    return `<g transform="translate(${x * COLUMN + GAP / 2} ${HEAD + y * ROW})">${drawn(panel, picture, inner)}</g>`;
  });
  const seconds = Math.round((picture.toMs - picture.fromMs) / 1000);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}">`,
    `<rect width="100%" height="100%" fill="#f4f5f7"/>`,
    words(GAP, 26, title, { size: 20, bold: true }),
    words(
      GAP,
      46,
      `${seconds} s of a scripted outage, scraped each half second. Not drawn by Grafana.`,
      { fill: FAINT },
    ),
    ...parts,
    "</svg>",
  ].join("\n");
}

interface Size {
  readonly width: number;
  readonly height: number;
}

function drawn(panel: DrawnPanel, picture: Picture, size: Size): string {
  if (panel.type === "row") return words(0, ROW - 12, panel.title, { size: 16, bold: true });
  const frames = picture.frames.get(panel) ?? [];
  const frame = `<rect width="${size.width}" height="${size.height}" rx="3" fill="#ffffff" stroke="#d0d7de"/>${words(10, 20, panel.title)}`;
  const all = frames.flat();
  if (all.length === 0) {
    const { noValue = "" } = panel.fieldConfig.defaults;
    return frame + words(10, Math.min(size.height - 14, 52), noValue, { fill: FAINT });
  }
  if (panel.type === "stat") return frame + stat(panel, all, size);
  if (panel.type === "table") return frame + table(panel, frames, size);
  if (panel.type === "state-timeline") return frame + timeline(panel, all, { ...size, picture });
  return frame + chart(panel, all, { ...size, picture });
}

function stepColor(panel: DrawnPanel, value: number): string {
  const { thresholds } = panel.fieldConfig.defaults;
  const step = thresholds?.steps.findLast((one) => one.value === null || value >= one.value);
  return step?.color ?? INK;
}

function stat(panel: DrawnPanel, frames: readonly Frame[], { height }: Size): string {
  const value = frames[0]?.points.at(-1)?.[1] ?? Number.NaN;
  const text = inUnit(value, panel.fieldConfig.defaults.unit);
  return words(10, height / 2 + 26, text, { size: 36, fill: stepColor(panel, value), bold: true });
}

function mapped(
  panel: DrawnPanel,
  value: number,
): { readonly text: string; readonly color: string } | undefined {
  return panel.fieldConfig.defaults.mappings?.[0]?.options[String(value)];
}

const LABEL_WIDTH = 300;
const TIMELINE_HEAD = 32;
const TIMELINE_FOOT = 34;

function timeline(
  panel: DrawnPanel,
  frames: readonly Frame[],
  { width, height, picture }: Size & { readonly picture: Picture },
): string {
  const room = height - TIMELINE_HEAD - TIMELINE_FOOT;
  const shown = frames.slice(0, Math.floor(room / 14));
  const each = Math.min(40, room / shown.length);
  const x = (ms: number): number =>
    LABEL_WIDTH +
    ((ms - picture.fromMs) / (picture.toMs - picture.fromMs)) * (width - LABEL_WIDTH - 12);
  const bars = shown.map(({ name, points }, index) => {
    const top = TIMELINE_HEAD + index * each;
    const pieces = runsOf(points, picture.toMs).map(([from, to, value]) => {
      const color = mapped(panel, value)?.color ?? FAINT;
      return `<rect x="${x(from)}" y="${top}" width="${Math.max(1, x(to) - x(from))}" height="${each - 3}" fill="${color}"/>`;
    });
    return words(10, top + each / 2 + 3, name.trim().slice(0, 44), { size: 12 }) + pieces.join("");
  });
  return bars.join("") + legend(panel, 10, height - 12);
}

function legend(panel: DrawnPanel, left: number, y: number): string {
  let x = left;
  return Object.values(panel.fieldConfig.defaults.mappings?.[0]?.options ?? {})
    .map(({ text, color }) => {
      const at = x;
      x += 34 + 8 * text.length;
      return `<rect x="${at}" y="${y - 10}" width="12" height="12" fill="${color}"/>${words(at + 18, y, text, { size: 12 })}`;
    })
    .join("");
}

/** Pieces of one value. A gap of more than five steps ends one. */
function runsOf(
  points: Frame["points"],
  toMs: number,
): [from: number, to: number, value: number][] {
  const step = Math.min(
    ...points.slice(1).map(([ms], index) => ms - (points[index]?.[0] ?? 0)),
    toMs,
  );
  const runs: [number, number, number][] = [];
  for (const [ms, value] of points) {
    const last = runs.at(-1);
    if (last !== undefined && ms - last[1] <= 5 * step) last[1] = ms;
    if (last === undefined || last[2] !== value || last[1] !== ms)
      runs.push([ms, ms + step, value]);
  }
  return runs;
}

function table(panel: DrawnPanel, frames: readonly (readonly Frame[])[], { width }: Size): string {
  const organize = panel.transformations?.find(({ id }) => id === "organize")?.options as
    | {
        readonly indexByName: Record<string, number>;
        readonly renameByName: Record<string, string>;
      }
    | undefined;
  const names = Object.keys(organize?.indexByName ?? {});
  const keys = names.filter((name) => !name.startsWith("Value #"));
  const columns = names
    .filter((name) => name.startsWith("Value #"))
    .map((name) => organize?.renameByName[name] ?? name);
  const rows = new Map<string, string[]>();
  const colors = new Map<string, string>();
  for (const [index, column] of frames.entries()) {
    for (const { labels, points } of column) {
      const key = keys.map((label) => labels[label] ?? "");
      const row = rows.get(key.join("\0")) ?? [...key, ...columns.map(() => "")];
      const value = points[0]?.[1] ?? Number.NaN;
      const [text, color] = cell(panel, columns[index] ?? "", value);
      row[keys.length + index] = text;
      if (color !== undefined) colors.set(text, color);
      rows.set(key.join("\0"), row);
    }
  }
  const each = (width - 20) / names.length;
  const line = (cells: readonly string[], y: number, fill: string): string =>
    cells
      .map((text, n) => words(10 + n * each, y, text, { size: 12, fill: colors.get(text) ?? fill }))
      .join("");
  return (
    line([...keys, ...columns], 44, FAINT) +
    [...rows.values()]
      .slice(0, 8)
      .map((row, n) => line(row, 68 + 24 * n, INK))
      .join("")
  );
}

function cell(panel: DrawnPanel, column: string, value: number): [text: string, color?: string] {
  const own = panel.fieldConfig.overrides.find(({ matcher }) => matcher.options === column);
  const property = (id: string): unknown => own?.properties.find((one) => one.id === id)?.value;
  const mapping = (property("mappings") as readonly Mapping[] | undefined)?.[0]?.options[
    String(value)
  ];
  if (mapping !== undefined) return [mapping.text, mapping.color];
  if (property("decimals") === 0) return [String(Math.round(value))];
  return [inUnit(value, (property("unit") as string | undefined) ?? "none")];
}

function colorOf({ fieldConfig }: DrawnPanel, name: string, index: number): string {
  const own = fieldConfig.overrides.find(({ matcher }) =>
    new RegExp(`^(?:${matcher.options})$`).test(name.trim()),
  );
  const value = own?.properties.find(({ id }) => id === "color")?.value as
    { fixedColor?: string } | undefined;
  return value?.fixedColor ?? PALETTE[index % PALETTE.length] ?? INK;
}

function chart(
  panel: DrawnPanel,
  frames: readonly Frame[],
  { width, height, picture }: Size & { readonly picture: Picture },
): string {
  const { unit, min, max, custom, thresholds } = panel.fieldConfig.defaults;
  const isHeat = panel.type === "heatmap";
  const isStacked = custom?.stacking?.mode === "normal";
  const axis = {
    axisLine: { lineStyle: { color: FAINT } },
    axisLabel: { color: FAINT, fontSize: 11 },
  };
  const option: EChartsOption = {
    animation: false,
    textStyle: { fontFamily: FONT },
    grid: { left: 64, right: 14, top: 12, bottom: isHeat ? 26 : 48 },
    legend: isHeat
      ? []
      : {
          bottom: 2,
          icon: "roundRect",
          itemHeight: 8,
          type: "scroll",
          itemGap: 36,
          itemWidth: 14,
          textStyle: { color: INK, fontSize: 11 },
        },
    xAxis: isHeat
      ? { ...axis, type: "category", data: timesOf(frames).map((ms) => clock(ms)) }
      : {
          ...axis,
          type: "time",
          splitNumber: 4,
          min: picture.fromMs,
          max: picture.toMs,
          axisLabel: { ...axis.axisLabel, hideOverlap: true, formatter: (ms: number) => clock(ms) },
        },
    yAxis: isHeat
      ? {
          ...axis,
          type: "category",
          data: frames.map(({ name }) => (name === "+Inf" ? "longer" : inUnit(Number(name), unit))),
        }
      : {
          ...axis,
          type: "value",
          ...(min === undefined ? {} : { min }),
          ...(max === undefined ? {} : { max }),
          axisLabel: { ...axis.axisLabel, formatter: (value: number) => inUnit(value, unit) },
        },
    ...(isHeat
      ? {
          visualMap: {
            show: false,
            min: 0,
            max: most(frames),
            inRange: { color: ["#ffffff", "#0072B2"] },
          },
        }
      : {}),
    series: isHeat
      ? [{ type: "heatmap", data: cellsOf(frames) }]
      : frames.map(({ name, points }, index) => {
          const color = colorOf(panel, name, index);
          const line =
            thresholds?.steps.filter(
              ({ value }) => value !== null && panel.type === "timeseries",
            ) ?? [];
          return {
            type: "line" as const,
            name: name.trim() === "" ? " " : name.trim(),
            symbol: "none",
            lineStyle: { width: 1.5, color },
            itemStyle: { color },
            data: points.map(([ms, value]) => [ms, value]),
            ...(isStacked ? { stack: "all", areaStyle: { opacity: 0.6, color } } : {}),
            ...(index === 0 && line.length > 0
              ? {
                  markLine: {
                    silent: true,
                    symbol: "none",
                    label: { show: false },
                    data: line.map((one) => ({
                      yAxis: one.value ?? 0,
                      lineStyle: { color: one.color },
                    })),
                  },
                }
              : {}),
          };
        }),
  };
  const top = 28;
  const drawing = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width,
    height: height - top,
  });
  drawing.setOption(option);
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return `<g transform="translate(0 ${top})">${svg}</g>`;
}

const clock = (ms: number): string => new Date(ms).toISOString().slice(14, 19);

function timesOf(frames: readonly Frame[]): number[] {
  return [...new Set(frames.flatMap(({ points }) => points.map(([ms]) => ms)))].toSorted(
    (a, b) => a - b,
  );
}

function most(frames: readonly Frame[]): number {
  return Math.max(1, ...cellsOf(frames).map(([, , value]) => value));
}

/** Prometheus' buckets hold all below them, too; a cell is what is between two. */
function cellsOf(frames: readonly Frame[]): [x: number, y: number, value: number][] {
  const times = timesOf(frames);
  const values = frames.map(({ points }) => new Map(points));
  return frames.flatMap((_, y) =>
    times.map((ms, x): [number, number, number] => {
      const below = y === 0 ? 0 : (values[y - 1]?.get(ms) ?? 0);
      return [x, y, Math.max(0, (values[y]?.get(ms) ?? 0) - below)];
    }),
  );
}
