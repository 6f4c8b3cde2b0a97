import type { OperatorMode } from "../core/events.ts";

/** In the order in which people should think of them. */
export const OPERATOR_MODES: readonly OperatorMode[] = ["normal", "shadow", "forced-closed"];
