// Keeps every event, so that a test can say what happened and what did not.

import { EVENT_TYPES, type EventOf, type EventType, type SwitchgearEvent } from "../core/events.ts";

/** What can be listened to: a registry or one upstream. */
export interface EventSource {
  on<Type extends EventType>(type: Type, listener: (event: EventOf<Type>) => unknown): () => void;
}

export class RecordingSink {
  readonly events: SwitchgearEvent[] = [];

  constructor(source: EventSource) {
    for (const type of EVENT_TYPES) {
      source.on(type, (event) => this.events.push(event));
    }
  }

  of<Type extends EventType>(type: Type): EventOf<Type>[] {
    return this.events.filter((event): event is EventOf<Type> => event.type === type);
  }
}
