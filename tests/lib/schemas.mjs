// SPDX-License-Identifier: GPL-2.0-or-later
// The events against docs/schemas: one JSON Schema for each event type, named <type>.json or <type>.schema.json.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, need } from './paths.mjs';

const dir = path.join(ROOT, 'docs', 'schemas');
let validators;

function load() {
  const Ajv = need('ajv/dist/2020').default;
  const ajv = new Ajv({ allErrors: true, strict: false });
  need('ajv-formats').default(ajv);
  const files = fs.readdirSync(dir).filter((f) => f.endsWith('.json'));
  const schemas = files.map((f) => [f.replace(/(\.schema)?\.json$/, ''), JSON.parse(fs.readFileSync(path.join(dir, f), 'utf8'))]);
  for (const [name, s] of schemas) ajv.addSchema(s, s.$id ?? name);
  validators = new Map(schemas.map(([name, s]) => [name, ajv.getSchema(s.$id ?? name)]));
}

/** What is wrong with an event, one line each; empty if nothing is. */
export function schemaErrors(event) {
  if (!validators) load();
  const v = validators.get(event.type) ?? (event.type.startsWith('custom.') ? validators.get('custom') : undefined);
  if (!v) return [`${event.type}: no schema in docs/schemas`];
  if (v(event)) return [];
  return v.errors.map((e) => `${event.type}${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
}
