// `${NAME}` in string values. No defaults, no nesting, no `$NAME`: what is not `${…}` stays as it is written.

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substitution {
  readonly text: string;
  /** True when any part of the text came from the environment, which makes all of it a secret. */
  readonly fromEnvironment: boolean;
  /** Messages, without the text itself. */
  readonly problems: readonly string[];
}

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
// `$${` first, so that the escape wins over the reference that it contains.
const REFERENCE = /\$\$\{|\$\{([^}]*)(\}|$)/g;

/** Replaces every `${NAME}`; `$${` stands for a literal `${`. */
export function substitute(text: string, env: Environment): Substitution {
  if (!text.includes("${")) return { text, fromEnvironment: false, problems: [] };
  const problems: string[] = [];
  let fromEnvironment = false;
  const replaced = text.replace(
    REFERENCE,
    (whole: string, name: string | undefined, end?: string) => {
      if (whole === "$${") return "${";
      if (end !== "}") problems.push('"${" without "}"; a literal "${" is written "$${"');
      else if (name === undefined || !VARIABLE_NAME.test(name))
        problems.push(
          '"${…}" must hold the name of an environment variable; a literal "${" is written "$${"',
        );
      else {
        const value = Object.hasOwn(env, name) ? env[name] : undefined;
        if (value === undefined) problems.push(`the environment variable ${name} is not set`);
        fromEnvironment = true;
        return value ?? "";
      }
      return whole;
    },
  );
  return { text: replaced, fromEnvironment, problems };
}
