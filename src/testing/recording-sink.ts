// Keeps every event, so that a test can say what happened and what did not.

import type { EventOf, EventType, SwitchgearEvent } from "../core/events.ts";

/** What can be listened to: a registry or one upstream. */
export interface EventSource {
  on<Type extends EventType>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
}

/** A record, so that the compiler asks for a type added later. */
const ALL_TYPES: Readonly<Record<EventType, true>> = {
  transition: true,
  trip: true,
  reset: true,
  "reset-denied": true,
  recovery: true,
  refused: true,
  settled: true,
  failed: true,
  endpoint: true,
  mode: true,
  task: true,
  "store-error": true,
  "store-recovered": true,
};

export class RecordingSink {
  readonly events: SwitchgearEvent[] = [];

  constructor(source: EventSource) {
    for (const type of Object.keys(ALL_TYPES) as EventType[]) {
      source.on(type, (event) => this.events.push(event));
    }
  }

  of<Type extends EventType>(type: Type): EventOf<Type>[] {
    return this.events.filter((event): event is EventOf<Type> => event.type === type);
  }
}
