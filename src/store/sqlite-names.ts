// Names as a column holds them. SQLite keeps text in UTF-8, which has no halves of surrogate pairs: two
// names that differ in one would be one row, and neither would come back. Such a name is written as JSON,
// which spells halves out, behind a mark; a name that looks like that is, too, so that no two are one.

const MARK = "\uFFFD";

export function nameToColumn(name: string): string {
  return name.isWellFormed() && !name.startsWith(`${MARK}"`) ? name : MARK + JSON.stringify(name);
}

export function columnToName(text: string): string {
  if (!text.startsWith(`${MARK}"`)) return text;
  try {
    const name: unknown = JSON.parse(text.slice(MARK.length));
    // What an older version wrote stays what it is.
    return typeof name === "string" && nameToColumn(name) === text ? name : text;
  } catch {
    return text;
  }
}
