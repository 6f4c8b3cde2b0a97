// What a message may show of a value. In doubt it shows `***`: a fault must be findable, a secret must not be.

const MASK = "***";
const SECRET_KEY = /token|secret|password|key/i;
// Long enough to recognise a value, short enough for one line of a terminal.
const SHOWN_CHARACTERS_MAX = 80;

function shorten(text: string): string {
  return text.length <= SHOWN_CHARACTERS_MAX ? text : `${text.slice(0, SHOWN_CHARACTERS_MAX)}…`;
}

/**
 * Text without URL credentials, and without what may follow `?` or `#`. Anything with an `@` that does not parse as
 * a URL is masked whole: `http://user:pa/ss@host` is a password with a slash, not a path.
 */
export function redactText(text: string): string {
  if (text.includes("@")) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isPlain =
      url !== undefined && url.host !== "" && !`${url.pathname}${url.search}`.includes("@");
    return isPlain ? shorten(`${url.protocol}//${MASK}@${url.host}${url.pathname}`) : MASK;
  }
  const query = text.search(/[?#]/);
  return shorten(query < 0 ? text : `${text.slice(0, query + 1)}${MASK}`);
}

/** What was found, for a message. `isSecret` is true for values that came from the environment. */
export function showValue(value: unknown, path: readonly string[], isSecret: boolean): string {
  if (value === undefined) return "nothing";
  if (value === null) return "an empty value";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (isSecret || path.some((segment) => SECRET_KEY.test(segment))) return MASK;
  if (typeof value === "string") return JSON.stringify(redactText(value));
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "a value";
}

const PLAIN_SEGMENT = /^[\w-]+$/;

/** `upstreams.draftkings.url`; names that would blur the dots are quoted: `upstreams["a.b"].url`. */
export function showPath(path: readonly PropertyKey[]): string {
  let shown = "";
  for (const key of path) {
    const segment = redactText(String(key));
    if (typeof key === "number") shown += `[${key}]`;
    else if (!PLAIN_SEGMENT.test(segment)) shown += `[${JSON.stringify(segment)}]`;
    else shown += shown === "" ? segment : `.${segment}`;
  }
  return shown;
}
