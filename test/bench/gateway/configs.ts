// The configuration files of the programs that take part.

import { getuid } from "node:process";

/** Answers /draftkings/small and /draftkings/typical from files, and 500 under /fanduel/. */
export function upstreamNginx(folder: string, port: number): string {
  return nginx(
    folder,
    "upstream",
    `server {
    listen 127.0.0.1:${port} backlog=1024;
    root ${folder}/www;
    default_type application/json;
    location /draftkings/ {
      add_header cache-control "no-store";
      add_header x-request-id "0f8c2f6d9b1e4a55";
      add_header vary "accept-encoding";
      try_files $uri =404;
    }
    location /fanduel/ { return 500 "broken"; }
    location = /count { stub_status; }
  }`,
  );
}

export function proxyNginx(folder: string, port: number, upstreamPort: number): string {
  return nginx(
    folder,
    "proxy",
    `upstream bookmaker {
    server 127.0.0.1:${upstreamPort};
    keepalive 64;
    keepalive_requests 100000000;
    keepalive_time 1h;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location /draftkings/ {
      proxy_pass http://bookmaker;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 2s;
    }
    location /fanduel/ { return 503; }
  }`,
  );
}

function nginx(folder: string, name: string, http: string): string {
  return `${getuid?.() === 0 ? "user root;\n" : ""}worker_processes 1;
daemon off;
pid ${folder}/${name}.pid;
error_log ${folder}/${name}.log error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 100000000;
  sendfile on;
  open_file_cache max=10;
  client_body_temp_path ${folder}/${name}-body;
  proxy_temp_path ${folder}/${name}-proxy;
  fastcgi_temp_path ${folder}/${name}-fastcgi;
  uwsgi_temp_path ${folder}/${name}-uwsgi;
  scgi_temp_path ${folder}/${name}-scgi;
  ${http}
}
`;
}

export function proxyHaproxy(port: number, upstreamPort: number): string {
  return `global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 2s
  timeout http-keep-alive 1h
  http-reuse always
frontend bookmakers
  bind 127.0.0.1:${port}
  http-request return status 503 if { path_beg /fanduel/ }
  default_backend upstream
backend upstream
  server one 127.0.0.1:${upstreamPort} pool-max-conn 64
`;
}

/**
 * Every protection on: durable breakers, a limit, a deadline on each call, and an operation so heavy that
 * the load of the process is measured for each of its calls.
 */
export function switchgearYaml(
  folder: string,
  {
    name,
    logLevel,
    limit,
  }: { readonly name: string; readonly logLevel: string; readonly limit: string },
  ports: { readonly gateway: number; readonly admin: number; readonly upstream: number },
): string {
  const upstream = (bookmaker: string): string => `  ${bookmaker}:
    url: http://127.0.0.1:${ports.upstream}/${bookmaker}
    deadlineMs: 2000
    breaker: { kind: latching, failureThreshold: 10, cooldownMs: 60000, recovery: manual }
    limit: ${limit}
    operations:
      odds: { path: /small, load: 150, criticality: critical }
      markets: { path: /typical, load: 150, criticality: critical }
`;
  return `gateway: { host: 127.0.0.1, port: ${ports.gateway} }
admin: { host: 127.0.0.1, port: ${ports.admin} }
store: { kind: sqlite, path: ${folder}/${name}.db }
logging: { level: ${logLevel} }
loadShedding: { threshold: 0.95, operationLoad: 100 }
upstreams:
${upstream("draftkings")}${upstream("fanduel")}`;
}

/** Keeps the rate modest: each connection waits a while before its next request. */
export function wrkScript(delayMs: number, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  return `${lines.join("\n")}
function delay() return ${delayMs} end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "RESULT {\\"requests\\":%d,\\"bytes\\":%d,\\"durationUs\\":%d,\\"p50Us\\":%d,\\"p99Us\\":%d,\\"connect\\":%d,\\"read\\":%d,\\"write\\":%d,\\"timeout\\":%d,\\"status\\":%d}\\n",
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
`;
}
