// The admin interface's own answers. The two errors that Hyper-Bun's clients know are `{error}` and
// nothing else; all others are RFC 9457 problems that carry the same `error` member.

export function json(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
  });
}

export function problem(
  status: number,
  reason: string,
  title: string,
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const type = `urn:switchgear:problem:${reason}`;
  return json(
    status,
    { type, title, status, detail, error: detail },
    { "content-type": "application/problem+json", ...headers },
  );
}

export function notFound(): Response {
  return json(404, { error: "Bookmaker not found" });
}
