import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { distance } from "fastest-levenshtein";
import { pointer, pointerParts } from "./document.ts";

/** A value against a JSON schema, with what is wrong said in whole sentences. */

export interface Problem {
  /** JSON pointer of what is wrong. */
  at: string;
  /** It is the key that is wrong, and not its value. */
  key?: boolean;
  /** Begins with the path in TOML's words. */
  message: string;
}

const BARE = /^[A-Za-z0-9_-]+$/;

/** How people write a path in TOML: `guests.web.files."/www"`, `allow.bind[0]`. */
export function dotted(at: string, root: unknown): string {
  let text = "";
  let value = root;
  for (const part of pointerParts(at)) {
    if (Array.isArray(value)) text += `[${part}]`;
    else text += (text && ".") + (BARE.test(part) ? part : JSON.stringify(part));
    value = (value as { [key: string]: unknown } | undefined)?.[part];
  }
  return text;
}

/** A value as it stands in a message. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object" && value !== null) return "a table";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** `a, b or c`. */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")} or ${words.at(-1)!}`;
}

/** What was meant by `word`, if one of `words` is near: a third of its letters may be wrong, or two. */
export function meant(word: string, words: readonly string[]): string | null {
  const [best] = words
    .map((name) => ({ name, far: distance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  const near = best && best.far <= Math.max(2, best.name.length / 3) && best.far < best.name.length;
  return near ? best.name : null;
}

/** What is read of a subschema that was not met. */
interface Subschema {
  errorMessage?: string;
  properties?: { [key: string]: unknown };
}

/** Compiles a schema, each of whose leaves says by `errorMessage` or `enum` what it expects. */
export function compileSchema(schema: object): ValidateFunction {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true });
  ajv.addKeyword({ keyword: "errorMessage", schemaType: "string" });
  return ajv.compile(schema);
}

function problemOf(error: ErrorObject, root: unknown): Problem {
  const { instancePath: at, keyword, data, params } = error;
  const name = dotted(at, root);
  const schema = error.parentSchema as Subschema;
  const of = name ? `a key of ${name}` : "a section of skerry.toml";
  if (keyword === "additionalProperties") {
    const key = (params as { additionalProperty: string }).additionalProperty;
    const known = Object.keys(schema.properties ?? {});
    const near = meant(key, known);
    return {
      at: at + pointer([key]),
      key: true,
      message: `${JSON.stringify(key)} is not ${of}: ${near ? `did you mean ${near}?` : `write ${either(known)}`}`,
    };
  }
  if (keyword === "propertyNames") {
    const key = (params as { propertyName: string }).propertyName;
    const names = schema as { propertyNames?: Subschema };
    const expected = names.propertyNames?.errorMessage;
    return {
      at: at + pointer([key]),
      key: true,
      message: `${JSON.stringify(key)} cannot be ${of}: write ${expected}`,
    };
  }
  if (keyword === "required") {
    const key = (params as { missingProperty: string }).missingProperty;
    const expected = schema.errorMessage;
    return {
      at,
      key: true,
      message: `${name || "skerry.toml"} has no ${key}${expected ? `: write ${expected}` : ""}`,
    };
  }
  const choices = (params as { allowedValues?: unknown[] }).allowedValues;
  const expected = choices ? either(choices.map(shown)) : schema.errorMessage;
  return { at, message: `${name} is ${shown(data)}: write ${expected}` };
}

/** All that is wrong with `value`, one problem a place. */
export function schemaProblems(validate: ValidateFunction, value: unknown): Problem[] {
  if (validate(value)) return [];
  const found = new Map<string, Problem>();
  for (const error of validate.errors ?? []) {
    if (error.propertyName !== undefined) continue; // said once more by "propertyNames"
    const problem = problemOf(error, value);
    const place = `${problem.at} ${problem.key}`;
    if (!found.has(place)) found.set(place, problem);
  }
  return [...found.values()];
}
