// The leaves of the schema: each helper writes a range once and renders it three times, as the check, as what a fault
// says would be right, and as the description that editors show.

import { z } from "zod";

// The longest delay that a timer of JavaScript can hold; a longer one fires at once.
export const DURATION_MS_MAX = 2 ** 31 - 1;
// A breaker counts in integer thousandths (spec ): a finer weight would be rounded without a word.
const THOUSANDTHS = 1000;

interface NumberOption {
  readonly meaning: string;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly isWhole?: boolean;
  readonly isInThousandths?: boolean;
}

export function describeOption(option: {
  meaning: string;
  expects: string;
  byDefault?: unknown;
}): string {
  const byDefault = option.byDefault === undefined ? "none" : JSON.stringify(option.byDefault);
  return `${option.meaning} Expects ${option.expects}. Default: ${byDefault}.`;
}

export function numberOf(option: NumberOption) {
  const whole = option.isWhole === true ? "a whole number" : "a number";
  const step = option.isInThousandths === true ? ", in steps of 0.001" : "";
  const unit = option.unit === "" ? "" : ` (${option.unit})`;
  const expects = `${whole} from ${option.min} to ${option.max}${step}${unit}`;
  const base = option.isWhole === true ? z.int({ error: expects }) : z.number({ error: expects });
  const ranged = base.min(option.min, { error: expects }).max(option.max, { error: expects });
  const isFine = (value: number): boolean =>
    option.isInThousandths !== true ||
    Math.abs(value * THOUSANDTHS - Math.round(value * THOUSANDTHS)) < 1e-6;
  return { expects, schema: ranged.refine(isFine, { error: expects }) };
}

export function number(option: NumberOption & { byDefault: number }) {
  const { expects, schema } = numberOf(option);
  return schema
    .default(option.byDefault)
    .describe(describeOption({ meaning: option.meaning, expects, byDefault: option.byDefault }));
}

/** Left out of what is read when it was left out; `byDefault` is what its reader then takes. */
export function optionalNumber(option: NumberOption & { byDefault?: number | undefined }) {
  const { expects, schema } = numberOf(option);
  const { meaning, byDefault } = option;
  return z.exactOptional(schema).describe(describeOption({ meaning, expects, byDefault }));
}

export function duration(option: { meaning: string; min?: number; byDefault: number }) {
  return number({ ...option, unit: "milliseconds", min: option.min ?? 0, max: DURATION_MS_MAX });
}

/** A duration that is left out of what is read when it was left out. */
export function optionalDuration(option: { meaning: string; min?: number }) {
  return optionalNumber({
    ...option,
    unit: "milliseconds",
    min: option.min ?? 0,
    max: DURATION_MS_MAX,
  });
}

const FLAG_EXPECTS = "true or false";

export function flag(option: { meaning: string; byDefault: boolean }) {
  return z
    .boolean({ error: FLAG_EXPECTS })
    .default(option.byDefault)
    .describe(describeOption({ ...option, expects: FLAG_EXPECTS }));
}

export function oneOf<T extends string>(values: readonly T[]) {
  const expects = `one of ${values.join(", ")}`;
  return { expects, schema: z.literal(values, { error: expects }) };
}

export function choice<T extends string>(option: {
  meaning: string;
  values: readonly T[];
  byDefault: NoInfer<T>;
}) {
  const { expects, schema } = oneOf(option.values);
  const byDefault = option.byDefault;
  return schema
    .default(byDefault)
    .describe(describeOption({ meaning: option.meaning, expects, byDefault }));
}

/** Runs a cross-check even when a part of the value is wrong, as long as the value is a mapping. */
export const always = {
  when: (payload: { value: unknown }): boolean =>
    typeof payload.value === "object" && payload.value !== null,
};

/** A whole sentence about an option, where "expected …, found …" would not say enough. */
export function sentence(path: (string | number)[], message: string) {
  return { code: "custom" as const, path, message, params: { isSentence: true } };
}

export function isControl(text: string): boolean {
  return /\p{Cc}/u.test(text);
}
