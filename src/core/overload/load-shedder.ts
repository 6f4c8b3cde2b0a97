// Sheds heavy operations while this process is loaded, before they start. Pure: the load is an
// argument. Light operations are never shed, and a shed call says nothing about its upstream.

export interface LoadShedding {
  /** System load above which heavy operations are shed, 0–1. Default 0.85. */
  readonly threshold: number;
  /**
   * Load above which an operation is heavy, 0–1000. Default 100, as the source systems have it:
   * operations declared below it, such as 50, 10 and 15, are then never shed.
   */
  readonly operationLoad: number;
}

export const LOAD_SHEDDING_DEFAULTS: LoadShedding = Object.freeze({
  threshold: 0.85,
  operationLoad: 100,
});

/** How system load is made of its parts: by weight, or the highest. */
export const LOAD_MODES = ["weighted", "max"] as const;
export type LoadMode = (typeof LOAD_MODES)[number];

/** Range of an operation's declared load; outside values are clamped, never rejected. */
export const OPERATION_LOAD_MAX = 1000;

/** Missing or NaN means weightless; `Infinity` stays the heaviest there is. */
export function clampOperationLoad(load: number | undefined): number {
  if (load === undefined || !(load > 0)) return 0;
  return Math.min(load, OPERATION_LOAD_MAX);
}

/** A sampler that answers nonsense must not refuse calls: NaN is no load. */
export function clampSystemLoad(load: number): number {
  if (!(load > 0)) return 0;
  return Math.min(load, 1);
}

/** Both comparisons are strict: exactly at the threshold, or exactly as heavy, is not shed. */
export function shouldShed(systemLoad: number, operationLoad: number, rule: LoadShedding): boolean {
  return systemLoad > rule.threshold && operationLoad > rule.operationLoad;
}
