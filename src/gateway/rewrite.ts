// An answer's second look: redirects and cookies that name the upstream's own place, in the words of the
// gateway's. Off unless asked for, since it changes what the upstream said. Pure.
//
// A redirect to anywhere else stays as it came: where a caller goes is its own affair, and following it
// past the gateway is the caller's doing.

import { withoutBlanks, type AnswerRewrite } from "./headers.ts";
import type { Destination } from "./route.ts";

export function answerRewrite(destination: Destination): AnswerRewrite | undefined {
  const { rewriteRedirects = false, rewriteCookies = false } = destination.upstream;
  if (!rewriteRedirects && !rewriteCookies) return undefined;
  return (name, value) => {
    if (rewriteRedirects && (name === "location" || name === "content-location")) {
      return insideLocation(destination, value);
    }
    return rewriteCookies && name === "set-cookie" ? insideCookie(destination, value) : undefined;
  };
}

/** `https://upstream/base/x` and `/base/x` become `/{upstream}/x`; all else stays. */
function insideLocation(
  { origin, prefix, upstream }: Destination,
  value: string,
): string | undefined {
  const isOwn = value.startsWith(`${origin}/`) || value === origin;
  const path = isOwn ? value.slice(origin.length) || "/" : value;
  if (!path.startsWith("/") || path.startsWith("//") || !isBelow(path, prefix)) return undefined;
  return `/${upstream.name}${path.slice(prefix.length)}`;
}

function isBelow(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || /^[/?#]/.test(path.slice(prefix.length));
}

/** The path of a cookie moves below the upstream's name; its domain is the gateway's, so none is said. */
function insideCookie({ prefix, upstream }: Destination, value: string): string {
  const [pair = "", ...attributes] = value.split(";");
  const kept = attributes.filter((attribute) => !/^\s*domain\s*=/i.test(attribute));
  const moved = kept.map((attribute) => {
    const given = /^\s*path\s*=\s*(\/.*)$/i.exec(attribute)?.[1];
    if (given === undefined) return attribute;
    const path = withoutBlanks(given);
    const rest = isBelow(path, prefix) ? path.slice(prefix.length) : path;
    return ` Path=/${upstream.name}${rest === "/" ? "" : rest}`;
  });
  return [pair, ...moved].join(";");
}
