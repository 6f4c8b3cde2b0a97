// YAML text to plain data plus the place of every value.
//
// The `yaml` package parses; this file walks its tree itself instead of calling `toJS`, because only the walk can
// keep places, see duplicate keys with both lines, bound the growth of aliases, and tell which values came from the
// environment. Messages of the parser are not shown: they may quote the text, and the text may hold a secret.

import type { Document, Scalar, YAMLMap, YAMLSeq } from "yaml";
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";

import type { Environment } from "./environment.ts";
import { substitute } from "./environment.ts";
import type { ConfigFault } from "./fault.ts";
import { showPath } from "./redact.ts";

export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Place {
  /** Where the key stands; the value's own place for list items. */
  readonly key: Position;
  readonly value: Position;
  /** The value holds text from the environment: never shown. */
  readonly fromEnvironment: boolean;
}

export interface LocatedYaml {
  readonly value: unknown;
  /** By `placeKey(path)`. */
  readonly places: ReadonlyMap<string, Place>;
  readonly faults: readonly ConfigFault[];
}

export type Path = readonly (string | number)[];

export function placeKey(path: readonly PropertyKey[]): string {
  return JSON.stringify(path.map(String));
}

// A real file of a thousand upstreams with every option stays below this; "billion laughs" does not.
const NODES_MAX = 200_000;
// The deepest option is five levels down.
const DEPTH_MAX = 32;

/** Stands for a value that has its fault already; the validator's complaint about it is dropped. */
export const UNRESOLVED: unique symbol = Symbol("unresolved");

const SYNTAX: Readonly<Record<string, string>> = {
  ALIAS_PROPS: "an alias cannot have an anchor or a tag",
  BAD_ALIAS: "this alias is not valid",
  BAD_COLLECTION_TYPE: "the tag does not fit this value",
  BAD_DIRECTIVE: "this directive is not valid",
  BAD_DQ_ESCAPE:
    "this escape is unknown in double quotes; use single quotes for literal backslashes",
  BAD_INDENT: "wrong indentation, or a bracket that is not closed",
  BAD_PROP_ORDER: "anchors and tags must stand after the indicators ?, : and -",
  BAD_SCALAR_START: "a plain value cannot start with this character; put the value in quotes",
  BLOCK_AS_IMPLICIT_KEY: "a mapping cannot start here; put values that hold a colon in quotes",
  BLOCK_IN_FLOW: "an indented block cannot stand between brackets",
  KEY_OVER_1024_CHARS: "a key has at most 1024 characters",
  MISSING_CHAR: "something is missing here: a colon, a comma, a closing quote or a closing bracket",
  MULTILINE_IMPLICIT_KEY: "a key must stand on one line",
  MULTIPLE_ANCHORS: "a value has at most one anchor",
  MULTIPLE_DOCS: "the file must hold one document; remove the second ---",
  MULTIPLE_TAGS: "a value has at most one tag",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAB_AS_INDENT: "indent with spaces, not tabs",
  TAG_RESOLVE_FAILED: "tags are not supported here",
  UNEXPECTED_TOKEN: "this is not expected here",
};

class Walk {
  readonly places = new Map<string, Place>();
  readonly faults: ConfigFault[] = [];
  readonly #lines: LineCounter;
  readonly #env: Environment;
  readonly #anchors = new Map<string, unknown>();
  #nodeCount = 0;
  #isExhausted = false;

  constructor(lines: LineCounter, env: Environment) {
    this.#lines = lines;
    this.#env = env;
  }

  position(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  /** Notes the fault and stands for the value that could not be read. */
  fault(position: Position, path: Path, message: string): typeof UNRESOLVED {
    this.faults.push({ path: showPath(path), ...position, message });
    return UNRESOLVED;
  }

  /** `at` is where the value is used, which for an alias is not where it is written. */
  read(node: unknown, path: Path, at: Position, key: Position): unknown {
    if (this.#isExhausted) return UNRESOLVED;
    this.#nodeCount += 1;
    if (this.#nodeCount > NODES_MAX) {
      this.#isExhausted = true;
      return this.fault(at, path, `aliases and values add up to more than ${NODES_MAX}`);
    }
    if (path.length > DEPTH_MAX) return this.fault(at, path, "nested too deeply");
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) return this.fault(at, path, "this alias has no anchor before it");
      return this.read(target, path, at, key);
    }
    const { value, fromEnvironment } = this.#content(node, path, at);
    this.places.set(placeKey(path), { key, value: at, fromEnvironment });
    const anchor = isNode(node) && !isAlias(node) ? node.anchor : undefined;
    // Registered after its content was read: an alias inside its own anchor stays unknown, so no cycle can arise.
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    return value;
  }

  #content(node: unknown, path: Path, at: Position): { value: unknown; fromEnvironment: boolean } {
    if (isMap(node)) return { value: this.#mapping(node, path, at), fromEnvironment: false };
    if (isSeq(node)) return { value: this.#list(node, path, at), fromEnvironment: false };
    if (!isScalar(node)) return { value: null, fromEnvironment: false };
    return this.#scalar(node, path, at);
  }

  #scalar(node: Scalar, path: Path, at: Position): { value: unknown; fromEnvironment: boolean } {
    const { value } = node;
    if (typeof value === "string") {
      const { text, fromEnvironment, problems } = substitute(value, this.#env);
      for (const problem of problems) this.fault(at, path, problem);
      // A value that could not be completed is a fault already; validating its remains would add a false one.
      return { value: problems.length > 0 ? UNRESOLVED : text, fromEnvironment };
    }
    if (value === null || typeof value === "number" || typeof value === "boolean")
      return { value, fromEnvironment: false };
    return { value: this.fault(at, path, "tags are not supported here"), fromEnvironment: false };
  }

  #list(node: YAMLSeq, path: Path, at: Position): unknown[] {
    return node.items.map((item, index) => {
      const place = this.#start(item, at);
      return this.read(item, [...path, index], place, place);
    });
  }

  #mapping(node: YAMLMap, path: Path, at: Position): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    const seen = new Map<string, Position>();
    for (const pair of node.items) {
      const keyAt = this.#start(pair.key, at);
      if (!isScalar(pair.key)) {
        this.fault(keyAt, path, "a key must be a plain word");
        continue;
      }
      // The text as it is written: an upstream called 007 keeps its zeros.
      const key = typeof pair.key.value === "string" ? pair.key.value : (pair.key.source ?? "");
      const keyPath = [...path, key];
      const first = seen.get(key);
      if (first !== undefined) {
        this.fault(keyAt, keyPath, `set twice; first on line ${first.line}`);
        continue;
      }
      seen.set(key, keyAt);
      if (key === "__proto__") {
        this.fault(keyAt, keyPath, "this name is reserved");
        continue;
      }
      result[key] = this.read(pair.value, keyPath, this.#start(pair.value, keyAt), keyAt);
      if (this.#isExhausted) break;
    }
    return result;
  }

  #start(node: unknown, otherwise: Position): Position {
    const range = isNode(node) ? node.range : undefined;
    return range ? this.position(range[0]) : otherwise;
  }
}

function syntaxFaults(document: Document, walk: Walk): void {
  const told = new Set<string>();
  for (const error of [...document.errors, ...document.warnings]) {
    const message = `not valid YAML: ${SYNTAX[error.code] ?? "this cannot be read"}`;
    const position = walk.position(error.pos[0]);
    const identity = `${position.line} ${message}`;
    if (!told.has(identity)) walk.fault(position, [], message);
    told.add(identity);
  }
}

/** Parses `text`. When the syntax is wrong, only that is reported: what follows would be guesswork. */
export function readYaml(text: string, env: Environment): LocatedYaml {
  const lines = new LineCounter();
  const walk = new Walk(lines, env);
  let document: Document;
  try {
    // `uniqueKeys` is off because the walk looks itself, and because the package's own look is quadratic.
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: "core",
      merge: false,
      uniqueKeys: false,
    });
  } catch {
    walk.fault({ line: 1, column: 1 }, [], "not valid YAML: this cannot be read");
    return { value: undefined, places: walk.places, faults: walk.faults };
  }
  syntaxFaults(document, walk);
  if (walk.faults.length > 0) return { value: undefined, places: walk.places, faults: walk.faults };
  const start = { line: 1, column: 1 };
  const isEmpty =
    document.contents === null || (isScalar(document.contents) && document.contents.source === "");
  const value = isEmpty ? {} : walk.read(document.contents, [], start, start);
  return { value, places: walk.places, faults: walk.faults };
}
