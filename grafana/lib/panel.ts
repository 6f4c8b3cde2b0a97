// A panel as its dashboard's file writes it down, and what Grafana is given for it.

import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import { PanelBuilder as Heatmap } from "@grafana/grafana-foundation-sdk/heatmap";
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus";
import { PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as Stat } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as StateTimeline } from "@grafana/grafana-foundation-sdk/statetimeline";
import { PanelBuilder as Table } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeSeries } from "@grafana/grafana-foundation-sdk/timeseries";
import type { Color } from "./colours.ts";

export interface Target {
  readonly expr: string;
  /** As Grafana fills it: `{{bookmaker}}`. */
  readonly legend: string;
}

/** What a value is called, and how it looks. */
export interface Meaning {
  readonly value: number;
  readonly text: string;
  readonly color: Color;
}

/** From this value on. The first has none, and holds from the least. */
export interface Step {
  readonly from?: number;
  readonly color: Color;
}

interface Base {
  readonly title: string;
  /** What it shows, and what to make of it. */
  readonly description: string;
  /** As Grafana names units. */
  readonly unit: string;
  readonly targets: readonly Target[];
  /** Of 24 columns. */
  readonly width: number;
  readonly height?: number;
  /** Said in place of a value or a curve, where there is none. */
  readonly noData: string;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
}

export interface StatPanel extends Base {
  readonly kind: "stat";
  readonly steps?: readonly Step[];
}

export interface CurvesPanel extends Base {
  readonly kind: "curves";
  readonly stacked?: boolean;
  readonly steps?: readonly Step[];
  /** Colours of curves by what their legend matches, so that one name has one colour everywhere. */
  readonly colours?: readonly (readonly [pattern: string, color: Color])[];
}

export interface TimelinePanel extends Base {
  readonly kind: "timeline";
  readonly meanings: readonly Meaning[];
}

export interface HeatmapPanel extends Base {
  readonly kind: "heatmap";
}

export interface TablePanel extends Base {
  readonly kind: "table";
  /** Rows are joined by this label. */
  readonly by: readonly string[];
  /** Columns in order, one for each target. */
  readonly columns: readonly {
    readonly name: string;
    readonly unit?: string;
    readonly decimals?: number;
    readonly meanings?: readonly Meaning[];
  }[];
  /** Leads from a row to another dashboard. */
  readonly link?: { readonly title: string; readonly url: string };
}

export type Panel = StatPanel | CurvesPanel | TimelinePanel | HeatmapPanel | TablePanel;

export const DATASOURCE = { type: "prometheus", uid: "${datasource}" } as const;

const HEIGHT = { stat: 4, curves: 8, timeline: 9, heatmap: 8, table: 9 } as const;

export function heightOf(panel: Panel): number {
  return panel.height ?? HEIGHT[panel.kind];
}

export function builderOf(panel: Panel): Builder<dashboard.Panel> {
  if (panel.kind === "stat") return stat(panel);
  if (panel.kind === "curves") return curves(panel);
  if (panel.kind === "timeline") return timeline(panel);
  return panel.kind === "heatmap" ? heatmap(panel) : table(panel);
}

/** What all builders have in common; their classes share no ancestor. */
interface Common {
  title(text: string): this;
  description(text: string): this;
  unit(unit: string): this;
  noValue(text: string): this;
  datasource(ref: common.DataSourceRef): this;
  span(columns: number): this;
  height(rows: number): this;
  decimals(count: number): this;
  min(value: number): this;
  max(value: number): this;
  mappings(mappings: dashboard.ValueMapping[]): this;
  thresholds(thresholds: Builder<dashboard.ThresholdsConfig>): this;
  withTarget(target: Builder<Dataquery>): this;
}

function begun<B extends Common>(builder: B, panel: Panel): B {
  builder
    .title(panel.title)
    .description(panel.description)
    .unit(panel.unit)
    .noValue(panel.noData)
    .datasource(DATASOURCE)
    .span(panel.width)
    .height(heightOf(panel));
  if (panel.decimals !== undefined) builder.decimals(panel.decimals);
  if (panel.min !== undefined) builder.min(panel.min);
  if (panel.max !== undefined) builder.max(panel.max);
  return builder;
}

const isMomentary = ({ kind }: Panel): boolean => kind === "stat" || kind === "table";

function queried<B extends Common>(builder: B, panel: Panel): B {
  for (const [index, { expr, legend }] of panel.targets.entries()) {
    const query = new DataqueryBuilder()
      .refId(refId(index))
      .expr(expr)
      .legendFormat(legend)
      .datasource(DATASOURCE);
    if (isMomentary(panel)) query.instant();
    else query.range();
    if (panel.kind === "table") query.format(PromQueryFormat.Table);
    if (panel.kind === "heatmap") query.format(PromQueryFormat.Heatmap);
    builder.withTarget(query);
  }
  return builder;
}

export function refId(index: number): string {
  return String.fromCodePoint("A".codePointAt(0)! + index);
}

function thresholds(steps: readonly Step[]): dashboard.ThresholdsConfigBuilder {
  return new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps(steps.map(({ from, color }) => ({ value: from ?? null, color })));
}

function mappings(meanings: readonly Meaning[]): dashboard.ValueMapping[] {
  const options = meanings.map(
    ({ value, text, color }, index) => [String(value), { text, color, index }] as const,
  );
  return [{ type: dashboard.MappingType.ValueToText, options: Object.fromEntries(options) }];
}

function stat(panel: StatPanel): Stat {
  const builder = queried(begun(new Stat(), panel), panel)
    .graphMode(common.BigValueGraphMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .colorMode(common.BigValueColorMode.Value);
  return panel.steps === undefined ? builder : builder.thresholds(thresholds(panel.steps));
}

const LEGEND = (): common.VizLegendOptionsBuilder =>
  new common.VizLegendOptionsBuilder()
    .showLegend(true)
    .displayMode(common.LegendDisplayMode.List)
    .placement(common.LegendPlacement.Bottom);

/** Of two hundred curves the largest stand first. */
const TOOLTIP = (): common.VizTooltipOptionsBuilder =>
  new common.VizTooltipOptionsBuilder()
    .mode(common.TooltipDisplayMode.Multi)
    // oxlint-disable-next-line unicorn/no-array-sort -- of no array
    .sort(common.SortOrder.Descending);

function curves(panel: CurvesPanel): TimeSeries {
  const builder = queried(begun(new TimeSeries(), panel), panel)
    .legend(LEGEND())
    .tooltip(TOOLTIP())
    .lineWidth(1)
    .fillOpacity(panel.stacked === true ? 60 : 0)
    .showPoints(common.VisibilityMode.Never);
  if (panel.stacked === true) {
    builder.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
  }
  if (panel.steps !== undefined) {
    builder
      .thresholds(thresholds(panel.steps))
      .thresholdsStyle(
        new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Line),
      );
  }
  for (const [pattern, color] of panel.colours ?? []) {
    builder.overrideByRegexp(pattern, [
      { id: "color", value: { mode: "fixed", fixedColor: color } },
    ]);
  }
  return builder;
}

function timeline(panel: TimelinePanel): StateTimeline {
  return queried(begun(new StateTimeline(), panel), panel)
    .mappings(mappings(panel.meanings))
    .showValue(common.VisibilityMode.Never)
    .mergeValues(true)
    .rowHeight(0.9)
    .perPage(25)
    .legend(LEGEND())
    .fillOpacity(90);
}

function heatmap(panel: HeatmapPanel): Heatmap {
  return queried(begun(new Heatmap(), panel), panel).calculate(false).hideLegend();
}

function table(panel: TablePanel): Table {
  const builder = queried(begun(new Table(), panel), panel).showHeader(true).filterable(true);
  const names = Object.fromEntries(
    panel.columns.map(({ name }, index) => [`Value #${refId(index)}`, name]),
  );
  const order = [...panel.by, ...panel.targets.map((_, index) => `Value #${refId(index)}`)];
  builder.withTransformation({ id: "merge", options: {} }).withTransformation({
    id: "organize",
    options: {
      // Only what is asked for; a label that somebody adds later makes no column.
      includeByName: Object.fromEntries(order.map((name) => [name, true])),
      indexByName: Object.fromEntries(order.map((name, index) => [name, index])),
      renameByName: names,
    },
  });
  for (const { name, unit, decimals, meanings } of panel.columns) {
    const properties = [
      ...(unit === undefined ? [] : [{ id: "unit", value: unit }]),
      ...(decimals === undefined ? [] : [{ id: "decimals", value: decimals }]),
      ...(meanings === undefined
        ? []
        : [
            { id: "mappings", value: mappings(meanings) },
            { id: "custom.cellOptions", value: { type: "color-text" } },
          ]),
    ];
    if (properties.length > 0) builder.overrideByName(name, properties);
  }
  const [key] = panel.by.toReversed();
  if (panel.link !== undefined && key !== undefined) {
    builder.overrideByName(key, [{ id: "links", value: [panel.link] }]);
  }
  return builder;
}
