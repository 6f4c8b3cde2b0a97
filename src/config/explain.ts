// From what the validator found to a fault that a person can act on: where, what was found, what would be right,
// and the nearest known name.

import type { z } from "zod";
import { nearest } from "../core/nearest.ts";
import type { ConfigFault } from "./fault.ts";
import type { JsonSchema } from "./json-schema.ts";
import { showPath, showValue } from "./redact.ts";
import type { LocatedYaml, Place, Position } from "./yaml.ts";
import { placeKey, UNRESOLVED } from "./yaml.ts";

type Issue = z.core.$ZodIssue;
type RawPath = readonly PropertyKey[];

const START: Position = { line: 1, column: 1 };
function child(value: unknown, key: PropertyKey): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return Object.getOwnPropertyDescriptor(value, key)?.value;
}

/** What stands at `path`, or `undefined`. */
export function valueAt(value: unknown, path: RawPath): unknown {
  let current = value;
  for (const key of path) current = child(current, key);
  return current;
}

/** In JSON Schema any schema may also be written as `true` or `false`; those say nothing about keys. */
function asSchema(schema: unknown): JsonSchema | undefined {
  return isSchema(schema) ? schema : undefined;
}

function isSchema(schema: unknown): schema is JsonSchema {
  return typeof schema === "object" && schema !== null && !Array.isArray(schema);
}

function membersOf(schema: JsonSchema | undefined): JsonSchema[] {
  return (schema?.oneOf ?? []).map(asSchema).filter((one) => one !== undefined);
}

function kindOf(schema: JsonSchema): JsonSchema | undefined {
  return asSchema(schema.properties?.["kind"]);
}

/** The member of a union that `value` chose with its `kind`; the member with a default kind when it chose none. */
function member(schema: JsonSchema | undefined, value: unknown): JsonSchema | undefined {
  // An upstream has both: `properties`, and a `oneOf` that only says which of them are required.
  if (schema?.oneOf === undefined || schema.properties !== undefined) return schema;
  const kind = child(value, "kind");
  return membersOf(schema).find((one) =>
    kind === undefined ? kindOf(one)?.default !== undefined : kindOf(one)?.const === kind,
  );
}

function schemaAt(root: JsonSchema, value: unknown, path: RawPath): JsonSchema | undefined {
  let schema: JsonSchema | undefined = root;
  let current = value;
  for (const key of path) {
    schema = member(schema, current);
    const named: unknown = child(schema?.properties, key);
    schema = asSchema(named) ?? asSchema(schema?.additionalProperties) ?? asSchema(schema?.items);
    current = child(current, key);
  }
  return schema;
}

export class Explainer {
  readonly #yaml: LocatedYaml;
  readonly #root: JsonSchema;

  constructor(yaml: LocatedYaml, root: JsonSchema) {
    this.#yaml = yaml;
    this.#root = root;
  }

  explain(issue: Issue): ConfigFault[] {
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => this.#unknownKey(issue.path, key));
    if (this.#isExplainedAlready(issue.path)) return [];
    if (issue.code === "custom" && issue.params?.["isSentence"] === true)
      return [this.#fault(issue.path, this.#place(issue.path)?.key, issue.message)];
    return [this.#wrongValue(issue)];
  }

  #place(path: RawPath): Place | undefined {
    return this.#yaml.places.get(placeKey(path));
  }

  /** A value that could not be read has its fault from the reader; what the validator says of it is noise. */
  #isExplainedAlready(path: RawPath): boolean {
    return valueAt(this.#yaml.value, path) === UNRESOLVED;
  }

  #fault(
    path: RawPath,
    position: Position | undefined,
    message: string,
    suggestion?: string,
  ): ConfigFault {
    const where = position ?? this.#place(path.slice(0, -1))?.key ?? START;
    const fault = { path: showPath(path), line: where.line, column: where.column, message };
    return suggestion === undefined ? fault : { ...fault, suggestion };
  }

  #unknownKey(parent: RawPath, key: string): ConfigFault {
    const value = valueAt(this.#yaml.value, parent);
    const schema = schemaAt(this.#root, value === undefined ? undefined : this.#yaml.value, parent);
    const chosen = member(schema, value);
    const path = [...parent, key];
    const position = this.#place(path)?.key;
    const known = Object.keys(chosen?.properties ?? {});
    const owner = membersOf(schema).find((one) => Object.hasOwn(one.properties ?? {}, key));
    if (chosen !== undefined && owner !== undefined && owner !== chosen && chosen !== schema) {
      const message = `this belongs to kind ${String(kindOf(owner)?.const)}, and the kind here is ${String(kindOf(chosen)?.const)}`;
      return this.#fault(path, position, message);
    }
    return this.#fault(
      path,
      position,
      `unknown key; known here: ${known.join(", ")}`,
      nearest(key, known),
    );
  }

  #wrongValue(issue: Issue): ConfigFault {
    const value = valueAt(this.#yaml.value, issue.path);
    const place = this.#place(issue.path);
    const path = issue.path.map(String);
    const isSecret = place?.fromEnvironment === true;
    const found = showValue(value, path, isSecret);
    const expected = expectation(issue);
    const isShown = typeof value === "string" && found !== "***";
    const suggestion = isShown ? nearest(value, choices(issue)) : undefined;
    return this.#fault(
      issue.path,
      place?.value,
      `expected ${expected}, found ${found}`,
      suggestion,
    );
  }
}

function expectation(issue: Issue): string {
  if (issue.code === "invalid_type" && (issue.expected === "object" || issue.expected === "record"))
    // Some say which.
    return issue.message.startsWith("a mapping") ? issue.message : "a mapping";
  if (issue.code === "invalid_type" && issue.expected === "array") return "a list";
  return issue.message;
}

function choices(issue: Issue): string[] {
  let values: readonly unknown[] = [];
  if (issue.code === "invalid_value") values = issue.values;
  if (issue.code === "invalid_union" && "options" in issue && Array.isArray(issue.options))
    values = issue.options;
  return values.filter((value) => typeof value === "string");
}
