import { type AST, ParseError, getStaticTOMLValue, parseTOML } from "toml-eslint-parser";

/** TOML with places: what it says, and at which line and column each of its keys and values stands. */

/** Both count from 1. */
export interface Place {
  line: number;
  column: number;
}

export interface Entry {
  /** Where the key stands, or an element of a list. */
  key: Place;
  value: Place;
}

export interface Document {
  value: unknown;
  /** By JSON pointer (RFC 6901), as in "/guests/web/restart". */
  entries: Map<string, Entry>;
}

/** The text is not TOML. */
export class TomlError extends Error {
  constructor(
    message: string,
    readonly place: Place,
  ) {
    super(message);
  }
}

type Path = readonly (string | number)[];

/** RFC 6901, section 3. */
export function pointer(path: Path): string {
  return path
    .map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
}

/** The parts of a JSON pointer. */
export function pointerParts(text: string): string[] {
  return text
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

const placeOf = ({ loc }: AST.TOMLNode): Place => ({
  line: loc.start.line,
  column: loc.start.column + 1,
});

/** Parses TOML 1.0; throws a `TomlError` at the first place that is none. */
export function parseDocument(text: string): Document {
  let program: AST.TOMLProgram;
  try {
    program = parseTOML(text, { tomlVersion: "1.0.0" });
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new TomlError(error.message, { line: error.lineNumber, column: error.column + 1 });
  }
  const entries: Document["entries"] = new Map();
  /** The first mention of a table counts. */
  const note = (path: Path, key: Place, value: Place): void => {
    const at = pointer(path);
    if (!entries.has(at)) entries.set(at, { key, value });
  };
  const content = (path: Path, node: AST.TOMLContentNode): void => {
    if (node.type === "TOMLInlineTable") node.body.forEach((pair) => keyValue(path, pair));
    if (node.type !== "TOMLArray") return;
    node.elements.forEach((element, index) => {
      note([...path, index], placeOf(element), placeOf(element));
      content([...path, index], element);
    });
  };
  const named = (path: Path, key: AST.TOMLKey, value: Place): Path => {
    const names = key.keys.map((part) => (part.type === "TOMLBare" ? part.name : part.value));
    names.forEach((_, index) => {
      const part = placeOf(key.keys[index]!);
      note(
        [...path, ...names.slice(0, index + 1)],
        part,
        index === names.length - 1 ? value : part,
      );
    });
    return [...path, ...names];
  };
  const keyValue = (path: Path, pair: AST.TOMLKeyValue): void =>
    content(named(path, pair.key, placeOf(pair.value)), pair.value);
  for (const node of program.body[0].body) {
    if (node.type === "TOMLKeyValue") {
      keyValue([], node);
      continue;
    }
    named([], node.key, placeOf(node.key));
    note(node.resolvedKey, placeOf(node.key), placeOf(node.key)); // of a list of tables, too
    node.body.forEach((pair) => keyValue(node.resolvedKey, pair));
  }
  return { value: getStaticTOMLValue(program), entries };
}
