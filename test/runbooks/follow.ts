// Follows a page as it stands: runs the commands of a section in order, and compares what they show
// with what the page says that they show.

import assert from "node:assert/strict";
import { until } from "../pager/processes.ts";
import { missingLine, readPage, runBlock, type Block } from "./page.ts";

export interface Following {
  readonly env: Readonly<Record<string, string>>;
  /** Which blocks, by their tag. Default: those without one. */
  readonly tag?: string;
  /** Of several causes, the one whose `text` blocks are compared, by their tag. Default: those without. */
  readonly shows?: string;
  /** A page's Verify says to look again: until then, in milliseconds. Default: one look. */
  readonly againMs?: number;
}

export async function follow(name: string, section: string, how: Following): Promise<void> {
  const { env, tag = "", shows = "", againMs } = how;
  const blocks = readPage(name).blocks.filter(
    (block) => block.section === section && block.tag === tag,
  );
  assert.ok(blocks.length > 0, `${name} has no ${tag} command under ${section}`);
  if (shows !== "") {
    const knows = blocks.some((block) => block.shows.has(shows));
    assert.ok(knows, `${name} does not say what ${shows} shows`);
  }
  for (const block of blocks) {
    if (againMs === undefined) {
      const fault = await faultOf(block, shows, env);
      assert.equal(fault, undefined, `${name}, ${section}: ${fault}`);
      continue;
    }
    let fault: string | undefined;
    await until(
      `${name}, ${section}`,
      async () => {
        fault = await faultOf(block, shows, env);
        return fault === undefined ? true : undefined;
      },
      againMs,
      () => fault ?? "",
    );
  }
}

/** The bookmaker of the examples; whoever follows a page for another one reads its name there. */
const EXAMPLE = /\bdraftkings\b/g;

/** How a block ends, by its tag, when not with 0. */
const CODES: Readonly<Record<string, number>> = { refused: 3, unauthorised: 5 };

/** What is wrong with what a block shows, or undefined. */
async function faultOf(
  block: Block,
  shows: string,
  env: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const { code, output } = await runBlock(block, env);
  const isAsSaid = code === (CODES[block.tag] ?? 0);
  if (!isAsSaid) return `${block.commands}ended with ${code}:\n${output}`;
  const promised = (block.shows.get(shows) ?? block.shows.get("") ?? []).map((line) =>
    line.replaceAll(EXAMPLE, (name) => env["BOOKMAKER"] ?? name),
  );
  const missing = missingLine(promised, output);
  return missing === undefined
    ? undefined
    : `${block.commands}does not show\n${missing}\nbut\n${output}`;
}
