// Who waits for an upstream when its callers do not: of those that left in a row without anybody having
// been answered, one call waits on, as the witness of whether it answers at all. One for each upstream, so
// that callers who come and go hold one connection and no more; and none for a single caller who left,
// whose upstream is let go of at once.

/** A call, as it is known here. */
interface Waiting {
  /** For which the upstream has been waited for. */
  readonly waitedMs: number;
}

/** The first leaver in a row is somebody who changed their mind. */
const LEAVERS_MIN = 2;

export class Vigil {
  /** The call that waits on; undefined where none does. */
  witness: Waiting | undefined;
  #leavers = 0;

  /** Somebody was answered. */
  answered(): void {
    this.#leavers = 0;
  }

  /** The caller of this call has left; true when it is to wait on. */
  takes(call: Waiting): boolean {
    this.#leavers += 1;
    if (this.#leavers < LEAVERS_MIN || this.witness !== undefined) return false;
    this.witness = call;
    return true;
  }

  over(call: Waiting): void {
    if (this.witness === call) this.witness = undefined;
  }
}
