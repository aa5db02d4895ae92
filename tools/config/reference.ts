/** The reference of skerry.toml in docs/guests.md: a row for each key of the schema. */

interface Schema {
  $ref?: string;
  description?: string;
  enum?: string[];
  properties?: { [key: string]: Schema };
  additionalProperties?: Schema | false;
  definitions?: { [name: string]: Schema };
}

/** A key, and what is said of it. */
export interface ReferenceRow {
  /** As TOML writes it, from the top: `guests.NAME.memory`. */
  key: string;
  text: string;
}

/** Every key of a schema, in its order. */
export function referenceRows(root: object): ReferenceRow[] {
  const { definitions = {} } = root as Schema;
  const rows: ReferenceRow[] = [];
  const visit = (schema: Schema, path: string): void => {
    const name = schema.$ref?.replace("#/definitions/", "");
    const full = { ...(name ? definitions[name] : {}), ...schema };
    const values = full.enum?.map((value) => `\`"${value}"\``).join(", ");
    const words = [values && `One of ${values}.`, full.description].filter(Boolean);
    if (path && words.length) rows.push({ key: path, text: words.join(" ") });
    for (const [key, one] of Object.entries(full.properties ?? {})) {
      visit(one, path ? `${path}.${key}` : key);
    }
    const rest = full.additionalProperties;
    if (rest) visit(rest, `${path}.${PLACEHOLDERS[path] ?? "KEY"}`);
  };
  visit(root as Schema, "");
  return rows;
}

/** What a key stands for that the user chooses. */
const PLACEHOLDERS: { [path: string]: string } = {
  guests: "NAME",
  "guests.NAME.files": '"PATH"',
  "guests.NAME.environment": "VARIABLE",
  "machine.ports": '"PORT"',
};
