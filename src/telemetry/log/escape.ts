// See there: errors show names by the same rule.

export { oneLine } from "../../core/one-line.ts";
