// SPDX-License-Identifier: GPL-2.0-or-later
// docs/events.md and docs/schemas against the tables in the code; the page's example by its schema, its snippets by a
// package that is not ours; docs/signalbox.md against the command's own help.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT, need } from '../lib/paths.mjs';
import { schemaErrors } from '../lib/schemas.mjs';
import { test, Skip } from '../lib/test.mjs';

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const DOC = read('docs/events.md');

const types = [...read('modules/common/event.h').matchAll(/^\tX\(\w+, \d+, "([\w.]+)", SB_\w+\)/gm)].map((m) => m[1])
  .filter((t) => !t.startsWith('x.'));

/** The fenced block of a language, the n-th. */
function block(lang, n = 0) {
  const found = [...DOC.matchAll(new RegExp('```' + lang + '\\n([^]*?)```', 'g'))].map((m) => m[1]);
  assert.ok(found.length > n, `docs/events.md has no ${lang} block`);
  return found[n];
}

test('every_event_type_is_documented_and_has_a_schema', () => {
  assert.ok(types.includes('call.answered'), 'event.h: SB_TYPES was not found: this test must follow the code');
  const section = DOC.slice(DOC.indexOf('\n## Types\n'), DOC.indexOf('\n## Fields\n'));
  const documented = [...section.matchAll(/^\| `([\w.*]+)` \|/gm)].map((m) => m[1].replace(/\.\*$/, ''));
  assert.deepEqual(documented.sort(), [...types].sort(), 'types: docs/events.md, event.h');
  const schemas = fs.readdirSync(path.join(ROOT, 'docs/schemas')).map((f) => f.replace(/\.json$/, '')).filter((f) => !['common', 'layer-line', 'callhook.test'].includes(f));
  assert.deepEqual(schemas.sort(), [...types].sort(), 'docs/schemas, event.h');
});

test('every_rendered_field_is_in_a_schema', () => {
  const code = read('modules/common/json.c');
  const keys = [...code.matchAll(/\{(?:SB_C_\w+|0), [A-Z]+, KEY\("(\w+)"\), \w+, /g)].map((m) => m[1]);
  assert.ok(keys.length > 60, 'json.c: the rows were not found: this test must follow the code');
  const schema = JSON.stringify(fs.readdirSync(path.join(ROOT, 'docs/schemas')).map((f) => JSON.parse(read(`docs/schemas/${f}`))));
  const missing = [...new Set(keys)].filter((k) => !schema.includes(`"${k}":`));
  assert.deepEqual(missing, [], 'fields of json.c that no schema has');
});

test('the_example_on_the_page_is_valid', () => {
  assert.deepEqual(schemaErrors(JSON.parse(block('json'))), []);
});

test('a_schema_refuses_what_it_does_not_name', () => {
  const event = JSON.parse(block('json'));
  assert.notDeepEqual(schemaErrors({ ...event, data: { ...event.data, surprise: 1 } }), []);
  assert.notDeepEqual(schemaErrors({ ...event, data: { ...event.data, state: 'lost' } }), []);
  const { did, ...without } = event.data;
  assert.notDeepEqual(schemaErrors({ ...event, data: without }), []);
});

/** Headers and body as the package standardwebhooks signs them. */
function signed(secret) {
  const { Webhook } = need('standardwebhooks');
  const body = JSON.stringify({ type: 'custom.test', text: 'é "quoted"' });
  const now = new Date();
  return { body, headers: { 'webhook-id': 'n-1-2', 'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': `v1,AAAA ${new Webhook(secret).sign('n-1-2', now, body)}` } };
}

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('the_snippet_for_node_accepts_the_right_signature_only', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'signalbox-docs-'));
  try {
    fs.writeFileSync(path.join(dir, 'verify.mjs'), block('js'));
    const { verify } = await import(pathToFileURL(path.join(dir, 'verify.mjs')));
    const { headers, body } = signed(SECRET);
    assert.equal(verify(SECRET, headers, Buffer.from(body)), true);
    assert.equal(verify(SECRET, headers, Buffer.from(`${body} `)), false);
    assert.equal(verify(SECRET, { ...headers, 'webhook-timestamp': '1600000000' }, Buffer.from(body)), false);
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
});

test('the_snippet_for_python_accepts_the_right_signature_only', () => {
  const { headers, body } = signed(SECRET);
  const code = `${block('python')}\nimport json, sys\nc = json.load(sys.stdin)\nb = c["body"].encode()\n`
    + 'print(verify(c["secret"], c["headers"], b), verify(c["secret"], c["headers"], b + b" "))\n';
  if (!process.env.PATH.split(':').some((d) => fs.existsSync(path.join(d, 'python3')))) throw new Skip('there is no python3 here');
  const out = execFileSync('python3', ['-c', code], { input: JSON.stringify({ secret: SECRET, headers, body }), encoding: 'utf8' });
  assert.equal(out.trim(), 'True False');
});

test('the_reference_of_the_command_has_every_command_and_option', () => {
  const help = execFileSync(path.join(ROOT, 'build/bin/signalbox'), ['help'], { encoding: 'utf8' });
  const commands = [...new Set([...help.matchAll(/^signalbox ([a-z]+)/gm)].map((m) => m[1]))];
  const sub = [...help.matchAll(/^signalbox (?:journal|db|hooks) ([a-z]+)\b/gm)].map((m) => m[1]);
  const options = [...new Set(help.match(/--[a-z]+(?:-[a-z]+)*/g))];
  assert.ok(commands.length >= 7 && sub.length >= 10 && options.length > 20, 'signalbox help was not understood: this test must follow the code');
  const page = read('docs/signalbox.md');
  const lead = page.slice(0, page.indexOf('\n## '));
  const of = (name, pages) => new RegExp(`(^|[^\\w-])${name}([^\\w-]|$)`, 'm').test(pages);
  assert.deepEqual(commands.filter((c) => !of(`signalbox ${c}`, lead)), [], 'docs/signalbox.md does not name');
  assert.deepEqual(sub.filter((c) => !of(c, lead)), [], 'docs/signalbox.md does not name');
  const linked = [...lead.matchAll(/\]\((\w+\.md)\)/g)].map((m) => read(`docs/${m[1]}`)).join('\n');
  assert.deepEqual(options.filter((o) => !of(o, page + linked)), [], 'docs/signalbox.md and the pages it names first lack');
});
