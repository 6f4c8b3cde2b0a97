// The list of what the two transports do differently, each with the reason why it stays. docs/transports.md
// is made of it, and a test shows both each example.

import type { KnownDifference } from "./known.ts";
import { ANSWER_DIFFERENCES } from "./differences-answers.ts";
import { FIELD_DIFFERENCES } from "./differences-fields.ts";
import { REQUEST_DIFFERENCES } from "./differences-requests.ts";

export const DIFFERENCES: readonly KnownDifference[] = [
  ...FIELD_DIFFERENCES,
  ...REQUEST_DIFFERENCES,
  ...ANSWER_DIFFERENCES,
];
