// The name that was meant. Here and not a package's, since whoever imports the library loads none.

/** A longer one is no slip of the hand. */
const LETTERS_MAX = 64;

/** Names that are looked at: a hint must not cost what ten thousand of them cost. */
const NAMES_MAX = 1000;

/** The nearest of `known`, if it is near: at most a third of the letters differ. Case, - and _ do not count. */
export function nearest(given: string, known: Iterable<string>): string | undefined {
  if (given.length > LETTERS_MAX) return undefined;
  const text = plain(given);
  let best: { name: string; cost: number } | undefined;
  let looked = 0;
  for (const name of known) {
    looked += 1;
    if (looked > NAMES_MAX) break;
    if (name.length > LETTERS_MAX) continue;
    const cost = distance(text, plain(name));
    const mayDiffer = Math.ceil(Math.max(given.length, name.length) / 3);
    const isNear = cost <= mayDiffer && cost < name.length;
    if (isNear && (best === undefined || cost < best.cost)) best = { name, cost };
  }
  return best?.name;
}

/** `; did you mean "…"?` for the end of a sentence; empty where nothing is near. */
export function didYouMean(given: string, known: Iterable<string>): string {
  const name = nearest(given, known);
  return name === undefined ? "" : `; did you mean ${JSON.stringify(name)}?`;
}

function plain(text: string): string {
  return text.replaceAll(/[-_ ]/g, "").toLowerCase();
}

/** Letters to put in, take out or change (Levenshtein 1966), by rows. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, n) => n);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const kept = (row[j - 1] ?? 0) + Number(one[i - 1] !== other[j - 1]);
      next.push(Math.min(kept, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
