// Plays every scenario of the overload model before every guard, and writes docs/overload-model.md.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { format } from "prettier";
import { page } from "../test/sim/overload/model.ts";

const PAGE = join(resolve(import.meta.dirname, ".."), "docs/overload-model.md");

const text = await format(page(), { parser: "markdown", printWidth: 100 });
writeFileSync(PAGE, text);
console.log(text);
