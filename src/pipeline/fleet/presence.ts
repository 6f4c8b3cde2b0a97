// Who else is there, and what each sees: told and asked every few seconds, which keeps the connection alive, too.

import type { Random } from "../../core/random.ts";
import type { Persisted } from "../breaker/persisted.ts";
import type { FleetStore, ReplicaView } from "../fleet-port.ts";
import type { Scheduler, Timer } from "../ports.ts";

/** Between two. Pushes that were lost are noticed as late. */
export const BEAT_MS = 5000;

/** Not heard of for longer, a replica is not waited for any more. */
export const GONE_MS = 3 * BEAT_MS;

/** A change is shown so soon, and those that come meanwhile with it. */
const SOON_MS = 300;

/** Breakers that one replica shows. */
const SHOWN_MAX = 200;

export interface PresencePorts {
  readonly store: FleetStore;
  readonly replica: string;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly breakers: () => Iterable<Persisted>;
  readonly versionOf: (name: string) => number;
  readonly heard: () => void;
  readonly failed: (error: unknown) => void;
}

export class Presence {
  readonly #ports: PresencePorts;
  #others: readonly ReplicaView[] = [];
  #heardMs = 0;
  #timer: Timer | undefined = undefined;
  #soon: Timer | undefined = undefined;
  #isClosed = false;

  constructor(ports: PresencePorts) {
    this.#ports = ports;
  }

  start(): void {
    this.#later();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#soon?.cancel();
  }

  names(): string[] {
    return this.replicas().map(({ replica }) => replica);
  }

  /** This one first, then the others by name. */
  replicas(): readonly ReplicaView[] {
    const { replica, scheduler } = this.#ports;
    const sinceMs = scheduler.monotonic() - this.#heardMs;
    const others = this.#others
      .map((view) => ({ ...view, ageMs: view.ageMs + sinceMs }))
      .filter((view) => view.replica !== replica && view.ageMs <= GONE_MS)
      .toSorted((a, b) => (a.replica < b.replica ? -1 : 1));
    return [{ replica, ageMs: 0, breakers: this.#view() }, ...others];
  }

  /** What this replica shows is another than before: people who look are not to see a difference that is none. */
  changed(): void {
    if (this.#isClosed || this.#soon !== undefined) return;
    const { scheduler, random } = this.#ports;
    this.#soon = scheduler.setTimer(
      () => {
        this.#soon = undefined;
        void this.beat();
      },
      SOON_MS * (0.5 + random.next()),
    );
  }

  /** Now, besides every few seconds. */
  async beat(): Promise<void> {
    if (this.#isClosed) return;
    try {
      this.#others = await this.#ports.store.present(this.#view());
      this.#heardMs = this.#ports.scheduler.monotonic();
      this.#ports.heard();
    } catch (error) {
      this.#ports.failed(error);
    }
  }

  #view(): ReplicaView["breakers"] {
    const view: Record<string, ReplicaView["breakers"][string]> = Object.create(null) as never;
    let shown = 0;
    for (const breaker of this.#ports.breakers()) {
      const version = this.#ports.versionOf(breaker.name);
      const { isTripped: tripped, mode } = breaker;
      if (version === 0 && !tripped && mode === "normal") continue;
      view[breaker.name] = { tripped, mode, version };
      shown += 1;
      if (shown >= SHOWN_MAX) break;
    }
    return view;
  }

  #later(): void {
    if (this.#isClosed) return;
    const { scheduler, random } = this.#ports;
    const delayMs = BEAT_MS * (0.8 + 0.4 * random.next());
    this.#timer = scheduler.setTimer(() => {
      void this.beat().then(() => this.#later());
    }, delayMs);
  }
}
