// Whether what is open is still what the path leads to. SQLite writes on without complaint into a
// database or a log that was deleted, replaced, cut or written over, and what it wrote is gone with the
// process: what was promised as durable must be seen to be in its place. It looks by name, size, date
// and the log's head; a few microseconds, for each of the writes that there are.
//
// It is wrong in one direction only: another process that moved the log into the database, or began the
// log again, looks the same as somebody who wrote over it. Whoever asks looks closer then.

import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from "node:fs";

/** Head of a log: its kind, the sizes, and salts that are drawn anew whenever it is begun again. */
const HEAD_BYTES = 32;

/** The first bytes of every log, https://www.sqlite.org/fileformat2.html#the_write_ahead_log. */
const MAGIC = "\x37\x7f\x06";

const PAGE_SIZE_AT = 8;

/** Before each page in a log: its number, the salts, a checksum over all before it. Never zeros. */
const FRAME_HEAD_BYTES = 24;

interface Sight {
  readonly database: string;
  /** When the database itself was written, which only moving the log into it does. */
  readonly stamp: string;
  readonly log: string;
  readonly index: string;
  readonly logBytes: number;
  /** Empty where there is no log, or a log that nothing was written to. */
  readonly head: string;
  /** The head of the last page that was there at the last `note`. */
  readonly tail: string;
}

export class FileWatch {
  readonly #path: string;
  /** SQLite keeps the log beside the file that a link leads to. */
  readonly #realPath: string;
  readonly #bytes = Buffer.alloc(HEAD_BYTES);
  #tailAt = 0;
  /** The log, open to be read: to open and close it for each look costs as much as two of its other calls. */
  #open: { readonly file: number; readonly identity: string } | undefined = undefined;
  #seen: Sight;

  constructor(path: string) {
    this.#path = path;
    this.#realPath = realPathOf(path);
    this.#seen = this.#look();
  }

  get identity(): string {
    return this.#seen.database;
  }

  /** How large the log was at the last `note`. */
  get logBytes(): number {
    return this.#seen.logBytes;
  }

  get logPath(): string {
    return `${this.#realPath}-wal`;
  }

  /** From now on, what is there is ours; which database was opened stays what it was. */
  note(): void {
    this.#note(this.#look());
  }

  #note(now: Sight): void {
    const bytes = Buffer.from(now.head, "latin1");
    const pageBytes = bytes.length < HEAD_BYTES ? 0 : bytes.readUInt32BE(PAGE_SIZE_AT);
    this.#tailAt = Math.max(0, now.logBytes - pageBytes - FRAME_HEAD_BYTES);
    const [tail = ""] = pageBytes === 0 ? [] : this.#read(now.log, this.#tailAt);
    this.#seen = { ...now, database: this.#seen.database, tail };
  }

  /** Whether all is as it was left, but for what was appended. Where nobody may look, nothing speaks against it. */
  isUntouched(): boolean {
    const now = this.#look();
    return now.database === UNKNOWN || (this.#areSameFiles(now) && this.#isSameLog(now));
  }

  /**
   * After a write: whether it was appended to an untouched log or, where it may, to one begun again. If
   * so, that is what is ours.
   */
  holdsWrite(mayBegin: boolean): boolean {
    const now = this.#look();
    if (!now.head.startsWith(MAGIC) || !this.#areSameFiles(now)) return false;
    const isHeld = this.#isSameLog(now) || (mayBegin && now.head !== this.#seen.head);
    if (isHeld) this.#note(now);
    return isHeld;
  }

  /** Whether the log has another content than the one it was left with. */
  isLogChanged(): boolean {
    return this.isLogHere() && !this.#isSameLog(this.#look());
  }

  #areSameFiles(now: Sight): boolean {
    const then = this.#seen;
    return (
      now.database === then.database &&
      now.stamp === then.stamp &&
      now.log === then.log &&
      now.index === then.index
    );
  }

  #isSameLog(now: Sight): boolean {
    const then = this.#seen;
    return then.head === "" || (now.head === then.head && now.tail === then.tail);
  }

  /** Whether the path leads to the same database still, or nobody may look. */
  isSameDatabase(): boolean {
    const identity = fileIdentity(this.#path);
    return identity === UNKNOWN || identity === this.#seen.database;
  }

  isLogHere(): boolean {
    return identityOf(statOf(this.logPath)) === this.#seen.log;
  }

  isIndexHere(): boolean {
    return identityOf(statOf(`${this.#realPath}-shm`)) === this.#seen.index;
  }

  isLogGone(): boolean {
    return statOf(this.logPath) === MISSING;
  }

  #look(): Sight {
    const found = statOf(this.#path);
    const log = statOf(this.logPath);
    const logBytes = typeof log === "string" ? 0 : log.size;
    const logIdentity = identityOf(log);
    const isRead = logBytes >= HEAD_BYTES;
    const [head = "", tail = ""] = isRead ? this.#read(logIdentity, 0, this.#tailAt) : [];
    return {
      database: identityOf(found),
      stamp: typeof found === "string" ? found : `${found.size} ${found.mtimeMs}`,
      log: logIdentity,
      index: identityOf(statOf(`${this.#realPath}-shm`)),
      logBytes,
      head,
      tail,
    };
  }

  /** What stands at these places of the log that was just found at the path. */
  #read(identity: string, ...places: readonly number[]): readonly string[] {
    try {
      const file = this.#openLog(identity);
      return places.map((at) => {
        const found = readSync(file, this.#bytes, 0, at === 0 ? HEAD_BYTES : FRAME_HEAD_BYTES, at);
        return this.#bytes.toString("latin1", 0, found);
      });
    } catch {
      // Gone in between, or no descriptor is left: nobody can say, and nothing is promised.
      this.close();
      return [];
    }
  }

  #openLog(identity: string): number {
    if (this.#open?.identity === identity) return this.#open.file;
    this.close();
    const file = openSync(this.logPath, "r");
    // Which one it is, and not which one it was a moment ago: another would be taken for this one later.
    this.#open = { file, identity: identityOf(fstatSync(file)) };
    return file;
  }

  /** Gives back what it holds open; the next look opens it again. */
  close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) closeSync(open.file);
  }
}

type Found = { readonly dev: number; readonly ino: number; readonly size: number; mtimeMs: number };

const MISSING = "missing";
const UNKNOWN = "unknown";

/** The number of an open file is not given to another, so equal numbers mean the same file. */
export function fileIdentity(path: string): string {
  return identityOf(statOf(path));
}

function identityOf(found: Found | string): string {
  return typeof found === "string" ? found : `${found.dev}:${found.ino}`;
}

function statOf(path: string): Found | typeof MISSING | typeof UNKNOWN {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? MISSING;
  } catch (error) {
    // Bun throws where a parent is no directory, Node does not.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "ENOTDIR" || code === "ENOENT" ? MISSING : UNKNOWN;
  }
}

function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
