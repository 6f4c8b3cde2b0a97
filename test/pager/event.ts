// What PagerDuty's Events API v2 takes, stricter than PagerDuty: a key that it does not document is
// refused, so that a mistake in Alertmanager's configuration shows here and not on the night.

import { z } from "zod";

const SUMMARY_CHARACTERS_MAX = 1024;
const DEDUP_KEY_CHARACTERS_MAX = 255;

const image = z.strictObject({
  src: z.string(),
  href: z.string().optional(),
  alt: z.string().optional(),
});
const link = z.strictObject({ href: z.string().min(1), text: z.string().optional() });

const payload = z.strictObject({
  // PagerDuty counts characters, not UTF-16 units.
  summary: z
    .string()
    .min(1)
    .refine((text) => Array.from(text).length <= SUMMARY_CHARACTERS_MAX, "is too long"),
  source: z.string().min(1),
  severity: z.enum(["critical", "error", "warning", "info"]),
  timestamp: z.string().optional(),
  component: z.string().optional(),
  group: z.string().optional(),
  class: z.string().optional(),
  custom_details: z.record(z.string(), z.unknown()).optional(),
});

export const eventSchema = z
  .strictObject({
    routing_key: z
      .string()
      .length(32, "Length of 'routing_key' is incorrect (should be 32 characters)")
      .regex(/^[A-Za-z0-9]*$/, "'routing_key' cannot contain non-alphanumeric characters."),
    event_action: z.enum(["trigger", "acknowledge", "resolve"]),
    dedup_key: z.string().min(1).max(DEDUP_KEY_CHARACTERS_MAX).optional(),
    payload: payload.optional(),
    client: z.string().optional(),
    client_url: z.string().optional(),
    images: z.array(image).optional(),
    links: z.array(link).optional(),
  })
  .superRefine((event, context) => {
    const isTrigger = event.event_action === "trigger";
    if (isTrigger && event.payload === undefined) {
      context.addIssue({ code: "custom", message: "'payload' is missing or blank" });
    }
    if (!isTrigger && event.dedup_key === undefined) {
      context.addIssue({ code: "custom", message: "'dedup_key' is missing or blank" });
    }
  });

export type PagerEvent = z.infer<typeof eventSchema>;

export type Judgement =
  { readonly event: PagerEvent } | { readonly errors: readonly [string, ...string[]] };

/** The event, or every fault that it has. */
export function judge(text: string): Judgement {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { errors: ["the body is not JSON"] };
  }
  const result = eventSchema.safeParse(value);
  if (result.success) return { event: result.data };
  const [first = "the event is not understood", ...rest] = result.error.issues.map(
    ({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`),
  );
  return { errors: [first, ...rest] };
}
