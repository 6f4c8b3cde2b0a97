// The ids of the span in which a line is written. OpenTelemetry's API is optional: without it, or
// before it is loaded, or outside of a span, there are none.

interface TraceApi {
  getActiveSpan(): { spanContext(): { traceId: string; spanId: string } } | undefined;
}

export interface TraceFields {
  readonly trace_id?: string;
  readonly span_id?: string;
}

const NONE: TraceFields = Object.freeze({});

/** What a span of nobody has. */
const INVALID_TRACE_ID = "0".repeat(32);

let api: TraceApi | undefined;
let loading: Promise<void> | undefined;

/** Settles once the API was found or is known to be absent. Never rejects. */
export function loadTraceApi(): Promise<void> {
  return (loading ??= load());
}

async function load(): Promise<void> {
  try {
    api = (await import("@opentelemetry/api")).trace;
  } catch {
    // Not installed: lines go without ids.
  }
}

export function activeTrace(): TraceFields {
  try {
    const span = api?.getActiveSpan()?.spanContext();
    if (span === undefined || span.traceId === INVALID_TRACE_ID) return NONE;
    return { trace_id: span.traceId, span_id: span.spanId };
  } catch {
    return NONE;
  }
}
