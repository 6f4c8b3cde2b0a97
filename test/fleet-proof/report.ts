// What the proof says: lines for people, and what was not as claimed.

export class Report {
  readonly lines: string[] = [];
  readonly faults: string[] = [];

  say(text: string): void {
    this.lines.push(text);
    process.stdout.write(`${text}\n`);
  }

  heading(text: string): void {
    this.say(`\n${text}`);
  }

  note(text: string): void {
    this.say(`       ${text}`);
  }

  claim(isTrue: boolean, text: string): void {
    if (!isTrue) this.faults.push(text);
    this.say(`${isTrue ? "ok    " : "BROKEN"} ${text}`);
  }
}

export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
