// SPDX-License-Identifier: GPL-2.0-or-later
// The reference of callhook against the tables in its code and its schema: what one has and the other lacks is a failure.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { test } from '../lib/test.mjs';

const DOC = 'docs/callhook.md';
const MOD = 'modules/callhook/callhook_mod.c';
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

function part(file, from, to) {
  const text = read(file);
  const a = text.indexOf(from);
  assert.ok(a >= 0, `${file}: "${from}" is not there: this test must follow the code`);
  const b = text.indexOf(to, a + from.length);
  return text.slice(a, b < 0 ? undefined : b);
}

function all(text, re, what) {
  const found = [...text.matchAll(re)].map((m) => m[1]);
  assert.ok(found.length > 0, `${what}: nothing was found: this test must follow the code`);
  return found;
}

/** Rows of the first table under a heading, cells without backticks. */
function rows(heading) {
  const lines = part(DOC, `\n## ${heading}\n`, '\n## ').split('\n');
  const from = lines.findIndex((l) => l.startsWith('|---'));
  assert.ok(from > 0, `${DOC}: no table under "${heading}"`);
  const rest = lines.slice(from + 1);
  const end = rest.findIndex((l) => !l.startsWith('|'));
  return rest.slice(0, end < 0 ? undefined : end).map((l) => l.split('|').slice(1, -1).map((c) => c.trim().replaceAll('`', '')));
}

const first = (s) => s.split(/[\s(]/)[0];
const same = (documented, coded, what) => assert.deepEqual([...documented].sort(), [...coded].sort(), `${what}: ${DOC} and the code differ`);

test('docs_match_the_code_callhook_parameters', () => {
  const table = rows('Parameters');
  same(table.map((r) => r[0]), all(part(MOD, 'param_export_t params[]', '};'), /\{"(\w+)", *PARAM_/g, 'params[]'), 'parameters');
  const defaults = part(MOD, 'struct hook_params hook_params = {', '};').replace('SB_SCHEDULE_DEFAULT', part('modules/callhook/core/schedule.h', 'SB_SCHEDULE_DEFAULT', '\n').match(/"[^"]*"/)[0]);
  const bounds = part(MOD, '} bounds[] = {', '};');
  for (const [name, value, range] of table) {
    const d = defaults.match(new RegExp(`\\.${name} *= *(?:"([^"]*)"|(\\d+))`));
    assert.ok(d, `${MOD}: ${name} has no default`);
    assert.equal(value, d[1] ?? d[2], `default of ${name}: reference, code`);
    const b = bounds.match(new RegExp(`\\{"${name}",[^,]*, *(\\d+), *(\\d+)\\}`));
    assert.equal(range, b ? `${b[1]} to ${b[2]}` : '', `range of ${name}: reference, code`);
  }
});

test('docs_match_the_code_callhook_functions_rpc_statistics', () => {
  same(rows('Functions').map((r) => first(r[0])), all(part(MOD, 'cmd_export_t cmds[]', '};'), /\{"(\w+)", *w_/g, 'cmds[]'), 'functions');
  same(rows('RPC').map((r) => first(r[0])), ['rpc', 'call_log'].flatMap((f) => all(part(`modules/callhook/hook_${f}.c`, 'rpc_export_t methods[]', '};'), /\{"([\w.]+)",/g, 'methods[]')), 'RPC');
  same(rows('Statistics').map((r) => r[0]), [['stats', 'HOOK'], ['call_log', 'CALL_LOG']].flatMap(([f, n]) => all(part(`modules/callhook/hook_${f}.c`, `#define ${n}_STATS(X)`, '\n\n'), /X\((\w+), \S/g, n)), 'statistics');
});

test('docs_match_the_code_callhook_table', () => {
  const table = rows('Endpoints');
  const schema = part('db/sqlite/callhook-create.sql', 'CREATE TABLE IF NOT EXISTS callhook_endpoint (', ');');
  same(table.map((r) => r[0]), all(schema, /^ {4}(\w+) (?:VARCHAR|INTEGER)/gm, 'columns'), 'columns');
  same(table.map((r) => r[0]), all(part('modules/callhook/core/endpoint.h', '#define SB_ENDPOINT_COLUMNS(X)', '\n\n'), /X\((\w+), "/g, 'SB_ENDPOINT_COLUMNS'), 'columns');
  for (const [name, value] of table) {
    const d = schema.match(new RegExp(`${name} .*DEFAULT '?([^' ]*)`));
    assert.equal(value, d?.[1] ?? '', `default of ${name}: reference, schema`);
  }
});
