// How many calls an upstream is sent at once. Left-out options take the limit's own defaults, which stand in
// its options file and are only shown here.

import { z } from "zod";

import { ADAPTIVE_LIMIT_DEFAULTS, LIMIT_MAX } from "../core/overload/limit-policy.ts";
import { always, optionalNumber, sentence } from "./schema-parts.ts";

const KINDS = ["adaptive", "fixed", "off"] as const;
const KIND_EXPECTS = `one of ${KINDS.join(", ")}`;

function kindOf<Kind extends (typeof KINDS)[number]>(kind: Kind, meaning: string) {
  return z
    .literal(kind, { error: KIND_EXPECTS })
    .describe(`${kind}: ${meaning} Expects ${KIND_EXPECTS}. Default: "adaptive".`);
}

function calls(meaning: string, byDefault?: number) {
  return optionalNumber({
    meaning,
    unit: "calls",
    min: 1,
    max: LIMIT_MAX,
    isWhole: true,
    byDefault,
  });
}

const adaptive = z
  .strictObject({
    kind: kindOf("adaptive", "as many as the upstream is found to serve within its deadline.")
      .optional()
      .default("adaptive"),
    initial: calls(
      "Let in before anything is known of the upstream, and whenever there is little to do; divide it by the replicas where those are many.",
      ADAPTIVE_LIMIT_DEFAULTS.initial,
    ),
    min: calls("Least that the limit shrinks to.", ADAPTIVE_LIMIT_DEFAULTS.min),
    max: calls("Most that it grows to.", ADAPTIVE_LIMIT_DEFAULTS.max),
    tolerance: optionalNumber({
      meaning:
        "Times the latency without load that the median call may take before the limit shrinks.",
      unit: "ratio",
      min: 1.2,
      max: 10,
      byDefault: ADAPTIVE_LIMIT_DEFAULTS.tolerance,
    }),
  })
  .superRefine((given, context) => {
    const { min, max } = { ...ADAPTIVE_LIMIT_DEFAULTS, ...given };
    const { initial = Math.min(max, Math.max(min, ADAPTIVE_LIMIT_DEFAULTS.initial)) } = given;
    if (min > max) context.addIssue(sentence(["min"], `it must be at most max, which is ${max}`));
    else if (initial < min || initial > max) {
      context.addIssue(sentence(["initial"], `it must be from min to max, ${min} to ${max}`));
    }
  }, always);

const FIXED_EXPECTS = `a whole number from 1 to ${LIMIT_MAX} (calls)`;

const fixed = z.strictObject({
  kind: kindOf("fixed", "max, whatever the upstream does."),
  max: z
    .int({ error: FIXED_EXPECTS })
    .min(1, { error: FIXED_EXPECTS })
    .max(LIMIT_MAX, { error: FIXED_EXPECTS })
    .describe(`Calls at once. Expects ${FIXED_EXPECTS}. Default: none, it must be given.`),
});

const off = z.strictObject({ kind: kindOf("off", "as many as come.") });

/** What somebody most likely meant who wrote no mapping. */
function likely(given: unknown): string {
  if (typeof given === "number" || given === "fixed") {
    const isLimit = Number.isInteger(given) && Number(given) >= 1 && Number(given) <= LIMIT_MAX;
    return `{ kind: fixed, max: ${isLimit ? given : 40} }`;
  }
  return given === false || given === "off" || given === "none"
    ? "{ kind: off }"
    : "{ kind: adaptive }";
}

/** For each endpoint apart, where there are several. */
export const limit = z
  .discriminatedUnion("kind", [adaptive, fixed, off], {
    error: (issue) =>
      issue.code === "invalid_union" ? KIND_EXPECTS : `a mapping such as ${likely(issue.input)}`,
  })
  .prefault({})
  .describe(
    'How many calls the upstream, or each of its endpoints, is sent at once; what is over it is answered 503 before it could time out. Default: {"kind":"adaptive"}.',
  );
