// The other ends of Alertmanager's webhooks: tickets, the second channel, the dead man's switch. They
// only remember what they were told.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What Alertmanager posts, as far as it is looked at. */
export interface Message {
  readonly status: string;
  readonly groupLabels: Readonly<Record<string, string>>;
}

export interface Webhooks {
  /** Where a channel listens. */
  urlOf(channel: string): string;
  received(channel: string): readonly Message[];
  close(): Promise<void>;
}

export async function startWebhooks(): Promise<Webhooks> {
  const messages = new Map<string, Message[]>();
  const received = (channel: string): Message[] => {
    const known = messages.get(channel) ?? [];
    messages.set(channel, known);
    return known;
  };
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      received((request.url ?? "").slice(1)).push(JSON.parse(text) as Message);
      response.end();
    });
  });
  await new Promise<void>((done, fail) => {
    server.on("error", fail);
    server.listen(0, "127.0.0.1", done);
  });
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: (channel) => `http://127.0.0.1:${port}/${channel}`,
    received,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
