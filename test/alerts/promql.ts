// What an expression reads and what its result carries, from the tree that Prometheus' own grammar makes
// of it: names of series, matchers, and the labels that are left after aggregations and matchings.
//
// It knows names and labels, not values or types: promtool has refused before what does not evaluate.

import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";

export type Operator = "=" | "!=" | "=~" | "!~";

export interface Matcher {
  readonly label: string;
  readonly operator: Operator;
  readonly value: string;
}

export interface Selector {
  /** Undefined when it selects by labels alone. */
  readonly metric: string | undefined;
  /** Without the one that gives the name. */
  readonly matchers: readonly Matcher[];
}

/** An expression that the grammar took whole. */
export interface Query {
  readonly text: string;
  readonly root: SyntaxNode;
  readonly selectors: readonly Selector[];
}

/** Throws a SyntaxError that shows the place. */
export function parseQuery(text: string): Query {
  const tree = parser.parse(text);
  tree.iterate({
    enter: ({ type, from }) => {
      if (type.isError) {
        throw new SyntaxError(`no PromQL: ${text.slice(0, from)} ⟨here⟩ ${text.slice(from)}`);
      }
    },
  });
  const root = tree.topNode;
  return { text, root, selectors: find(root, "VectorSelector").map((at) => selectorOf(at, text)) };
}

function* children(node: SyntaxNode): Generator<SyntaxNode> {
  for (let child = node.firstChild; child !== null; child = child.nextSibling) yield child;
}

function find(node: SyntaxNode, name: string): SyntaxNode[] {
  return [
    ...(node.name === name ? [node] : []),
    ...[...children(node)].flatMap((child) => find(child, name)),
  ];
}

function selectorOf(node: SyntaxNode, text: string): Selector {
  const read = (at: SyntaxNode | null): string => (at === null ? "" : text.slice(at.from, at.to));
  let metric = node.getChild("Identifier") === null ? undefined : read(node.getChild("Identifier"));
  const matchers: Matcher[] = [];
  for (const child of children(node.getChild("LabelMatchers") ?? node)) {
    if (child.name === "QuotedLabelName") metric = unquote(read(child));
    if (child.name !== "UnquotedLabelMatcher" && child.name !== "QuotedLabelMatcher") continue;
    const quoted = child.getChild("QuotedLabelName");
    const label = quoted === null ? read(child.getChild("LabelName")) : unquote(read(quoted));
    const operator = read(child.getChild("MatchOp")) as Operator;
    const value = unquote(read(child.getChild("StringLiteral")));
    if (label === "__name__" && operator === "=") metric = value;
    else matchers.push({ label, operator, value });
  }
  return { metric, matchers };
}

/** Of the escapes, those that rules have: anything else would be a silent misreading. */
function unquote(literal: string): string {
  const inside = literal.slice(1, -1);
  if (literal.startsWith("`")) return inside;
  return inside.replaceAll(/\\(.)/gs, (escape, sign: string) => {
    if (/[\\"']/.test(sign)) return sign;
    throw new SyntaxError(`the escape ${escape} in ${literal} is not known here`);
  });
}

/** The labels of a selector's series, `__name__` aside. */
export type LabelsOf = (selector: Selector) => ReadonlySet<string>;

export interface Result {
  /** Undefined when it is a number and no series. */
  readonly labels: ReadonlySet<string> | undefined;
  /** Labels that it groups or matches by and that nothing has, and sides that can never match. */
  readonly faults: readonly string[];
}

export function resultOf({ root, text, selectors }: Query, labelsOf: LabelsOf): Result {
  const walk = new Walk(text, labelsOf, selectors);
  return { labels: walk.labels(root), faults: walk.faults };
}

/** Functions whose result has no labels whatever they are given. */
const BARE = new Set(["scalar", "time", "vector", "pi"]);

/** A selector's series have it, and most functions take it away. */
const NAME = "__name__";

/** What is computed is no longer what was measured, and loses its name. */
const ARITHMETIC = ["Pow", "Mul", "Div", "Mod", "Add", "Sub", "Atan2"];

class Walk {
  readonly faults: string[] = [];
  readonly #text: string;
  readonly #labelsOf: LabelsOf;
  readonly #selectors: readonly Selector[];
  #next = 0;

  constructor(text: string, labelsOf: LabelsOf, selectors: readonly Selector[]) {
    this.#text = text;
    this.#labelsOf = labelsOf;
    this.#selectors = selectors;
  }

  /** Left to right, so that selectors come in the order in which they were found. */
  labels(node: SyntaxNode): ReadonlySet<string> | undefined {
    switch (node.name) {
      case "VectorSelector": {
        const selector = this.#selectors[this.#next];
        this.#next += 1;
        if (selector === undefined) throw new RangeError(`more selectors than ${this.#next}`);
        return new Set([NAME, ...this.#labelsOf(selector)]);
      }
      case "AggregateExpr":
        return this.#aggregate(node);
      case "BinaryExpr": {
        const labels = this.#binary(node);
        if (labels === undefined || !ARITHMETIC.some((name) => node.getChild(name))) return labels;
        return new Set([...labels].filter((label) => label !== NAME));
      }
      case "FunctionCall":
        return this.#call(node);
      case "NumberDurationLiteral":
      case "StringLiteral":
        return undefined;
      case "PromQL":
      case "ParenExpr":
      case "MatrixSelector":
      case "SubqueryExpr":
      case "OffsetExpr":
      case "StepInvariantExpr":
      case "UnaryExpr":
        return this.#operands(node)[0];
      default:
        throw new SyntaxError(`${node.name} is not known here: ${this.#text}`);
    }
  }

  #operands(node: SyntaxNode): (ReadonlySet<string> | undefined)[] {
    return [...children(node)]
      .filter((child) => child.type.is("Expr"))
      .map((child) => this.labels(child));
  }

  #list(node: SyntaxNode | null): string[] {
    if (node === null) return [];
    return [...node.getChildren("LabelName"), ...node.getChildren("QuotedLabelName")].map(
      ({ from, to }) => this.#text.slice(from, to).replaceAll('"', ""),
    );
  }

  #mustHave(labels: ReadonlySet<string>, wanted: readonly string[], node: SyntaxNode): void {
    for (const label of wanted) {
      if (!labels.has(label)) this.#blame(node, `nothing has ${label}`);
    }
  }

  #blame(node: SyntaxNode, what: string): void {
    this.faults.push(`${what} in ${this.#text.slice(node.from, node.to).replaceAll(/\s+/g, " ")}`);
  }

  #aggregate(node: SyntaxNode): ReadonlySet<string> {
    const body = node.getChild("FunctionCallBody");
    const given = (body === null ? [] : this.#operands(body)).find((one) => one !== undefined);
    const inner = given ?? new Set();
    const modifier = node.getChild("AggregateModifier");
    const names = this.#list(modifier?.getChild("GroupingLabels") ?? null);
    this.#mustHave(inner, names, node);
    const operator = node.getChild("AggregateOp")?.firstChild?.name ?? "";
    if (/^(Topk|Bottomk|LimitK|LimitRatio)$/.test(operator)) return inner;
    if (modifier === null) return new Set();
    if (modifier.getChild("By") !== null) return new Set(names);
    return new Set([...inner].filter((label) => label !== NAME && !names.includes(label)));
  }

  #call(node: SyntaxNode): ReadonlySet<string> | undefined {
    const name = this.#text.slice(node.from, node.getChild("FunctionIdentifier")?.to ?? node.from);
    const first = this.#next;
    const body = node.getChild("FunctionCallBody");
    const given = (body === null ? [] : this.#operands(body)).find((one) => one !== undefined);
    if (name.startsWith("absent")) {
      const { matchers = [] } = this.#selectors[first] ?? {};
      return new Set(matchers.filter(({ operator }) => operator === "=").map(({ label }) => label));
    }
    if (name === "label_join") {
      throw new SyntaxError(`${name} makes labels that are not known here`);
    }
    if (name === "label_replace") return new Set([...(given ?? []), this.#textsOf(body)[0] ?? ""]);
    if (BARE.has(name)) return name === "vector" ? new Set() : undefined;
    const without = name === "histogram_quantile" ? ["le", NAME] : [NAME];
    return new Set([...(given ?? [])].filter((label) => !without.includes(label)));
  }

  /** The texts that a function is given, such as the label that `label_replace` makes. */
  #textsOf(body: SyntaxNode | null): string[] {
    return (body?.getChildren("StringLiteral") ?? []).map(({ from, to }) =>
      this.#text.slice(from + 1, to - 1),
    );
  }

  #binary(node: SyntaxNode): ReadonlySet<string> | undefined {
    const [left, right] = this.#operands(node);
    if (left === undefined) return right;
    if (right === undefined) return left;
    const clause = node.getChild("MatchingModifierClause");
    const [names = [], more = []] = (clause?.getChildren("GroupingLabels") ?? []).map((list) =>
      this.#list(list),
    );
    const isOn = clause?.getChild("On") !== null && clause !== null;
    const matched = (side: ReadonlySet<string>): string[] =>
      [...side].filter((label) => label !== NAME && names.includes(label) === isOn).toSorted();
    if (isOn) for (const side of [left, right]) this.#mustHave(side, names, node);
    else {
      for (const label of names) {
        if (!left.has(label) && !right.has(label)) this.#blame(node, `nothing has ${label}`);
      }
    }
    if (node.getChild("Or") !== null) return new Set([...left, ...right]);
    const [ours, theirs] = [matched(left).join(), matched(right).join()];
    if (ours !== theirs) this.#blame(node, `(${ours}) never matches (${theirs})`);
    if (node.getChild("And") !== null || node.getChild("Unless") !== null) return left;
    const many = clause?.getChild("GroupRight") === null ? left : right;
    if (clause?.getChild("GroupLeft") || clause?.getChild("GroupRight")) {
      return new Set([...many, ...more]);
    }
    return new Set(matched(left));
  }
}
