// The floor on Bun: `Bun.serve` in front, `fetch` behind, bodies streamed, and nothing else.
//
//   bun test/bench/gateway/proxy-bun.ts PORT UPSTREAM_URL

const [, , port, upstream = ""] = process.argv;

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  idleTimeout: 0,
  development: false,
  fetch(request) {
    const { pathname, search } = new URL(request.url);
    // The cheapest refusal there can be here, for comparison.
    if (pathname.startsWith("/fanduel/")) return new Response("refused", { status: 503 });
    return fetch(upstream + pathname + search, {
      method: request.method,
      headers: request.headers,
      body: request.body,
      redirect: "manual",
      decompress: false,
    });
  },
});
