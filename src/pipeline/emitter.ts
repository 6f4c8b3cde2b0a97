// Typed listeners. They are called after the state is final, may call back in, and cannot harm
// anybody: what one throws, or rejects with, is counted and goes no further. Of several who hear an event
// each has one of its own, and what events hold is frozen where it is made: freezing each event as well
// costs a call 200 ns, a copy 50.

import { InvalidOptionsError } from "../core/errors.ts";
import { EVENT_TYPES, type EventOf, type EventType, type SwitchgearEvent } from "../core/events.ts";
import { whenRejected } from "../core/foreign.ts";
import { didYouMean } from "../core/nearest.ts";
import { show } from "../core/options.ts";

export type Listener<Type extends EventType> = (event: EventOf<Type>) => unknown;

/** More than this is a leak: somebody subscribes per call. */
const LISTENERS_MAX = 1000;

type AnyListener = (event: SwitchgearEvent) => unknown;

export class Emitter {
  readonly #parent: Emitter | undefined;
  // Most upstreams of a large registry are never listened to one by one.
  #lists: Map<EventType, readonly AnyListener[]> | undefined = undefined;
  #errors = 0;

  constructor(parent?: Emitter) {
    this.#parent = parent;
  }

  /** Listener errors so far, of this emitter and those that report to it. */
  get errors(): number {
    return this.#errors;
  }

  /**
   * Calls `listener` on every event of this type, with those of `standing` at once; the answer ends the
   * subscription. Throws `InvalidOptionsError` for a type that is none: nobody would ever be called.
   */
  on<Type extends EventType>(
    type: Type,
    listener: Listener<Type>,
    standing: readonly SwitchgearEvent[] = [],
  ): () => void {
    checkSubscription(type, listener);
    const lists: Map<EventType, readonly AnyListener[]> = (this.#lists ??= new Map());
    const list = lists.get(type) ?? [];
    if (list.length >= LISTENERS_MAX) {
      throw new RangeError(
        `more than ${LISTENERS_MAX} listeners for ${type}: subscribe once, not per call`,
      );
    }
    const entry: AnyListener = (event) => listener(event as EventOf<Type>);
    lists.set(type, [...list, entry]);
    for (const event of standing) this.#call(entry, { ...event });
    return () => {
      const rest = (lists.get(type) ?? []).filter((other) => other !== entry);
      if (rest.length === 0) lists.delete(type);
      else lists.set(type, rest);
    };
  }

  /** Whether building an event of this type is worth it. */
  hears(type: EventType): boolean {
    return this.#lists?.has(type) === true || this.#parent?.hears(type) === true;
  }

  emit(event: SwitchgearEvent): void {
    const list = this.#lists?.get(event.type);
    if (list !== undefined) {
      const isShared = list.length > 1 || this.#parent?.hears(event.type) === true;
      for (const listener of list) this.#call(listener, isShared ? { ...event } : event);
    }
    this.#parent?.emit(event);
  }

  #call(listener: AnyListener, event: SwitchgearEvent): void {
    try {
      whenRejected(listener(event), () => this.#countError());
    } catch {
      this.#countError();
    }
  }

  /** Calls what is not to harm anybody: what it throws, or rejects with, is counted. */
  contain(call: () => unknown): void {
    try {
      whenRejected(call(), () => this.#countError());
    } catch {
      this.#countError();
    }
  }

  #countError(): void {
    this.#errors += 1;
    if (this.#parent !== undefined) this.#parent.#countError();
  }
}

function checkSubscription(type: unknown, listener: unknown): void {
  const isKnown = EVENT_TYPES.some((one) => one === type);
  if (isKnown && typeof listener === "function") return;
  const hint = typeof type === "string" ? didYouMean(type, EVENT_TYPES) : "";
  throw new InvalidOptionsError("on", [
    isKnown
      ? `the listener must be a function, not ${show(listener)}`
      : `there is no event ${show(type)} (${EVENT_TYPES.join(", ")})${hint}`,
  ]);
}
